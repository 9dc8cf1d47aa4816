//! The only definition of the spec's fields and of the strict rules for them (format-es1 sections 1 and 2).
//!
//! `read` turns JSON into the types below and refuses what does not have their shape; `rules` checks what
//! shape alone does not say, for documents that are read and for those that are written.

mod document;
mod path;
mod read;
pub(super) mod rules;
mod write;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

pub use document::Document;
pub(super) use path::Path;
pub use rules::MAX_CIPHERTEXT;

use super::binding::Scope;
use super::keys::Commitment;
use super::time::SealTime;

/// The word in `spec.format`.
pub const FORMAT: &str = "es1";
/// The object's `apiVersion`.
pub const API_VERSION: &str = "envelope-secrets.io/v1";
/// The object's `kind`.
pub const KIND: &str = "EnvelopeSecret";

/// At most this many data keys in a document, and wraps in a data key.
pub const MAX_KEYS: usize = 8;
/// At most this many names in `encryptedData`, `template.data` and `template.render` together.
pub const MAX_ENTRIES: usize = 1024;

/// `spec`, with everything decoded. It holds nothing secret: it is what lies in Git.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spec {
    /// How far the document may travel.
    pub scope: Scope,
    /// Which readers it is meant for; absent is an audience of its own ("").
    pub audience: Option<String>,
    /// 32 random bytes: the salt of every key of the document.
    pub id: [u8; 32],
    /// 1 to 8, in the order of the text.
    pub data_keys: Vec<SealedDataKey>,
    /// Name → sealed value.
    pub encrypted_data: BTreeMap<String, SealedValue>,
    /// What the Secret is made of besides the values; all empty when absent.
    pub template: Template,
    /// The authenticator over all of it but `wraps` and `templateMac`.
    pub seal: Seal,
}

/// One member of `spec.dataKeys`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SealedDataKey {
    /// 8 lower-case hex digits: the start of the commitment.
    pub id: String,
    /// What the unwrapped key must derive to.
    pub commitment: Commitment,
    /// A holder of this key agreed to the template.
    pub template_mac: [u8; 32],
    /// 1 to 8; any one opens.
    pub wraps: Vec<Wrap>,
}

/// The data key, encrypted by one KMS key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wrap {
    /// The KMS key's URI.
    pub key: String,
    /// The KMS's own text, verbatim.
    pub ciphertext: String,
}

/// One member of `spec.encryptedData`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SealedValue {
    /// The id of the data key that it is encrypted under.
    pub data_key: String,
    /// Nonce and ciphertext (format-es1 section 5). May be too short: that is VALUE, not STRUCTURE.
    pub payload: Vec<u8>,
}

/// `spec.template`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Template {
    /// The Secret's type; absent and `Opaque` are two texts for one Secret.
    pub type_: Option<String>,
    /// Absent and `false` differ under the seal; writers never write `false`.
    pub immutable: Option<bool>,
    /// Labels of the Secret.
    pub labels: BTreeMap<String, String>,
    /// Annotations of the Secret.
    pub annotations: BTreeMap<String, String>,
    /// Plain values of the Secret.
    pub data: BTreeMap<String, String>,
    /// Texts rendered over the values.
    pub render: BTreeMap<String, String>,
}

/// `spec.seal`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seal {
    /// The id of the data key whose seal key made `mac`.
    pub key: String,
    /// When it was sealed, by the sealer's clock.
    pub time: SealTime,
    /// HMAC-SHA256 over the manifest.
    pub mac: [u8; 32],
}
