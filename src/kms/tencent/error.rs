//! What goes wrong between us and Tencent Cloud.

use crate::kms::error::answer;
use crate::kms::{Class, KeyUri, KmsError};

/// A failed call of KMS or STS. Carries no body, no credential and no text of a request.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{action}: {message}{}", answer(.code.as_deref(), .request_id.as_deref()))]
pub struct TencentError {
    /// What it means.
    pub class: Class,
    /// The action of the API.
    pub action: &'static str,
    /// The API's error code, if it answered with one.
    pub code: Option<Box<str>>,
    /// Why, in one line.
    pub message: Box<str>,
    /// The API's id of the request.
    pub request_id: Option<Box<str>>,
    /// What a person can do.
    pub advice: Box<str>,
    /// As [`KmsError::subject`].
    pub subject: Option<Box<str>>,
    /// As [`KmsError::retryable`].
    pub retryable: bool,
}

impl TencentError {
    /// A failure without an answer.
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
        }
    }

    /// With advice of its own.
    #[must_use]
    pub(super) fn with_advice(mut self, advice: impl Into<Box<str>>) -> Self {
        self.advice = advice.into();
        self
    }

    /// With why there are no other credentials to try.
    #[must_use]
    pub(super) fn and_no_others(mut self, why: &TencentError) -> Self {
        let names = answer(why.code.as_deref(), why.request_id.as_deref());
        self.message = format!(
            "{}; others could not be had: {}{names}",
            self.message, why.message
        )
        .into();
        self.advice.clone_from(&why.advice);
        self.retryable = why.retryable;
        self
    }

    /// With the id of the request that it is about.
    #[must_use]
    pub(super) fn of_request(mut self, request_id: Option<&str>) -> Self {
        self.request_id = request_id.map(Into::into);
        self
    }

    /// The same, about the key that was to be used.
    pub(super) fn about(self, key: &KeyUri) -> KmsError {
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
        }
    }
}

/// The most of a server's message that is repeated, in characters.
const MESSAGE_LEN: usize = 300;

/// A text of the server as it may be shown: one line, not too long, and nothing at all if it repeats one of the
/// secrets that were sent.
pub(super) fn shown(text: &str, secrets: &[&str]) -> String {
    if secrets
        .iter()
        .any(|secret| !secret.is_empty() && text.contains(secret))
    {
        return "the answer's text repeats what was sent and is withheld".to_owned();
    }
    let mut line: String = text
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .take(MESSAGE_LEN)
        .collect();
    if text.chars().count() > MESSAGE_LEN {
        line.push('…');
    }
    let line = line.trim();
    if line.is_empty() {
        "no message".to_owned()
    } else {
        line.to_owned()
    }
}

/// An error code or request id as it may be shown: they are words, so anything else is cut off.
pub(super) fn word(text: &str) -> Box<str> {
    let fits = |c: &char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    text.chars().take_while(fits).take(128).collect::<String>().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_servers_text_is_one_line_and_repeats_no_secret() {
        assert_eq!(shown("no\r\nright\u{1b}[31m", &[]), "no  right [31m");
        assert_eq!(shown(" \n", &[]), "no message");
        assert_eq!(shown(&"x".repeat(1000), &[]).chars().count(), MESSAGE_LEN + 1);
        let withheld = shown("bad Plaintext c2VjcmV0", &["c2VjcmV0"]);
        assert!(!withheld.contains("c2Vj"), "{withheld}");
        assert_eq!(shown("fine", &[""]), "fine");
        assert_eq!(&*word("Invalid.Code\nx"), "Invalid.Code");
        assert_eq!(&*word("eac6b301-a322 evil"), "eac6b301-a322");
    }

    #[test]
    fn an_error_names_code_and_request() {
        let mut error = TencentError::new(Class::Denied, "Decrypt", "no right").of_request(Some("r-1"));
        assert_eq!(error.to_string(), "Decrypt: no right (request r-1)");
        error.code = Some("UnauthorizedOperation".into());
        let key = KeyUri::parse("tencent-kms://ap-guangzhou/k").expect("a key URI");
        assert_eq!(
            error.about(&key).to_string(),
            "Decrypt with tencent-kms://ap-guangzhou/k: no right (UnauthorizedOperation, request r-1)"
        );
    }
}
