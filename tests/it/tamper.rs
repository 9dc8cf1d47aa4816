//! The generated tamper matrix: a valid document, changed in one place at a time.
//!
//! Each change must be an error, except for what the seal does not cover: a wrap, as long as another wrap still
//! opens, and the order of data keys and wraps. No change makes the document open with different plaintext, and no error
//! shows a value.

use std::collections::BTreeMap;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use envelope_secrets::envelope::{
    Document, Draft, Place, ReaderPolicy, Scope, SealTime, SecretBytes, Template,
};
use envelope_secrets::kms::local::LocalKms;
use envelope_secrets::kms::{self, KeyUri, Registry};
use serde_json::{Map, Value};
use testkit::vectors::{Vectors, load_bundled};

use crate::vectors::keyring;

type Entries = BTreeMap<String, Vec<u8>>;

/// A valid document and the registry that opens it.
struct Base {
    spec: Value,
    place: Place,
    registry: Registry,
    entries: Entries,
}

fn registry(vectors: &Vectors) -> Registry {
    let mut registry = Registry::new();
    registry.insert("local", Arc::new(LocalKms::from_keyring(keyring(vectors))));
    registry
}

/// Seals a document with every field of the format and two wraps.
async fn sealed(vectors: &Vectors) -> Base {
    let registry = registry(vectors);
    let uris: Vec<KeyUri> = vectors
        .local_keyring
        .iter()
        .map(|key| KeyUri::parse(&key.uri).expect("a key URI"))
        .collect();
    let map = |members: &[(&str, &str)]| {
        members
            .iter()
            .map(|(name, text)| ((*name).to_owned(), (*text).to_owned()))
            .collect()
    };
    let secret = |text: &str| SecretBytes::new(text.as_bytes().to_vec());
    let draft = Draft {
        place: Place::new(Some("prod"), "db").expect("a valid place"),
        scope: Scope::Strict,
        audience: Some("dc-1".into()),
        values: [
            ("password".into(), secret("canary-horse-battery-staple")),
            ("user".into(), secret("canary-user")),
        ]
        .into(),
        template: Template {
            type_: Some("Opaque".into()),
            immutable: Some(true),
            labels: map(&[("app", "db"), ("tier", "back")]),
            annotations: map(&[("a.example/note", "x"), ("a.example/more", "y")]),
            data: map(&[("host", "db"), ("port", "5432")]),
            render: map(&[("dsn", "<%= v.user %>@<%= v.host %>"), ("plain", "p")]),
        },
    };
    let checked = draft.check().expect("a valid draft");
    let context = checked.binding().context();
    let (key, wraps) = kms::wrap_new_data_key(&registry, &uris[0], &uris[1..2], &context)
        .await
        .expect("wrapped");
    let time = SealTime::parse(&vectors.now).expect("a valid time");
    let document = checked.seal(&key, wraps, time).expect("sealed");
    Base::new(
        serde_json::to_value(document.spec()).expect("JSON"),
        document.place().clone(),
        registry,
    )
    .await
}

/// Returns the case of the vectors with two data keys.
async fn two_data_keys(vectors: &Vectors) -> Base {
    let case = vectors
        .positive
        .iter()
        .find(|case| case.name == "strict-render-two-keys")
        .expect("the vectors have this case");
    let spec = serde_json::from_str(case.spec().expect("a spec")).expect("JSON");
    let place = Place::new(case.namespace.as_deref(), &case.object_name).expect("a valid place");
    Base::new(spec, place, registry(vectors)).await
}

impl Base {
    async fn new(spec: Value, place: Place, registry: Registry) -> Self {
        let mut base = Base {
            spec,
            place,
            registry,
            entries: Entries::new(),
        };
        base.entries = base.open(&base.spec.to_string()).await.expect("the base opens");
        base
    }

    /// Opens a spec; returns the entries, or the Display and Debug texts of the error.
    async fn open(&self, spec: &str) -> Result<Entries, String> {
        fn describe(error: &(impl std::fmt::Display + std::fmt::Debug)) -> String {
            format!("{error} {error:?}")
        }
        let document =
            Document::from_spec_json(spec.as_bytes(), self.place.clone()).map_err(|e| describe(&e))?;
        let audience = document.spec().audience.clone().unwrap_or_default();
        let now = SealTime::parse("2026-11-25T00:00:00Z").expect("a valid time");
        // Refuse no type: the seal must detect changes without the help of policy.
        let mut policy = ReaderPolicy::controller([audience], now);
        policy.refused_types = None;
        let accepted = document
            .accept(&policy, &|key| self.registry.usable(key))
            .map_err(|e| describe(&e))?;
        let opened = kms::open(accepted, &self.registry)
            .await
            .map_err(|e| describe(&e))?;
        let entries = opened.entries().iter();
        Ok(entries
            .map(|(name, value)| (name.clone(), value.expose().to_vec()))
            .collect())
    }

    /// Opens every mutation and asserts the outcome; returns their number.
    async fn check(&self) -> usize {
        let mut failures = Vec::new();
        let mutations = mutations(&self.spec);
        for mutation in &mutations {
            match self.open(&mutation.text).await {
                Ok(entries) if entries != self.entries => {
                    failures.push(format!(
                        "{}: opened with different plaintext",
                        mutation.description
                    ));
                }
                Ok(_) if !mutation.outside_seal => failures.push(format!("{}: opened", mutation.description)),
                Ok(_) => {}
                Err(error) => failures.extend(
                    self.value_shown_in(&error)
                        .map(|value| format!("{}: the error shows {value}", mutation.description)),
                ),
            }
        }
        assert!(
            failures.is_empty(),
            "{} failures:\n{}",
            failures.len(),
            failures.join("\n")
        );
        mutations.len()
    }

    /// Returns a secret value that occurs in the text, raw or in one of the base64 alphabets.
    fn value_shown_in(&self, text: &str) -> Option<String> {
        let secret = self.entries.iter().filter(|(name, value)| {
            value.len() >= 8 && self.spec["encryptedData"].get(name.as_str()).is_some()
        });
        secret
            .flat_map(|(_, value)| {
                let raw = String::from_utf8_lossy(value).into_owned();
                [raw, STANDARD.encode(value), URL_SAFE_NO_PAD.encode(value)]
            })
            .find(|encoded| text.contains(encoded))
    }
}

/// A spec with one change.
struct Mutation {
    description: String,
    text: String,
    /// Whether the seal does not cover the changed place, so the document may still open with the same plaintext.
    outside_seal: bool,
}

fn mutations(spec: &Value) -> Vec<Mutation> {
    let mut out = Vec::new();
    let mut pointers = Vec::new();
    collect_pointers(spec, String::new(), &mut pointers);
    for pointer in &pointers {
        let mut add = |change: String, text: String, reordered: bool| {
            let in_wraps = pointer.contains("/wraps");
            out.push(Mutation {
                description: format!("{pointer}: {change}"),
                text,
                outside_seal: in_wraps || reordered && pointer == "/dataKeys",
            });
        };
        let node = spec.pointer(pointer).expect("an existing node");
        let with = |changed: Value| {
            let mut spec = spec.clone();
            *spec.pointer_mut(pointer).expect("an existing node") = changed;
            spec.to_string()
        };
        match node {
            Value::String(text) => {
                for at in 0..text.len() {
                    for flip in [1, 0x20] {
                        let mut bytes = text.clone().into_bytes();
                        bytes[at] ^= flip;
                        let flipped = String::from_utf8(bytes).expect("the base is ASCII");
                        add(format!("byte {at} ^ {flip}"), with(flipped.into()), false);
                    }
                }
                if !text.is_empty() {
                    add("emptied".into(), with("".into()), false);
                }
            }
            Value::Bool(value) => add("flipped".into(), with((!value).into()), false),
            Value::Array(items) => {
                for at in 0..items.len() {
                    let mut deleted = items.clone();
                    deleted.remove(at);
                    add(format!("{at} deleted"), with(deleted.into()), false);
                    let mut duplicate = items.clone();
                    duplicate.insert(at, items[at].clone());
                    add(format!("{at} duplicated"), with(duplicate.into()), false);
                    for other in at + 1..items.len() {
                        let mut swapped = items.clone();
                        swapped.swap(at, other);
                        add(format!("{at} and {other} swapped"), with(swapped.into()), true);
                    }
                }
            }
            Value::Object(members) => {
                for (change, text) in changed_members(members, &with) {
                    add(change, text, false);
                }
            }
            Value::Null | Value::Number(_) => unreachable!("the format has neither"),
        }
    }
    out
}

/// Deletes, duplicates and renames each member (at every byte of its name), and swaps the values of every pair.
fn changed_members(members: &Map<String, Value>, with: &dyn Fn(Value) -> String) -> Vec<(String, String)> {
    let mut out = Vec::new();
    let names: Vec<&String> = members.keys().collect();
    for (index, name) in names.iter().enumerate() {
        let mut deleted = members.clone();
        deleted.remove(*name);
        out.push((format!("{name} deleted"), with(deleted.into())));
        // A map cannot hold a duplicate name, so the name is substituted in the serialized text.
        let mut duplicate = members.clone();
        duplicate.insert("DUPLICATE".into(), members[*name].clone());
        let text =
            with(duplicate.into()).replacen("\"DUPLICATE\"", &Value::from(name.as_str()).to_string(), 1);
        out.push((format!("{name} duplicated"), text));
        for at in 0..name.len() {
            let mut bytes = name.as_bytes().to_vec();
            bytes[at] ^= 1;
            let renamed = String::from_utf8(bytes).expect("the base is ASCII");
            let mut changed = members.clone();
            let value = changed.remove(*name).expect("an existing member");
            if changed.insert(renamed, value).is_none() {
                out.push((format!("{name} renamed at {at}"), with(changed.into())));
            }
        }
        for other in &names[index + 1..] {
            let mut swapped = members.clone();
            swapped.insert((*name).clone(), members[*other].clone());
            swapped.insert((*other).clone(), members[*name].clone());
            if swapped != *members {
                out.push((format!("{name} and {other} swapped"), with(swapped.into())));
            }
        }
    }
    out
}

/// Collects the JSON pointers of every node.
fn collect_pointers(node: &Value, at: String, out: &mut Vec<String>) {
    match node {
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                collect_pointers(item, format!("{at}/{index}"), out);
            }
        }
        Value::Object(members) => {
            for (name, value) in members {
                collect_pointers(
                    value,
                    format!("{at}/{}", name.replace('~', "~0").replace('/', "~1")),
                    out,
                );
            }
        }
        _ => {}
    }
    out.push(at);
}

#[tokio::test]
async fn every_change_of_a_sealed_document_is_an_error() {
    let base = sealed(&load_bundled().expect("vectors")).await;
    let ran = base.check().await;
    assert!(ran > 1500, "only {ran} mutations");
}

#[tokio::test]
async fn every_change_of_a_document_with_two_data_keys_is_an_error() {
    let base = two_data_keys(&load_bundled().expect("vectors")).await;
    let ran = base.check().await;
    assert!(ran > 1500, "only {ran} mutations");
}
