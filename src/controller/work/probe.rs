//! Dry runs: whether the API server would accept a Secret is checked before a Decrypt is spent on it, and before a Secret
//! is deleted because its type changes (docs/design/controller.md#retries).

use std::sync::Arc;

use super::opener::Opening;
use super::reconciler::{Finished, Outcome, Reconciler, Snapshot, Step};
use crate::api::{Finding, Rejection};
use crate::controller::act::api_error::{ApiError, Refusal};
use crate::controller::act::secret::{Precondition, is_exclusive, probe_body};
use crate::controller::decide::plan::Cause;
use crate::controller::key::ObjectKey;

/// Names the Secret of a dry run next to an existing one. Nothing of this name is ever stored.
const PROBE_SUFFIX: &str = "-envelope-probe";
/// The maximum length of a Secret's name.
const MAX_NAME: usize = 253;

impl Reconciler<'_> {
    /// Checks with a dry run, without values, whether the Secret may be written, if that is in doubt: after a refused write,
    /// and before a deleted Secret is created again, for example in a namespace that is being deleted. Returns the step
    /// that follows a refusal; `None` if the document is to be opened.
    pub(in crate::controller) async fn probe(&mut self, snapshot: &Snapshot, cause: Cause) -> Option<Step> {
        let in_doubt = cause == Cause::Missing || self.state.may_be_probed();
        if !in_doubt {
            return None;
        }
        // Without it, opening finds out why.
        let accepted = self.accepted(snapshot).await?;
        let precondition = Precondition::of(snapshot.secret.as_deref());
        let desired = snapshot.desired.as_ref().ok()?;
        let body = probe_body(self.key, desired, accepted.document(), &precondition);
        match self.context.writer.probe_secret(self.key, &body).await {
            Err(ApiError::Conflict) => {
                self.write_conflicted = true;
                Some(self.read_secret().await)
            }
            Err(ApiError::NotFound | ApiError::NamespaceTerminating | ApiError::NotWriter) => {
                Some(Step::Finished(Finished::silently(Outcome::Terminating)))
            }
            Err(ApiError::Reportable(refusal)) if !depends_on_values(&refusal.finding) => {
                Some(self.fail(snapshot, *refusal).await)
            }
            Ok(()) | Err(ApiError::ImmutableField(_) | ApiError::Reportable(_)) => {
                self.state.probed = true;
                None
            }
        }
    }

    /// Deletes a Secret whose type has to change and creates it again, if it belongs to this object alone. Otherwise only its
    /// owners can decide that.
    pub(in crate::controller) async fn recreate(&mut self, snapshot: &Snapshot, opening: Opening) -> Step {
        let live = match self.context.cluster.secret(self.key).await {
            Ok(live) => live,
            Err(error) => return self.read_failed(error),
        };
        let current = live.as_ref().and_then(|meta| {
            let (uid, version) = (meta.uid.as_deref()?, meta.resource_version.as_deref()?);
            let planned = snapshot.secret.as_ref().is_some_and(|facts| *facts.uid == *uid);
            planned.then_some((meta, uid, version))
        });
        let Some((meta, uid, version)) = current else {
            return self.replan_with(opening).await;
        };
        if !is_exclusive(meta, &snapshot.object.uid) {
            drop(opening);
            let rejection = Rejection::TypeChange(self.key.name.to_string());
            return self.fail(snapshot, Finding::SecretRejected { rejection }).await;
        }
        // A Secret that could not be created again must not be deleted.
        if let Some(refusal) = self.refusal_of_new_secret(snapshot, &opening).await {
            drop(opening);
            return self.fail(snapshot, refusal).await;
        }
        match self.context.writer.delete_secret(self.key, uid, version).await {
            Ok(()) | Err(ApiError::NotFound) => self.recreated = true,
            Err(ApiError::Conflict | ApiError::ImmutableField(_)) => self.write_conflicted = true,
            Err(ApiError::NamespaceTerminating | ApiError::NotWriter) => {
                return Step::Finished(Finished::silently(Outcome::Terminating));
            }
            Err(ApiError::Reportable(refusal)) => {
                drop(opening);
                return self.fail(snapshot, *refusal).await;
            }
        }
        self.replan_with(opening).await
    }

    /// Reads the Secret and plans again with a document that is already open.
    async fn replan_with(&mut self, opening: Opening) -> Step {
        self.opening = Some(opening);
        self.read_secret().await
    }

    /// Returns why the API server would not create the Secret next to the existing one; `None` if it would.
    async fn refusal_of_new_secret(&self, snapshot: &Snapshot, opening: &Opening) -> Option<Refusal> {
        let (opened, desired) = (opening.result.as_ref().ok()?, snapshot.desired.as_ref().ok()?);
        let name = &self.key.name;
        let stem = &name[..name.floor_char_boundary(MAX_NAME - PROBE_SUFFIX.len())];
        let beside = ObjectKey {
            namespace: Arc::clone(&self.key.namespace),
            name: format!("{stem}{PROBE_SUFFIX}").into(),
        };
        let body = probe_body(&beside, desired, opened.document(), &Precondition::Absent);
        match self.context.writer.probe_secret(&beside, &body).await {
            // The deletion makes room for one more Secret.
            Err(ApiError::Reportable(refusal))
                if matches!(
                    refusal.finding,
                    Finding::SecretRejected {
                        rejection: Rejection::Quota
                    }
                ) =>
            {
                None
            }
            Err(ApiError::Reportable(refusal)) if !depends_on_values(&refusal.finding) => Some(*refusal),
            _ => None,
        }
    }
}

/// Whether a refusal may be one of the placeholders: then it says nothing about the Secret. A webhook that supports no dry
/// run refuses it in the same way.
fn depends_on_values(finding: &Finding) -> bool {
    matches!(
        finding,
        Finding::SecretRejected {
            rejection: Rejection::Invalid(_) | Rejection::TooLarge
        }
    )
}
