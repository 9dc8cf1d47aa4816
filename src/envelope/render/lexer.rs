//! Splits a text into what is copied and tags, and a tag into tokens. The longest token is taken.

use super::SyntaxError;
use super::ast::{At, Literal, Span};

/// The white space of the language, in texts, between tokens and for `trim`.
pub(super) const WHITE_SPACE: [char; 4] = [' ', '\t', '\r', '\n'];

/// What follows a piece of text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tag {
    /// `<%=`; an expression comes.
    Write,
    /// `<%`; a statement comes.
    Statement,
    /// A whole `<%# ... %>`, which is behind the lexer already.
    Comment,
    /// The end of the text.
    End,
}

/// A token inside a tag.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Token<'s> {
    /// A name or a reserved word.
    Word(&'s str, Span),
    Str(Literal),
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
    /// `%>`, or `-%>` which removes the white space after it.
    Close {
        trim: bool,
    },
}

pub(super) struct Lexer<'s> {
    source: &'s str,
    at: usize,
    /// The tag before asked for the white space after it to be removed.
    trim: bool,
}

impl<'s> Lexer<'s> {
    pub(super) fn new(source: &'s str) -> Self {
        Lexer {
            source,
            at: 0,
            trim: false,
        }
    }

    /// A refusal of what stands at `at`.
    pub(super) fn error(&self, at: At, what: &'static str) -> SyntaxError {
        SyntaxError {
            line: at.line(self.source),
            column: at.column(self.source),
            what,
        }
    }

    /// A tag has ended; the text after it begins here.
    pub(super) fn close(&mut self, trim: bool) {
        self.trim = trim;
    }

    /// The text up to the next tag, without the white space that a `-` on either side removes, then what follows it
    /// and where that stands. The lexer then stands behind the opening of the tag and its `-`.
    pub(super) fn text(&mut self) -> Result<(Span, Tag, At), SyntaxError> {
        let start = self.at;
        let end = self.source[start..]
            .find("<%")
            .map_or(self.source.len(), |found| start + found);
        let tag = self.open(end)?;
        let trim_after = tag.trim_before;
        let mut text = &self.source[start..end];
        let mut from = start;
        if self.trim {
            text = text.trim_start_matches(WHITE_SPACE);
            from = end - text.len();
        }
        if trim_after {
            text = text.trim_end_matches(WHITE_SPACE);
        }
        self.at = tag.behind;
        self.trim = tag.trim_behind;
        Ok((Span::new(from, from + text.len()), tag.kind, At::new(end)))
    }

    /// Reads the opening at `at`, where `<%` or the end of the text stands; a comment to its end.
    fn open(&self, at: usize) -> Result<Opening, SyntaxError> {
        let rest = &self.source[at..];
        if rest.is_empty() {
            return Ok(Opening {
                kind: Tag::End,
                trim_before: false,
                trim_behind: false,
                behind: at,
            });
        }
        if let Some(comment) = rest.strip_prefix("<%#") {
            let Some(length) = comment.find("%>") else {
                return Err(self.error(At::new(at), "the comment is not closed by `%>`"));
            };
            let comment = &comment[..length];
            return Ok(Opening {
                kind: Tag::Comment,
                trim_before: comment.starts_with('-'),
                trim_behind: comment.ends_with('-'), // the one `-` of `<%#-%>` does both
                behind: at + "<%#".len() + length + "%>".len(),
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
            trim_behind: false,
            behind: at + opening.len() + usize::from(trim_before),
        })
    }

    /// The next token of the tag and where it stands.
    pub(super) fn token(&mut self) -> Result<(Token<'s>, At), SyntaxError> {
        let rest = self.source[self.at..].trim_start_matches(WHITE_SPACE);
        let start = self.source.len() - rest.len();
        let at = At::new(start);
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
                (Token::Str(literal), length)
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
            _ => return Err(self.error(at, "a character that has no meaning in a tag")),
        };
        self.at = start + length;
        Ok((token, at))
    }

    /// The string whose opening quote stands at `start`, and its length with both quotes.
    fn string(&self, start: usize, quote: u8) -> Result<(Literal, usize), SyntaxError> {
        let bytes = &self.source.as_bytes()[start..];
        let mut decoded = String::new();
        let mut copied = start + 1; // what comes before is in `decoded`, once there is an escape
        let mut index = 1;
        loop {
            match bytes.get(index) {
                None | Some(b'\n' | b'\r') => {
                    return Err(self.error(At::new(start), "the string is not closed on its line"));
                }
                Some(byte) if *byte == quote => break,
                Some(b'\\') => {
                    let meaning = match bytes.get(index + 1) {
                        Some(b'n') => '\n',
                        Some(b'r') => '\r',
                        Some(b't') => '\t',
                        Some(same @ (b'\\' | b'"' | b'\'')) => char::from(*same),
                        _ => {
                            return Err(self.error(
                                At::new(start + index),
                                r#"an unknown escape; there are \\ \" \' \n \r \t"#,
                            ));
                        }
                    };
                    decoded.push_str(&self.source[copied..start + index]);
                    decoded.push(meaning);
                    index += 2;
                    copied = start + index;
                }
                Some(_) => index += 1,
            }
        }
        let end = start + index;
        let literal = if copied == start + 1 {
            Literal::Plain(Span::new(copied, end))
        } else {
            decoded.push_str(&self.source[copied..end]);
            Literal::Escaped(decoded.into())
        };
        Ok((literal, index + 1))
    }
}

/// How a tag begins; of a comment, how it ends too.
struct Opening {
    kind: Tag,
    trim_before: bool,
    trim_behind: bool,
    behind: usize,
}
