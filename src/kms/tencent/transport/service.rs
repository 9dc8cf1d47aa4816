//! The services of the API that the client calls.

/// A service of the API.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::kms::tencent) enum Service {
    /// Key Management Service.
    Kms,
    /// Security Token Service, which issues temporary credentials.
    Sts,
}

impl Service {
    /// The name in host names and in the scope of a signature.
    pub(in crate::kms::tencent) fn as_str(self) -> &'static str {
        match self {
            Service::Kms => "kms",
            Service::Sts => "sts",
        }
    }

    /// The API version: `X-TC-Version`.
    pub(super) fn version(self) -> &'static str {
        match self {
            Service::Kms => "2019-01-18",
            Service::Sts => "2018-08-13",
        }
    }
}
