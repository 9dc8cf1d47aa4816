//! Key URIs, parsed once at the edge.

/// A KMS key's name: `<scheme>://<rest>`, of the grammar of format-es1 section 2. Whether the scheme is known
/// and the rest makes sense to it is the provider's question. Compared bytewise.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyUri(String);

/// Why a text is no key URI.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is no KMS key URI; write it like local://fa1975b2")]
pub struct KeyUriError {
    /// What was given.
    pub text: String,
}
