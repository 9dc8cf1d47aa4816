//! The role to assume on top of other credentials.

/// A role to assume with the credentials of whichever source wins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AssumedRole {
    /// The role's ARN, such as `qcs::cam::uin/100000000001:roleName/sealer`.
    pub arn: String,
    /// The external id, if the role's trust policy requires one.
    pub external_id: Option<String>,
}
