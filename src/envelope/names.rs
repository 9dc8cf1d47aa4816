//! The patterns of section 2 of docs/format-es1.md. Each matches the whole string bytewise, so a trailing line feed
//! does not match.

use super::error::StructureError;

/// Largest length in bytes of a key URI after `://`.
const MAX_KEY_REST: usize = 990;

/// Matches `E([I]*E)?` of at most `max` bytes, where `end` matches E and `inner` matches I.
fn matches_ends(text: &str, max: usize, end: fn(u8) -> bool, inner: fn(u8) -> bool) -> bool {
    let bytes = text.as_bytes();
    match bytes {
        [] => false,
        [only] => end(*only),
        [first, middle @ .., last] => {
            bytes.len() <= max && end(*first) && end(*last) && middle.iter().all(|b| inner(*b))
        }
    }
}

fn lower_alnum(b: u8) -> bool {
    b.is_ascii_lowercase() || b.is_ascii_digit()
}

fn alnum(b: u8) -> bool {
    b.is_ascii_alphanumeric()
}

fn name_char(b: u8) -> bool {
    alnum(b) || matches!(b, b'-' | b'.' | b'_')
}

/// Matches a namespace: an RFC 1123 label of at most 63 bytes.
pub fn is_namespace(text: &str) -> bool {
    matches_ends(text, 63, lower_alnum, |b| lower_alnum(b) || b == b'-')
}

/// Matches an object name: labels joined by dots, at most 253 bytes.
///
/// As in Kubernetes, the single labels have no limit of 63 bytes.
pub fn is_object_name(text: &str) -> bool {
    text.len() <= 253
        && text
            .split('.')
            .all(|part| matches_ends(part, 253, lower_alnum, |b| lower_alnum(b) || b == b'-'))
}

/// Matches a key of a Secret's data.
pub fn is_entry_name(text: &str) -> bool {
    (1..=253).contains(&text.len()) && text.bytes().all(name_char) && text != "." && !text.starts_with("..")
}

/// Matches a label or annotation key: `[prefix/]name`.
pub fn is_qualified_name(text: &str) -> bool {
    let name = |name: &str| matches_ends(name, 63, alnum, name_char);
    match text.split_once('/') {
        Some((prefix, rest)) => is_object_name(prefix) && name(rest),
        None => name(text),
    }
}

/// Matches a label value.
pub fn is_label_value(text: &str) -> bool {
    text.is_empty() || matches_ends(text, 63, alnum, name_char)
}

/// Matches `spec.audience`.
pub fn is_audience(text: &str) -> bool {
    matches_ends(text, 63, lower_alnum, |b| {
        lower_alnum(b) || matches!(b, b'-' | b'.')
    })
}

/// Matches 1 to `max` bytes of 0x21-0x7e.
pub fn is_graphic(text: &str, max: usize) -> bool {
    (1..=max).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic())
}

/// Matches a KMS key URI: `[a-z][a-z0-9-]{1,31}://` and 1 to 990 bytes of 0x21-0x7e.
pub fn is_key_uri(text: &str) -> bool {
    let Some((scheme, rest)) = text.split_once("://") else {
        return false;
    };
    (2..=32).contains(&scheme.len())
        && scheme.as_bytes()[0].is_ascii_lowercase()
        && scheme.bytes().all(|b| lower_alnum(b) || b == b'-')
        && is_graphic(rest, MAX_KEY_REST)
}

/// Matches a data key id: 8 lower-case hex digits.
pub fn is_data_key_id(text: &str) -> bool {
    text.len() == 8
        && text
            .bytes()
            .all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
}

/// Returns whether a label or annotation key is reserved for the controller and kubectl (section 9, step 2).
pub fn is_reserved(key: &str) -> bool {
    let prefix = key.split_once('/').map(|(prefix, _)| prefix);
    matches!(prefix, Some("envelope-secrets.io" | "kubectl.kubernetes.io"))
        || key == "app.kubernetes.io/managed-by"
}

/// The validated namespace and name of an object.
///
/// ```
/// use envelope_secrets::envelope::Place;
///
/// let place = Place::new(Some("prod"), "db").expect("a valid namespace and name");
/// assert_eq!((place.namespace.as_deref(), place.name.as_str()), (Some("prod"), "db"));
///
/// let error = Place::new(Some("Prod"), "db").expect_err("upper case is not allowed");
/// assert_eq!(error.field, "metadata.namespace");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// `None` only for a cluster-wide document outside a cluster.
    pub namespace: Option<String>,
    /// The name of the object.
    pub name: String,
}

impl Place {
    /// Validates namespace and name. An empty namespace counts as absent.
    pub fn new(namespace: Option<&str>, name: &str) -> Result<Self, StructureError> {
        let namespace = namespace.filter(|n| !n.is_empty());
        if let Some(namespace) = namespace
            && !is_namespace(namespace)
        {
            return Err(StructureError::invalid(
                "metadata.namespace",
                "is not a valid namespace name",
            ));
        }
        if !is_object_name(name) {
            return Err(StructureError::invalid(
                "metadata.name",
                "is not a valid object name",
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
                assert!(check(text), "pattern {index} must match {text:?}");
            }
            for text in *bad {
                assert!(!check(text), "pattern {index} must refuse {text:?}");
            }
        }
    }

    #[test]
    fn key_uri_longer_than_its_limits_does_not_match() {
        assert!(is_key_uri(&format!("{}://{}", "a".repeat(32), "x".repeat(990))));
        assert!(!is_key_uri(&format!("{}://x", "a".repeat(33))));
        assert!(!is_key_uri(&format!("ab://{}", "x".repeat(991))));
    }
}
