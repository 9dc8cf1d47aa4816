//! What the broker needs from its host, and what it answers.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::future::BoxFuture;
use tokio::sync::Notify;

use super::request::Request;
use crate::envelope::{Accepted, OpenError, Opened};
use crate::kms::{KeyUri, KmsError};
use crate::lanes::{Bounds, Shares};
use crate::sync::lock;

/// The owner of the documents.
pub trait Host: Send + Sync + 'static {
    /// Why a document must not be opened.
    type Refusal: Send + 'static;

    /// Returns the document of a request, when its turn has come.
    fn document<'a>(&'a self, request: &'a Request) -> BoxFuture<'a, Document<Self::Refusal>>;

    /// A request was answered: [`Broker::ask`](super::Broker::ask) returns the answer.
    fn answered(&self, request: &Request);

    /// The KMS responds again to calls with this key, whose breaker has closed: calls that failed may succeed now.
    fn reached(&self, key: &KeyUri);

    /// Something happened that metrics count.
    fn note(&self, note: Note);
}

/// The result of [`Host::document`].
pub enum Document<R> {
    /// It passed structure and policy. The permit is dropped with the slot.
    Accepted(Box<Accepted>, Option<Permit>),
    /// It must not be opened.
    Refused(R),
    /// The object was deleted, replaced or changed since the request.
    Gone,
}

/// What a host bounds while a document is open.
pub type Permit = Box<dyn Send + Sync>;

/// The answer to a request. No Debug: it may hold plaintext.
pub enum Answer<R> {
    /// The document is open. The slot bounds the number of open documents; it is released on drop.
    Opened(Box<Opened>, Slot),
    /// It must not be opened; no call was made.
    Refused(R),
    /// It cannot be opened.
    Failed(OpenError<KmsError>),
    /// Opening it panicked.
    Broken,
    /// The object was deleted, replaced or changed since the request; no call was made.
    Gone,
}

impl<R> Answer<R> {
    /// One word for the metric label `outcome`.
    pub fn as_str(&self) -> &'static str {
        match self {
            Answer::Opened(..) => "opened",
            Answer::Refused(_) => "refused",
            Answer::Failed(OpenError::Integrity { .. }) => "integrity",
            Answer::Failed(OpenError::Unavailable { .. }) => "unavailable",
            Answer::Failed(OpenError::Render(_)) => "render",
            Answer::Broken => "broken",
            Answer::Gone => "gone",
        }
    }
}

/// An event for metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Note {
    /// A request was started after this time.
    Started(Duration),
    /// A request was answered, with this outcome.
    Answered(&'static str),
    /// A data key was found in the cache.
    CacheHit,
    /// A data key was not in the cache.
    CacheMiss,
    /// A permanent failure was charged to the integrity budget.
    BudgetUsed,
}

/// How many documents are being opened, or are open until their Secrets are written. They bound both the KMS calls in
/// flight and the plaintexts in memory.
pub(super) const OPEN_DOCUMENTS: Bounds = Bounds {
    total: 32,
    contended: 8,
};

/// The slots in use, and the event that wakes the dispatcher.
pub(super) struct Gate {
    pub(super) slots: Mutex<Shares<Arc<str>>>,
    pub(super) wake: Notify,
}

impl Default for Gate {
    fn default() -> Self {
        Gate {
            slots: Mutex::new(Shares::new(OPEN_DOCUMENTS)),
            wake: Notify::new(),
        }
    }
}

/// A slot of one open document, released on drop.
pub struct Slot {
    gate: Arc<Gate>,
    namespace: Arc<str>,
    permit: Option<Permit>,
}

impl Slot {
    /// Wraps a slot that is taken already.
    pub(super) fn taken(gate: Arc<Gate>, namespace: Arc<str>) -> Self {
        Slot {
            gate,
            namespace,
            permit: None,
        }
    }

    /// Keeps the permit of the host as long as the slot.
    pub(super) fn keep(&mut self, permit: Option<Permit>) {
        self.permit = permit;
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        lock(&self.gate.slots).finished(&self.namespace);
        self.gate.wake.notify_one();
    }
}
