//! Finds values that are to be sealed in text that stays readable, in the forms in which they usually occur: as they
//! are, escaped as in JSON, percent-encoded, in base64, base64url and hex.
//!
//! Encodings with one spelling (base64, hex) are searched for; those with many (escapes, percent-encoding, base64 over
//! several lines) are undone in a copy of the text. The time does not grow with the number of values.

mod needles;
mod readings;

pub use needles::{MIN_LEN, MIN_LINE};

use std::collections::HashMap;

use crate::envelope::SecretBytes;
use needles::Needles;

/// Where a value was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Leak {
    /// The index of the value.
    pub value: usize,
    /// The byte offset in the text, if the value occurs there as it is.
    pub offset: Option<usize>,
}

/// Searches texts for a set of values. Holds plaintext: no Debug, wiped.
pub struct Scanner {
    needles: Needles,
    /// What is searched for in comments only.
    settings: Needles,
}

impl Scanner {
    /// Prepares the search. Values and lines of values that occur in `public` are not searched for: the words of the
    /// format and the URIs of KMS keys are in every sealed document.
    pub fn new<'v>(values: impl IntoIterator<Item = &'v SecretBytes>, public: &[u8]) -> Self {
        let (mut needles, mut settings) = (Needles::default(), Needles::default());
        for (index, value) in values.into_iter().enumerate() {
            needles.add(index, value.expose(), public);
            settings.add_short_settings(index, value.expose(), public);
        }
        needles.sort();
        settings.sort();
        Scanner { needles, settings }
    }

    /// Returns the first value that a comment contains. Also finds short lines of a value: a setting in a comment is more
    /// likely a copy than one in a document.
    pub fn find_in_comment(&self, text: &[u8]) -> Option<Leak> {
        let short = || {
            if self.settings.is_empty() {
                return None;
            }
            let (value, _) = self.settings.find(text, &mut HashMap::new())?;
            Some(Leak { value, offset: None })
        };
        self.find(text).or_else(short)
    }

    /// Returns the first value that a text contains.
    pub fn find(&self, text: &[u8]) -> Option<Leak> {
        if self.needles.is_empty() {
            return None;
        }
        let mut failed = HashMap::new();
        if let Some((value, offset)) = self.needles.find(text, &mut failed) {
            return Some(Leak {
                value,
                offset: Some(offset),
            });
        }
        readings::of(text).iter().find_map(|reading| {
            failed.clear();
            let (value, _) = self.needles.find(reading, &mut failed)?;
            Some(Leak { value, offset: None })
        })
    }
}

#[cfg(test)]
mod tests;
