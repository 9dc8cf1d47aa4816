//! The state of a broker, shared by its tasks.

use std::sync::{Arc, Mutex};
use std::time::Instant;

use tokio::sync::oneshot;

use super::answer::{Answer, Gate};
use super::core::Core;
use super::flights::Flights;
use super::settings::BrokerSettings;
use crate::envelope::SecretBytes;
use crate::kms::KmsError;

/// A call's result that others may share: success and failures that say nothing about the document.
pub(super) type Shareable = Option<Result<SecretBytes, KmsError>>;

/// What all openings share.
pub(super) struct Shared<R> {
    /// Locked before `gate.slots` where both are needed.
    pub(super) core: Mutex<Core<Answer<R>>>,
    pub(super) flights: Mutex<Flights<oneshot::Sender<Shareable>>>,
    pub(super) gate: Arc<Gate>,
}

impl<R> Shared<R> {
    pub(super) fn new(settings: BrokerSettings) -> Self {
        Shared {
            core: Mutex::new(Core::new(settings)),
            flights: Mutex::new(Flights::new()),
            gate: Arc::default(),
        }
    }
}

/// The current time, as the pure parts take it. Follows tokio's clock, which tests can pause.
pub(super) fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}
