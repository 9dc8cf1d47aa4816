//! The error of the Tencent Cloud client.

use crate::kms::error::request_reference;
use crate::kms::{Class, KeyUri, KmsError};

/// A failed call of KMS or STS, or the lack of credentials for one. Holds no request or response body and no credential.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{action}: {message}{}", request_reference(.code.as_deref(), .request_id.as_deref()))]
pub struct TencentError {
    /// The kind of failure, which decides who can fix it.
    pub class: Class,
    /// The API action, such as `Decrypt`.
    pub action: &'static str,
    /// The API's error code, if the API responded with one.
    pub code: Option<Box<str>>,
    /// The cause, in one line.
    pub message: Box<str>,
    /// The API's id of the request, if the API responded.
    pub request_id: Option<Box<str>>,
    /// What the user can do about it.
    pub advice: Box<str>,
    /// See [`KmsError::subject`].
    pub subject: Option<Box<str>>,
    /// See [`KmsError::retryable`].
    pub retryable: bool,
    /// See [`KmsError::repeat_now`].
    pub repeat_now: bool,
    /// What the call itself does next.
    pub(super) retry_action: RetryAction,
    /// How far the request got.
    pub(super) progress: SendProgress,
}

/// What a call tries before it returns an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RetryAction {
    /// Nothing: another attempt would fail as well.
    Fail,
    /// Another attempt after a pause, up to the configured number of attempts.
    Retry,
    /// One more attempt after a pause.
    RetryOnce,
    /// One more attempt with refreshed credentials.
    RefreshCredentials,
    /// One more attempt, signed with the server's time.
    CorrectClock,
}

/// How far a request got before it failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SendProgress {
    /// No TCP connection was established.
    NotConnected,
    /// A server or proxy was reached, but the request was not sent.
    NotSent,
    /// The API may have executed the request.
    MaybeSent,
}

impl TencentError {
    /// A failure before anything was sent, with the advice of its class.
    pub(super) fn new(class: Class, action: &'static str, message: impl Into<Box<str>>) -> Self {
        TencentError {
            class,
            action,
            code: None,
            message: message.into(),
            request_id: None,
            advice: class.advice().into(),
            subject: None,
            retryable: false,
            repeat_now: false,
            retry_action: RetryAction::Fail,
            progress: SendProgress::NotSent,
        }
    }

    /// A failure to get credentials. The caller adds the source.
    pub(super) fn credentials(message: impl Into<Box<str>>, advice: impl Into<Box<str>>) -> Self {
        TencentError::new(Class::Credentials, "credentials", message).with_advice(advice)
    }

    /// Replaces the advice.
    #[must_use]
    pub(super) fn with_advice(mut self, advice: impl Into<Box<str>>) -> Self {
        self.advice = advice.into();
        self
    }

    /// Sets the id of the failed request.
    #[must_use]
    pub(super) fn with_request_id(mut self, request_id: Option<&str>) -> Self {
        self.request_id = request_id.map(Into::into);
        self
    }

    /// Sets the next step of the call, and how far the request got.
    #[must_use]
    pub(super) fn with_retry(mut self, retry_action: RetryAction, progress: SendProgress) -> Self {
        self.retry_action = retry_action;
        self.progress = progress;
        self
    }

    /// Marks the failure as transient although its class is not.
    #[must_use]
    pub(super) fn mark_retryable(mut self) -> Self {
        self.retryable = true;
        self
    }

    /// Leaves the next attempt to the caller: the cause is corrected.
    #[must_use]
    pub(super) fn repeat_now(mut self) -> Self {
        self.repeat_now = true;
        self
    }

    /// Turns a failed STS call into the reason why there are no credentials. Code and request id are kept.
    #[must_use]
    pub(super) fn into_credentials_error(self) -> Self {
        TencentError {
            retryable: self.class.is_retryable(),
            code: self.code,
            request_id: self.request_id,
            ..TencentError::credentials(format!("{}: {}", self.action, self.message), self.advice)
        }
    }

    /// Adds why refreshing the rejected credentials failed, and the advice for that.
    #[must_use]
    pub(super) fn with_failed_refresh(mut self, refresh: &TencentError) -> Self {
        let details = request_reference(refresh.code.as_deref(), refresh.request_id.as_deref());
        self.message = format!(
            "{}; refreshing the credentials failed: {}{details}",
            self.message, refresh.message
        )
        .into();
        self.advice.clone_from(&refresh.advice);
        self.retryable = refresh.retryable;
        self
    }

    /// Converts to the error of the [`Kms`](crate::kms::Kms) trait, about the key that was used.
    pub(super) fn into_kms_error(self, key: &KeyUri) -> KmsError {
        KmsError {
            class: self.class,
            key: key.clone(),
            action: self.action,
            code: self.code,
            message: self.message,
            request_id: self.request_id,
            advice: Some(self.advice),
            subject: self.subject,
            retryable: self.retryable,
            repeat_now: self.repeat_now,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn error_names_code_and_request_id() {
        let mut error =
            TencentError::new(Class::Denied, "Decrypt", "no permission").with_request_id(Some("r-1"));
        assert_eq!(error.to_string(), "Decrypt: no permission (request r-1)");
        error.code = Some("UnauthorizedOperation".into());
        let key = KeyUri::parse("tencent-kms://ap-guangzhou/k").expect("a key URI");
        assert_eq!(
            error.into_kms_error(&key).to_string(),
            "Decrypt with tencent-kms://ap-guangzhou/k: no permission (UnauthorizedOperation, request r-1)"
        );
    }
}
