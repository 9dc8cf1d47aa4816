//! Documents sealed with the library.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use envelope_secrets::envelope::seal::Draft;
use envelope_secrets::envelope::wire::{API_VERSION, Document, KIND, Template};
use envelope_secrets::envelope::{Place, Scope, SealTime, SecretBytes};
use envelope_secrets::kms::local::{self, FileRules, LocalKms};
use envelope_secrets::kms::{KeyUri, Registry, wrap_new_data_key};
use envelope_secrets::manifest::{Member, Node, to_yaml};
use futures::FutureExt as _;
use serde_json::{Value, json};

/// Seals documents with a new keyring.
pub(crate) struct Sealer {
    directory: tempfile::TempDir,
    registry: Registry,
    keys: Vec<KeyUri>,
}

impl Sealer {
    /// Creates a keyring with this number of keys. A document gets a wrap for each of them.
    pub(crate) fn new(keys: usize) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("keyring");
        let keys = (0..keys).map(|_| local::create_key(&path).unwrap()).collect();
        let mut registry = Registry::new();
        let kms = LocalKms::open(&path, FileRules::Person).unwrap();
        registry.insert(local::SCHEME, Arc::new(kms));
        Sealer {
            directory,
            registry,
            keys,
        }
    }

    /// Returns the keyring file.
    pub(crate) fn keyring(&self) -> PathBuf {
        self.directory.path().join("keyring")
    }

    /// Seals with the current time.
    pub(crate) fn seal(&self, draft: Draft) -> Document {
        self.seal_at(draft, SealTime::now().unwrap())
    }

    /// Seals with this time.
    pub(crate) fn seal_at(&self, draft: Draft, time: SealTime) -> Document {
        let sealed = seal_with(&self.registry, &self.keys, draft, time);
        sealed.now_or_never().expect("a keyring never waits")
    }
}

/// Seals with a wrap for each of these keys.
pub(crate) async fn seal_with(
    registry: &Registry,
    keys: &[KeyUri],
    draft: Draft,
    time: SealTime,
) -> Document {
    let checked = draft.check().unwrap();
    let context = checked.binding().context();
    let wrapped = wrap_new_data_key(registry, &keys[0], &keys[1..], &context).await;
    let (data_key, wraps) = wrapped.unwrap();
    checked.seal(&data_key, wraps, time).unwrap()
}

/// Returns a draft for `namespace/name` with strict scope and these values.
pub(crate) fn draft(namespace: &str, name: &str, values: &[(&str, &[u8])]) -> Draft {
    Draft {
        place: Place::new(Some(namespace), name).unwrap(),
        scope: Scope::Strict,
        audience: None,
        values: values
            .iter()
            .map(|(name, value)| ((*name).to_owned(), SecretBytes::new(value.to_vec())))
            .collect(),
        template: Template::default(),
    }
}

/// Converts pairs to a map of strings, as templates contain them.
pub(crate) fn string_map(members: &[(&str, &str)]) -> BTreeMap<String, String> {
    members
        .iter()
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
        .collect()
}

/// Returns the object that contains the document.
pub(crate) fn object(document: &Document) -> Value {
    let place = document.place();
    json!({
        "apiVersion": API_VERSION,
        "kind": KIND,
        "metadata": {"namespace": place.namespace, "name": place.name},
        "spec": document.spec(),
    })
}

/// Returns the object as YAML, like `envelope seal`.
pub(crate) fn yaml(object: &Value) -> String {
    String::from_utf8(to_yaml(&node(object)).expose().to_vec()).unwrap()
}

fn node(value: &Value) -> Node {
    match value {
        Value::Null => Node::Null,
        Value::Bool(value) => Node::Bool(*value),
        Value::Number(number) => Node::Number(number.to_string()),
        Value::String(text) => Node::text(text.as_str()),
        Value::Array(items) => Node::List(items.iter().map(node).collect()),
        Value::Object(members) => Node::Map(
            members
                .iter()
                .map(|(key, value)| Member::new(key.as_str(), node(value)))
                .collect(),
        ),
    }
}
