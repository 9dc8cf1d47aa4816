//! The lexer: splits a text into literal text and tags, and a tag into tokens. The longest match wins.

use super::ast::{Literal, Position, Span};
use super::error::SyntaxError;

/// The white space of the language: in literal text, between tokens, and for `trim`.
pub(super) const WHITE_SPACE: [char; 4] = [' ', '\t', '\r', '\n'];

/// What follows a run of literal text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tag {
    /// `<%=`, followed by an expression.
    Write,
    /// `<%`, followed by a statement.
    Statement,
    /// A whole `<%# ... %>`, already consumed.
    Comment,
    /// The end of the text.
    End,
}

/// A token inside a tag.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Token<'s> {
    /// A name or a reserved word.
    Word(&'s str, Span),
    String(Literal),
    Dot,
    Comma,
    Tilde,
    Pipe,
    Equal,
    NotEqual,
    ParenOpen,
    ParenClose,
    BracketOpen,
    BracketClose,
    /// `%>`, or `-%>`, which removes the white space after it.
    Close {
        trim: bool,
    },
}

pub(super) struct Lexer<'s> {
    source: &'s str,
    offset: usize,
    /// Whether the previous tag removes the white space after it.
    trim: bool,
}

impl<'s> Lexer<'s> {
    pub(super) fn new(source: &'s str) -> Self {
        Lexer {
            source,
            offset: 0,
            trim: false,
        }
    }

    /// Returns an error at `at`.
    pub(super) fn error(&self, at: Position, what: &'static str) -> SyntaxError {
        SyntaxError {
            line: at.line(self.source),
            column: at.column(self.source),
            what,
        }
    }

    /// Ends a tag: literal text starts here.
    pub(super) fn close(&mut self, trim: bool) {
        self.trim = trim;
    }

    /// Returns the literal text up to the next tag, what follows it, and the position of that.
    ///
    /// The white space that a `-` on either side removes is not part of the text. The lexer advances past the opening
    /// of the tag and its `-`.
    pub(super) fn text(&mut self) -> Result<(Span, Tag, Position), SyntaxError> {
        let start = self.offset;
        let end = self.source[start..]
            .find("<%")
            .map_or(self.source.len(), |found| start + found);
        let tag = self.opening(end)?;
        let mut text = &self.source[start..end];
        let mut from = start;
        if self.trim {
            text = text.trim_start_matches(WHITE_SPACE);
            from = end - text.len();
        }
        if tag.trim_before {
            text = text.trim_end_matches(WHITE_SPACE);
        }
        self.offset = tag.end;
        self.trim = tag.trim_after;
        Ok((Span::new(from, from + text.len()), tag.kind, Position::new(end)))
    }

    /// Reads the opening at `at`, which is `<%` or the end of the text. Comments are read to their end.
    fn opening(&self, at: usize) -> Result<Opening, SyntaxError> {
        let rest = &self.source[at..];
        if rest.is_empty() {
            return Ok(Opening {
                kind: Tag::End,
                trim_before: false,
                trim_after: false,
                end: at,
            });
        }
        if let Some(comment) = rest.strip_prefix("<%#") {
            let Some(length) = comment.find("%>") else {
                return Err(self.error(Position::new(at), "the comment is not closed by `%>`"));
            };
            let comment = &comment[..length];
            return Ok(Opening {
                kind: Tag::Comment,
                trim_before: comment.starts_with('-'),
                trim_after: comment.ends_with('-'), // the one `-` of `<%#-%>` does both
                end: at + "<%#".len() + length + "%>".len(),
            });
        }
        let (kind, opening) = if rest.starts_with("<%=") {
            (Tag::Write, "<%=")
        } else {
            (Tag::Statement, "<%")
        };
        let trim_before = rest[opening.len()..].starts_with('-');
        Ok(Opening {
            kind,
            trim_before,
            trim_after: false,
            end: at + opening.len() + usize::from(trim_before),
        })
    }

    /// Returns the next token of the tag and its position.
    pub(super) fn token(&mut self) -> Result<(Token<'s>, Position), SyntaxError> {
        let rest = self.source[self.offset..].trim_start_matches(WHITE_SPACE);
        let start = self.source.len() - rest.len();
        let at = Position::new(start);
        let (token, length) = match rest.as_bytes() {
            [] => return Err(self.error(at, "the tag is not closed by `%>`")),
            [b'%', b'>', ..] => (Token::Close { trim: false }, 2),
            [b'-', b'%', b'>', ..] => (Token::Close { trim: true }, 3),
            [b'=', b'=', ..] => (Token::Equal, 2),
            [b'!', b'=', ..] => (Token::NotEqual, 2),
            [b'.', ..] => (Token::Dot, 1),
            [b',', ..] => (Token::Comma, 1),
            [b'~', ..] => (Token::Tilde, 1),
            [b'|', ..] => (Token::Pipe, 1),
            [b'(', ..] => (Token::ParenOpen, 1),
            [b')', ..] => (Token::ParenClose, 1),
            [b'[', ..] => (Token::BracketOpen, 1),
            [b']', ..] => (Token::BracketClose, 1),
            [quote @ (b'"' | b'\''), ..] => {
                let (literal, length) = self.string(start, *quote)?;
                (Token::String(literal), length)
            }
            [b'A'..=b'Z' | b'a'..=b'z' | b'_', ..] => {
                let length = rest
                    .bytes()
                    .position(|byte| !byte.is_ascii_alphanumeric() && byte != b'_')
                    .unwrap_or(rest.len());
                (
                    Token::Word(&rest[..length], Span::new(start, start + length)),
                    length,
                )
            }
            _ => return Err(self.error(at, "this character has no meaning in a tag")),
        };
        self.offset = start + length;
        Ok((token, at))
    }

    /// Returns the string literal whose opening quote is at `start`, and its length including both quotes.
    fn string(&self, start: usize, quote: u8) -> Result<(Literal, usize), SyntaxError> {
        let bytes = &self.source.as_bytes()[start..];
        let mut decoded = String::new();
        let mut copied = start + 1; // after the first escape, everything before this offset is in `decoded`
        let mut index = 1;
        loop {
            match bytes.get(index) {
                None | Some(b'\n' | b'\r') => {
                    return Err(self.error(Position::new(start), "the string is not closed on its line"));
                }
                Some(byte) if *byte == quote => break,
                Some(b'\\') => {
                    let unescaped = match bytes.get(index + 1) {
                        Some(b'n') => '\n',
                        Some(b'r') => '\r',
                        Some(b't') => '\t',
                        Some(same @ (b'\\' | b'"' | b'\'')) => char::from(*same),
                        _ => {
                            return Err(self.error(
                                Position::new(start + index),
                                r#"unknown escape; use one of \\ \" \' \n \r \t"#,
                            ));
                        }
                    };
                    decoded.push_str(&self.source[copied..start + index]);
                    decoded.push(unescaped);
                    index += 2;
                    copied = start + index;
                }
                Some(_) => index += 1,
            }
        }
        let end = start + index;
        let literal = if copied == start + 1 {
            Literal::Verbatim(Span::new(copied, end))
        } else {
            decoded.push_str(&self.source[copied..end]);
            Literal::Escaped(decoded.into())
        };
        Ok((literal, index + 1))
    }
}

/// The opening of a tag, or a whole comment.
struct Opening {
    kind: Tag,
    trim_before: bool,
    trim_after: bool,
    end: usize,
}
