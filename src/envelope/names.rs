//! The patterns of format-es1 section 2. Each matches the whole string, bytewise: a final line feed fails.

use super::error::StructureError;

/// At most this many bytes of one key URI's rest.
const MAX_KEY_REST: usize = 990;

/// `F([I]*F)?` of at most `max` bytes: `first` at both ends, `inner` between.
fn framed(text: &str, max: usize, first: fn(u8) -> bool, inner: fn(u8) -> bool) -> bool {
    let bytes = text.as_bytes();
    match bytes {
        [] => false,
        [one] => first(*one),
        [start, middle @ .., end] => {
            bytes.len() <= max && first(*start) && first(*end) && middle.iter().all(|b| inner(*b))
        }
    }
}

fn lower_alnum(b: u8) -> bool {
    b.is_ascii_lowercase() || b.is_ascii_digit()
}

fn alnum(b: u8) -> bool {
    b.is_ascii_alphanumeric()
}

fn qualified(b: u8) -> bool {
    alnum(b) || matches!(b, b'-' | b'.' | b'_')
}

/// A namespace: an RFC 1123 label of at most 63 bytes.
pub fn is_namespace(text: &str) -> bool {
    framed(text, 63, lower_alnum, |b| lower_alnum(b) || b == b'-')
}

/// An object's name: RFC 1123 labels joined by dots, at most 253 bytes. (The labels have no limit of their own.)
pub fn is_object_name(text: &str) -> bool {
    text.len() <= 253
        && text
            .split('.')
            .all(|part| framed(part, 253, lower_alnum, |b| lower_alnum(b) || b == b'-'))
}

/// A key of a Secret's data.
pub fn is_entry_name(text: &str) -> bool {
    (1..=253).contains(&text.len()) && text.bytes().all(qualified) && text != "." && !text.starts_with("..")
}

/// `[prefix/]name`, as labels and annotations have it.
pub fn is_qualified_name(text: &str) -> bool {
    let name = |name: &str| framed(name, 63, alnum, qualified);
    match text.split_once('/') {
        Some((prefix, rest)) => is_object_name(prefix) && name(rest),
        None => name(text),
    }
}

/// A label's value.
pub fn is_label_value(text: &str) -> bool {
    text.is_empty() || framed(text, 63, alnum, qualified)
}

/// `spec.audience`.
pub fn is_audience(text: &str) -> bool {
    framed(text, 63, lower_alnum, |b| {
        lower_alnum(b) || matches!(b, b'-' | b'.')
    })
}

/// 1 to `max` bytes of 0x21-0x7e.
pub fn is_graphic(text: &str, max: usize) -> bool {
    (1..=max).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic())
}

/// A KMS key URI: `[a-z][a-z0-9-]{1,31}://` and 1 to 990 bytes of 0x21-0x7e.
pub fn is_key_uri(text: &str) -> bool {
    let Some((scheme, rest)) = text.split_once("://") else {
        return false;
    };
    (2..=32).contains(&scheme.len())
        && scheme.as_bytes()[0].is_ascii_lowercase()
        && scheme.bytes().all(|b| lower_alnum(b) || b == b'-')
        && is_graphic(rest, MAX_KEY_REST)
}

/// A data key's id: 8 lower-case hex digits.
pub fn is_data_key_id(text: &str) -> bool {
    text.len() == 8
        && text
            .bytes()
            .all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
}

/// The label or annotation prefixes and names that only the controller and kubectl write (section 9.2).
pub fn is_reserved(key: &str) -> bool {
    let prefix = key.split_once('/').map(|(prefix, _)| prefix);
    matches!(prefix, Some("envelope-secrets.io" | "kubectl.kubernetes.io"))
        || key == "app.kubernetes.io/managed-by"
}

/// The namespace and name of an object, checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// `None` only for a cluster-wide document outside a cluster.
    pub namespace: Option<String>,
    /// The object's name.
    pub name: String,
}

impl Place {
    /// An empty namespace counts as absent.
    pub fn new(namespace: Option<&str>, name: &str) -> Result<Self, StructureError> {
        let namespace = namespace.filter(|n| !n.is_empty());
        if let Some(namespace) = namespace
            && !is_namespace(namespace)
        {
            return Err(StructureError::invalid(
                "metadata.namespace",
                "is no name of a namespace",
            ));
        }
        if !is_object_name(name) {
            return Err(StructureError::invalid(
                "metadata.name",
                "is no name of an object",
            ));
        }
        Ok(Place {
            namespace: namespace.map(str::to_owned),
            name: name.to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_the_whole_string() {
        type Check = fn(&str) -> bool;
        let long = |n| "a".repeat(n);
        let cases: [(Check, &[&str], &[&str]); 9] = [
            (
                is_namespace,
                &["a", "a-b", &long(63)],
                &["", "-a", "a-", "A", "a.b", "a\n", &long(64)],
            ),
            (
                is_object_name,
                &["a", "a.b-c", &long(253)],
                &["", "a..b", ".a", "a.", "a-.b", "a\n", &long(254)],
            ),
            (
                is_entry_name,
                &["a", "A_.-", ".x", "-"],
                &["", ".", "..", "..x", "a b", "a\n", "ä", &long(254)],
            ),
            (
                is_qualified_name,
                &["a", "A_b.c", "a.b/c", &long(63)],
                &["", "/a", "a/", "a/b/c", "-a", "A.b/", "A/b", "a\n", &long(64)],
            ),
            (
                is_label_value,
                &["", "a", "A_b.c", &long(63)],
                &["-", "a ", "a\n", &long(64)],
            ),
            (
                is_audience,
                &["a", "prod-gz", "a.b", &long(63)],
                &["", "a-", ".a", "A", "a\n", &long(64)],
            ),
            (
                is_key_uri,
                &["local://x", "ab://!~"],
                &[
                    "a://x",
                    "local://",
                    "local:x",
                    "1a://x",
                    "Local://x",
                    "local://a b",
                    "local://x\n",
                ],
            ),
            (
                is_data_key_id,
                &["0123abcf"],
                &["0123ABCF", "0123abc", "0123abcdf", "0123abcg"],
            ),
            (
                is_reserved,
                &[
                    "envelope-secrets.io/x",
                    "kubectl.kubernetes.io/x",
                    "app.kubernetes.io/managed-by",
                ],
                &[
                    "x.envelope-secrets.io/x",
                    "envelope-secrets.io",
                    "app.kubernetes.io/name",
                    "managed-by",
                ],
            ),
        ];
        for (index, (check, good, bad)) in cases.iter().enumerate() {
            for text in *good {
                assert!(check(text), "pattern {index} must take {text:?}");
            }
            for text in *bad {
                assert!(!check(text), "pattern {index} must refuse {text:?}");
            }
        }
    }

    #[test]
    fn a_key_uri_ends_at_its_limits() {
        assert!(is_key_uri(&format!("{}://{}", "a".repeat(32), "x".repeat(990))));
        assert!(!is_key_uri(&format!("{}://x", "a".repeat(33))));
        assert!(!is_key_uri(&format!("ab://{}", "x".repeat(991))));
    }
}
