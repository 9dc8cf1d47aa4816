//! A recursive descent parser for the grammar of section 8:
//!
//! ```text
//! tag      = "<%=" expr "%>" | "<%" statement "%>" | "<%#" anything to the first "%>"
//! statement= "if" expr | "elif" expr | "else" | "endif"          nested freely; else at most once and last
//! expr     = and { "or" and }          and = not { "and" not }          not = "not" not | cmp
//! cmp      = join [ ("==" | "!=") join | "is" [ "not" ] "defined" ]     the latter only directly on a look-up
//! join     = item { "~" item }         item = primary { "|" filter [ "(" expr { "," expr } ")" ] }
//! primary  = string | "true" | "false" | look-up | "(" expr ")"
//! look-up  = "v" "." name | "v" "[" string "]"                 name = [A-Za-z_][A-Za-z0-9_]*, not a reserved word
//! string   = "..." or '...' with the escapes \\ \" \' \n \r \t, no others, on one line
//! ```
//!
//! The parser recurses only in constructs whose nesting the format limits: parentheses, argument lists, `not` and `if`.

use super::ast::{
    Arm, Comparison, Default, Defined, Expr, Filter, Filtered, Join, Literal, Lookup, Node, Position, Replace,
    SimpleFilter,
};
use super::error::SyntaxError;
use super::lexer::{Lexer, Tag, Token};
use super::limits::MAX_NESTING;

const RESERVED: [&str; 12] = [
    "and", "or", "not", "is", "defined", "if", "elif", "else", "endif", "true", "false", "v",
];

/// Parses a whole text.
pub(super) fn parse(source: &str) -> Result<Box<[Node]>, SyntaxError> {
    let mut parser = Parser {
        lexer: Lexer::new(source),
        token: Token::Close { trim: false },
        at: Position::new(0),
        depth: 0,
    };
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

struct Parser<'s> {
    lexer: Lexer<'s>,
    /// The current token; meaningful only inside a tag.
    token: Token<'s>,
    /// The position of the current token.
    at: Position,
    /// The number of enclosing parentheses, argument lists, `not` and `if`.
    depth: usize,
}

impl<'s> Parser<'s> {
    fn error<T>(&self, what: &'static str) -> Result<T, SyntaxError> {
        Err(self.lexer.error(self.at, what))
    }

    /// Advances to the next token of the tag; returns the previous one.
    fn advance(&mut self) -> Result<Token<'s>, SyntaxError> {
        let (token, at) = self.lexer.token()?;
        self.at = at;
        Ok(std::mem::replace(&mut self.token, token))
    }

    /// Consumes the current token if it is `expected`; returns whether it was.
    fn take(&mut self, expected: &Token<'_>) -> Result<bool, SyntaxError> {
        let found = self.token == *expected;
        if found {
            self.advance()?;
        }
        Ok(found)
    }

    fn take_word(&mut self, expected: &str) -> Result<bool, SyntaxError> {
        let found = matches!(self.token, Token::Word(word, _) if word == expected);
        if found {
            self.advance()?;
        }
        Ok(found)
    }

    /// Ends the tag and returns the lexer to literal text. If the tag does not end here, fails with `message`.
    fn close(&mut self, message: &'static str) -> Result<(), SyntaxError> {
        let Token::Close { trim } = self.token else {
            return self.error(message);
        };
        self.lexer.close(trim);
        Ok(())
    }

    /// Runs `inner` one nesting level deeper.
    fn nested<T>(
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
                return self
                    .error("expected `if`, `elif`, `else` or `endif`; to write a value use `<%=`");
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

    fn expr(&mut self) -> Result<Expr, SyntaxError> {
        self.chain("or", Self::and, Expr::Or)
    }

    fn and(&mut self) -> Result<Expr, SyntaxError> {
        self.chain("and", Self::not, Expr::And)
    }

    /// Parses operands joined by `word`; a single operand gets no node of its own.
    fn chain(
        &mut self,
        word: &str,
        operand: fn(&mut Self) -> Result<Expr, SyntaxError>,
        node: fn(Box<[Expr]>) -> Expr,
    ) -> Result<Expr, SyntaxError> {
        let first = operand(self)?;
        if !self.take_word(word)? {
            return Ok(first);
        }
        let mut operands = vec![first, operand(self)?];
        while self.take_word(word)? {
            operands.push(operand(self)?);
        }
        Ok(node(operands.into()))
    }

    fn not(&mut self) -> Result<Expr, SyntaxError> {
        if self.take_word("not")? {
            return Ok(Expr::Not(Box::new(self.nested(Self::not)?)));
        }
        self.comparison()
    }

    fn comparison(&mut self) -> Result<Expr, SyntaxError> {
        let parenthesised = self.token == Token::ParenOpen;
        let left = self.join()?;
        let at = self.at;
        let equal = self.token == Token::Equal;
        if equal || self.token == Token::NotEqual {
            self.advance()?;
            let right = self.join()?;
            if matches!(self.token, Token::Equal | Token::NotEqual | Token::Word("is", _)) {
                return self.error("comparisons do not chain; use parentheses or `and`");
            }
            return Ok(Expr::Compare(Box::new(Comparison {
                left,
                right,
                equal,
                at,
            })));
        }
        if self.take_word("is")? {
            let expected = !self.take_word("not")?;
            if !self.take_word("defined")? {
                return self.error("`is` must be followed by `defined` or `not defined`");
            }
            return match left {
                Expr::Lookup(lookup) if !parenthesised => {
                    Ok(Expr::Defined(Box::new(Defined { lookup, expected })))
                }
                _ => Err(self
                    .lexer
                    .error(at, "`is defined` must directly follow a look-up")),
            };
        }
        Ok(left)
    }

    fn join(&mut self) -> Result<Expr, SyntaxError> {
        let first = self.item()?;
        let mut rest = Vec::new();
        let mut at = self.at;
        while self.take(&Token::Tilde)? {
            rest.push((at, self.item()?));
            at = self.at;
        }
        if rest.is_empty() {
            return Ok(first);
        }
        Ok(Expr::Join(Box::new(Join {
            first,
            rest: rest.into(),
        })))
    }

    fn item(&mut self) -> Result<Expr, SyntaxError> {
        let mut direct = self.token != Token::ParenOpen;
        let mut operand = self.primary()?;
        let mut filters = Vec::new();
        while self.take(&Token::Pipe)? {
            let at = self.at;
            if self.take_word("default")? {
                operand = match operand {
                    Expr::Lookup(lookup) if direct => self.default(lookup)?,
                    _ => {
                        return Err(self
                            .lexer
                            .error(at, "`default` must directly follow a look-up"));
                    }
                };
            } else {
                filters.push((at, self.filter()?));
            }
            direct = false;
        }
        if filters.is_empty() {
            return Ok(operand);
        }
        Ok(Expr::Filtered(Box::new(Filtered {
            operand,
            filters: filters.into(),
        })))
    }

    fn default(&mut self, lookup: Lookup) -> Result<Expr, SyntaxError> {
        let [otherwise] = self.arguments("`default` takes one argument")?;
        Ok(Expr::Default(Box::new(Default { lookup, otherwise })))
    }

    fn filter(&mut self) -> Result<Filter, SyntaxError> {
        let filter = match self.token {
            Token::Word("b64encode", _) => SimpleFilter::B64Encode,
            Token::Word("b64decode", _) => SimpleFilter::B64Decode,
            Token::Word("upper", _) => SimpleFilter::Upper,
            Token::Word("lower", _) => SimpleFilter::Lower,
            Token::Word("trim", _) => SimpleFilter::Trim,
            Token::Word("tojson", _) => SimpleFilter::ToJson,
            Token::Word("urlencode", _) => SimpleFilter::UrlEncode,
            Token::Word("sha256", _) => SimpleFilter::Sha256,
            Token::Word("replace", _) => {
                self.advance()?;
                let [from, to] = self.arguments("`replace` takes two arguments")?;
                return Ok(Filter::Replace(Box::new(Replace { from, to })));
            }
            _ => {
                return self.error(
                    "unknown filter; use b64encode, b64decode, upper, lower, trim, replace(from, to), tojson, \
                     urlencode, sha256 or default(x)",
                );
            }
        };
        self.advance()?;
        if self.token == Token::ParenOpen {
            return self.error("this filter takes no arguments");
        }
        Ok(Filter::Simple(filter))
    }

    /// Parses a list of exactly `N` arguments. If their number differs, fails with `message`.
    fn arguments<const N: usize>(&mut self, message: &'static str) -> Result<[Expr; N], SyntaxError> {
        let open = self.at;
        if self.token != Token::ParenOpen {
            return self.error(message);
        }
        let arguments = self.nested(|parser| {
            let mut arguments = Vec::new();
            loop {
                parser.advance()?; // past the parenthesis, then past each comma
                arguments.push(parser.expr()?);
                if parser.token != Token::Comma || arguments.len() == N {
                    return Ok(arguments);
                }
            }
        })?;
        if self.token == Token::Comma {
            return self.error(message);
        }
        self.close_parenthesis()?;
        arguments.try_into().map_err(|_| self.lexer.error(open, message))
    }

    fn close_parenthesis(&mut self) -> Result<(), SyntaxError> {
        if self.take(&Token::ParenClose)? {
            return Ok(());
        }
        self.error("expected `)`")
    }

    fn primary(&mut self) -> Result<Expr, SyntaxError> {
        if self.token == Token::ParenOpen {
            let inner = self.nested(|parser| {
                parser.advance()?;
                parser.expr()
            })?;
            self.close_parenthesis()?;
            return Ok(inner);
        }
        let at = self.at;
        match self.token {
            Token::String(_) => Ok(Expr::Literal(self.string()?)),
            Token::Word("true", _) => self.advance().map(|_| Expr::Bool(true)),
            Token::Word("false", _) => self.advance().map(|_| Expr::Bool(false)),
            Token::Word("v", _) => {
                self.advance()?;
                let name = self.lookup_name()?;
                Ok(Expr::Lookup(Lookup { name, at }))
            }
            _ => self.error("expected a string, true, false, a look-up (`v.name`) or `(`"),
        }
    }

    /// Parses what follows the `v` of a look-up.
    fn lookup_name(&mut self) -> Result<Literal, SyntaxError> {
        if self.take(&Token::Dot)? {
            return match self.token {
                Token::Word(word, span) if !RESERVED.contains(&word) => {
                    self.advance()?;
                    Ok(Literal::Verbatim(span))
                }
                _ => self.error(
                    "`v.` must be followed by a name that is not a reserved word; otherwise use `v[\"...\"]`",
                ),
            };
        }
        if self.take(&Token::BracketOpen)? {
            let name = self.string()?;
            return if self.take(&Token::BracketClose)? {
                Ok(name)
            } else {
                self.error("expected `]`")
            };
        }
        self.error("`v` must be followed by `.name` or `[\"name\"]`")
    }

    fn string(&mut self) -> Result<Literal, SyntaxError> {
        if !matches!(self.token, Token::String(_)) {
            return self.error("`v[` must be followed by a string");
        }
        match self.advance()? {
            Token::String(literal) => Ok(literal),
            _ => self.error("expected a string"),
        }
    }
}
