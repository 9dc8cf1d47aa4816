//! The queue for the KMS: nothing waits for a KMS inside a reconcile (controller.md 8). What comes in is a name;
//! the document is taken from the store when its turn comes; the answer queues the object once more.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard};

use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::ObjectKey;
use super::object::Object;
use super::reader::{open_word, outcome_of};
use super::reconcile::Context;
use crate::api::Outcome;
use crate::envelope::{OpenError, Opened};
use crate::kms::KmsError;
use crate::sync::lock;

/// How many documents may be open or being opened at once, until their Secrets are written: plaintexts in memory
/// and calls of the KMS are bounded by the same number.
const AT_ONCE: usize = 32;

/// What came of one opening. No Debug: it holds plaintext.
pub(super) struct Answer {
    /// The object that was opened, as it was then.
    pub(super) uid: Arc<str>,
    pub(super) generation: i64,
    pub(super) result: Result<Opened, Outcome>,
    /// Held until the answer is dropped.
    _turn: OwnedSemaphorePermit,
}

/// See the module.
pub(super) struct Opener {
    asked: mpsc::UnboundedSender<ObjectKey>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Asked for and not answered; this is what bounds the channel.
    pending: HashSet<ObjectKey>,
    answers: HashMap<ObjectKey, Answer>,
}

/// The other end of an [`Opener`].
pub(super) struct Asked(mpsc::UnboundedReceiver<ObjectKey>);

impl Opener {
    pub(super) fn new() -> (Self, Asked) {
        let (asked, receiver) = mpsc::unbounded_channel();
        let opener = Opener {
            asked,
            state: Mutex::default(),
        };
        (opener, Asked(receiver))
    }

    /// Asks for the document of `key` to be opened; nothing happens if that is under way already.
    pub(super) fn ask(&self, key: &ObjectKey) {
        if self.lock().pending.insert(key.clone()) {
            // The receiver ends only with the controller.
            let _ = self.asked.send(key.clone());
        }
    }

    /// The answer for `key`, if it has come.
    pub(super) fn take(&self, key: &ObjectKey) -> Option<Answer> {
        self.lock().answers.remove(key)
    }

    /// How many objects wait for their answer.
    pub(super) fn pending(&self) -> usize {
        self.lock().pending.len()
    }

    fn answer(&self, key: &ObjectKey, answer: Option<Answer>) {
        let mut state = self.lock();
        state.pending.remove(key);
        if let Some(answer) = answer {
            state.answers.insert(key.clone(), answer);
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }
}

/// Opens what is asked for until `stop`. Openings that are under way then are given up: they change nothing.
pub(super) async fn run(context: Arc<Context>, mut asked: Asked, stop: CancellationToken) {
    let turns = Arc::new(Semaphore::new(AT_ONCE));
    let mut running = JoinSet::new();
    let work = async {
        while let Some(key) = asked.0.recv().await {
            let Ok(turn) = turns.clone().acquire_owned().await else {
                return;
            };
            while running.try_join_next().is_some() {}
            running.spawn(one(context.clone(), key, turn));
        }
    };
    stop.run_until_cancelled(work).await;
}

/// Answers `key` whatever happens, also if opening panics.
struct Obligation {
    context: Arc<Context>,
    key: ObjectKey,
    answer: Option<Answer>,
}

impl Drop for Obligation {
    fn drop(&mut self) {
        self.context.opener.answer(&self.key, self.answer.take());
        self.context.queue.add(self.key.clone());
    }
}

async fn one(context: Arc<Context>, key: ObjectKey, turn: OwnedSemaphorePermit) {
    let mut obligation = Obligation {
        context,
        key,
        answer: None,
    };
    let (context, key) = (&*obligation.context, &obligation.key);
    let Some(object) = context.stores.scope(key).and_then(|scope| scope.object(key)) else {
        return;
    };
    let result = open(context, key, &object).await;
    let (uid, generation) = (object.uid.clone(), object.generation);
    obligation.answer = Some(Answer {
        uid,
        generation,
        result,
        _turn: turn,
    });
}

async fn open(context: &Context, key: &ObjectKey, object: &Object) -> Result<Opened, Outcome> {
    let accepted = context.reader.accept(key, object)?;
    match context.reader.open(accepted).await {
        Ok(opened) => {
            context.metrics.opened("opened");
            Ok(opened)
        }
        Err(error) => {
            context.metrics.opened(open_word(&error));
            explain(&error, key, object);
            Err(outcome_of(error, key, object))
        }
    }
}

/// The detail that the outside does not get (format-es1 section 9), for the debug log alone.
fn explain(error: &OpenError<KmsError>, key: &ObjectKey, object: &Object) {
    let (namespace, name, generation) = (&*key.namespace, &*key.name, object.generation);
    let stage = error.stage();
    tracing::debug!(namespace, name, generation, %stage, "the document does not open");
    let failures = match error {
        OpenError::Integrity { refusals, .. } => refusals,
        OpenError::Unavailable { failures, .. } => failures,
        OpenError::Render(_) => return,
    };
    for failure in failures {
        let (kms_key, class) = (failure.key.as_str(), failure.class.as_str());
        let (code, request_id) = (failure.code.as_deref(), failure.request_id.as_deref());
        tracing::debug!(namespace, name, kms_key, class, code, request_id, "{failure}");
    }
}
