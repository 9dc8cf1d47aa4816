//! The leak check: nothing that is sealed may stay readable in the output.

use super::super::failure::{Failure, Result};
use super::document::{Prepared, place_name};
use crate::api::SEALED_FOR_ANNOTATION;
use crate::envelope::wire::{API_VERSION, KIND};
use crate::manifest::leak::Scanner;
use crate::manifest::{self, Node, Part};

/// Words of every sealed document. A value that is one of them is no less secret for it.
const WORDS: &str = "apiVersion kind metadata name namespace labels annotations spec format es1 scope strict \
    namespace-wide cluster-wide audience id dataKeys commitment templateMac wraps key ciphertext encryptedData dataKey \
    payload template type immutable data render seal time mac items List true false null";

/// Searches for the values of all Secrets of a command.
pub(super) struct LeakCheck {
    scanner: Scanner,
    /// `Secret prod/db` and the entry's name, for each value.
    owners: Vec<(String, String)>,
}

impl LeakCheck {
    /// `keys`: the KMS keys whose URIs the documents will contain.
    pub(super) fn new<'p>(secrets: impl IntoIterator<Item = &'p Prepared>, keys: &str) -> Self {
        let (mut owners, mut values) = (Vec::new(), Vec::new());
        for secret in secrets {
            for (entry, value) in &secret.entries {
                owners.push((format!("Secret {}", place_name(&secret.place)), entry.clone()));
                values.push(value);
            }
        }
        let public = format!("{WORDS} {API_VERSION} {KIND} {SEALED_FOR_ANNOTATION} {keys}");
        LeakCheck {
            scanner: Scanner::new(values, public.as_bytes()),
            owners,
        }
    }

    /// Checks the names, type, labels and annotations of a Secret.
    pub(super) fn check_secret(&self, secret: &Prepared) -> Result<()> {
        let (place, template) = (&secret.place, &secret.template);
        let mut texts = vec![("the Secret's name".to_owned(), place.name.as_str())];
        let mut add = |what: String, text| texts.push((what, text));
        if let Some(namespace) = &place.namespace {
            add("the namespace".into(), namespace);
        }
        if let Some(type_) = &template.type_ {
            add("the type".into(), type_);
        }
        for name in secret.entries.keys() {
            add("the name of an entry".into(), name);
        }
        for (word, map) in [
            ("label", &template.labels),
            ("annotation", &template.annotations),
            ("plain entry", &template.data),
            ("rendered entry", &template.render),
        ] {
            for (key, value) in map {
                add(format!("the name of a {word}"), key);
                add(format!("{word} {key:?}"), value);
            }
        }
        for (what, text) in texts {
            self.check(text.as_bytes(), |_| what)?;
        }
        Ok(())
    }

    /// Checks a document that passes through: its text with comments, and its parsed values, because YAML can spell a value
    /// in many ways (quotes, folded and indented blocks).
    pub(super) fn check_part(&self, part: &Part<'_>) -> Result<()> {
        for object in part.all_objects() {
            self.check(object.to_json().expose(), |_| {
                format!("{}, which passes through,", object.describe())
            })?;
        }
        self.check(part.text.as_bytes(), |offset| {
            let before = &part.text.as_bytes()[..offset.unwrap_or_default()];
            let line = part.line + memchr::memchr_iter(b'\n', before).count();
            match offset {
                Some(_) => format!("line {line}: a document that passes through"),
                None => format!("line {line}: the document that begins here and passes through"),
            }
        })
    }

    /// Checks an object that is rewritten.
    pub(super) fn check_object(&self, object: &Node, name: &str) -> Result<()> {
        self.check(manifest::to_json(object).expose(), |_| name.to_owned())
    }

    /// Checks everything that is about to be written.
    pub(super) fn check_output(&self, output: &[u8]) -> Result<()> {
        self.check(output, |_| "the output".to_owned())
    }

    fn check(&self, text: &[u8], what: impl FnOnce(Option<usize>) -> String) -> Result<()> {
        let Some(leak) = self.scanner.find(text) else {
            return Ok(());
        };
        let (secret, entry) = &self.owners[leak.value];
        // The readable text may be the value itself, so the message names only its location.
        Err(Failure::failed(format!(
            "{} contains the value of entry {entry:?} of {secret} and would stay readable",
            what(leak.offset)
        ))
        .help("change that text or the value; a value that is not secret belongs in a ConfigMap"))
    }
}
