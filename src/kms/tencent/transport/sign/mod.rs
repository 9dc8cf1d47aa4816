//! TC3-HMAC-SHA256, the signature of Tencent Cloud's API 3.0, as pure functions.
//!
//! Source: Tencent Cloud's page "Signature Method v3". `tests/vectors/tc3.json` covers every intermediate value.

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use crate::envelope::encoding::to_hex;

const ALGORITHM: &str = "TC3-HMAC-SHA256";
const TERMINATOR: &str = "tc3_request";

/// The `Authorization` header of an unsigned call. Only STS accepts it, for `AssumeRoleWithWebIdentity`.
pub(super) const UNSIGNED: &str = "SKIP";

/// The signed parts of a request, exactly as they are sent.
pub(in crate::kms::tencent) struct Signable<'a> {
    /// The HTTP method: `POST`.
    pub(in crate::kms::tencent) method: &'a str,
    /// The query as in the URL, without `?`; empty for POST.
    pub(in crate::kms::tencent) query: &'a str,
    /// The signed headers by ascending name, names in lower case. `content-type` and `host` are required.
    pub(in crate::kms::tencent) headers: &'a [(&'a str, &'a str)],
    /// The body.
    pub(in crate::kms::tencent) body: &'a [u8],
    /// `X-TC-Timestamp`, in Unix seconds.
    pub(in crate::kms::tencent) timestamp: i64,
    /// `kms` or `sts`.
    pub(in crate::kms::tencent) service: &'a str,
}

impl Signable<'_> {
    /// Returns the value of the `Authorization` header.
    pub(in crate::kms::tencent) fn authorization(&self, secret_id: &str, secret_key: &str) -> String {
        self.authorization_with(
            secret_id,
            &SigningKeys::derive(secret_key, &self.date(), self.service),
        )
    }

    fn authorization_with(&self, secret_id: &str, keys: &SigningKeys) -> String {
        let signature = to_hex(&*hmac(&keys.signing[..], self.string_to_sign().as_bytes()));
        format!(
            "{ALGORITHM} Credential={secret_id}/{}, SignedHeaders={}, Signature={signature}",
            self.scope(),
            self.signed_headers()
        )
    }

    /// The date in the credential scope: the UTC date of the timestamp, such as `2023-11-14`.
    fn date(&self) -> String {
        jiff::Timestamp::from_second(self.timestamp)
            .unwrap_or_default() // beyond the year 9999: the API rejects the signature
            .strftime("%Y-%m-%d")
            .to_string()
    }

    fn scope(&self) -> String {
        format!("{}/{}/{TERMINATOR}", self.date(), self.service)
    }

    fn signed_headers(&self) -> String {
        let names: Vec<&str> = self.headers.iter().map(|(name, _)| *name).collect();
        names.join(";")
    }

    fn canonical_request(&self) -> String {
        let mut headers = String::new();
        for (name, value) in self.headers {
            headers.extend([name, ":", &value.trim().to_lowercase(), "\n"]);
        }
        format!(
            "{}\n/\n{}\n{headers}\n{}\n{}",
            self.method,
            self.query,
            self.signed_headers(),
            sha256_hex(self.body)
        )
    }

    fn string_to_sign(&self) -> String {
        format!(
            "{ALGORITHM}\n{}\n{}\n{}",
            self.timestamp,
            self.scope(),
            sha256_hex(self.canonical_request().as_bytes())
        )
    }
}

/// The keys derived from the secret key. Wiped on drop; no Debug.
struct SigningKeys {
    #[cfg(test)]
    date: Zeroizing<[u8; 32]>,
    #[cfg(test)]
    service: Zeroizing<[u8; 32]>,
    signing: Zeroizing<[u8; 32]>,
}

impl SigningKeys {
    fn derive(secret_key: &str, date: &str, service: &str) -> Self {
        let secret = Zeroizing::new(format!("TC3{secret_key}"));
        Self::from_date_key(&hmac(secret.as_bytes(), date.as_bytes()), service)
    }

    fn from_date_key(date: &Zeroizing<[u8; 32]>, service: &str) -> Self {
        let service = hmac(&date[..], service.as_bytes());
        let signing = hmac(&service[..], TERMINATOR.as_bytes());
        SigningKeys {
            #[cfg(test)]
            date: date.clone(),
            #[cfg(test)]
            service,
            signing,
        }
    }
}

fn hmac(key: &[u8], message: &[u8]) -> Zeroizing<[u8; 32]> {
    #[expect(clippy::expect_used, reason = "HMAC accepts keys of any length")]
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("keys of any length are valid");
    mac.update(message);
    Zeroizing::new(mac.finalize().into_bytes().into())
}

fn sha256_hex(bytes: &[u8]) -> String {
    to_hex(&Sha256::digest(bytes))
}

#[cfg(test)]
mod tests;
