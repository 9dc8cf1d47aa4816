//! The grammar of format-es1 section 8, by recursive descent:
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
//! It recurses only where the nesting grows that the page limits: in parentheses, lists of arguments, `not` and `if`.

use super::ast::{
    Arm, At, Comparison, Default, Defined, Expr, Filter, Filtered, Join, Literal, Lookup, Node, Plain,
    Replace,
};
use super::lexer::{Lexer, Tag, Token};
use super::{MAX_NESTING, SyntaxError};

const RESERVED: [&str; 12] = [
    "and", "or", "not", "is", "defined", "if", "elif", "else", "endif", "true", "false", "v",
];

/// Parses a whole text.
pub(super) fn parse(source: &str) -> Result<Box<[Node]>, SyntaxError> {
    let mut parser = Parser {
        lexer: Lexer::new(source),
        token: Token::Close { trim: false },
        at: At::new(0),
        depth: 0,
    };
    let (body, end, at) = parser.block()?;
    match end {
        End::Text => Ok(body),
        End::Elif | End::Else | End::Endif => Err(parser.lexer.error(at, "there is no `if` before this")),
    }
}

/// What ended a block.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    Elif,
    Else,
    Endif,
    Text,
}

struct Parser<'s> {
    lexer: Lexer<'s>,
    /// The token that is looked at; inside a tag only.
    token: Token<'s>,
    at: At,
    /// Parentheses, lists of arguments, `not` and `if` around here.
    depth: usize,
}

impl<'s> Parser<'s> {
    fn error<T>(&self, what: &'static str) -> Result<T, SyntaxError> {
        Err(self.lexer.error(self.at, what))
    }

    /// Goes to the next token of the tag and gives the one before.
    fn advance(&mut self) -> Result<Token<'s>, SyntaxError> {
        let (token, at) = self.lexer.token()?;
        self.at = at;
        Ok(std::mem::replace(&mut self.token, token))
    }

    fn take(&mut self, wanted: &Token<'_>) -> Result<bool, SyntaxError> {
        let found = self.token == *wanted;
        if found {
            self.advance()?;
        }
        Ok(found)
    }

    fn take_word(&mut self, wanted: &str) -> Result<bool, SyntaxError> {
        let found = matches!(self.token, Token::Word(word, _) if word == wanted);
        if found {
            self.advance()?;
        }
        Ok(found)
    }

    /// The tag must end here; the lexer goes back to text.
    fn close(&mut self, otherwise: &'static str) -> Result<(), SyntaxError> {
        let Token::Close { trim } = self.token else {
            return self.error(otherwise);
        };
        self.lexer.close(trim);
        Ok(())
    }

    fn nested<T>(
        &mut self,
        inner: impl FnOnce(&mut Self) -> Result<T, SyntaxError>,
    ) -> Result<T, SyntaxError> {
        if self.depth == MAX_NESTING {
            return self
                .error("parentheses, arguments, `not` and `if` stand more than 32 deep in one another");
        }
        self.depth += 1;
        let result = inner(self);
        self.depth -= 1;
        result
    }

    /// Texts and tags up to the end of the text or a statement that ends a block. Behind `elif` its condition comes;
    /// the tags of `else` and `endif` are closed.
    fn block(&mut self) -> Result<(Box<[Node]>, End, At), SyntaxError> {
        let mut nodes = Vec::new();
        loop {
            let (text, tag, at) = self.lexer.text()?;
            if !text.is_empty() {
                nodes.push(Node::Text(text));
            }
            match tag {
                Tag::Comment => continue,
                Tag::End => return Ok((nodes.into(), End::Text, at)),
                Tag::Write | Tag::Statement => {
                    self.advance()?;
                }
            }
            if tag == Tag::Write {
                let expr = self.expr()?;
                self.close("the expression should end here with `%>`")?;
                nodes.push(Node::Write { expr, at });
            } else if self.take_word("if")? {
                nodes.push(self.nested(|parser| parser.conditional(at))?);
            } else if self.take_word("elif")? {
                return Ok((nodes.into(), End::Elif, at));
            } else if self.take_word("else")? {
                self.close("`else` stands alone in its tag")?;
                return Ok((nodes.into(), End::Else, at));
            } else if self.take_word("endif")? {
                self.close("`endif` stands alone in its tag")?;
                return Ok((nodes.into(), End::Endif, at));
            } else {
                return self
                    .error("a statement is `if`, `elif`, `else` or `endif`; to write a value use `<%=`");
            }
        }
    }

    /// From behind the word `if`, whose tag stands at `opened`, to its `endif`.
    fn conditional(&mut self, opened: At) -> Result<Node, SyntaxError> {
        let mut arms = Vec::new();
        let mut otherwise: Box<[Node]> = Box::default();
        let mut last = false;
        loop {
            let condition = if last {
                None
            } else {
                let condition = self.expr()?;
                self.close("the condition should end here with `%>`")?;
                Some(condition)
            };
            let (body, end, at) = self.block()?;
            match condition {
                Some(condition) => arms.push(Arm { condition, body }),
                None => otherwise = body,
            }
            match end {
                End::Endif => {
                    return Ok(Node::If {
                        arms: arms.into(),
                        otherwise,
                    });
                }
                End::Text => return Err(self.lexer.error(opened, "the `if` has no `endif`")),
                End::Else | End::Elif if last => {
                    return Err(self.lexer.error(at, "after `else` only `endif` can come"));
                }
                End::Else => last = true,
                End::Elif => {}
            }
        }
    }

    fn expr(&mut self) -> Result<Expr, SyntaxError> {
        self.chain("or", Self::and, Expr::Or)
    }

    fn and(&mut self) -> Result<Expr, SyntaxError> {
        self.chain("and", Self::not, Expr::And)
    }

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
            let wanted = !self.take_word("not")?;
            if !self.take_word("defined")? {
                return self.error("`is` is followed by `defined` or `not defined`");
            }
            return match left {
                Expr::Lookup(lookup) if !parenthesised => {
                    Ok(Expr::Defined(Box::new(Defined { lookup, wanted })))
                }
                _ => Err(self
                    .lexer
                    .error(at, "`is defined` stands directly behind a look-up only")),
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
                            .error(at, "`default` stands directly behind a look-up only"));
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
        let plain = match self.token {
            Token::Word("b64encode", _) => Plain::B64Encode,
            Token::Word("b64decode", _) => Plain::B64Decode,
            Token::Word("upper", _) => Plain::Upper,
            Token::Word("lower", _) => Plain::Lower,
            Token::Word("trim", _) => Plain::Trim,
            Token::Word("tojson", _) => Plain::ToJson,
            Token::Word("urlencode", _) => Plain::UrlEncode,
            Token::Word("sha256", _) => Plain::Sha256,
            Token::Word("replace", _) => {
                self.advance()?;
                let [from, to] = self.arguments("`replace` takes two arguments")?;
                return Ok(Filter::Replace(Box::new(Replace { from, to })));
            }
            _ => {
                return self.error(
                    "an unknown filter; there are b64encode, b64decode, upper, lower, trim, replace(from, to), \
                     tojson, urlencode, sha256, default(x)",
                );
            }
        };
        self.advance()?;
        if self.token == Token::ParenOpen {
            return self.error("this filter takes no arguments");
        }
        Ok(Filter::Plain(plain))
    }

    /// A list of exactly `N` arguments.
    fn arguments<const N: usize>(&mut self, count: &'static str) -> Result<[Expr; N], SyntaxError> {
        let open = self.at;
        if self.token != Token::ParenOpen {
            return self.error(count);
        }
        let arguments = self.nested(|parser| {
            let mut arguments = Vec::new();
            loop {
                parser.advance()?; // the parenthesis, then each comma
                arguments.push(parser.expr()?);
                if parser.token != Token::Comma || arguments.len() == N {
                    return Ok(arguments);
                }
            }
        })?;
        if self.token == Token::Comma {
            return self.error(count);
        }
        self.close_parenthesis()?;
        arguments.try_into().map_err(|_| self.lexer.error(open, count))
    }

    fn close_parenthesis(&mut self) -> Result<(), SyntaxError> {
        if self.take(&Token::ParenClose)? {
            return Ok(());
        }
        self.error("a `)` is missing here")
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
            Token::Str(_) => Ok(Expr::Literal(self.string()?)),
            Token::Word("true", _) => self.advance().map(|_| Expr::Bool(true)),
            Token::Word("false", _) => self.advance().map(|_| Expr::Bool(false)),
            Token::Word("v", _) => {
                self.advance()?;
                let name = self.name()?;
                Ok(Expr::Lookup(Lookup { name, at }))
            }
            _ => self.error("here should be a string, true, false, a look-up (`v.name`) or `(`"),
        }
    }

    /// What comes behind the `v` of a look-up.
    fn name(&mut self) -> Result<Literal, SyntaxError> {
        if self.take(&Token::Dot)? {
            return match self.token {
                Token::Word(word, span) if !RESERVED.contains(&word) => {
                    self.advance()?;
                    Ok(Literal::Plain(span))
                }
                _ => self.error(
                    "`v.` is followed by a name that is no word of the language; else use `v[\"...\"]`",
                ),
            };
        }
        if self.take(&Token::BracketOpen)? {
            let name = self.string()?;
            return if self.take(&Token::BracketClose)? {
                Ok(name)
            } else {
                self.error("a `]` is missing here")
            };
        }
        self.error("`v` is followed by `.name` or `[\"name\"]`")
    }

    fn string(&mut self) -> Result<Literal, SyntaxError> {
        if !matches!(self.token, Token::Str(_)) {
            return self.error("`v[` is followed by a string");
        }
        match self.advance()? {
            Token::Str(literal) => Ok(literal),
            _ => self.error("here should be a string"),
        }
    }
}
