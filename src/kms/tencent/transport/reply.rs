//! A successful response.

/// The fields of a successful response, and its request id.
pub(in crate::kms::tencent) struct Reply<T> {
    pub(in crate::kms::tencent) value: T,
    pub(in crate::kms::tencent) request_id: Option<String>,
}
