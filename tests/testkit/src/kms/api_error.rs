//! Errors of the API.

/// `{"Error":{"Code":...,"Message":...}}`, with HTTP status 200.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ApiError {
    pub(super) code: String,
    pub(super) message: String,
}

impl ApiError {
    pub(super) fn new(code: impl Into<String>, message: impl Into<String>) -> Self {
        ApiError {
            code: code.into(),
            message: message.into(),
        }
    }
}

/// The result of an action.
pub(super) type Result<T> = std::result::Result<T, ApiError>;
