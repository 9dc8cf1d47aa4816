//! Observing the cluster: the one decoder for everything that the API server sends, the requests that read, and the
//! streams that list and watch.

pub(super) mod decode;
pub(super) mod history;
pub(super) mod kind;
pub(super) mod requests;
pub(super) mod source;
