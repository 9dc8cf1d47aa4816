//! Steps 3 to 5: one data key after the other, that of the seal first, each by its usable wraps in order.

use super::super::binding::EncryptionContext;
use super::super::error::{OpenError, Stage};
use super::super::keys::{DataKey, KeySchedule, SecretBytes};
use super::super::wire::Document;
use super::policy::Accepted;
use super::verify::{Opened, seal_holds};

/// After so many permanent failures a data key has failed.
const MAX_PERMANENT: usize = 2;
/// After so many wraps tried a data key has failed.
const MAX_TRIED: usize = 4;

/// What a KMS that gave no data key said.
pub enum UnwrapFailure<E> {
    /// It refuses this ciphertext, or answered for another key: the same call would fail again.
    Permanent(E),
    /// Anything else: throttled, unreachable, denied, key disabled or gone.
    Temporary(E),
}

/// What comes after an answer.
pub enum Progress<E> {
    /// One more call is wanted.
    Unwrap(PendingUnwrap<E>),
    /// Everything held.
    Opened(Opened),
}

/// Exactly one KMS Decrypt is wanted: [`key`](Self::key), [`ciphertext`](Self::ciphertext) and
/// [`context`](Self::context) say which; [`answer`](Self::answer) takes what it gave. Holds data keys: no Debug.
pub struct PendingUnwrap<E> {
    document: Document,
    wraps: Vec<Vec<usize>>,
    context: EncryptionContext,
    /// Indices of data keys that are still wanted, the current one last.
    wanted: Vec<usize>,
    keys: Vec<Option<DataKey>>,
    attempt: Attempt<E>,
}

/// What was tried for the current data key. The refusals are those of the whole opening.
struct Attempt<E> {
    tried: usize,
    permanent: usize,
    /// The stage of the last permanent failure.
    stage: Stage,
    failures: Vec<E>,
    refusals: Vec<E>,
}

impl<E> Attempt<E> {
    fn new(refusals: Vec<E>) -> Self {
        Attempt {
            tried: 0,
            permanent: 0,
            stage: Stage::Unwrap,
            failures: Vec::new(),
            refusals,
        }
    }

    fn permanent(&mut self, stage: Stage) {
        self.permanent += 1;
        self.stage = stage;
    }
}

impl<E> PendingUnwrap<E> {
    pub(super) fn new(accepted: Accepted) -> Self {
        let Accepted { document, wraps } = accepted;
        let spec = document.spec();
        // Worked off from the back: that of the seal, then the others in the order of the document.
        let (sealing, others): (Vec<usize>, Vec<usize>) =
            (0..spec.data_keys.len()).partition(|index| spec.data_keys[*index].id == spec.seal.key);
        let wanted = others.into_iter().rev().chain(sealing).collect();
        PendingUnwrap {
            context: document.binding().context(),
            keys: spec.data_keys.iter().map(|_| None).collect(),
            document,
            wraps,
            wanted,
            attempt: Attempt::new(Vec::new()),
        }
    }

    /// Index of the data key that is wanted.
    fn current(&self) -> usize {
        // Never empty: with the last key the opening goes on to `finish`.
        self.wanted.last().copied().unwrap_or_default()
    }

    fn wrap(&self) -> &super::super::wire::Wrap {
        let current = self.current();
        &self.document.spec().data_keys[current].wraps[self.wraps[current][self.attempt.tried]]
    }

    /// The id of the data key that is wanted. When it is no longer that of the call before, the answer to that
    /// call held: it matched the commitment, and the seal holds.
    pub fn data_key(&self) -> &str {
        &self.document.spec().data_keys[self.current()].id
    }

    /// The KMS key's URI.
    pub fn key(&self) -> &str {
        &self.wrap().key
    }

    /// The KMS's own text.
    pub fn ciphertext(&self) -> &str {
        &self.wrap().ciphertext
    }

    /// The encryption context of the call.
    pub fn context(&self) -> &EncryptionContext {
        &self.context
    }

    /// The document that is being opened.
    pub fn document(&self) -> &Document {
        &self.document
    }

    /// Takes what the call gave; `Ok` bytes of any length.
    pub fn answer(
        mut self,
        answer: Result<SecretBytes, UnwrapFailure<E>>,
    ) -> Result<Progress<E>, OpenError<E>> {
        let current = self.current();
        match answer {
            Err(UnwrapFailure::Temporary(error)) => self.attempt.failures.push(error),
            Err(UnwrapFailure::Permanent(error)) => {
                self.attempt.permanent(Stage::Unwrap);
                self.attempt.refusals.push(error);
            }
            Ok(bytes) => match DataKey::from_slice(bytes.expose()) {
                None => self.attempt.permanent(Stage::Unwrap),
                Some(key) if !self.commits(current, &key) => self.attempt.permanent(Stage::Commitment),
                Some(key) => return self.took(current, key),
            },
        }
        self.attempt.tried += 1;
        let over = self.attempt.permanent >= MAX_PERMANENT
            || self.attempt.tried >= MAX_TRIED
            || self.attempt.tried >= self.wraps[current].len();
        if over {
            return Err(self.failed());
        }
        Ok(Progress::Unwrap(self))
    }

    fn commits(&self, index: usize, key: &DataKey) -> bool {
        let spec = self.document.spec();
        KeySchedule::new(key, &spec.id, self.document.binding())
            .commitment()
            .matches(&spec.data_keys[index].commitment)
    }

    /// The current data key has failed, and with it the opening.
    fn failed(self) -> OpenError<E> {
        let data_key = self.data_key().to_owned();
        let attempt = self.attempt;
        if attempt.failures.is_empty() {
            return OpenError::Integrity {
                stage: attempt.stage,
                refusals: attempt.refusals,
            };
        }
        OpenError::Unavailable {
            data_key,
            failures: attempt.failures,
            refused: attempt.permanent,
        }
    }

    /// The current data key is there.
    fn took(mut self, index: usize, key: DataKey) -> Result<Progress<E>, OpenError<E>> {
        let spec = self.document.spec();
        if spec.data_keys[index].id == spec.seal.key && !seal_holds(&self.document, &key) {
            return Err(OpenError::Integrity {
                stage: Stage::Seal,
                refusals: self.attempt.refusals,
            });
        }
        self.keys[index] = Some(key);
        self.wanted.pop();
        self.attempt = Attempt::new(self.attempt.refusals);
        if !self.wanted.is_empty() {
            return Ok(Progress::Unwrap(self));
        }
        let keys: Vec<DataKey> = self.keys.into_iter().flatten().collect();
        Opened::finish(self.document, &keys, self.attempt.refusals).map(Progress::Opened)
    }
}
