//! The URIs of KMS keys: `tencent-kms://REGION/KEY-ID` (docs/format-es1.md, section 10).

use super::error::TencentError;
use crate::kms::{Class, KeyUri};

/// The scheme of this provider's key URIs.
pub const SCHEME: &str = "tencent-kms";

/// The form of a key URI, as advice.
pub const FORM: &str = "write it as tencent-kms://REGION/KEY-ID, with the key id in lower case";

/// Whether `uri` has the form of a key of this provider. The key need not exist.
///
/// ```
/// use envelope_secrets::kms::{KeyUri, tencent};
///
/// let key = KeyUri::parse("tencent-kms://ap-guangzhou/23e80852-1e38-11e9-b129-5cb9019b4b01")?;
/// assert!(tencent::is_key(&key));
/// let alias = KeyUri::parse("tencent-kms://ap-guangzhou/prod")?;
/// assert!(!tencent::is_key(&alias), "the API addresses keys by id only");
/// # Ok::<(), envelope_secrets::kms::KeyUriError>(())
/// ```
pub fn is_key(uri: &KeyUri) -> bool {
    TencentKey::of_uri(uri).is_some()
}

/// A KMS key of one region, borrowed from its URI.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TencentKey<'a> {
    /// The region, such as `ap-guangzhou`.
    pub(super) region: &'a str,
    /// The API's `KeyId`: a UUID in lower case.
    pub(super) id: &'a str,
}

impl<'a> TencentKey<'a> {
    /// Returns `None` unless the URI is a region and a key id: the URI can never name a host or a path.
    pub(super) fn of_uri(uri: &'a KeyUri) -> Option<Self> {
        if uri.scheme() != SCHEME {
            return None;
        }
        let (region, id) = uri.rest().split_once('/')?;
        (is_region(region) && is_key_id(id)).then_some(TencentKey { region, id })
    }

    /// Like [`TencentKey::of_uri`], with an error for `action` that explains the form.
    pub(super) fn require(uri: &'a KeyUri, action: &'static str) -> Result<Self, TencentError> {
        TencentKey::of_uri(uri).ok_or_else(|| {
            let message = "the URI is not a valid KMS key of Tencent Cloud";
            TencentError::new(Class::NotFound, action, message).with_advice(FORM)
        })
    }

    /// Returns the URI of a key, or `None` if the region or the id is not valid.
    pub(super) fn uri(region: &str, id: &str) -> Option<KeyUri> {
        let uri = KeyUri::parse(&format!("{SCHEME}://{region}/{id}")).ok()?;
        is_key(&uri).then_some(uri)
    }
}

/// Whether `text` has the form of a region: `[a-z]{2}(-[a-z0-9]{2,20}){1,3}`.
///
/// ```
/// use envelope_secrets::kms::tencent::is_region;
///
/// assert!(is_region("ap-shanghai-fsi"));
/// assert!(!is_region("ap-guangzhou.example.com"));
/// ```
pub fn is_region(text: &str) -> bool {
    let mut parts = text.split('-');
    let area = parts.next().unwrap_or("");
    let mut count = 0;
    for part in parts {
        count += 1;
        let is_valid = (2..=20).contains(&part.len())
            && part.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
        if !is_valid {
            return false;
        }
    }
    area.len() == 2 && area.bytes().all(|b| b.is_ascii_lowercase()) && (1..=3).contains(&count)
}

/// Whether `text` is a UUID in lower case.
fn is_key_id(text: &str) -> bool {
    text.len() == 36
        && text.bytes().enumerate().all(|(at, b)| match at {
            8 | 13 | 18 | 23 => b == b'-',
            _ => b.is_ascii_digit() || (b'a'..=b'f').contains(&b),
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uri_must_be_a_region_and_a_uuid() {
        let uri = |text: &str| KeyUri::parse(text).expect("a key URI");
        let good = uri("tencent-kms://ap-guangzhou/23e80852-1e38-11e9-b129-5cb9019b4b01");
        assert_eq!(
            TencentKey::of_uri(&good),
            Some(TencentKey {
                region: "ap-guangzhou",
                id: "23e80852-1e38-11e9-b129-5cb9019b4b01"
            })
        );
        for region in [
            "ap-shanghai-fsi",
            "na-siliconvalley",
            "eu-frankfurt",
            "ap-a1-b2-c3",
        ] {
            assert!(is_region(region), "{region}");
        }
        for bad in [
            "tencent-kms://ap-guangzhou/23E80852-1e38-11e9-b129-5cb9019b4b01",
            "tencent-kms://ap-guangzhou/23e80852-1e38-11e9-b129-5cb9019b4b0",
            "tencent-kms://ap-guangzhou/23e80852-1e38-11e9-b129-5cb9019b4b01/",
            "tencent-kms://ap-guangzhou/23e80852-1e38-11e9-b129-5cb9019b4b01?x",
            "tencent-kms://ap-guangzhou/23e8085201e38-11e9-b129-5cb9019b4b01",
            "tencent-kms://ap-guangzhou/alias",
            "tencent-kms://ap-guangzhou/",
            "tencent-kms://ap/23e80852-1e38-11e9-b129-5cb9019b4b01",
            "tencent-kms://apx-guangzhou/23e80852-1e38-11e9-b129-5cb9019b4b01",
            "tencent-kms://ap-g/23e80852-1e38-11e9-b129-5cb9019b4b01",
            "tencent-kms://ap-aa-bb-cc-dd/23e80852-1e38-11e9-b129-5cb9019b4b01",
            "tencent-kms://ap-guangzhou@evil.example/23e80852-1e38-11e9-b129-5cb9019b4b01",
            "tencent-kms://AP-guangzhou/23e80852-1e38-11e9-b129-5cb9019b4b01",
            "tencent-kms://evil.example/23e80852-1e38-11e9-b129-5cb9019b4b01",
            "tencent-kms://ap-guangzhou:1/23e80852-1e38-11e9-b129-5cb9019b4b01",
            "other-kms://ap-guangzhou/23e80852-1e38-11e9-b129-5cb9019b4b01",
        ] {
            assert_eq!(TencentKey::of_uri(&uri(bad)), None, "{bad}");
        }
    }

    #[test]
    fn uri_is_built_from_a_valid_region_and_id_only() {
        let id = "23e80852-1e38-11e9-b129-5cb9019b4b01";
        let made = TencentKey::uri("ap-guangzhou", id).expect("a key");
        assert_eq!(made.as_str(), format!("tencent-kms://ap-guangzhou/{id}"));
        for (region, id) in [
            ("ap-guangzhou", "../../evil\n"),
            ("ap-guangzhou", ""),
            ("ap-guangzhou", "23E80852-1e38-11e9-b129-5cb9019b4b01"),
            ("", id),
            ("ap-guangzhou/x", id),
        ] {
            assert_eq!(TencentKey::uri(region, id), None, "{region} {id:?}");
        }
    }
}
