//! The envelope of every answer: `{"Response": {...}}`, an error or the action's fields.

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

use super::codes::{self, Then};
use super::error::{TencentError, shown, word};
use super::rpc::{Call, Nature};
use crate::kms::Class;

/// What was answered.
pub(super) struct Reply<T> {
    pub(super) value: T,
    pub(super) request_id: Option<String>,
}

#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(rename = "Response", borrow)]
    response: &'a RawValue,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Head {
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

/// Reads an answer: the error of its envelope, else its fields.
pub(super) fn read<T: DeserializeOwned>(
    call: &Call<'_>,
    status: u16,
    body: &[u8],
    secrets: &[&str],
) -> Result<Reply<T>, (TencentError, Then)> {
    let host = call.endpoint.host();
    let envelope = serde_json::from_slice::<Envelope<'_>>(body);
    let head = envelope.as_ref().ok();
    let head = head.and_then(|envelope| serde_json::from_str::<Head>(envelope.response.get()).ok());
    let request_id = head
        .as_ref()
        .and_then(|head| head.request_id.as_deref())
        .map(word);
    let transient = |message: String| {
        let error = TencentError::new(Class::Transient, call.action, message);
        (error.of_request(request_id.as_deref()), Then::Retry)
    };
    // The API answers 200, errors too; any other status comes from something on the way.
    if status != 200 {
        let also = if (300..400).contains(&status) {
            "; redirects are not followed"
        } else {
            ""
        };
        return Err(transient(format!(
            "{host} answered with HTTP status {status}{also}"
        )));
    }
    // What serde says about the answer may repeat parts of it.
    let (Ok(envelope), Some(head)) = (&envelope, &head) else {
        return Err(transient(format!(
            "the answer of {host} is not the JSON of the API ({} bytes)",
            body.len()
        )));
    };
    if let Some(error) = &head.error {
        return Err(refused(call, error, request_id.as_deref(), secrets));
    }
    match serde_json::from_str(envelope.response.get()) {
        Ok(value) => Ok(Reply {
            value,
            request_id: request_id.map(Into::into),
        }),
        Err(_) => Err(transient(format!(
            "the answer of {host} lacks fields of {}",
            call.action
        ))),
    }
}

fn refused(
    call: &Call<'_>,
    error: &ApiError,
    request_id: Option<&str>,
    secrets: &[&str],
) -> (TencentError, Then) {
    let meaning = codes::meaning(&error.code, call.nature == Nature::OnCiphertext);
    let text = shown(error.message.as_deref().unwrap_or_default(), secrets);
    let advice = codes::advice(&meaning, call.service);
    let failed = TencentError {
        class: meaning.class,
        action: call.action,
        code: Some(word(&error.code)),
        message: text.into(),
        request_id: request_id.map(Into::into),
        advice: advice.replace("{action}", call.action).into(),
        subject: (!meaning.state.is_empty()).then(|| meaning.state.into()),
        retryable: false,
    };
    (failed, meaning.then)
}
