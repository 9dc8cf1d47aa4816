//! Deciding what to do, by pure functions of the observed state: the plan, the status, and when to retry.
//!
//! Neither tokio nor kube, and no I/O: every decision has a table-driven test.

pub(in crate::controller) mod cures;
pub(in crate::controller) mod damping;
pub(in crate::controller) mod desired;
pub(in crate::controller) mod object_state;
pub(in crate::controller) mod ownership;
pub(in crate::controller) mod plan;
pub(in crate::controller) mod status;
pub(in crate::controller) mod waiting;
