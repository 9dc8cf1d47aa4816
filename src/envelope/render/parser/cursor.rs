//! The position of the parser in a text, and the token operations that the rules share.

use super::super::ast::Position;
use super::super::error::SyntaxError;
use super::super::lexer::{Lexer, Token};
use super::super::limits::MAX_NESTING;

pub(super) struct Parser<'s> {
    pub(super) lexer: Lexer<'s>,
    /// The current token; meaningful only inside a tag.
    pub(super) token: Token<'s>,
    /// The position of the current token.
    pub(super) at: Position,
    /// The number of enclosing parentheses, argument lists, `not` and `if`.
    depth: usize,
}

impl<'s> Parser<'s> {
    pub(super) fn new(source: &'s str) -> Self {
        Parser {
            lexer: Lexer::new(source),
            token: Token::Close { trim: false },
            at: Position::new(0),
            depth: 0,
        }
    }

    pub(super) fn error<T>(&self, what: &'static str) -> Result<T, SyntaxError> {
        Err(self.lexer.error(self.at, what))
    }

    /// Advances to the next token of the tag; returns the previous one.
    pub(super) fn advance(&mut self) -> Result<Token<'s>, SyntaxError> {
        let (token, at) = self.lexer.token()?;
        self.at = at;
        Ok(std::mem::replace(&mut self.token, token))
    }

    /// Consumes the current token if it is `expected`; returns whether it was.
    pub(super) fn take(&mut self, expected: &Token<'_>) -> Result<bool, SyntaxError> {
        let found = self.token == *expected;
        if found {
            self.advance()?;
        }
        Ok(found)
    }

    pub(super) fn take_word(&mut self, expected: &str) -> Result<bool, SyntaxError> {
        let found = matches!(self.token, Token::Word(word, _) if word == expected);
        if found {
            self.advance()?;
        }
        Ok(found)
    }

    /// Ends the tag and returns the lexer to literal text. If the tag does not end here, fails with `message`.
    pub(super) fn close(&mut self, message: &'static str) -> Result<(), SyntaxError> {
        let Token::Close { trim } = self.token else {
            return self.error(message);
        };
        self.lexer.close(trim);
        Ok(())
    }

    /// Runs `inner` one nesting level deeper.
    pub(super) fn nested<T>(
        &mut self,
        inner: impl FnOnce(&mut Self) -> Result<T, SyntaxError>,
    ) -> Result<T, SyntaxError> {
        if self.depth == MAX_NESTING {
            return self.error("parentheses, arguments, `not` and `if` are nested more than 32 deep");
        }
        self.depth += 1;
        let result = inner(self);
        self.depth -= 1;
        result
    }
}
