//! The opening queue, of documents to open: no reconcile waits for a KMS (docs/design/controller.md#scheduling-and-the-opening-queue).
//! A request is a key; the document is taken from the store when the request is served; the result requeues the object.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard};

use tokio::sync::mpsc;

use crate::api::Outcome;
use crate::controller::key::ObjectKey;
use crate::controller::slots::Slot;
use crate::envelope::Opened;
use crate::sync::lock;

/// Result of opening a document. No Debug: it holds plaintext.
pub(in crate::controller) struct Opening {
    /// The uid and generation of the object whose document was opened.
    pub(in crate::controller) uid: Arc<str>,
    pub(in crate::controller) generation: i64,
    pub(in crate::controller) result: Result<Opened, Outcome>,
    /// Limits the number of open documents; released on drop.
    pub(in crate::controller) _slot: Slot,
}

/// The sending end of the queue, and the results.
pub(in crate::controller) struct Opener {
    requests: mpsc::UnboundedSender<ObjectKey>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Requested and not finished. At most one request per object bounds the channel.
    pending: HashSet<ObjectKey>,
    finished: HashMap<ObjectKey, Opening>,
}

/// The receiving end of an [`Opener`].
pub(in crate::controller) struct Requests(pub(in crate::controller) mpsc::UnboundedReceiver<ObjectKey>);

impl Opener {
    pub(in crate::controller) fn new() -> (Self, Requests) {
        let (requests, receiver) = mpsc::unbounded_channel();
        let opener = Opener {
            requests,
            state: Mutex::default(),
        };
        (opener, Requests(receiver))
    }

    /// Requests that the document of `key` be opened; a no-op if it is already pending.
    pub(in crate::controller) fn request(&self, key: &ObjectKey) {
        if self.lock().pending.insert(key.clone()) {
            // The receiver is dropped only when the controller shuts down.
            let _ = self.requests.send(key.clone());
        }
    }

    /// Removes and returns the result for `key`, if there is one.
    pub(in crate::controller) fn take(&self, key: &ObjectKey) -> Option<Opening> {
        self.lock().finished.remove(key)
    }

    /// Returns the number of pending requests.
    pub(in crate::controller) fn pending(&self) -> usize {
        self.lock().pending.len()
    }

    /// Records the result for `key`; `None` if there is none.
    pub(in crate::controller) fn finish(&self, key: &ObjectKey, opening: Option<Opening>) {
        let mut state = self.lock();
        state.pending.remove(key);
        if let Some(opening) = opening {
            state.finished.insert(key.clone(), opening);
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }
}
