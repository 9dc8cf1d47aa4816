//! The controller on a real API server.

mod api;
mod lifecycle;
mod preconditions;
mod refusals;
mod scale;
mod start;
mod tencent;
mod vectors;
