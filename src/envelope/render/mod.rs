//! The rendering language (docs/format-es1.md#8-rendering): small, fixed for es1, and bounded, so that a hostile text
//! cannot cost a reader more than the format allows.
//!
//! [`Text::parse`] checks the grammar (a failure is STRUCTURE), [`render_all`] evaluates (a failure is RENDER).
//! Neither recurses deeper than [`MAX_NESTING`] levels of the text; sequences are always loops.

mod ast;
mod error;
mod eval;
mod filter;
mod lexer;
mod limits;
mod parser;
mod text;

#[cfg(test)]
mod tests;

pub use error::{RenderError, RenderErrorKind, SyntaxError};
pub use eval::render_all;
pub use limits::{MAX_HANDLED, MAX_NESTING, MAX_RESULT, MAX_SECRET, MAX_TEXT};
pub use text::Text;
