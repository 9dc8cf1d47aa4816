//! Tests of the parts together: the decisions with a clock that is passed, openings on paused time.

mod attempts;
mod calls;
mod fake;
mod order;
pub(super) mod support;
