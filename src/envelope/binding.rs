//! What a document is bound to: scope, audience, namespace and name (docs/format-es1.md#3-encodings).

use super::encoding::pae;

/// Where a sealed document can be opened.
///
/// ```
/// use envelope_secrets::envelope::Scope;
///
/// assert_eq!(Scope::parse("namespace-wide"), Some(Scope::NamespaceWide));
/// assert_eq!(Scope::Strict.to_string(), "strict");
/// assert_eq!(Scope::parse("global"), None);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scope {
    /// Only under its own namespace and name.
    Strict,
    /// Under any name in its namespace.
    NamespaceWide,
    /// Wherever its KMS key may be used.
    ClusterWide,
}

impl Scope {
    /// All scopes, narrowest first.
    pub const ALL: [Scope; 3] = [Scope::Strict, Scope::NamespaceWide, Scope::ClusterWide];

    /// Returns the value of `spec.scope`.
    pub fn as_str(self) -> &'static str {
        match self {
            Scope::Strict => "strict",
            Scope::NamespaceWide => "namespace-wide",
            Scope::ClusterWide => "cluster-wide",
        }
    }

    /// Parses the value of `spec.scope`; the inverse of [`Scope::as_str`].
    pub fn parse(text: &str) -> Option<Scope> {
        Scope::ALL.into_iter().find(|s| s.as_str() == text)
    }
}

impl std::fmt::Display for Scope {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The scope and the identity that every key of a document is derived for.
///
/// Namespace and name come from the object's own metadata, never from an annotation or a field that repeats them
/// (`docs/design/format.md`). Parts that the scope does not bind are dropped, so two bindings are equal exactly when
/// they derive the same keys.
///
/// ```
/// use envelope_secrets::envelope::{Binding, Scope};
///
/// let strict = Binding::new(Scope::Strict, Some("prod-gz"), "prod", "db");
/// assert_eq!(
///     strict.context().as_str(),
///     r#"{"es:aud":"prod-gz","es:name":"db","es:ns":"prod","es:scope":"strict","es:v":"es1"}"#
/// );
///
/// // A namespace-wide document opens under every name of its namespace.
/// let db = Binding::new(Scope::NamespaceWide, None, "prod", "db");
/// let cache = Binding::new(Scope::NamespaceWide, None, "prod", "cache");
/// assert_eq!(db, cache);
/// assert_ne!(db, Binding::new(Scope::NamespaceWide, None, "staging", "db"));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Binding {
    scope: Scope,
    audience: Option<String>,
    namespace: String,
    name: String,
}

impl Binding {
    /// Creates a binding, without the namespace or name that `scope` does not bind.
    pub fn new(scope: Scope, audience: Option<&str>, namespace: &str, name: &str) -> Self {
        let namespace = if scope == Scope::ClusterWide {
            ""
        } else {
            namespace
        };
        let name = if scope == Scope::Strict { name } else { "" };
        Binding {
            scope,
            audience: audience.map(str::to_owned),
            namespace: namespace.to_owned(),
            name: name.to_owned(),
        }
    }

    /// Returns the scope.
    pub fn scope(&self) -> Scope {
        self.scope
    }

    /// Returns the audience (`aud`), or "" for a document without one.
    pub fn audience(&self) -> &str {
        self.audience.as_deref().unwrap_or("")
    }

    /// Returns the bound namespace (`bns`), or "" for cluster-wide documents.
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// Returns the bound name (`bname`), or "" unless the scope is strict.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns `info(purpose, item)` of docs/format-es1.md#3-encodings: the HKDF info of a derived key.
    pub(super) fn info(&self, purpose: &str, item: &str) -> Vec<u8> {
        pae(&[
            "envelope-secret/es1",
            purpose,
            self.scope.as_str(),
            self.audience(),
            &self.namespace,
            &self.name,
            item,
        ])
    }

    /// Returns the KMS encryption context of every wrap of the document.
    pub fn context(&self) -> EncryptionContext {
        // RFC 8785 sorts members by name. Values that passed the structure check need no escapes.
        let mut members = Vec::with_capacity(5);
        if let Some(audience) = &self.audience {
            members.push(("es:aud", audience.as_str()));
        }
        if self.scope == Scope::Strict {
            members.push(("es:name", &self.name));
        }
        if self.scope != Scope::ClusterWide {
            members.push(("es:ns", &self.namespace));
        }
        members.push(("es:scope", self.scope.as_str()));
        members.push(("es:v", "es1"));
        let body: Vec<String> = members.iter().map(|(k, v)| format!("\"{k}\":\"{v}\"")).collect();
        EncryptionContext(format!("{{{}}}", body.join(",")))
    }
}

/// A KMS encryption context as RFC 8785 JSON, sent byte for byte with every wrap and unwrap.
///
/// Never empty and never secret. [`Binding::context`] returns it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct EncryptionContext(String);

impl EncryptionContext {
    /// Returns the JSON text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}
