//! What planning needs of a document. The store computes it once per uid and generation, when it ingests an object; the
//! document is parsed again only when it is opened (docs/design/controller.md#stores-and-streams).

use std::collections::HashSet;
use std::hash::{DefaultHasher, Hasher as _};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use super::fields::FieldSet;
use super::shape;
use crate::api::{Finding, Unsupported};
use crate::controller::key::ObjectKey;
use crate::envelope::encoding::to_hex;
use crate::envelope::names::is_reserved;
use crate::envelope::{Document, Place, PolicyInputs, Scope, SealTime, StructureError};

/// The longest text of a refusal that is kept: it can quote a field name of the document, and a message shows less.
const MAX_TEXT: usize = 300;

/// The summary of one document.
#[derive(Debug)]
pub(in crate::controller) struct Summary {
    /// Identifies the bytes of the spec within this process.
    spec_hash: u64,
    /// The length of the spec as JSON.
    pub(in crate::controller) bytes: usize,
    /// The facts, or why the text is not a valid document.
    pub(in crate::controller) facts: Result<Facts, Finding>,
}

/// The facts about a structurally valid document.
#[derive(Debug)]
pub(in crate::controller) struct Facts {
    /// SHA-256 over manifest and mac.
    digest: [u8; 32],
    /// The fields of its Secret that are the same in every ownership mode.
    pub(in crate::controller) fields: FieldSet,
    pub(in crate::controller) immutable: bool,
    /// The number of entries of the Secret.
    pub(in crate::controller) entries: u32,
    scope: Scope,
    /// "" without one.
    audience: Arc<str>,
    secret_type: Arc<str>,
    seal_time: SealTime,
    /// The first label of the template that is reserved.
    reserved_label: Option<Box<str>>,
    reserved_annotation: Option<Box<str>>,
    /// The data keys, in the order of the document.
    pub(in crate::controller) data_keys: Box<[DataKeyFacts]>,
    /// The index of the data key that sealed the document.
    pub(in crate::controller) sealing_key: usize,
}

/// The facts about one data key.
#[derive(Debug)]
pub(in crate::controller) struct DataKeyFacts {
    pub(in crate::controller) id: Arc<str>,
    /// The URIs of the KMS keys of its wraps, in order.
    pub(in crate::controller) keys: Box<[Arc<str>]>,
}

/// Texts that many documents have in common, such as key URIs. Each is held once.
#[derive(Default)]
pub(in crate::controller) struct Texts {
    held: HashSet<Arc<str>>,
    /// The number of texts at which those no longer in use are dropped.
    sweep_at: usize,
}

impl Texts {
    fn get(&mut self, text: &str) -> Arc<str> {
        if let Some(held) = self.held.get(text) {
            return held.clone();
        }
        if self.held.len() >= self.sweep_at {
            self.held.retain(|text| Arc::strong_count(text) > 1);
            self.sweep_at = (2 * self.held.len()).max(64);
        }
        let text: Arc<str> = text.into();
        self.held.insert(text.clone());
        text
    }
}

/// Returns what identifies the bytes of a spec within this process.
pub(in crate::controller) fn spec_hash(spec: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    hasher.write(spec.as_bytes());
    hasher.finish()
}

impl Summary {
    /// Parses the spec of the object with this key and uid.
    pub(in crate::controller) fn of(key: &ObjectKey, uid: &str, spec: &str, texts: &mut Texts) -> Self {
        // A panic concerns this document only. It must not end the stream that delivered it, nor every other object's.
        let facts = catch_unwind(AssertUnwindSafe(|| Facts::of(key, spec, texts)));
        let facts = if let Ok(facts) = facts {
            facts.map_err(|error| refusal(&error))
        } else {
            let (namespace, name) = (&*key.namespace, &*key.name);
            tracing::error!(
                namespace,
                name,
                uid,
                "reading the document panicked; report this as a bug"
            );
            Err(Finding::UnsupportedDocument {
                unsupported: Unsupported::Panic,
            })
        };
        Summary {
            spec_hash: spec_hash(spec),
            bytes: spec.len(),
            facts,
        }
    }

    /// Whether this is the summary of a spec with this hash.
    pub(in crate::controller) fn is_of(&self, spec_hash: u64) -> bool {
        self.spec_hash == spec_hash
    }
}

/// Returns the finding for a refusal, with texts of bounded length.
fn refusal(error: &StructureError) -> Finding {
    let cut = |text: &str| text[..text.floor_char_boundary(MAX_TEXT)].to_owned();
    Finding::from(&StructureError {
        field: cut(&error.field),
        what: cut(&error.what),
        kind: error.kind.clone(),
    })
}

impl Facts {
    fn of(key: &ObjectKey, spec: &str, texts: &mut Texts) -> Result<Self, StructureError> {
        let place = Place::new(Some(&key.namespace), &key.name)?;
        let document = Document::from_spec_json(spec.as_bytes(), place)?;
        let spec = document.spec();
        let PolicyInputs {
            audience,
            secret_type,
            ..
        } = spec.policy_inputs();
        let template = &spec.template;
        let reserved = |key: &&String| is_reserved(key);
        let copied = |key: &String| key.as_str().into();
        let data_keys = spec.data_keys.iter().map(|data_key| DataKeyFacts {
            id: texts.get(&data_key.id),
            keys: data_key.wraps.iter().map(|wrap| texts.get(&wrap.key)).collect(),
        });
        let data_keys = data_keys.collect();
        let sealing = spec
            .data_keys
            .iter()
            .position(|data_key| data_key.id == spec.seal.key);
        Ok(Facts {
            digest: document.digest(),
            fields: shape::fields(&document),
            immutable: template.immutable == Some(true),
            entries: u32::try_from(shape::entry_names(&document).len()).unwrap_or(u32::MAX),
            scope: spec.scope,
            audience: texts.get(audience),
            secret_type: texts.get(secret_type),
            seal_time: spec.seal.time.clone(),
            reserved_label: template.labels.keys().find(reserved).map(copied),
            reserved_annotation: template.annotations.keys().find(reserved).map(copied),
            data_keys,
            sealing_key: sealing.unwrap_or_default(),
        })
    }

    /// Returns the digest in lower-case hex, as `status.applied.digest` records it.
    pub(in crate::controller) fn digest(&self) -> String {
        to_hex(&self.digest)
    }

    /// Returns what a policy decides on.
    pub(in crate::controller) fn policy_inputs(&self) -> PolicyInputs<'_> {
        PolicyInputs {
            audience: &self.audience,
            scope: self.scope,
            secret_type: &self.secret_type,
            reserved_label: self.reserved_label.as_deref(),
            reserved_annotation: self.reserved_annotation.as_deref(),
            seal_time: &self.seal_time,
        }
    }

    /// Returns the data keys with the sealing one first, then in the order of the document.
    pub(in crate::controller) fn sealing_key_first(&self) -> impl Iterator<Item = &DataKeyFacts> {
        let others = self.data_keys.iter().enumerate();
        let others = others.filter(|(index, _)| *index != self.sealing_key);
        self.data_keys
            .get(self.sealing_key)
            .into_iter()
            .chain(others.map(|(_, data_key)| data_key))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    const MAC: &str = "sPArSThKRpiMzO8_bqUfDV4M_K00LwelWnPvMHBmQOA";

    fn data_key(id: &str, commitment: &str, keys: &[&str]) -> Value {
        let wraps: Vec<Value> = keys
            .iter()
            .map(|key| json!({"key": key, "ciphertext": "c"}))
            .collect();
        json!({"id": id, "commitment": commitment, "templateMac": MAC, "wraps": wraps})
    }

    /// A valid document whose second data key seals it.
    fn spec() -> Value {
        json!({
            "format": "es1", "scope": "namespace-wide", "audience": "prod-gz",
            "id": "fYtyKnkFW6EA2XpSQc8SMSdZClJdgYxv0-E_w8Z-7U0",
            "dataKeys": [
                data_key("3cf02b49", "PPArSThKRpiMzO8_bqUfDV4M_K00LwelWnPvMHBmQOA", &["local://fa1975b2"]),
                data_key("69e86d38", "aehtOGkywAsriEgd0FDVu0eoIUue_CDF242mCQ5H9ac", &["local://00000000", "local://fa1975b2"]),
            ],
            "encryptedData": {"password": "69e86d38.AAAA", "user": "3cf02b49.AAAA"},
            "template": {"type": "kubernetes.io/tls", "data": {"plain": "x"},
                         "metadata": {"labels": {"app": "a", "app.kubernetes.io/managed-by": "me"}}},
            "seal": {"key": "69e86d38", "time": "2026-11-23T17:00:00Z", "mac": MAC}
        })
    }

    fn summary(spec: &str, texts: &mut Texts) -> Summary {
        Summary::of(&ObjectKey::new("prod", "db"), "o-1", spec, texts)
    }

    #[test]
    fn facts_are_those_of_the_document() {
        let (text, texts) = (spec().to_string(), &mut Texts::default());
        let summary = summary(&text, texts);
        let facts = summary.facts.as_ref().expect("a valid document");
        let place = Place::new(Some("prod"), "db").expect("a place");
        let document = Document::from_spec_json(text.as_bytes(), place).expect("a valid document");
        assert_eq!(facts.digest(), to_hex(&document.digest()));
        assert_eq!(facts.fields, shape::fields(&document));
        assert_eq!(facts.policy_inputs(), document.spec().policy_inputs());
        assert_eq!(
            facts.policy_inputs().reserved_label,
            Some("app.kubernetes.io/managed-by")
        );
        assert_eq!(
            (facts.policy_inputs().secret_type, facts.entries),
            ("kubernetes.io/tls", 3)
        );
        let keys: Vec<&str> = facts
            .sealing_key_first()
            .flat_map(|key| &key.keys)
            .map(|key| &**key)
            .collect();
        assert_eq!(keys, ["local://00000000", "local://fa1975b2", "local://fa1975b2"]);
        let ids: Vec<&str> = facts.data_keys.iter().map(|key| &*key.id).collect();
        assert_eq!(ids, ["3cf02b49", "69e86d38"], "in the order of the document");
        assert!(summary.is_of(spec_hash(&text)) && !summary.is_of(spec_hash("{}")));
        assert!(
            Arc::ptr_eq(&facts.data_keys[0].keys[0], &facts.data_keys[1].keys[1]),
            "held once"
        );
    }

    #[test]
    fn refusal_is_kept_in_bounded_length() {
        let mut spec = spec();
        spec["x".repeat(100_000)] = json!(1);
        let summary = summary(&spec.to_string(), &mut Texts::default());
        let refusal = format!("{:?}", summary.facts.expect_err("an unknown field"));
        assert!(
            refusal.contains("xxx") && refusal.len() < 1000,
            "{} bytes",
            refusal.len()
        );
    }

    #[test]
    fn texts_no_longer_in_use_are_dropped() {
        let mut texts = Texts::default();
        let kept = texts.get("kept");
        for index in 0..1000 {
            texts.get(&index.to_string());
        }
        assert!(texts.held.len() < 200, "{}", texts.held.len());
        assert!(Arc::ptr_eq(&kept, &texts.get("kept")));
    }
}
