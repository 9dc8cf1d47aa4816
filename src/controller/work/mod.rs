//! The work of the controller: the queue, the reconcile loop, and the openings that it waits for.

pub(in crate::controller) mod context;
pub(in crate::controller) mod opener;
pub(in crate::controller) mod opening;
pub(in crate::controller) mod providers;
pub(in crate::controller) mod queue;
pub(in crate::controller) mod reader;
pub(in crate::controller) mod reconcile;
pub(in crate::controller) mod reconciler;
