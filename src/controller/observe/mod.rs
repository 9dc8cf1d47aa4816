//! Observing the cluster: the one decoder for everything that the API server sends, the requests that read, and the
//! streams that list and watch.

pub(in crate::controller) mod check;
pub(in crate::controller) mod decode;
pub(in crate::controller) mod documents;
pub(in crate::controller) mod expectations;
pub(in crate::controller) mod fields;
pub(in crate::controller) mod history;
pub(in crate::controller) mod kind;
pub(in crate::controller) mod object;
pub(in crate::controller) mod relists;
pub(in crate::controller) mod requests;
pub(in crate::controller) mod secret_facts;
pub(in crate::controller) mod shape;
pub(in crate::controller) mod source;
pub(in crate::controller) mod status_facts;
pub(in crate::controller) mod store;
pub(in crate::controller) mod summary;
pub(in crate::controller) mod watch;
pub(in crate::controller) mod wishes;
