//! Errors as the API answers them.

/// `{"Error":{"Code":...,"Message":...}}`, with HTTP status 200.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) code: String,
    pub(super) message: String,
}

impl Refusal {
    pub(super) fn new(code: impl Into<String>, message: impl Into<String>) -> Self {
        Refusal {
            code: code.into(),
            message: message.into(),
        }
    }
}

/// Of an action.
pub(super) type Result<T> = std::result::Result<T, Refusal>;
