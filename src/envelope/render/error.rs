//! Failures of parsing and of rendering a text.

/// A text that does not match the grammar. Does not repeat any part of the text.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}, column {column}: {what}")]
pub struct SyntaxError {
    /// The line of the text, from 1.
    pub line: usize,
    /// The character in that line, from 1.
    pub column: usize,
    /// What is wrong: a fixed message.
    pub what: &'static str,
}

/// A text that failed to render over verified values. Names entry, line and kind, never a value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("template {entry}, line {line}: {kind}")]
pub struct RenderError {
    /// The name in `template.render`.
    pub entry: String,
    /// The line of the text, from 1.
    pub line: usize,
    /// What failed.
    pub kind: RenderErrorKind,
}

/// The kind of a [`RenderError`]: a fixed message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum RenderErrorKind {
    /// Neither `encryptedData` nor `template.data` has the name that is looked up.
    #[error("no entry has the name that is looked up")]
    MissingName,
    /// A boolean is written out, joined, filtered or passed as an argument.
    #[error("true or false is used where a value is needed")]
    NotValue,
    /// `==` or `!=` between a value and a boolean.
    #[error("a value is compared with true or false")]
    MixedComparison,
    /// A value that is not UTF-8 is used as text.
    #[error("a value that is not UTF-8 is used where text is needed")]
    NotUtf8,
    /// `replace('', ...)`.
    #[error("the first argument of `replace` is empty")]
    EmptySearch,
    /// The operand of `b64decode` is not canonical base64.
    #[error("the input of `b64decode` is not standard base64 with padding and without white space")]
    NotBase64,
    /// A result exceeds [`MAX_RESULT`](super::MAX_RESULT).
    #[error("the result of a filter or `~` would be larger than 1 MiB")]
    ResultTooLarge,
    /// All renders together exceed [`MAX_HANDLED`](super::MAX_HANDLED).
    #[error("the templates together would handle more than 8 MiB")]
    TooMuchWork,
    /// The Secret exceeds [`MAX_SECRET`](super::MAX_SECRET).
    #[error("the values and the rendered texts together would be larger than 1 MiB")]
    SecretTooLarge,
}
