//! Acting on the cluster: every write and live read, the bodies that are written, the errors of the API server, and events.

pub(in crate::controller) mod api_error;
pub(in crate::controller) mod cluster;
pub(in crate::controller) mod events;
pub(in crate::controller) mod secret;
pub(in crate::controller) mod token;
pub(in crate::controller) mod writer;
