//! What is to be done about one object: a pure decision over what stands in the cluster (controller.md 1, 6).

use super::fields::FieldSet;
use super::object::Object;
use super::secret_facts::{Holder, SecretFacts};
use crate::api::{Applied, Mode, Outcome, Reason};

/// The version of the rules by which a document becomes a Secret; it only grows.
pub(super) const RENDERER: i64 = 1;

/// What the spec alone tells, without a KMS, once structure and policy held.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Described {
    /// SHA-256 over manifest and mac, in hex.
    pub(super) digest: String,
    /// The fields that an Apply of this document holds on its Secret.
    pub(super) fields: FieldSet,
}

/// What is known of one object when it is planned.
#[derive(Clone, Copy, Debug)]
pub(super) struct View<'a> {
    pub(super) object: Option<&'a Object>,
    pub(super) secret: Option<&'a SecretFacts>,
    /// Whether the Secret was asked for by name; the watch shows only those with our label.
    pub(super) looked: bool,
    /// The document, or what keeps it from being opened.
    pub(super) document: Result<&'a Described, &'a Outcome>,
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Plan {
    /// There is nothing to keep: no object, or one that is being deleted.
    Gone,
    /// Leave it alone for now: a newer controller wrote the Secret, or the Secret's deletion has begun.
    Leave,
    /// Ask for the Secret's metadata by name first.
    Look,
    /// The document may not be opened: nothing changes but the status.
    Refuse(Outcome),
    /// The Secret is somebody else's, of this owner if one controls it: nothing changes but the status.
    Foreign(Option<Box<str>>),
    /// The Secret stands as the status says: at most the status is written.
    Skip,
    /// The Secret stands, but its resourceVersion is another one: the status is written.
    Restamp,
    /// Open the document, then write the Secret.
    Open(Cause),
}

/// Why a document is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cause {
    /// No Secret of this object was written yet.
    New,
    /// The Secret was deleted.
    Missing,
    /// The Secret was edited.
    Edited,
    /// The document or the rules changed.
    Changed,
    /// The same document under other wraps: opening proves them, the Secret stays.
    Verify,
}

/// How the Secret stands to what the status says was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// Nothing was written yet.
    Unwritten,
    /// Untouched since.
    AsWritten,
    /// Touched, but every field of ours is still ours alone.
    Whole,
    /// Something of ours was changed, added or taken away.
    Edited,
    /// Not there.
    Missing,
}

/// How `secret` stands to what `object`'s status says; `fields` are those of the document, if it can be read.
pub(super) fn standing(object: &Object, secret: Option<&SecretFacts>, fields: Option<FieldSet>) -> Standing {
    let Some(applied) = &object.status.applied else {
        return Standing::Unwritten;
    };
    let Some(secret) = secret else {
        return Standing::Missing;
    };
    if *secret.uid != *applied.secret_uid || !secret.holder.is_exactly(&object.uid) {
        return Standing::Edited;
    }
    if *secret.resource_version == *applied.secret_resource_version {
        return Standing::AsWritten;
    }
    let whole = fields.is_some() && secret.fields.ours == fields && !secret.fields.foreign_content;
    if whole { Standing::Whole } else { Standing::Edited }
}

pub(super) fn plan(view: View<'_>) -> Plan {
    let Some(object) = view.object.filter(|object| !object.deleting) else {
        return Plan::Gone;
    };
    let applied = object.status.applied.as_ref();
    if applied.is_some_and(|applied| applied.renderer > RENDERER) {
        return Plan::Leave;
    }
    let described = match view.document {
        Ok(described) => described,
        Err(outcome) => return Plan::Refuse(outcome.clone()),
    };
    match view.secret {
        None if !view.looked && object.status.reason() == Some(Reason::Conflict.as_str()) => {
            return Plan::Look;
        }
        None => {
            return Plan::Open(if applied.is_some() {
                Cause::Missing
            } else {
                Cause::New
            });
        }
        Some(secret) if secret.deleting => return Plan::Leave,
        Some(SecretFacts {
            holder: Holder::Foreign(owner),
            ..
        }) => return Plan::Foreign(owner.clone()),
        Some(_) => {}
    }
    let standing = standing(object, view.secret, Some(described.fields));
    match (applied, standing) {
        (Some(applied), Standing::AsWritten) if same_rules(applied, object) => Plan::Skip,
        (Some(applied), Standing::Whole) if same_rules(applied, object) => Plan::Restamp,
        (Some(applied), Standing::AsWritten | Standing::Whole) if same_result(applied, described) => {
            Plan::Open(Cause::Verify)
        }
        (_, Standing::AsWritten | Standing::Whole) => Plan::Open(Cause::Changed),
        (None, _) => Plan::Open(Cause::New),
        (Some(applied), _) if applied.generation == object.generation => Plan::Open(Cause::Edited),
        (Some(_), _) => Plan::Open(Cause::Changed),
    }
}

fn same_rules(applied: &Applied, object: &Object) -> bool {
    applied.generation == object.generation
        && applied.mode == Mode::Owned.as_str()
        && applied.renderer == RENDERER
}

fn same_result(applied: &Applied, described: &Described) -> bool {
    applied.digest == described.digest && applied.mode == Mode::Owned.as_str() && applied.renderer == RENDERER
}

#[cfg(test)]
mod tests;
