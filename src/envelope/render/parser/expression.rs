//! Expressions.

use super::super::ast::{
    Comparison, Default, Defined, Expr, Filter, Filtered, Join, Literal, Lookup, Replace, SimpleFilter,
};
use super::super::error::SyntaxError;
use super::super::lexer::Token;
use super::cursor::Parser;

const RESERVED: [&str; 12] = [
    "and", "or", "not", "is", "defined", "if", "elif", "else", "endif", "true", "false", "v",
];

impl Parser<'_> {
    /// Parses an expression.
    pub(super) fn expr(&mut self) -> Result<Expr, SyntaxError> {
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
        let parenthesized = self.token == Token::ParenOpen;
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
                Expr::Lookup(lookup) if !parenthesized => {
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
                        return Err(self.lexer.error(at, "`default` must directly follow a look-up"));
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
