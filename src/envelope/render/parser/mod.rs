//! A recursive descent parser for the grammar of docs/format-es1.md#8-rendering:
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
//! The parser recurses only in constructs whose nesting the format limits: parentheses, argument lists, `not` and
//! `if`.

mod block;
mod cursor;
mod expression;

pub(super) use block::parse;
