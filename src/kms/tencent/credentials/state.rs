//! What the chain remembers between calls.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::task::AbortHandle;

use super::cooldown::Cooldown;
use super::held::Held;
use crate::kms::tencent::error::TencentError;
use crate::kms::tencent::transport::credentials_provider::Credentials;

#[derive(Default)]
pub(super) struct State {
    pub(super) held: Option<Arc<Held>>,
    /// The failure of the last request for credentials, if it failed.
    pub(super) failure: Option<Failure>,
    /// How many requests for credentials have completed.
    pub(super) completed: u64,
    /// A file of the source has changed since the held credentials were fetched.
    pub(super) is_outdated: bool,
    /// Calls that lacked credentials may succeed now; reported and cleared by `CredentialChain::revived`.
    pub(super) is_revived: bool,
    /// When the last request that a rejection caused completed.
    pub(super) last_rejection: Option<Instant>,
    /// The background renewal.
    pub(super) renewal: Option<AbortHandle>,
}

/// A failed request for credentials.
pub(super) struct Failure {
    pub(super) error: TencentError,
    pub(super) cooldown: Cooldown,
}

impl State {
    /// Returns the last failure during its cooldown.
    pub(super) fn cooling_down(&self) -> Option<TencentError> {
        let failure = self.failure.as_ref()?;
        (!failure.cooldown.is_over()).then(|| failure.error.clone())
    }

    /// Records the success of a request for credentials.
    pub(super) fn succeeded(&mut self, held: Held) -> Arc<Credentials> {
        let previous_source = self.held.as_ref().map(|held| held.status.source);
        let has_recovered = self.failure.take().is_some();
        if previous_source != Some(held.status.source) || has_recovered {
            let source = held.status.source.as_str();
            let assumed_role = held.status.assumed_role;
            tracing::info!(source, assumed_role, "using Tencent Cloud credentials");
        }
        let credentials = Arc::clone(&held.credentials);
        self.held = Some(Arc::new(held));
        self.is_revived |= has_recovered || self.is_outdated;
        self.is_outdated = false;
        credentials
    }

    /// Records the failure of a request for credentials. The first cooldown lasts `first_cooldown`.
    pub(super) fn failed(&mut self, error: TencentError, first_cooldown: Duration) {
        let previous = self.failure.take();
        let is_repeated = previous
            .as_ref()
            .is_some_and(|previous| is_same_failure(&error, &previous.error));
        if !is_repeated {
            tracing::warn!(
                code = error.code.as_deref(),
                request_id = error.request_id.as_deref(),
                "cannot get Tencent Cloud credentials: {}",
                error.message
            );
        }
        self.failure = Some(Failure {
            error,
            cooldown: Cooldown::after(previous.map(|previous| previous.cooldown), first_cooldown),
        });
    }
}

/// Whether two failures are the same for a reader of the log: request ids differ each time.
fn is_same_failure(one: &TencentError, other: &TencentError) -> bool {
    (&one.subject, &one.code) == (&other.subject, &other.code)
        && (one.code.is_some() || one.message == other.message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failure_is_returned_during_its_cooldown() {
        let mut state = State::default();
        assert!(state.cooling_down().is_none());
        let error = TencentError::credentials("none", "look");
        state.failed(error.clone(), Duration::from_secs(1));
        assert_eq!(state.cooling_down(), Some(error.clone()));
        state.failure = None;
        state.failed(error, Duration::ZERO);
        assert_eq!(state.cooling_down(), None);
    }
}
