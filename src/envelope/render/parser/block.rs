//! Literal text, tags and statements.

use super::super::ast::{Arm, Node, Position};
use super::super::error::SyntaxError;
use super::super::lexer::Tag;
use super::cursor::Parser;

/// Parses a whole text.
pub(in super::super) fn parse(source: &str) -> Result<Box<[Node]>, SyntaxError> {
    let mut parser = Parser::new(source);
    let (body, end, at) = parser.block()?;
    match end {
        BlockEnd::Text => Ok(body),
        BlockEnd::Elif | BlockEnd::Else | BlockEnd::Endif => {
            Err(parser.lexer.error(at, "there is no `if` before this"))
        }
    }
}

/// What ends a block.
#[derive(Clone, Copy, PartialEq, Eq)]
enum BlockEnd {
    Elif,
    Else,
    Endif,
    Text,
}

impl Parser<'_> {
    /// Parses nodes up to the end of the text or a statement that ends a block.
    ///
    /// After `elif`, its condition is still to be parsed; the tags of `else` and `endif` are closed.
    fn block(&mut self) -> Result<(Box<[Node]>, BlockEnd, Position), SyntaxError> {
        let mut nodes = Vec::new();
        loop {
            let (text, tag, at) = self.lexer.text()?;
            if !text.is_empty() {
                nodes.push(Node::Text(text));
            }
            match tag {
                Tag::Comment => continue,
                Tag::End => return Ok((nodes.into(), BlockEnd::Text, at)),
                Tag::Write | Tag::Statement => {
                    self.advance()?;
                }
            }
            if tag == Tag::Write {
                let expr = self.expr()?;
                self.close("expected `%>` after the expression")?;
                nodes.push(Node::Write { expr, at });
            } else if self.take_word("if")? {
                nodes.push(self.nested(|parser| parser.conditional(at))?);
            } else if self.take_word("elif")? {
                return Ok((nodes.into(), BlockEnd::Elif, at));
            } else if self.take_word("else")? {
                self.close("`else` must be alone in its tag")?;
                return Ok((nodes.into(), BlockEnd::Else, at));
            } else if self.take_word("endif")? {
                self.close("`endif` must be alone in its tag")?;
                return Ok((nodes.into(), BlockEnd::Endif, at));
            } else {
                return self.error("expected `if`, `elif`, `else` or `endif`; to write a value use `<%=`");
            }
        }
    }

    /// Parses from after the word `if`, whose tag starts at `start`, to its `endif`.
    fn conditional(&mut self, start: Position) -> Result<Node, SyntaxError> {
        let mut arms = Vec::new();
        let mut otherwise: Box<[Node]> = Box::default();
        let mut in_else = false;
        loop {
            let condition = if in_else {
                None
            } else {
                let condition = self.expr()?;
                self.close("expected `%>` after the condition")?;
                Some(condition)
            };
            let (body, end, at) = self.block()?;
            match condition {
                Some(condition) => arms.push(Arm { condition, body }),
                None => otherwise = body,
            }
            match end {
                BlockEnd::Endif => {
                    return Ok(Node::If {
                        arms: arms.into(),
                        otherwise,
                    });
                }
                BlockEnd::Text => return Err(self.lexer.error(start, "the `if` has no `endif`")),
                BlockEnd::Else | BlockEnd::Elif if in_else => {
                    return Err(self.lexer.error(at, "only `endif` can follow `else`"));
                }
                BlockEnd::Else => in_else = true,
                BlockEnd::Elif => {}
            }
        }
    }
}
