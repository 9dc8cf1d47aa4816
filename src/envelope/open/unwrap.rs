//! Steps 3 to 5 of opening (docs/format-es1.md#9-opening): one data key after the other, starting with the key of the
//! seal. The usable wraps of a data key are tried in order.

use super::super::binding::EncryptionContext;
use super::super::error::{OpenError, Stage};
use super::super::keys::{DataKey, KeySchedule};
use super::super::secret_bytes::SecretBytes;
use super::super::wire::{Document, Wrap};
use super::accepted::Accepted;
use super::opened::Opened;
use super::verify::{open_entries, verify_seal};

/// Rejected wraps after which a data key has failed.
const MAX_REJECTED: usize = 2;
/// Wraps tried after which a data key has failed.
const MAX_TRIED: usize = 4;

/// Why a KMS returned no data key.
pub enum UnwrapFailure<E> {
    /// The KMS says that this ciphertext is not valid for this key and context, or it responded for another key. The
    /// document may have been tampered with: a permanent failure (section 9).
    Rejected(E),
    /// The KMS could not or would not decrypt: throttled, unreachable, denied, key disabled or deleted. This says
    /// nothing about the document.
    Unavailable(E),
}

/// What follows a KMS response.
pub enum Progress<E> {
    /// Another call is needed.
    Unwrap(PendingUnwrap<E>),
    /// Every stage passed.
    Opened(Opened),
}

/// An opening that needs exactly one KMS Decrypt.
///
/// [`key`](Self::key), [`ciphertext`](Self::ciphertext) and [`context`](Self::context) describe the call;
/// [`resume`](Self::resume) consumes its result. No `Debug`: it holds data keys.
pub struct PendingUnwrap<E> {
    document: Document,
    usable_wraps: Vec<Vec<usize>>,
    context: EncryptionContext,
    /// The indices of the data keys that are still missing, the current one last.
    missing: Vec<usize>,
    keys: Vec<Option<DataKey>>,
    attempt: Attempt<E>,
}

/// The wraps tried for the current data key.
struct Attempt<E> {
    tried: usize,
    /// How many of them failed permanently: the KMS rejected the wrap, or returned another data key.
    rejected: usize,
    /// The stage of the last permanent failure.
    stage: Stage,
    unavailable: Vec<E>,
    /// The rejections by the KMS during the whole opening.
    rejections: Vec<E>,
}

impl<E> Attempt<E> {
    fn new(rejections: Vec<E>) -> Self {
        Attempt {
            tried: 0,
            rejected: 0,
            stage: Stage::Unwrap,
            unavailable: Vec::new(),
            rejections,
        }
    }

    fn reject(&mut self, stage: Stage) {
        self.rejected += 1;
        self.stage = stage;
    }
}

impl Accepted {
    /// Starts steps 3 to 8 of opening. `E` is the error type of the KMS.
    pub fn start<E>(self) -> PendingUnwrap<E> {
        let Accepted {
            document,
            usable_wraps,
        } = self;
        let spec = document.spec();
        // Taken from the back: the key of the seal first, then the others in the order of the document.
        let (sealing, others): (Vec<usize>, Vec<usize>) =
            (0..spec.data_keys.len()).partition(|index| spec.data_keys[*index].id == spec.seal.key);
        let missing = others.into_iter().rev().chain(sealing).collect();
        PendingUnwrap {
            context: document.binding().context(),
            keys: spec.data_keys.iter().map(|_| None).collect(),
            document,
            usable_wraps,
            missing,
            attempt: Attempt::new(Vec::new()),
        }
    }
}

impl<E> PendingUnwrap<E> {
    /// The index of the current data key.
    fn current(&self) -> usize {
        // Never empty: after the last key the opening continues with `open_entries`.
        self.missing.last().copied().unwrap_or_default()
    }

    fn wrap(&self) -> &Wrap {
        let current = self.current();
        &self.document.spec().data_keys[current].wraps[self.usable_wraps[current][self.attempt.tried]]
    }

    /// Returns the id of the data key to unwrap.
    ///
    /// The id changes exactly when the last response was accepted: its data key matched the commitment and, for the
    /// sealing key, the seal was verified.
    pub fn data_key(&self) -> &str {
        &self.document.spec().data_keys[self.current()].id
    }

    /// Reorders the usable wraps of the current data key that were not tried yet: the lowest rank first, equal ones in
    /// the order of the document. Readers rank wraps behind others if they know that a provider is unavailable (section
    /// 9.3); the limits on failures and tries apply in any order.
    pub fn prefer(&mut self, mut rank: impl FnMut(&Wrap) -> u8) {
        let current = self.current();
        let wraps = &self.document.spec().data_keys[current].wraps;
        let tried = self.attempt.tried;
        self.usable_wraps[current][tried..].sort_by_cached_key(|index| rank(&wraps[*index]));
    }

    /// Returns the URI of the KMS key to call.
    pub fn key(&self) -> &str {
        &self.wrap().key
    }

    /// Returns the KMS ciphertext to decrypt.
    pub fn ciphertext(&self) -> &str {
        &self.wrap().ciphertext
    }

    /// Returns the encryption context of the call.
    pub fn context(&self) -> &EncryptionContext {
        &self.context
    }

    /// Returns the document that is being opened.
    pub fn document(&self) -> &Document {
        &self.document
    }

    /// Continues with the result of the call. Decrypted bytes may have any length; a wrong one counts as rejected.
    ///
    /// # Errors
    /// If the current data key has failed, or a later stage of opening.
    pub fn resume(
        mut self,
        response: Result<SecretBytes, UnwrapFailure<E>>,
    ) -> Result<Progress<E>, OpenError<E>> {
        let current = self.current();
        match response {
            Err(UnwrapFailure::Unavailable(error)) => self.attempt.unavailable.push(error),
            Err(UnwrapFailure::Rejected(error)) => {
                self.attempt.reject(Stage::Unwrap);
                self.attempt.rejections.push(error);
            }
            Ok(bytes) => match DataKey::from_slice(bytes.expose()) {
                None => self.attempt.reject(Stage::Unwrap),
                Some(key) if !self.matches_commitment(current, &key) => {
                    self.attempt.reject(Stage::Commitment);
                }
                Some(key) => return self.accept_data_key(current, key),
            },
        }
        self.attempt.tried += 1;
        let exhausted = self.attempt.rejected >= MAX_REJECTED
            || self.attempt.tried >= MAX_TRIED
            || self.attempt.tried >= self.usable_wraps[current].len();
        if exhausted {
            return Err(self.into_error());
        }
        Ok(Progress::Unwrap(self))
    }

    fn matches_commitment(&self, index: usize, key: &DataKey) -> bool {
        let spec = self.document.spec();
        KeySchedule::new(key, &spec.id, self.document.binding())
            .commitment()
            .matches(&spec.data_keys[index].commitment)
    }

    /// Returns the error of the opening, which fails with its current data key.
    fn into_error(self) -> OpenError<E> {
        let data_key = self.data_key().to_owned();
        let attempt = self.attempt;
        if attempt.unavailable.is_empty() {
            return OpenError::Integrity {
                stage: attempt.stage,
                refusals: attempt.rejections,
            };
        }
        OpenError::Unavailable {
            data_key,
            failures: attempt.unavailable,
            refused: attempt.rejected,
        }
    }

    /// Stores the current data key, verifies the seal if this is its key, and continues.
    fn accept_data_key(mut self, index: usize, key: DataKey) -> Result<Progress<E>, OpenError<E>> {
        let spec = self.document.spec();
        if spec.data_keys[index].id == spec.seal.key && !verify_seal(&self.document, &key) {
            return Err(OpenError::Integrity {
                stage: Stage::Seal,
                refusals: self.attempt.rejections,
            });
        }
        self.keys[index] = Some(key);
        self.missing.pop();
        self.attempt = Attempt::new(self.attempt.rejections);
        if !self.missing.is_empty() {
            return Ok(Progress::Unwrap(self));
        }
        let keys: Vec<DataKey> = self.keys.into_iter().flatten().collect();
        let entries = open_entries(&self.document, &keys, self.attempt.rejections)?;
        Ok(Progress::Opened(Opened {
            document: self.document,
            entries,
        }))
    }
}
