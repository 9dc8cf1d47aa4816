//! A parsed render text.

use super::ast::Node;
use super::error::SyntaxError;
use super::limits::MAX_TEXT;
use super::parser;

/// A render text with a valid grammar. Holds the text, which is public, and never a value.
///
/// ```
/// use envelope_secrets::envelope::render::Text;
///
/// assert!(Text::parse("postgres://<%= v.user %>:<%= v.password|urlencode %>@db/").is_ok());
///
/// let error = Text::parse("user: <%= v.user|quote %>").expect_err("an unknown filter");
/// assert_eq!((error.line, error.column), (1, 18));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Text {
    pub(super) source: Box<str>,
    pub(super) body: Box<[Node]>,
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
