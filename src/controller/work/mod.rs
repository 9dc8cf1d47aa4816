//! The work of the controller: the queue, the reconcile loop with its steps, and the openings that it waits for.

pub(in crate::controller) mod apply;
pub(in crate::controller) mod clock;
pub(in crate::controller) mod context;
pub(in crate::controller) mod dispatch;
pub(in crate::controller) mod document;

pub(in crate::controller) mod large;
pub(in crate::controller) mod live_read;
pub(in crate::controller) mod opener;
pub(in crate::controller) mod opening;
pub(in crate::controller) mod probe;
pub(in crate::controller) mod providers;
pub(in crate::controller) mod queue;
pub(in crate::controller) mod reached;
pub(in crate::controller) mod reader;
pub(in crate::controller) mod reconcile;
pub(in crate::controller) mod reconciler;
pub(in crate::controller) mod report;
pub(in crate::controller) mod retry;
