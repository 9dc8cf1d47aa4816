//! Tests of the rendering language.

mod docs;
mod expressions;
mod filters;
mod hostile;
mod limits;
mod minijinja;
mod nesting;
mod properties;
mod recipes;
mod render_errors;
mod support;
mod syntax_errors;
mod tags;
mod vectors;
