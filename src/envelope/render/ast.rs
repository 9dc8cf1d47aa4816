//! What a text is made of once it is parsed. Names and literals are ranges of the text wherever they can be, so that a
//! parsed text takes a few times the bytes of its source, whatever stands in it.

/// A range of bytes of the text.
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

    pub(super) fn of(self, source: &str) -> &str {
        &source[self.start as usize..self.end as usize]
    }

    pub(super) fn at(self) -> At {
        At(self.start)
    }

    pub(super) fn is_empty(self) -> bool {
        self.start == self.end
    }
}

/// Where a node stands: an offset in bytes, from which a failure finds its line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct At(u32);

impl At {
    pub(super) fn new(offset: usize) -> Self {
        At(narrow(offset))
    }

    /// Line, from 1.
    pub(super) fn line(self, source: &str) -> usize {
        1 + source[..self.0 as usize].matches('\n').count()
    }

    /// Character in its line, from 1.
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
    u32::try_from(offset).expect("an offset into a text fits")
}

/// A part of a text, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Node {
    /// Copied; white space that a `-` removes is gone already. Never empty.
    Text(Span),
    /// `<%= expr %>`.
    Write { expr: Expr, at: At },
    /// `if` and each `elif` in order, then `else` (empty where there is none).
    If {
        arms: Box<[Arm]>,
        otherwise: Box<[Node]>,
    },
}

/// One condition and what it guards.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Arm {
    pub(super) condition: Expr,
    pub(super) body: Box<[Node]>,
}

/// An expression. Parentheses leave no node; chains of one operator are flat.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Expr {
    /// At least two operands.
    Or(Box<[Expr]>),
    /// At least two operands.
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
    /// `==`, else `!=`.
    pub(super) equal: bool,
    pub(super) at: At,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Defined {
    pub(super) lookup: Lookup,
    /// `is defined`, else `is not defined`.
    pub(super) wanted: bool,
}

/// `first ~ item ~ item`, from the left.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Join {
    pub(super) first: Expr,
    /// Each with the place of the `~` before it; at least one.
    pub(super) rest: Box<[(At, Expr)]>,
}

/// `operand | filter | filter`, from the left.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Filtered {
    pub(super) operand: Expr,
    /// At least one.
    pub(super) filters: Box<[(At, Filter)]>,
}

/// Every filter but `default`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Filter {
    Plain(Plain),
    Replace(Box<Replace>),
}

/// The filters without arguments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Plain {
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
    pub(super) at: At,
}

/// What a string or a name stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Literal {
    /// As it stands in the text.
    Plain(Span),
    /// A string with escapes, decoded.
    Escaped(Box<str>),
}

impl Literal {
    pub(super) fn of<'t>(&'t self, source: &'t str) -> &'t str {
        match self {
            Literal::Plain(span) => span.of(source),
            Literal::Escaped(text) => text,
        }
    }
}
