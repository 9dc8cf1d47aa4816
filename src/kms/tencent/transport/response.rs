//! The body of a response: the JSON `{"Response": {...}}` with an error or the fields of the action.

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

use super::codes;
use super::request::Call;
use crate::kms::Class;
use crate::kms::tencent::error::{RetryAction, SendProgress, TencentError};
use crate::kms::tencent::server_text::{identifier, one_line};

/// The fields of a successful response, and its request id.
pub(in crate::kms::tencent) struct Reply<T> {
    pub(in crate::kms::tencent) value: T,
    pub(in crate::kms::tencent) request_id: Option<String>,
}

#[derive(Deserialize)]
struct Body<'a> {
    #[serde(rename = "Response", borrow)]
    response: &'a RawValue,
}

/// The fields that every response may have.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct CommonFields {
    error: Option<ApiError>,
    request_id: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ApiError {
    code: String,
    #[serde(default)]
    message: Option<String>,
}

/// Parses the body of the response to `call`. No error repeats one of the `secrets`.
pub(super) fn parse<T: DeserializeOwned>(
    call: &Call<'_>,
    status: u16,
    body: &[u8],
    secrets: &[&str],
) -> Result<Reply<T>, TencentError> {
    let host = call.endpoint.host();
    let parsed = serde_json::from_slice::<Body<'_>>(body).ok();
    let common = parsed
        .as_ref()
        .and_then(|body| serde_json::from_str::<CommonFields>(body.response.get()).ok());
    let request_id = common
        .as_ref()
        .and_then(|common| common.request_id.as_deref())
        .map(identifier);
    let unreadable = |message: String| {
        TencentError::new(Class::Transient, call.action, message)
            .with_request_id(request_id.as_deref())
            .with_retry(RetryAction::Retry, SendProgress::MaybeSent)
    };
    // The API responds with 200 even to failed calls; any other status comes from a gateway or proxy.
    if status != 200 {
        let note = if (300..400).contains(&status) {
            "; redirects are not followed"
        } else {
            ""
        };
        return Err(unreadable(format!(
            "{host} responded with HTTP status {status}{note}"
        )));
    }
    // The errors of serde are dropped: they may quote the response.
    let (Some(parsed), Some(common)) = (&parsed, &common) else {
        return Err(unreadable(format!(
            "the response from {host} is not JSON of the API ({} bytes)",
            body.len()
        )));
    };
    if let Some(error) = &common.error {
        return Err(api_error(call, error, request_id.as_deref(), secrets));
    }
    match serde_json::from_str(parsed.response.get()) {
        Ok(value) => Ok(Reply {
            value,
            request_id: request_id.map(Into::into),
        }),
        Err(_) => Err(unreadable(format!(
            "the response from {host} lacks fields of {}",
            call.action
        ))),
    }
}

fn api_error(call: &Call<'_>, error: &ApiError, request_id: Option<&str>, secrets: &[&str]) -> TencentError {
    let meaning = codes::meaning(&error.code, call.reads_ciphertext);
    let message = one_line(error.message.as_deref().unwrap_or_default(), secrets);
    let advice = codes::advice(&meaning, call.service).replace("{action}", call.action);
    TencentError {
        code: Some(identifier(&error.code)),
        subject: (!meaning.state.is_empty()).then(|| meaning.state.into()),
        ..TencentError::new(meaning.class, call.action, message)
            .with_advice(advice)
            .with_request_id(request_id)
            .with_retry(meaning.retry_action, SendProgress::MaybeSent)
    }
}
