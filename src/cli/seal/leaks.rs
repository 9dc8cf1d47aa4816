//! The leak check: nothing that is sealed may stay readable in the output.

use super::super::failure::{Failure, Result};
use super::document::{Prepared, place_name};
use crate::api::SEALED_FOR_ANNOTATION;
use crate::envelope::wire::{API_VERSION, KIND};
use crate::manifest::leak::{Leak, Scanner};
use crate::manifest::{self, Node, Part};

/// Words of every sealed document. A value that is one of them is no less secret for it.
const WORDS: &str = "apiVersion kind metadata name namespace labels annotations spec format es1 scope strict \
    namespace-wide cluster-wide audience id dataKeys commitment templateMac wraps key ciphertext encryptedData dataKey \
    payload template type immutable data render seal time mac items List true false null";

/// Shown instead of a name that is, or contains, a sealed value.
const WITHHELD: &str = "(name withheld)";

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

    /// Returns a name for a message: the name itself, unless it contains a value.
    pub(super) fn public_name(&self, name: &str) -> String {
        match self.scanner.find(name.as_bytes()) {
            None => name.to_owned(),
            Some(_) => match name.split_once(' ') {
                // The kind is still of use, unless it is the value.
                Some((kind, _)) if self.scanner.find(kind.as_bytes()).is_none() => {
                    format!("{kind} {WITHHELD}")
                }
                _ => WITHHELD.to_owned(),
            },
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
                add(format!("the name of {} {word}", article(word)), key);
                add(format!("{word} {key:?}"), value);
            }
        }
        for (what, text) in texts {
            self.check(text.as_bytes(), |_| what)?;
        }
        Ok(())
    }

    /// Checks a document that passes through: its values, because YAML can spell a value in many ways (quotes, folded and
    /// indented blocks), and its text and comments, if they say more than that.
    pub(super) fn check_part(&self, part: &Part<'_>) -> Result<()> {
        let whole = |offset: Option<usize>| self.position(part, offset);
        self.check(part.to_json().expose(), |_| {
            let raw = self.scanner.find(part.text.as_bytes());
            whole(raw.and_then(|leak| leak.offset))
        })?;
        if part.has_more_than_values() {
            self.check(part.text.as_bytes(), whole)?;
        }
        for comment in part.comments() {
            let leak = self.scanner.find_in_comment(comment.text().as_bytes());
            self.refuse(leak, |_| {
                format!(
                    "line {}: a comment in a document that passes through",
                    comment.line
                )
            })?;
        }
        Ok(())
    }

    /// Names a document that passes through, with the line of the value, else that of the object that contains it.
    fn position(&self, part: &Part<'_>, offset: Option<usize>) -> String {
        if let Some(offset) = offset {
            let before = &part.text.as_bytes()[..offset];
            let line = part.line + memchr::memchr_iter(b'\n', before).count();
            return format!("line {line}: a document that passes through");
        }
        let object = part.all_objects().into_iter().find(|object| {
            let leak = self.scanner.find(object.to_json().expose());
            leak.is_some()
        });
        match object {
            Some(object) => format!(
                "line {}: {}, which passes through,",
                object.line(),
                object.describe()
            ),
            None => format!(
                "line {}: the document that begins here and passes through",
                part.line
            ),
        }
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
        self.refuse(self.scanner.find(text), what)
    }

    /// The readable text, and the names around it, may be the value itself, so the message repeats neither.
    fn refuse(&self, leak: Option<Leak>, what: impl FnOnce(Option<usize>) -> String) -> Result<()> {
        let Some(leak) = leak else {
            return Ok(());
        };
        let (secret, entry) = &self.owners[leak.value];
        let entry = match self.scanner.find(entry.as_bytes()) {
            None => format!("entry {entry:?}"),
            Some(_) => format!("an entry {WITHHELD}"),
        };
        let what = what(leak.offset);
        let place = match self.scanner.find(what.as_bytes()) {
            None => what,
            Some(_) => match what.split_once(": ") {
                Some((line, _)) if line.starts_with("line ") => format!("{line}: an object {WITHHELD}"),
                _ => format!("a name {WITHHELD}"),
            },
        };
        let secret = self.public_name(secret);
        Err(Failure::failed(format!(
            "{place} contains the value of {entry} of {secret} and would stay readable"
        ))
        .help(
            "change that text or the value: names, labels, annotations, comments and other documents are not \
                     encrypted. A value that is not secret belongs in a ConfigMap",
        ))
    }
}

fn article(word: &str) -> &'static str {
    if word.starts_with('a') { "an" } else { "a" }
}
