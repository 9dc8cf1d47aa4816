//! A call's parameters and its signed headers.

use bytes::Bytes;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use serde::Serialize;
use zeroize::Zeroizing;

use super::credentials_provider::Credentials;
use super::endpoint::Endpoint;
use super::failure::not_sendable;
use super::service::Service;
use super::sign::{self, Signable};
use crate::kms::Class;
use crate::kms::tencent::error::TencentError;

const CONTENT_TYPE: &str = "application/json";
/// `X-TC-RequestClient`: `^[0-9a-zA-Z-_ ,;.]+$`.
const CLIENT: &str = concat!("envelope-secrets ", env!("CARGO_PKG_VERSION"));
/// More than any request needs, in bytes: a buffer that grows would leave a copy behind.
const BODY_CAPACITY: usize = 16 << 10;

/// Whether a call can be repeated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::kms::tencent) enum Idempotency {
    /// Repeating the call changes nothing.
    Idempotent,
    /// Executing the call twice has two effects. It is repeated only when the API cannot have executed it.
    NotIdempotent,
}

/// A call of the API.
pub(in crate::kms::tencent) struct Call<'a> {
    pub(in crate::kms::tencent) service: Service,
    pub(in crate::kms::tencent) action: &'static str,
    pub(in crate::kms::tencent) region: &'a str,
    pub(in crate::kms::tencent) endpoint: &'a Endpoint,
    /// The bytes to sign and send.
    pub(in crate::kms::tencent) body: Bytes,
    /// Texts in the body that no error may repeat.
    pub(in crate::kms::tencent) secrets: &'a [&'a str],
    pub(in crate::kms::tencent) idempotency: Idempotency,
    /// The action takes a ciphertext, which the API may refuse (Decrypt, ReEncrypt).
    pub(in crate::kms::tencent) reads_ciphertext: bool,
}

/// Serializes the parameters of a request into a buffer that is wiped after the last byte has been sent.
pub(in crate::kms::tencent) fn body<T: Serialize>(
    action: &'static str,
    parameters: &T,
) -> Result<Bytes, TencentError> {
    let mut buffer = Zeroizing::new(Vec::with_capacity(BODY_CAPACITY));
    serde_json::to_writer(&mut *buffer, parameters).map_err(|_| {
        let message = "cannot serialize the request as JSON";
        TencentError::new(Class::Configuration, action, message)
    })?;
    Ok(Bytes::from_owner(buffer))
}

/// Returns the headers of a call, signed with `credentials` at `timestamp` (Unix seconds), or unsigned.
pub(super) fn headers(
    call: &Call<'_>,
    credentials: Option<&Credentials>,
    timestamp: i64,
) -> Result<HeaderMap, TencentError> {
    // The action is signed, too: a captured request must not be replayed as another action with the same body.
    let signed = [
        ("content-type", CONTENT_TYPE),
        ("host", call.endpoint.host()),
        ("x-tc-action", call.action),
    ];
    let authorization = match credentials {
        None => sign::UNSIGNED.to_owned(),
        Some(credentials) => Signable {
            method: "POST",
            query: "",
            headers: &signed,
            body: &call.body,
            timestamp,
            service: call.service.as_str(),
        }
        .authorization(&credentials.secret_id, &credentials.secret_key),
    };
    let timestamp = timestamp.to_string();
    let mut headers = HeaderMap::new();
    let mut set = |name, value: &str, is_secret| set(&mut headers, call.action, name, value, is_secret);
    for (name, value) in signed {
        set(name, value, false)?;
    }
    set("x-tc-version", call.service.version(), false)?;
    set("x-tc-region", call.region, false)?;
    set("x-tc-timestamp", &timestamp, false)?;
    set("x-tc-language", "en-US", false)?;
    set("x-tc-requestclient", CLIENT, false)?;
    set("authorization", &authorization, true)?;
    if let Some(token) = credentials.and_then(|credentials| credentials.token.as_deref()) {
        set("x-tc-token", token, true)?;
    }
    Ok(headers)
}

/// Sets a header; a secret value is excluded from debug output.
fn set(
    headers: &mut HeaderMap,
    action: &'static str,
    name: &'static str,
    value: &str,
    is_secret: bool,
) -> Result<(), TencentError> {
    let mut value = HeaderValue::from_str(value).map_err(|_| {
        let cause = format!("the value of the header {name} contains a forbidden character");
        not_sendable(action, &cause)
    })?;
    value.set_sensitive(is_secret);
    headers.insert(HeaderName::from_static(name), value);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn header_with_a_line_break_is_rejected_without_its_value() {
        let mut headers = HeaderMap::new();
        let error =
            set(&mut headers, "Decrypt", "x-tc-token", "hunter2\r\nx: y", true).expect_err("rejected");
        assert!(!format!("{error} {error:?}").contains("hunter2"), "{error}");
    }

    #[test]
    fn secret_header_is_excluded_from_debug_output() {
        let mut headers = HeaderMap::new();
        set(&mut headers, "Decrypt", "x-tc-token", "hunter2", true).expect("set");
        assert!(!format!("{headers:?}").contains("hunter2"));
    }
}
