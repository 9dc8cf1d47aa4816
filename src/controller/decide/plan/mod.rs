//! The plan for one object: a pure decision based on its observed state (docs/design/controller.md#no-op-reconciles and
//! docs/design/controller.md#ownership).

use crate::api::{Applied, Finding, Mode, Reason};
use crate::controller::observe::fields::FieldSet;
use crate::controller::observe::object::Object;
use crate::controller::observe::secret_facts::{Holder, SecretFacts};

/// The version of the rules that turn a document into a Secret (`status.applied.renderer`). It may only increase: a
/// controller with a lower version leaves the Secret alone.
pub(in crate::controller) const RENDERER: i64 = 1;

/// The desired state, as far as the spec defines it without a KMS call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::controller) struct Desired {
    /// SHA-256 over manifest and mac, in hex.
    pub(in crate::controller) digest: String,
    /// The fields that our Apply of this document owns on its Secret.
    pub(in crate::controller) fields: FieldSet,
}

/// The input of a plan: the observed state of one object.
#[derive(Clone, Copy, Debug)]
pub(in crate::controller) struct View<'a> {
    pub(in crate::controller) object: Option<&'a Object>,
    pub(in crate::controller) secret: Option<&'a SecretFacts>,
    /// Whether the Secret's state is known beyond the watch, which delivers only Secrets with our label.
    pub(in crate::controller) secret_state_known: bool,
    /// The desired state, or why the document must not be opened.
    pub(in crate::controller) document: Result<&'a Desired, &'a Finding>,
}

/// What to do.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::controller) enum Plan {
    /// Nothing to maintain: the object does not exist or is being deleted.
    Gone,
    /// The annotation `suspend` freezes Secret and status.
    Suspended,
    /// Leave the Secret alone for now: a newer controller wrote it, or it is a foreign one that is being deleted.
    LeaveAlone,
    /// The Secret is being deleted, and a finalizer holds it: it cannot be created again yet.
    Held,
    /// Read the Secret's metadata by name first.
    ReadSecret,
    /// The document must not be opened: only the status changes.
    Refuse(Finding),
    /// The Secret is foreign, with this controller owner if it has one: only the status changes.
    Foreign(Option<Box<str>>),
    /// The Secret is as written: at most the status changes.
    Skip,
    /// The Secret is intact under a new resourceVersion: only the status changes, which records that version.
    Restamp,
    /// Open the document, then write the Secret.
    Open(Cause),
}

/// Why a document is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::controller) enum Cause {
    /// No Secret of this object has been written yet.
    New,
    /// The Secret was deleted.
    Missing,
    /// The Secret was edited.
    Edited,
    /// The document or the rules changed.
    Changed,
    /// The same document under new wraps: opening verifies them, the Secret stays.
    Verify,
}

impl Cause {
    /// Its name, for the log.
    pub(in crate::controller) fn as_str(self) -> &'static str {
        match self {
            Cause::New => "New",
            Cause::Missing => "Missing",
            Cause::Edited => "Edited",
            Cause::Changed => "Changed",
            Cause::Verify => "Verify",
        }
    }
}

/// The state of the Secret, compared with the last write that the status records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::controller) enum SecretState {
    /// No write is recorded.
    Unwritten,
    /// Unchanged since the write.
    AsWritten,
    /// Changed, but every field that we wrote is still ours alone.
    Intact,
    /// A field that we wrote was changed, added or removed.
    Drifted,
    /// The Secret does not exist.
    Missing,
}

/// Compares `secret` with the last write that `object`'s status records. `fields` are those of the current document, if it
/// is readable.
pub(in crate::controller) fn secret_state(
    object: &Object,
    secret: Option<&SecretFacts>,
    fields: Option<FieldSet>,
) -> SecretState {
    let Some(applied) = &object.status.applied else {
        return SecretState::Unwritten;
    };
    let Some(secret) = secret else {
        return SecretState::Missing;
    };
    if *secret.uid != *applied.secret_uid || !secret.holder.is_exactly(&object.uid) {
        return SecretState::Drifted;
    }
    if *secret.resource_version == *applied.secret_resource_version {
        return SecretState::AsWritten;
    }
    if fields.is_some() && secret.fields.ours == fields && secret.fields.foreign_manager.is_none() {
        SecretState::Intact
    } else {
        SecretState::Drifted
    }
}

/// Decides what to do about one object.
pub(in crate::controller) fn plan(view: View<'_>) -> Plan {
    let Some(object) = view.object.filter(|object| !object.deleting) else {
        return Plan::Gone;
    };
    if object.suspended {
        return Plan::Suspended;
    }
    let applied = object.status.applied.as_ref();
    if applied.is_some_and(|applied| applied.renderer > RENDERER) {
        return Plan::LeaveAlone;
    }
    let desired = match view.document {
        Ok(desired) => desired,
        Err(finding) => return Plan::Refuse(finding.clone()),
    };
    match view.secret {
        None if !view.secret_state_known && object.status.reason() == Some(Reason::Conflict.as_str()) => {
            return Plan::ReadSecret;
        }
        None => {
            return Plan::Open(if applied.is_some() {
                Cause::Missing
            } else {
                Cause::New
            });
        }
        Some(secret) if secret.deleting => {
            let foreign = matches!(secret.holder, Holder::Foreign(_));
            return if foreign { Plan::LeaveAlone } else { Plan::Held };
        }
        Some(SecretFacts {
            holder: Holder::Foreign(owner),
            ..
        }) => return Plan::Foreign(owner.clone()),
        Some(_) => {}
    }
    let state = secret_state(object, view.secret, Some(desired.fields));
    match (applied, state) {
        (Some(applied), SecretState::AsWritten) if same_rules(applied, object) => Plan::Skip,
        (Some(applied), SecretState::Intact) if same_rules(applied, object) => Plan::Restamp,
        (Some(applied), SecretState::AsWritten | SecretState::Intact) if same_result(applied, desired) => {
            Plan::Open(Cause::Verify)
        }
        (_, SecretState::AsWritten | SecretState::Intact) => Plan::Open(Cause::Changed),
        (None, _) => Plan::Open(Cause::New),
        (Some(applied), _) if applied.generation == object.generation => Plan::Open(Cause::Edited),
        (Some(_), _) => Plan::Open(Cause::Changed),
    }
}

/// Whether generation and rules are those of the recorded write.
fn same_rules(applied: &Applied, object: &Object) -> bool {
    applied.generation == object.generation
        && applied.mode == Mode::Owned.as_str()
        && applied.renderer == RENDERER
}

/// Whether applying the document would produce the Secret of the recorded write.
fn same_result(applied: &Applied, desired: &Desired) -> bool {
    applied.digest == desired.digest && applied.mode == Mode::Owned.as_str() && applied.renderer == RENDERER
}

#[cfg(test)]
mod tests;
