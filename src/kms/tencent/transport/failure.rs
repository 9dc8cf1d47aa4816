//! Requests without a response: the cause, found by the types of the errors and not by their texts.

use std::error::Error as _;
use std::time::Duration;

use rustls::InvalidMessage;

use super::proxy::InvalidProxy;
use crate::kms::Class;
use crate::kms::tencent::error::{RetryAction, SendProgress, TencentError};

/// Returns the error for a failed request. `host` is the host as messages name it, `timeout` the time the request had.
pub(super) fn request_failed(
    action: &'static str,
    error: &reqwest::Error,
    host: &str,
    timeout: Duration,
) -> TencentError {
    let cause = cause(error);
    if error.is_builder() {
        return not_sendable(action, &cause);
    }
    if let Some(tls) = tls_error(error) {
        return match tls {
            rustls::Error::InvalidCertificate(_) => permanent(
                action,
                format!("cannot trust the certificate of {host}: {cause}"),
                "check the endpoint's certificate; if a proxy or a private endpoint has its own certificate authority, name \
                 its file with --tencent-ca-file",
            ),
            rustls::Error::InvalidMessage(InvalidMessage::InvalidContentType) => permanent(
                action,
                format!("{host} does not speak TLS"),
                "check the endpoint's port; write an endpoint that speaks plain HTTP with http://",
            ),
            _ => transient(
                action,
                format!("TLS handshake with {host} failed: {cause}"),
                "check the endpoint, and any proxy that takes part in TLS, then try again",
                SendProgress::NotSent,
            ),
        };
    }
    let check_network =
        "check the network, the proxy (HTTPS_PROXY, NO_PROXY) and the endpoint, then try again";
    if error.is_timeout() && !error.is_connect() {
        let message = format!("{host} did not respond within {}", seconds(timeout));
        transient(action, message, check_network, SendProgress::MaybeSent)
    } else if error.is_connect() {
        let message = format!("cannot connect to {host}: {cause}");
        transient(action, message, check_network, SendProgress::NotConnected)
    } else {
        transient(
            action,
            format!("lost the connection to {host}: {cause}"),
            "check the endpoint (https:// or http://, the port), the network and the proxy (HTTPS_PROXY, NO_PROXY), then \
             try again",
            SendProgress::MaybeSent,
        )
    }
}

/// Returns the error for a response body longer than `limit` bytes.
pub(super) fn response_too_long(action: &'static str, host: &str, limit: usize) -> TencentError {
    transient(
        action,
        format!("the response from {host} is longer than {limit} bytes"),
        "check the endpoint: responses of the KMS are short",
        SendProgress::MaybeSent,
    )
}

/// Returns the error for a proxy variable that is not a valid address.
pub(super) fn invalid_proxy(action: &'static str, InvalidProxy(variable): InvalidProxy) -> TencentError {
    permanent(
        action,
        format!("the proxy address in {variable} is not valid"),
        "write it like http://proxy.example:3128, without spaces or a path; in a user name or password write @ as %40, / \
         as %2F, # as %23",
    )
}

/// Returns the error for a request that cannot be built.
pub(super) fn not_sendable(action: &'static str, cause: &str) -> TencentError {
    permanent(
        action,
        format!("cannot send the request: {cause}"),
        "check the credentials and the endpoint for invalid characters",
    )
}

fn permanent(action: &'static str, message: String, advice: &str) -> TencentError {
    TencentError::new(Class::Configuration, action, message).with_advice(advice)
}

fn transient(action: &'static str, message: String, advice: &str, progress: SendProgress) -> TencentError {
    TencentError::new(Class::Transient, action, message)
        .with_advice(advice)
        .with_retry(RetryAction::Retry, progress)
}

/// Formats a duration as `10 s` or `0.3 s`: the time that a call has left is rarely a whole number.
pub(super) fn seconds(time: Duration) -> String {
    let text = format!("{:.1}", time.as_secs_f64());
    format!("{} s", text.trim_end_matches(".0"))
}

/// Finds the TLS error in the chain of causes.
fn tls_error(error: &reqwest::Error) -> Option<&rustls::Error> {
    let mut link = error.source();
    while let Some(error) = link {
        if let Some(tls) = error.downcast_ref() {
            return Some(tls);
        }
        link = match error.downcast_ref::<std::io::Error>() {
            // `source` skips the error inside an `io::Error`.
            Some(io) => io
                .get_ref()
                .map(|inner| inner as &(dyn std::error::Error + 'static)),
            None => error.source(),
        };
    }
    None
}

/// The innermost cause, which is the most specific and names no URL.
pub(super) fn cause(error: &reqwest::Error) -> String {
    let mut innermost: &dyn std::error::Error = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    if error.source().is_none() {
        return "the request failed".to_owned();
    }
    innermost.to_string()
}
