//! Fixtures: drafts, keys, wraps, and a fake KMS.

use std::cell::Cell;
use std::collections::BTreeMap;

use crate::envelope::{
    DataKey, Document, Draft, OpenError, Opened, Place, Progress, ReaderPolicy, Scope, SealTime, SecretBytes,
    Template, UnwrapFailure, Wrap,
};

pub(in crate::envelope) const NOW: &str = "2026-11-23T17:00:00Z";

pub(in crate::envelope) fn time(text: &str) -> SealTime {
    SealTime::parse(text).expect("a valid time")
}

pub(in crate::envelope) fn now() -> SealTime {
    time(NOW)
}

pub(in crate::envelope) fn place() -> Place {
    Place::new(Some("prod"), "db").expect("a valid place")
}

/// Returns a strict draft for `prod/db`.
pub(in crate::envelope) fn draft(values: &[(&str, &[u8])]) -> Draft {
    Draft {
        place: place(),
        scope: Scope::Strict,
        audience: None,
        values: values
            .iter()
            .map(|(name, value)| ((*name).to_owned(), SecretBytes::new(value.to_vec())))
            .collect(),
        template: Template::default(),
    }
}

pub(in crate::envelope) fn random_key() -> DataKey {
    DataKey::random().expect("random bytes")
}

/// Returns one wrap under `test://<ciphertext>` for each ciphertext.
pub(in crate::envelope) fn wraps(ciphertexts: &[&str]) -> Vec<Wrap> {
    ciphertexts
        .iter()
        .map(|ciphertext| Wrap {
            key: format!("test://{ciphertext}"),
            ciphertext: (*ciphertext).to_owned(),
        })
        .collect()
}

/// Seals with one wrap, whose ciphertext is `w`.
pub(in crate::envelope) fn seal(draft: Draft, key: &DataKey) -> Document {
    seal_with_wraps(draft, key, wraps(&["w"]))
}

pub(in crate::envelope) fn seal_with_wraps(draft: Draft, key: &DataKey, wraps: Vec<Wrap>) -> Document {
    let checked = draft.check().expect("a valid draft");
    checked.seal(key, wraps, now()).expect("sealed")
}

/// Writes a document and reads it again.
pub(in crate::envelope) fn round_trip(document: &Document) -> Document {
    let text = serde_json::to_vec(document.spec()).expect("JSON");
    Document::from_spec_json(&text, document.place().clone()).expect("a document that we wrote is valid")
}

/// A KMS with a fixed response for each ciphertext. It rejects unknown ciphertexts.
#[derive(Default)]
pub(in crate::envelope) struct FakeKms {
    responses: BTreeMap<String, Response>,
    calls: Cell<usize>,
}

enum Response {
    Plaintext(Vec<u8>),
    Unreachable,
}

impl FakeKms {
    /// Returns a KMS that unwraps the ciphertext `w` to `key`.
    pub(in crate::envelope) fn unwrapping(key: &DataKey) -> Self {
        FakeKms::default().with("w", key.expose())
    }

    pub(in crate::envelope) fn with(mut self, ciphertext: &str, plaintext: &[u8]) -> Self {
        let response = Response::Plaintext(plaintext.to_vec());
        self.responses.insert(ciphertext.to_owned(), response);
        self
    }

    pub(in crate::envelope) fn unreachable_for(mut self, ciphertext: &str) -> Self {
        self.responses
            .insert(ciphertext.to_owned(), Response::Unreachable);
        self
    }

    /// Returns the number of calls during the last [`open`](Self::open).
    pub(in crate::envelope) fn calls(&self) -> usize {
        self.calls.get()
    }

    pub(in crate::envelope) fn decrypt(
        &self,
        ciphertext: &str,
    ) -> Result<SecretBytes, UnwrapFailure<String>> {
        self.calls.set(self.calls.get() + 1);
        match self.responses.get(ciphertext) {
            Some(Response::Plaintext(bytes)) => Ok(SecretBytes::new(bytes.clone())),
            Some(Response::Unreachable) => {
                Err(UnwrapFailure::Unavailable(format!("{ciphertext} is unreachable")))
            }
            None => Err(UnwrapFailure::Rejected(format!("{ciphertext} is refused"))),
        }
    }

    /// Opens a document as a controller that may use every key with the scheme `test`.
    pub(in crate::envelope) fn open(&self, document: Document) -> Result<Opened, OpenError<String>> {
        self.calls.set(0);
        let policy = ReaderPolicy::controller([], now());
        let accepted = document
            .accept(&policy, &|key| key.starts_with("test://"))
            .expect("accepted");
        let mut pending = accepted.start();
        loop {
            let response = self.decrypt(pending.ciphertext());
            match pending.resume(response)? {
                Progress::Unwrap(next) => pending = next,
                Progress::Opened(opened) => return Ok(opened),
            }
        }
    }
}
