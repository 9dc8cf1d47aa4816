//! What a document is bound to (format-es1 section 3): scope, audience, namespace and name.

use super::encoding::pae;

/// How far a sealed document may travel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scope {
    /// Opens only under its namespace and name.
    Strict,
    /// Opens under any name in its namespace.
    NamespaceWide,
    /// Opens anywhere its key may be used.
    ClusterWide,
}

impl Scope {
    /// All scopes, narrowest first.
    pub const ALL: [Scope; 3] = [Scope::Strict, Scope::NamespaceWide, Scope::ClusterWide];

    /// The word in `spec.scope`.
    pub fn as_str(self) -> &'static str {
        match self {
            Scope::Strict => "strict",
            Scope::NamespaceWide => "namespace-wide",
            Scope::ClusterWide => "cluster-wide",
        }
    }

    /// The inverse of [`Scope::as_str`].
    pub fn parse(text: &str) -> Option<Scope> {
        Scope::ALL.into_iter().find(|s| s.as_str() == text)
    }
}

impl std::fmt::Display for Scope {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The place that a document belongs to. Namespace and name come from the object's own metadata, never from
/// an annotation or a field that repeats them (invariant 2 of the design).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Binding {
    scope: Scope,
    audience: Option<String>,
    namespace: String,
    name: String,
}

impl Binding {
    /// Namespace and name that the scope does not bind are dropped here, so two bindings are equal exactly
    /// when they give the same keys.
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

    /// The scope.
    pub fn scope(&self) -> Scope {
        self.scope
    }

    /// `aud`: the audience or "".
    pub fn audience(&self) -> &str {
        self.audience.as_deref().unwrap_or("")
    }

    /// `bns`: the bound namespace, "" for cluster-wide.
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// `bname`: the bound name, "" unless strict.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// `info(purpose, item)` of format-es1 section 3.
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

    /// The KMS encryption context of every wrap of this document.
    pub fn context(&self) -> EncryptionContext {
        // RFC 8785 sorts members by name; no value that passed the structure check needs an escape.
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

/// RFC 8785 JSON, sent byte for byte on every wrap and unwrap. Never empty, never secret.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct EncryptionContext(String);

impl EncryptionContext {
    /// The JSON text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}
