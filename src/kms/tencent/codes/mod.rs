//! What each error code of KMS and STS means: the one table.
//!
//! The class decides the controller's reason (controller.md 9): transient `KmsUnavailable`, throttled `KmsThrottled`,
//! credentials `CredentialsUnavailable`, denied `KmsDenied`, key unusable and not found `KmsKeyUnusable`,
//! configuration `KmsMisconfigured`, integrity `IntegrityError`.
//!
//! On an action that reads a ciphertext a code is a refusal of it, and so integrity, unless it says that the ciphertext was
//! not looked at (design 5): throttling, denial, the key's state, authentication, the account, the region, the
//! service. To the last belong the codes of an endpoint that does not offer the action at all (`InvalidAction`,
//! `NoSuchVersion`, ...): to seal again would cure nothing.
//!
//! Codes are matched exactly, then by the part before the first dot. Sources: the error pages of Tencent Cloud's API
//! 3.0, KMS 2019-01-18 and STS 2018-08-13.

use super::rpc::Service;
use crate::kms::Class;

/// What to try inside the same call before giving up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Then {
    /// Nothing helps.
    Fail,
    /// Ask again after a pause, as often as the limits allow.
    Retry,
    /// Ask again once.
    RetryOnce,
    /// Once with fresh credentials.
    Refresh,
    /// Once with the clock of the server.
    CorrectClock,
}

/// A row of the table, as it applies to one action.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Meaning {
    pub(super) class: Class,
    pub(super) then: Then,
    /// `{action}` stands for the action. Empty: the class's own.
    pub(super) advice: &'static str,
    /// The state of a key that cannot be used: "the key is {state}". Empty where the code tells none.
    pub(super) state: &'static str,
}

#[derive(Clone, Copy)]
struct Row {
    code: &'static str,
    class: Class,
    then: Then,
    advice: &'static str,
    state: &'static str,
    /// On an action that reads a ciphertext this is the KMS's refusal of it, whatever the class says (design 5).
    refuses: bool,
}

const fn row(code: &'static str, class: Class, advice: &'static str) -> Row {
    let then = match class {
        Class::Transient | Class::Throttled => Then::Retry,
        Class::Credentials => Then::Refresh,
        _ => Then::Fail,
    };
    Row {
        code,
        class,
        then,
        advice,
        state: "",
        refuses: false,
    }
}

const fn refusal(code: &'static str, class: Class, advice: &'static str) -> Row {
    let then = match class {
        Class::Transient => Then::RetryOnce,
        _ => Then::Fail,
    };
    Row {
        code,
        class,
        then,
        advice,
        state: "",
        refuses: true,
    }
}

const fn unusable(code: &'static str, state: &'static str, advice: &'static str) -> Row {
    Row {
        state,
        ..row(code, Class::KeyUnusable, advice)
    }
}

const fn then(row: Row, then: Then) -> Row {
    Row { then, ..row }
}

const PARAMETER: &str = "this request does not suit this KMS key or region: check what was asked for; if it is right, \
                         report it with the request id";
const BUG: &str =
    "report this with the request id: it is an error of this program, or of a proxy that changes requests";
const GRANT: &str = "grant kms:{action} on this KMS key in CAM to the identity whose credentials are used";
const STATE: &str = "enable the KMS key, or cancel its deletion, in the Tencent Cloud console";
const RENEW: &str = "the secret id is gone or disabled: give the credentials of a key that exists";
const ENDPOINT: &str = "check the endpoint: this KMS does not know the request";
const ROLE: &str = "check the role's ARN, its trust policy (issuer, audience, subject, external id) and whether these \
                    credentials may take it";

/// In the order of the codes.
const TABLE: &[Row] = &[
    row("ActionOffline", Class::Configuration, ENDPOINT),
    row("AuthFailure", Class::Credentials, ""),
    then(
        row("AuthFailure.InvalidAuthorization", Class::Credentials, BUG),
        Then::Fail,
    ),
    row(
        "AuthFailure.InvalidSecretId",
        Class::Credentials,
        "give the secret id of a cloud API key (CAM, API keys)",
    ),
    row(
        "AuthFailure.MFAFailure",
        Class::Credentials,
        "use an identity that needs no multi-factor check for API calls",
    ),
    row("AuthFailure.SecretIdNotFound", Class::Credentials, RENEW),
    then(
        row(
            "AuthFailure.SignatureExpire",
            Class::Configuration,
            "set this machine's clock (NTP): it may be off by 5 minutes at most",
        ),
        Then::CorrectClock,
    ),
    row(
        "AuthFailure.SignatureFailure",
        Class::Credentials,
        "check that the secret key belongs to the secret id and that both are of the right site (tencentcloud.com or \
         cloud.tencent.com); a proxy that changes Host or Content-Type looks like this too",
    ),
    row(
        "AuthFailure.TokenFailure",
        Class::Credentials,
        "the session token is wrong or has expired: get new temporary credentials",
    ),
    row("AuthFailure.UnauthorizedOperation", Class::Denied, GRANT),
    row("DryRunOperation", Class::Configuration, BUG),
    refusal("FailedOperation", Class::Transient, ""),
    refusal("FailedOperation.DecryptError", Class::Transient, ""),
    refusal("FailedOperation.EncryptionError", Class::Transient, ""),
    refusal(
        "FailedOperation.RotateTaskRunning",
        Class::KeyUnusable,
        "a rotation of this KMS key is under way: wait for it",
    ),
    refusal(
        "FailedOperation.TaggingError",
        Class::Configuration,
        "check the tags",
    ),
    refusal(
        "FailedOperation.TempKeyNotAllowed",
        Class::Credentials,
        "these temporary credentials may not assume a role: use others",
    ),
    row("InternalError", Class::Transient, ""),
    row("InvalidAction", Class::Configuration, ENDPOINT),
    refusal("InvalidParameter", Class::Configuration, PARAMETER),
    refusal("InvalidParameter.ParamError", Class::Configuration, ROLE),
    refusal(
        "InvalidParameter.WebIdentityTokenError",
        Class::Credentials,
        "check the audience of the pod's token, and that the identity provider in CAM has the cluster's issuer and keys",
    ),
    refusal("InvalidParameterValue", Class::Configuration, PARAMETER),
    refusal(
        "InvalidParameterValue.AliasAlreadyExists",
        Class::Configuration,
        "choose another alias, or use the KMS key that has it",
    ),
    refusal(
        "InvalidParameterValue.DataKeyNameAlreadyExists",
        Class::Configuration,
        PARAMETER,
    ),
    refusal(
        "InvalidParameterValue.InvalidAlias",
        Class::Configuration,
        "an alias has 1 to 60 letters, digits, - and _, begins with a letter or digit, and not with kms-",
    ),
    refusal(
        "InvalidParameterValue.InvalidCiphertext",
        Class::Configuration,
        PARAMETER,
    ),
    refusal(
        "InvalidParameterValue.InvalidDataKeyName",
        Class::Configuration,
        PARAMETER,
    ),
    refusal(
        "InvalidParameterValue.InvalidHsmClusterId",
        Class::Configuration,
        PARAMETER,
    ),
    refusal("InvalidParameterValue.InvalidKeyId", Class::NotFound, ""),
    refusal(
        "InvalidParameterValue.InvalidKeyUsage",
        Class::Configuration,
        "use a KMS key for symmetric encryption (ENCRYPT_DECRYPT)",
    ),
    refusal(
        "InvalidParameterValue.InvalidPlaintext",
        Class::Configuration,
        PARAMETER,
    ),
    refusal(
        "InvalidParameterValue.InvalidType",
        Class::Configuration,
        PARAMETER,
    ),
    refusal(
        "InvalidParameterValue.TagKeysDuplicated",
        Class::Configuration,
        "check the tags",
    ),
    refusal(
        "InvalidParameterValue.TagsNotExisted",
        Class::Configuration,
        "check the tags",
    ),
    refusal("InvalidRequest", Class::Configuration, BUG),
    row(
        "IpInBlacklist",
        Class::Denied,
        "the account refuses this IP address: ask whoever keeps the list",
    ),
    row(
        "IpNotInWhitelist",
        Class::Denied,
        "the account does not admit this IP address: ask whoever keeps the list",
    ),
    row(
        "LimitExceeded",
        Class::Configuration,
        "a quota of the account is used up: raise it or remove what is not needed",
    ),
    row(
        "LimitExceeded.CmkLimitExceeded",
        Class::Configuration,
        "the account has no room for another KMS key in this region",
    ),
    row(
        "LimitExceeded.DataKeyLimitExceeded",
        Class::Configuration,
        "the account has no room for another data key",
    ),
    refusal("MissingParameter", Class::Configuration, BUG),
    row("NoSuchProduct", Class::Configuration, ENDPOINT),
    row("NoSuchVersion", Class::Configuration, ENDPOINT),
    row("RequestLimitExceeded", Class::Throttled, ""),
    row(
        "RequestLimitExceeded.GlobalRegionUinLimitExceeded",
        Class::Throttled,
        "",
    ),
    row("RequestLimitExceeded.IPLimitExceeded", Class::Throttled, ""),
    row(
        "RequestLimitExceeded.RotateRateLimited",
        Class::KeyUnusable,
        "a KMS key can be rotated by hand once in 24 hours",
    ),
    row("RequestLimitExceeded.UinLimitExceeded", Class::Throttled, ""),
    refusal("RequestSizeLimitExceeded", Class::Configuration, BUG),
    row(
        "ResourceInUse",
        Class::KeyUnusable,
        "something else uses this: wait, or look it up in the console",
    ),
    row("ResourceInsufficient", Class::Transient, ""),
    row("ResourceNotFound", Class::NotFound, ""),
    row("ResourceNotFound.RoleNotFound", Class::Credentials, ROLE),
    unusable("ResourceUnavailable", "not available", STATE),
    unusable(
        "ResourceUnavailable.CmkArchived",
        "archived",
        "the KMS key is archived, it only decrypts: seal with another",
    ),
    unusable(
        "ResourceUnavailable.CmkDisabled",
        "disabled",
        "enable the KMS key in the Tencent Cloud console",
    ),
    row("ResourceUnavailable.CmkNotFound", Class::NotFound, ""),
    unusable(
        "ResourceUnavailable.CmkStateNotSupport",
        "in a state that does not allow it",
        STATE,
    ),
    unusable(
        "ResourceUnavailable.KeyPendingDelete",
        "about to be deleted",
        "cancel the deletion of the KMS key before its window ends",
    ),
    refusal("ResponseSizeLimitExceeded", Class::Configuration, BUG),
    row("ServiceUnavailable", Class::Transient, ""),
    row("UnauthorizedOperation", Class::Denied, GRANT),
    refusal("UnknownParameter", Class::Configuration, BUG),
    row(
        "UnsupportedOperation",
        Class::Configuration,
        "check that KMS is bought and paid for in this account, and that the region and the KMS key support this",
    ),
    row(
        "UnsupportedOperation.ExternalCmkCanNotRotate",
        Class::Configuration,
        "a KMS key with imported material cannot rotate",
    ),
    row(
        "UnsupportedOperation.NotRoleOperation",
        Class::Configuration,
        "this KMS key belongs to a cloud product: use one of your own",
    ),
    row(
        "UnsupportedOperation.RotateNotSupported",
        Class::Configuration,
        "this KMS key cannot rotate: use a symmetric one",
    ),
    row(
        "UnsupportedOperation.ServiceTemporaryUnavailable",
        Class::Transient,
        "",
    ),
    row(
        "UnsupportedOperation.UnsupportedKeyUsageInCurrentRegion",
        Class::Configuration,
        "this region has no such KMS keys: choose another",
    ),
    row("UnsupportedProtocol", Class::Configuration, BUG),
    row(
        "UnsupportedRegion",
        Class::Configuration,
        "KMS is not in this region: check the region in the KMS key's URI",
    ),
];

/// What `code` means for an action; `on_ciphertext` for those that read one (Decrypt, ReEncrypt).
pub(super) fn meaning(code: &str, on_ciphertext: bool) -> Meaning {
    let exact = |code: &str| TABLE.iter().find(|row| row.code == code);
    let family = code.split_once('.').map_or(code, |(family, _)| family);
    let row = exact(code).or_else(|| exact(family));
    let refused = Meaning {
        class: Class::Integrity,
        then: Then::Fail,
        advice: "",
        state: "",
    };
    match row {
        Some(row) if row.refuses && on_ciphertext => refused,
        None if on_ciphertext => refused,
        Some(row) => Meaning {
            class: row.class,
            then: row.then,
            advice: row.advice,
            state: row.state,
        },
        None => Meaning {
            class: Class::Transient,
            then: Then::RetryOnce,
            advice: "this version does not know the KMS's error code: try again; if it lasts, look the code up",
            state: "",
        },
    }
}

/// What a person can do; `{action}` stands for the action. STS is not the KMS: what it denies is the role.
pub(super) fn advice(meaning: &Meaning, service: Service) -> &'static str {
    match (service, meaning.class) {
        (Service::Sts, Class::Denied | Class::NotFound) => ROLE,
        (Service::Sts, Class::Configuration)
            if meaning.advice != BUG && meaning.then != Then::CorrectClock =>
        {
            ROLE
        }
        (Service::Sts, Class::Throttled) => {
            "try again later: Tencent Cloud limits calls of STS for the whole account"
        }
        (Service::Sts, Class::Transient) if meaning.advice.is_empty() => {
            "try again; if it lasts, check the network and Tencent Cloud's own status"
        }
        _ if meaning.advice.is_empty() => meaning.class.advice(),
        _ => meaning.advice,
    }
}

#[cfg(test)]
mod tests;
