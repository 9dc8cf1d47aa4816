//! Calls of Tencent Cloud's API 3.0: signing, HTTP, reading responses, and retries.

pub(super) mod call;
pub(super) mod clock;
mod codes;
pub(super) mod credentials_provider;
pub(super) mod endpoint;
pub(super) mod failure;
pub(super) mod http;
pub(super) mod limits;
mod proxy;
pub(super) mod request;
pub(super) mod response;
pub(super) mod service;
pub(super) mod setup;
pub(super) mod sign;
