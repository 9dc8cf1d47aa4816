//! The rendering language of format-es1 section 8: small, fixed for es1, and bounded, so that no text that somebody
//! sealed costs a reader more than the format allows.
//!
//! [`Text::parse`] checks the grammar (a failure is STRUCTURE), [`render_all`] evaluates (a failure is RENDER).
//! Neither recurses deeper than [`MAX_NESTING`] levels of the text: lists are loops, everywhere.

mod ast;
mod eval;
mod filter;
mod lexer;
mod parser;

#[cfg(test)]
mod tests;

pub use eval::render_all;

/// Bytes of one text, at most (format-es1 section 2).
pub const MAX_TEXT: usize = 65_536;
/// Parentheses, lists of arguments, `not` and `if` inside one another, together.
pub const MAX_NESTING: usize = 32;
/// Bytes of the result of one filter or one `~`, at most.
pub const MAX_RESULT: usize = 1_048_576;
/// Bytes handled over all renders of a document, at most: operands, arguments, results, and what is written.
pub const MAX_HANDLED: usize = 8_388_608;
/// Bytes of the whole Secret, at most: values, plain values and rendered texts (format-es1 section 9.8).
pub const MAX_SECRET: usize = 1_048_576;

/// A render text whose grammar is right. Holds the text, which is public, and never a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Text {
    source: Box<str>,
    body: Box<[ast::Node]>,
}

impl Text {
    /// Parses a text of at most [`MAX_TEXT`] bytes.
    pub fn parse(source: &str) -> Result<Text, SyntaxError> {
        if source.len() > MAX_TEXT {
            return Err(SyntaxError {
                line: 1,
                column: 1,
                what: "the text is longer than 65,536 bytes",
            });
        }
        let body = parser::parse(source)?;
        Ok(Text {
            source: source.into(),
            body,
        })
    }
}

/// A text that is not of the language. Holds nothing of the text itself.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}, column {column}: {what}")]
pub struct SyntaxError {
    /// Line of the text, from 1.
    pub line: usize,
    /// Character in that line, from 1.
    pub column: usize,
    /// What is wrong, in fixed words.
    pub what: &'static str,
}

/// A render text that failed over verified values. Names entry, line and kind, never a value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("template {entry}, line {line}: {kind}")]
pub struct RenderError {
    /// The name in `template.render`.
    pub entry: String,
    /// Line of the text, from 1.
    pub line: usize,
    /// What failed.
    pub kind: RenderErrorKind,
}

/// What a [`RenderError`] is about, in fixed words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum RenderErrorKind {
    /// A look-up of a name that neither `encryptedData` nor `template.data` has.
    #[error("no entry has the name that is looked up")]
    MissingName,
    /// A boolean was written out, joined, filtered or given as an argument.
    #[error("true or false stands where a value is needed")]
    NotValue,
    /// `==` or `!=` between a value and a boolean.
    #[error("a value is compared with true or false")]
    MixedComparison,
    /// A value that is not UTF-8 where text is needed.
    #[error("a value that is not UTF-8 stands where text is needed")]
    NotUtf8,
    /// `replace('', ...)`.
    #[error("the first argument of `replace` is empty")]
    EmptySearch,
    /// What `b64decode` was given.
    #[error("what `b64decode` is given is not standard base64 with padding and without white space")]
    NotBase64,
    /// [`MAX_RESULT`].
    #[error("the result of a filter or `~` would be larger than 1 MiB")]
    ResultTooLarge,
    /// [`MAX_HANDLED`].
    #[error("the templates together would handle more than 8 MiB")]
    TooMuchWork,
    /// [`MAX_SECRET`].
    #[error("the values and the rendered texts together would be larger than 1 MiB")]
    SecretTooLarge,
}
