//! The plan for one object: a pure decision based on its observed state (docs/design/controller.md#no-op-reconciles and
//! docs/design/controller.md#ownership).

use super::desired::{Desired, RENDERER};
use super::ownership::{Ownership, is_foreign, ownership};
use crate::api::{Finding, Reason};
use crate::controller::observe::object::Object;
use crate::controller::observe::secret_facts::SecretFacts;

/// The input of a plan: the observed state of one object.
#[derive(Clone, Copy, Debug)]
pub(in crate::controller) struct View<'a> {
    pub(in crate::controller) object: Option<&'a Object>,
    pub(in crate::controller) secret: Option<&'a SecretFacts>,
    /// How the Secret compares with our last write.
    pub(in crate::controller) secret_state: SecretState,
    /// Whether the Secret's state is known beyond the watch, which delivers only Secrets with our label.
    pub(in crate::controller) secret_state_known: bool,
    /// The desired state, or why the document must not be opened.
    pub(in crate::controller) desired: Result<&'a Desired, &'a Finding>,
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

/// Compares `secret` with the last write that `object`'s status records. `desired` is the desired state, if the current
/// document is readable.
pub(in crate::controller) fn secret_state(
    object: &Object,
    secret: Option<&SecretFacts>,
    desired: Option<&Desired>,
) -> SecretState {
    let Some(applied) = object.status.applied() else {
        return SecretState::Unwritten;
    };
    let Some(secret) = secret else {
        return SecretState::Missing;
    };
    if *secret.uid != *applied.secret_uid || ownership(secret, &object.uid) != Ownership::Current {
        return SecretState::Drifted;
    }
    if *secret.resource_version == *applied.secret_resource_version {
        return SecretState::AsWritten;
    }
    if desired.is_some_and(|desired| desired.is_held(&secret.fields)) {
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
    if object.wishes.suspended {
        return Plan::Suspended;
    }
    let applied = object.status.applied();
    if applied
        .as_ref()
        .is_some_and(|applied| applied.renderer > RENDERER)
    {
        return Plan::LeaveAlone;
    }
    let desired = match view.desired {
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
            return if is_foreign(secret) {
                Plan::LeaveAlone
            } else {
                Plan::Held
            };
        }
        Some(secret) => {
            if let Ownership::Foreign(owner) = ownership(secret, &object.uid) {
                return Plan::Foreign(owner.map(Into::into));
            }
        }
    }
    let is_written = applied
        .as_ref()
        .is_some_and(|applied| applied.generation == object.generation && desired.has_rules_of(applied));
    match (applied, view.secret_state) {
        (_, SecretState::AsWritten) if is_written => Plan::Skip,
        (_, SecretState::Intact) if is_written => Plan::Restamp,
        (Some(applied), SecretState::AsWritten | SecretState::Intact) if desired.has_result_of(&applied) => {
            Plan::Open(Cause::Verify)
        }
        (_, SecretState::AsWritten | SecretState::Intact) => Plan::Open(Cause::Changed),
        (None, _) => Plan::Open(Cause::New),
        (Some(applied), _) if applied.generation == object.generation => Plan::Open(Cause::Edited),
        (Some(_), _) => Plan::Open(Cause::Changed),
    }
}

#[cfg(test)]
mod tests;
