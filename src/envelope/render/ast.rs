//! The syntax tree of a text.
//!
//! Names and literals refer to the source wherever possible, so that the memory of any parsed text is a small
//! multiple of the length of its source.

/// A byte range of the source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Span {
    start: u32,
    end: u32,
}

impl Span {
    pub(super) fn new(start: usize, end: usize) -> Self {
        Span {
            start: narrow(start),
            end: narrow(end),
        }
    }

    pub(super) fn slice(self, source: &str) -> &str {
        &source[self.start as usize..self.end as usize]
    }

    pub(super) fn position(self) -> Position {
        Position(self.start)
    }

    pub(super) fn is_empty(self) -> bool {
        self.start == self.end
    }
}

/// The position of a node: a byte offset, from which an error derives line and column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Position(u32);

impl Position {
    pub(super) fn new(offset: usize) -> Self {
        Position(narrow(offset))
    }

    /// Returns the line, from 1.
    pub(super) fn line(self, source: &str) -> usize {
        1 + source[..self.0 as usize].matches('\n').count()
    }

    /// Returns the character in its line, from 1.
    pub(super) fn column(self, source: &str) -> usize {
        let before = &source[..self.0 as usize];
        let line = before.rfind('\n').map_or(0, |feed| feed + 1);
        1 + before[line..].chars().count()
    }
}

#[expect(
    clippy::expect_used,
    reason = "a text has at most 65,536 bytes, checked before it is parsed"
)]
fn narrow(offset: usize) -> u32 {
    u32::try_from(offset).expect("an offset into a text fits in 32 bits")
}

/// A part of a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Node {
    /// Literal text, without the white space that a `-` removes. Never empty.
    Text(Span),
    /// `<%= expr %>`.
    Write { expr: Expr, at: Position },
    /// `if` and each `elif` in order, then `else` (empty if absent).
    If {
        arms: Box<[Arm]>,
        otherwise: Box<[Node]>,
    },
}

/// One condition and the nodes that it guards.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Arm {
    pub(super) condition: Expr,
    pub(super) body: Box<[Node]>,
}

/// An expression. Parentheses create no node; chains of one operator are flat.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Expr {
    /// Position least two operands.
    Or(Box<[Expr]>),
    /// Position least two operands.
    And(Box<[Expr]>),
    Not(Box<Expr>),
    Compare(Box<Comparison>),
    Defined(Box<Defined>),
    Join(Box<Join>),
    Filtered(Box<Filtered>),
    /// `look-up | default(x)`.
    Default(Box<Default>),
    Lookup(Lookup),
    Literal(Literal),
    Bool(bool),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Comparison {
    pub(super) left: Expr,
    pub(super) right: Expr,
    /// Whether the operator is `==` rather than `!=`.
    pub(super) equal: bool,
    pub(super) at: Position,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Defined {
    pub(super) lookup: Lookup,
    /// Whether the test is `is defined` rather than `is not defined`.
    pub(super) expected: bool,
}

/// `first ~ item ~ item`, left-associative.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Join {
    pub(super) first: Expr,
    /// The other items, each with the position of the `~` before it; at least one.
    pub(super) rest: Box<[(Position, Expr)]>,
}

/// `operand | filter | filter`, applied from the left.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Filtered {
    pub(super) operand: Expr,
    /// Position least one.
    pub(super) filters: Box<[(Position, Filter)]>,
}

/// Every filter except `default`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Filter {
    Simple(SimpleFilter),
    Replace(Box<Replace>),
}

/// The filters without arguments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SimpleFilter {
    B64Encode,
    B64Decode,
    Upper,
    Lower,
    Trim,
    ToJson,
    UrlEncode,
    Sha256,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Replace {
    pub(super) from: Expr,
    pub(super) to: Expr,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Default {
    pub(super) lookup: Lookup,
    pub(super) otherwise: Expr,
}

/// `v.name` or `v["name"]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Lookup {
    pub(super) name: Literal,
    pub(super) at: Position,
}

/// The value of a string literal or a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Literal {
    /// Verbatim in the source.
    Verbatim(Span),
    /// A string with escapes, unescaped.
    Escaped(Box<str>),
}

impl Literal {
    pub(super) fn resolve<'t>(&'t self, source: &'t str) -> &'t str {
        match self {
            Literal::Verbatim(span) => span.slice(source),
            Literal::Escaped(text) => text,
        }
    }
}
