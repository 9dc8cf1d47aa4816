//! The limits of rendering (docs/format-es1.md, sections 2, 8 and 9).

/// Largest length of one text, in bytes (section 2).
pub const MAX_TEXT: usize = 65_536;
/// Deepest nesting of parentheses, argument lists, `not` and `if`, counted together.
pub const MAX_NESTING: usize = 32;
/// Largest result of one filter or one `~`, in bytes.
pub const MAX_RESULT: usize = 1_048_576;
/// Most bytes handled by all renders of a document: operands, arguments, results and output.
pub const MAX_HANDLED: usize = 8_388_608;
/// Largest Secret in bytes: values, plain data and rendered texts (section 9, step 8).
pub const MAX_SECRET: usize = 1_048_576;
