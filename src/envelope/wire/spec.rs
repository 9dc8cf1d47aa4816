//! The fields of a document, decoded.

use std::collections::BTreeMap;

use super::super::binding::Scope;
use super::super::keys::Commitment;
use super::super::time::SealTime;

/// The value of `spec.format`.
pub const FORMAT: &str = "es1";
/// The `apiVersion` of the object.
pub const API_VERSION: &str = "envelope-secrets.io/v1";
/// The `kind` of the object.
pub const KIND: &str = "EnvelopeSecret";

/// Largest number of data keys in a document, and of wraps in a data key.
pub const MAX_KEYS: usize = 8;
/// Largest number of names in `encryptedData`, `template.data` and `template.render` together.
pub const MAX_ENTRIES: usize = 1024;

/// `spec`, with every field decoded. Nothing in it is secret: it is committed to Git.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spec {
    /// Where the document can be opened.
    pub scope: Scope,
    /// The readers that the document is meant for; absent is an audience in its own right ("").
    pub audience: Option<String>,
    /// 32 random bytes: the salt of every key of the document.
    pub id: [u8; 32],
    /// 1 to 8 data keys, in the order of the text.
    pub data_keys: Vec<SealedDataKey>,
    /// Sealed values by name.
    pub encrypted_data: BTreeMap<String, SealedValue>,
    /// Everything else about the Secret; empty if absent.
    pub template: Template,
    /// The authenticator over everything except `wraps` and `templateMac`.
    pub seal: Seal,
}

/// One member of `spec.dataKeys`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SealedDataKey {
    /// 8 lower-case hex digits: the start of the commitment.
    pub id: String,
    /// The commitment that the unwrapped data key must derive.
    pub commitment: Commitment,
    /// Proof that a holder of this data key agreed to the template.
    pub template_mac: [u8; 32],
    /// 1 to 8 wraps, each of which is enough to open.
    pub wraps: Vec<Wrap>,
}

/// A data key, encrypted with one KMS key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wrap {
    /// The URI of the KMS key.
    pub key: String,
    /// The ciphertext as the KMS returned it, verbatim.
    pub ciphertext: String,
}

/// One member of `spec.encryptedData`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SealedValue {
    /// The id of the data key that encrypts the value.
    pub data_key: String,
    /// Nonce and ciphertext (section 5). A payload that is too short fails at VALUE, not at STRUCTURE.
    pub payload: Vec<u8>,
}

/// `spec.template`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Template {
    /// The type of the Secret. Absent and `Opaque` are different documents for the same Secret.
    pub type_: Option<String>,
    /// Absent and `false` are different documents; writers never write `false`.
    pub immutable: Option<bool>,
    /// Labels of the Secret.
    pub labels: BTreeMap<String, String>,
    /// Annotations of the Secret.
    pub annotations: BTreeMap<String, String>,
    /// Plain entries of the Secret.
    pub data: BTreeMap<String, String>,
    /// Texts to render over the values.
    pub render: BTreeMap<String, String>,
}

impl Template {
    /// Returns whether the template is equivalent to an absent one.
    pub fn is_empty(&self) -> bool {
        *self == Template::default()
    }
}

/// `spec.seal`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seal {
    /// The id of the data key that computed `mac`.
    pub key: String,
    /// When the document was sealed, by the clock of the sealer.
    pub time: SealTime,
    /// HMAC-SHA256 of the document's [transcript](super::Document::transcript).
    pub mac: [u8; 32],
}
