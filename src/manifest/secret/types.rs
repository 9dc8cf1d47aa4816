//! What the API server requires of typed Secrets (kubernetes, pkg/apis/core/validation, `ValidateSecret`).

use std::collections::BTreeMap;

use crate::envelope::SecretBytes;

type Entries = BTreeMap<String, SecretBytes>;

/// Returns the type and what is wrong with a Secret of it.
pub(super) fn fault(
    type_: &str,
    entries: &Entries,
    annotations: &BTreeMap<String, String>,
) -> Option<(&'static str, String)> {
    let missing = |name: &str| !entries.contains_key(name);
    let needs = |name: &str| format!("needs the entry {name:?}");
    let (type_, fault) = match type_ {
        "kubernetes.io/tls" => {
            let name = ["tls.crt", "tls.key"].into_iter().find(|name| missing(name))?;
            ("kubernetes.io/tls", needs(name))
        }
        "kubernetes.io/basic-auth" if missing("username") && missing("password") => (
            "kubernetes.io/basic-auth",
            "needs the entry \"username\" or \"password\"".to_owned(),
        ),
        "kubernetes.io/ssh-auth"
            if entries
                .get("ssh-privatekey")
                .is_none_or(|key| key.expose().is_empty()) =>
        {
            ("kubernetes.io/ssh-auth", needs("ssh-privatekey"))
        }
        "kubernetes.io/dockercfg" => ("kubernetes.io/dockercfg", json_fault(entries, ".dockercfg")?),
        "kubernetes.io/dockerconfigjson" => (
            "kubernetes.io/dockerconfigjson",
            json_fault(entries, ".dockerconfigjson")?,
        ),
        "kubernetes.io/service-account-token"
            if annotations
                .get("kubernetes.io/service-account.name")
                .is_none_or(String::is_empty) =>
        {
            (
                "kubernetes.io/service-account-token",
                "needs the annotation kubernetes.io/service-account.name".to_owned(),
            )
        }
        "bootstrap.kubernetes.io/token" => {
            let name = ["token-id", "token-secret"]
                .into_iter()
                .find(|name| missing(name))?;
            ("bootstrap.kubernetes.io/token", needs(name))
        }
        _ => return None,
    };
    Some((type_, fault))
}

/// The entry must exist and hold a JSON object.
fn json_fault(entries: &Entries, name: &str) -> Option<String> {
    let Some(value) = entries.get(name) else {
        return Some(format!("needs the entry {name:?}"));
    };
    let parsed = serde_json::from_slice::<std::collections::HashMap<String, &serde_json::value::RawValue>>(
        value.expose(),
    );
    parsed
        .is_err()
        .then(|| format!("has an entry {name:?} that is not a JSON object"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault_of(type_: &str, entries: &[(&str, &str)]) -> Option<String> {
        let entries = entries
            .iter()
            .map(|(name, value)| ((*name).to_owned(), SecretBytes::new(value.as_bytes().to_vec())))
            .collect();
        fault(type_, &entries, &BTreeMap::new()).map(|(_, fault)| fault)
    }

    #[test]
    fn typed_secrets_need_the_entries_that_the_api_server_requires() {
        for (type_, entries, expected) in [
            ("kubernetes.io/tls", &[("tls.crt", "x")][..], Some("\"tls.key\"")),
            ("kubernetes.io/tls", &[("tls.key", "x")], Some("\"tls.crt\"")),
            ("kubernetes.io/tls", &[("tls.crt", ""), ("tls.key", "")], None),
            (
                "kubernetes.io/basic-auth",
                &[("user", "x")],
                Some("\"username\" or"),
            ),
            ("kubernetes.io/basic-auth", &[("password", "x")], None),
            (
                "kubernetes.io/ssh-auth",
                &[("ssh-privatekey", "")],
                Some("ssh-privatekey"),
            ),
            ("kubernetes.io/dockercfg", &[], Some(".dockercfg")),
            (
                "kubernetes.io/dockerconfigjson",
                &[(".dockerconfigjson", "eyJhIjoxfQ==")],
                Some("not a JSON object"),
            ),
            (
                "kubernetes.io/dockerconfigjson",
                &[(".dockerconfigjson", "[]")],
                Some("not a JSON object"),
            ),
            (
                "kubernetes.io/dockerconfigjson",
                &[(".dockerconfigjson", "{\"auths\": {}}")],
                None,
            ),
            (
                "kubernetes.io/service-account-token",
                &[],
                Some("service-account.name"),
            ),
            (
                "bootstrap.kubernetes.io/token",
                &[("token-id", "x")],
                Some("token-secret"),
            ),
            ("Opaque", &[], None),
            ("example.com/tls", &[], None),
        ] {
            let found = fault_of(type_, entries);
            match expected {
                Some(part) => assert!(found.is_some_and(|f| f.contains(part)), "{type_}"),
                None => assert_eq!(found, None, "{type_}"),
            }
        }
    }
}
