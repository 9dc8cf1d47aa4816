//! Verifies TC3-HMAC-SHA256 signatures. Written from the documentation and the test vectors, independently of the client's signing and with
//! another implementation of the primitives.

use std::fmt::Write as _;

use aws_lc_rs::{digest, hmac};

use super::account::Credential;
use super::api_error::{ApiError, Result};
use super::http::Request;

const ALGORITHM: &str = "TC3-HMAC-SHA256";
const TERMINATOR: &str = "tc3_request";
const UNSIGNED_PAYLOAD: &str = "UNSIGNED-PAYLOAD";
/// The maximum difference between the clocks, in seconds.
const SKEW: u64 = 300;

/// The parsed `Authorization` header.
struct Authorization<'a> {
    secret_id: &'a str,
    date: &'a str,
    service: &'a str,
    signed: Vec<&'a str>,
    signature: &'a str,
}

/// Returns the credentials that signed the request for `service` (`kms`, `sts`). `now` is the server's clock in Unix seconds.
pub(super) fn verify<'a>(
    request: &Request,
    service: &str,
    now: i64,
    credential: impl FnOnce(&str) -> Option<&'a Credential>,
) -> Result<&'a Credential> {
    let claim = parse_authorization(request)?;
    let timestamp = timestamp(request, now)?;
    if claim.date != utc_date(timestamp) {
        let message = "The date in the credential scope is not the UTC date of X-TC-Timestamp.";
        return Err(failure("SignatureFailure", message));
    }
    if !claim.secret_id.starts_with("AKID") {
        return Err(failure(
            "InvalidSecretId",
            "This is not the ID of a cloud API key.",
        ));
    }
    let Some(credential) = credential(claim.secret_id) else {
        return Err(failure("SecretIdNotFound", "The SecretId is not found."));
    };
    let key = signing_key(&credential.secret_key, claim.date, claim.service);
    let host = request.header("host").unwrap_or_default();
    // The Node SDK signs the host without the port, and uses the part before the first dot (`127`) as the service.
    let bare = host.rsplit_once(':').map_or(host, |(bare, _)| bare);
    let first = host.split('.').next().unwrap_or_default();
    let local = host.starts_with("127.") || host.starts_with("localhost");
    let holds = (claim.service == service || (local && claim.service == first))
        && [host, bare].into_iter().any(|host| {
            let signed = string_to_sign(request, &claim, host, timestamp);
            signed.is_some_and(|text| hex(hmac(key.as_ref(), text.as_bytes()).as_ref()) == claim.signature)
        });
    if !holds {
        let message =
            "The provided credentials could not be validated. Please check your signature is correct.";
        return Err(failure("SignatureFailure", message));
    }
    let expired = credential.expires.is_some_and(|expires| expires <= now);
    if expired || request.header("x-tc-token") != credential.token.as_deref() {
        return Err(failure("TokenFailure", "The token is invalid or has expired."));
    }
    Ok(credential)
}

fn failure(code: &str, message: &str) -> ApiError {
    ApiError::new(format!("AuthFailure.{code}"), message)
}

fn parse_authorization(request: &Request) -> Result<Authorization<'_>> {
    let malformed = |what: &str| {
        failure(
            "InvalidAuthorization",
            &format!("The Authorization header is invalid: {what}."),
        )
    };
    let text = request
        .header("authorization")
        .ok_or_else(|| malformed("it is missing"))?;
    let rest = text
        .strip_prefix(ALGORITHM)
        .and_then(|rest| rest.strip_prefix(' '))
        .ok_or_else(|| malformed("the algorithm is not TC3-HMAC-SHA256"))?;
    let parts: Vec<&str> = rest.split(',').map(str::trim).collect();
    let [credential, signed, signature] = parts[..] else {
        return Err(malformed("it does not have three parts"));
    };
    let (Some(credential), Some(signed), Some(signature)) = (
        credential.strip_prefix("Credential="),
        signed.strip_prefix("SignedHeaders="),
        signature.strip_prefix("Signature="),
    ) else {
        return Err(malformed("a part is missing"));
    };
    let scope: Vec<&str> = credential.split('/').collect();
    let [secret_id, date, service, TERMINATOR] = scope[..] else {
        return Err(malformed("the credential scope is not date/service/tc3_request"));
    };
    let signed: Vec<&str> = signed.split(';').collect();
    if !signed.is_sorted() || !["content-type", "host"].iter().all(|name| signed.contains(name)) {
        return Err(malformed(
            "content-type and host must be signed, and names must be in ascending order",
        ));
    }
    if signed.iter().any(|name| request.header(name).is_none()) {
        return Err(malformed("a signed header is missing or duplicated"));
    }
    Ok(Authorization {
        secret_id,
        date,
        service,
        signed,
        signature,
    })
}

/// Returns the request's timestamp, if it does not differ too much from the server's clock.
pub(super) fn timestamp(request: &Request, now: i64) -> Result<i64> {
    let text = request.header("x-tc-timestamp").ok_or_else(|| {
        ApiError::new(
            "MissingParameter",
            "The request is missing a required parameter `Timestamp`.",
        )
    })?;
    let timestamp: i64 = text.parse().map_err(|_| {
        ApiError::new(
            "InvalidParameterValue",
            "`X-TC-Timestamp` is not a number of seconds.",
        )
    })?;
    if now.abs_diff(timestamp) > SKEW {
        let message = "Signature expired: the difference between the timestamp and the server's time is more than five minutes.";
        return Err(failure("SignatureExpire", message));
    }
    Ok(timestamp)
}

fn utc_date(timestamp: i64) -> String {
    let time = jiff::Timestamp::from_second(timestamp).unwrap_or_default();
    time.strftime("%Y-%m-%d").to_string()
}

/// Returns `None` if a signed header is missing.
fn string_to_sign(
    request: &Request,
    claim: &Authorization<'_>,
    host: &str,
    timestamp: i64,
) -> Option<String> {
    let mut canonical = format!("{}\n/\n{}\n", request.method, request.query);
    for name in &claim.signed {
        let value = match *name {
            "host" => host,
            name => request.header(name)?,
        };
        let _ = writeln!(canonical, "{name}:{}", value.trim().to_lowercase());
    }
    let unsigned = request.header("x-tc-content-sha256") == Some(UNSIGNED_PAYLOAD);
    let payload: &[u8] = if unsigned {
        UNSIGNED_PAYLOAD.as_bytes()
    } else {
        &request.body
    };
    let _ = write!(canonical, "\n{}\n{}", claim.signed.join(";"), sha256(payload));
    Some(format!(
        "{ALGORITHM}\n{timestamp}\n{}/{}/{TERMINATOR}\n{}",
        claim.date,
        claim.service,
        sha256(canonical.as_bytes())
    ))
}

fn signing_key(secret_key: &str, date: &str, service: &str) -> hmac::Tag {
    let date = hmac(format!("TC3{secret_key}").as_bytes(), date.as_bytes());
    let service = hmac(date.as_ref(), service.as_bytes());
    hmac(service.as_ref(), TERMINATOR.as_bytes())
}

fn hmac(key: &[u8], message: &[u8]) -> hmac::Tag {
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), message)
}

fn sha256(bytes: &[u8]) -> String {
    hex(digest::digest(&digest::SHA256, bytes).as_ref())
}

fn hex(bytes: &[u8]) -> String {
    crate::to_hex(bytes)
}

#[cfg(test)]
pub(super) mod tests;
