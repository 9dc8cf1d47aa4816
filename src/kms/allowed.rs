//! The KMS keys that a reader may use: one list with one meaning, for `--allow-key` and for the controller's policy.

use super::KeyUri;

/// A list of KMS keys, each named exactly or by a prefix. Empty allows nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AllowedKeys(pub(super) Vec<Entry>);

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Entry {
    Exact(KeyUri),
    /// Ends at `/` and names at least the region.
    Prefix(KeyUri),
    /// Has no text form.
    Every,
}

impl AllowedKeys {
    /// Allows exactly these keys: those chosen on the command line.
    pub fn exactly(keys: impl IntoIterator<Item = KeyUri>) -> Self {
        AllowedKeys(keys.into_iter().map(Entry::Exact).collect())
    }

    /// Allows every key that a document names: for `--trust-document-keys`. No parsed entry means this.
    pub fn every() -> Self {
        AllowedKeys(vec![Entry::Every])
    }

    /// Whether `key` is on the list, compared bytewise. Whether its provider has keys of that form is for the provider
    /// to decide.
    pub fn allows(&self, key: &KeyUri) -> bool {
        self.0.iter().any(|entry| match entry {
            Entry::Exact(allowed) => allowed == key,
            Entry::Prefix(prefix) => key.as_str().starts_with(prefix.as_str()),
            Entry::Every => true,
        })
    }

    /// Whether the list is empty and allows nothing.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The entries, as written.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|entry| match entry {
            Entry::Exact(uri) | Entry::Prefix(uri) => uri.as_str(),
            Entry::Every => "every key",
        })
    }

    /// The key URIs and prefixes on the list.
    pub fn uris(&self) -> impl Iterator<Item = &KeyUri> {
        self.0.iter().filter_map(|entry| match entry {
            Entry::Exact(uri) | Entry::Prefix(uri) => Some(uri),
            Entry::Every => None,
        })
    }

    /// The entries of one provider's scheme. A list that allows every key stays as it is.
    #[must_use]
    pub fn of_scheme(&self, scheme: &str) -> Self {
        let of_scheme = |entry: &&Entry| match entry {
            Entry::Exact(uri) | Entry::Prefix(uri) => uri.scheme() == scheme,
            Entry::Every => true,
        };
        AllowedKeys(self.0.iter().filter(of_scheme).cloned().collect())
    }

    /// This list followed by the other.
    #[must_use]
    pub fn and(mut self, other: AllowedKeys) -> Self {
        self.0.extend(other.0);
        self
    }
}
