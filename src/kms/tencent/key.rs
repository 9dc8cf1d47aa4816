//! What a `tencent-kms://` URI names (format-es1 section 10).

use super::FORM;
use super::error::TencentError;
use crate::kms::{Class, KeyUri};

/// A KMS key of one region. Borrowed from its URI, so that text compares bytewise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TencentKey<'a> {
    /// `ap-guangzhou`.
    pub(super) region: &'a str,
    /// `KeyId`: a UUID in lower case.
    pub(super) id: &'a str,
}

impl<'a> TencentKey<'a> {
    /// `None` when what stands behind `tencent-kms://` is no region and key id: never a URL, never a host.
    pub(super) fn of_uri(uri: &'a KeyUri) -> Option<Self> {
        if uri.scheme() != super::SCHEME {
            return None;
        }
        let (region, id) = uri.rest().split_once('/')?;
        (is_region(region) && is_key_id(id)).then_some(TencentKey { region, id })
    }

    /// The same, or the error that says how to write one.
    pub(super) fn named(uri: &'a KeyUri, action: &'static str) -> Result<Self, TencentError> {
        TencentKey::of_uri(uri).ok_or_else(|| {
            TencentError::new(Class::NotFound, action, "the URI names no KMS key").with_advice(FORM)
        })
    }

    /// The URI of a key; `None` when these name none.
    pub(super) fn uri(region: &str, id: &str) -> Option<KeyUri> {
        let uri = KeyUri::parse(&format!("{}://{region}/{id}", super::SCHEME)).ok()?;
        TencentKey::of_uri(&uri).is_some().then_some(uri)
    }
}

/// `[a-z]{2}(-[a-z0-9]{2,20}){1,3}`.
pub fn is_region(text: &str) -> bool {
    let mut parts = text.split('-');
    let area = parts.next().unwrap_or("");
    let mut rest = 0;
    for part in parts {
        rest += 1;
        let fits = (2..=20).contains(&part.len())
            && part.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
        if !fits {
            return false;
        }
    }
    area.len() == 2 && area.bytes().all(|b| b.is_ascii_lowercase()) && (1..=3).contains(&rest)
}

/// A UUID in lower case.
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
    fn a_region_and_a_uuid_and_nothing_else() {
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
    fn a_uri_is_made_of_a_region_and_an_id_alone() {
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
