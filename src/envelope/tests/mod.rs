//! The format as a whole, without a KMS: [`Keys`] answers the unwraps.

mod calls;
mod hygiene;
mod policy;
mod primitives;
mod properties;
mod salamander;
mod vectors;

use std::cell::Cell;
use std::collections::BTreeMap;

use super::*;

pub(in crate::envelope) const NOW: &str = "2026-11-23T17:00:00Z";

pub(in crate::envelope) fn now() -> SealTime {
    SealTime::parse(NOW).expect("a time")
}

/// A strict draft for `prod/db`.
pub(in crate::envelope) fn draft(values: &[(&str, &[u8])]) -> Draft {
    Draft {
        place: Place::new(Some("prod"), "db").expect("a place"),
        scope: Scope::Strict,
        audience: None,
        values: values
            .iter()
            .map(|(name, value)| ((*name).to_owned(), SecretBytes::new(value.to_vec())))
            .collect(),
        template: Template::default(),
    }
}

pub(in crate::envelope) fn key() -> DataKey {
    DataKey::random().expect("random bytes")
}

/// Wraps under `test://<ciphertext>`, one for each ciphertext.
pub(in crate::envelope) fn wraps(ciphertexts: &[&str]) -> Vec<Wrap> {
    ciphertexts
        .iter()
        .map(|ciphertext| Wrap {
            key: format!("test://{ciphertext}"),
            ciphertext: (*ciphertext).to_owned(),
        })
        .collect()
}

/// Sealed with one wrap, whose ciphertext is `w`.
pub(in crate::envelope) fn seal(draft: Draft, key: &DataKey) -> Document {
    let checked = draft.check().expect("a good draft");
    checked.seal(key, wraps(&["w"]), now()).expect("sealed")
}

/// The document as a reader gets it.
pub(in crate::envelope) fn read(document: &Document) -> Document {
    let text = serde_json::to_vec(document.spec()).expect("JSON");
    Document::from_spec_json(&text, document.place().clone()).expect("what we write can be read")
}

/// A KMS made of a table: what each ciphertext gives. One that is not there is refused for good.
#[derive(Default)]
pub(in crate::envelope) struct Keys {
    answers: BTreeMap<String, Answer>,
    calls: Cell<usize>,
}

enum Answer {
    Bytes(Vec<u8>),
    Down,
}

impl Keys {
    pub(in crate::envelope) fn one(key: &DataKey) -> Self {
        Keys::default().with("w", key.expose())
    }

    fn with(mut self, ciphertext: &str, bytes: &[u8]) -> Self {
        self.answers
            .insert(ciphertext.to_owned(), Answer::Bytes(bytes.to_vec()));
        self
    }

    fn down(mut self, ciphertext: &str) -> Self {
        self.answers.insert(ciphertext.to_owned(), Answer::Down);
        self
    }

    fn unwrap(&self, ciphertext: &str) -> Result<SecretBytes, UnwrapFailure<String>> {
        self.calls.set(self.calls.get() + 1);
        match self.answers.get(ciphertext) {
            Some(Answer::Bytes(bytes)) => Ok(SecretBytes::new(bytes.clone())),
            Some(Answer::Down) => Err(UnwrapFailure::Temporary(format!("{ciphertext} is down"))),
            None => Err(UnwrapFailure::Permanent(format!("{ciphertext} is refused"))),
        }
    }

    /// Opens as a controller that may use every key of the scheme `test`.
    pub(in crate::envelope) fn open(&self, document: Document) -> Result<Opened, OpenError<String>> {
        self.calls.set(0);
        let policy = ReaderPolicy::controller([], now());
        let accepted = document
            .accept(&policy, &|key| key.starts_with("test://"))
            .expect("accepted");
        let mut pending = accepted.start();
        loop {
            let answer = self.unwrap(pending.ciphertext());
            match pending.answer(answer)? {
                Progress::Unwrap(next) => pending = next,
                Progress::Opened(opened) => return Ok(opened),
            }
        }
    }
}
