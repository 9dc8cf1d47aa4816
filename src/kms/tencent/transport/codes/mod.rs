//! The error codes of KMS and STS, and what each one means.
//!
//! The class selects the reason that the controller reports: transient `KmsUnavailable`, throttled `KmsThrottled`,
//! credentials `CredentialsUnavailable`, denied `KmsDenied`, key unusable and not found `KmsKeyUnusable`, configuration
//! `KmsMisconfigured`, integrity `IntegrityError`.
//!
//! On an action that takes a ciphertext, every code is a refusal of the ciphertext (integrity), unless it shows that the
//! KMS did not examine it: throttling, denial, key state, authentication, an account, region or service fault. The codes
//! of an endpoint that does not offer the action (`InvalidAction`, `NoSuchVersion`, ...) are such faults: re-sealing would
//! not help.
//!
//! A code is looked up as a whole, then by the part before its first dot. Sources: the error code pages of Tencent Cloud's
//! API 3.0, KMS 2019-01-18 and STS 2018-08-13.

use super::service::Service;
use crate::kms::Class;
use crate::kms::tencent::error::RetryAction;

/// What a code means for one action.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Meaning {
    pub(super) class: Class,
    pub(super) retry_action: RetryAction,
    /// A template: `{action}` is replaced. Empty for the advice of the class.
    pub(super) advice: &'static str,
    /// The state of an unusable key, as in "the key is {state}". Empty if the code does not show it.
    pub(super) state: &'static str,
}

/// A row of the table.
#[derive(Clone, Copy)]
struct Row {
    code: &'static str,
    meaning: Meaning,
    /// Whether the code is a refusal of the ciphertext on an action that takes one, whatever its class.
    refuses_ciphertext: bool,
}

/// A code that says nothing about a ciphertext.
const fn row(code: &'static str, class: Class, advice: &'static str) -> Row {
    let retry_action = match class {
        Class::Transient | Class::Throttled => RetryAction::Retry,
        Class::Credentials => RetryAction::RefreshCredentials,
        _ => RetryAction::Fail,
    };
    Row {
        code,
        meaning: Meaning {
            class,
            retry_action,
            advice,
            state: "",
        },
        refuses_ciphertext: false,
    }
}

/// A code that refuses the request, and on an action that takes a ciphertext the ciphertext.
const fn refusal(code: &'static str, class: Class, advice: &'static str) -> Row {
    let retry_action = match class {
        Class::Transient => RetryAction::RetryOnce,
        _ => RetryAction::Fail,
    };
    Row {
        refuses_ciphertext: true,
        ..with_retry(row(code, class, advice), retry_action)
    }
}

/// A code for a key in a state that does not allow the action.
const fn unusable(code: &'static str, state: &'static str, advice: &'static str) -> Row {
    let row = row(code, Class::KeyUnusable, advice);
    Row {
        meaning: Meaning { state, ..row.meaning },
        ..row
    }
}

const fn with_retry(row: Row, retry_action: RetryAction) -> Row {
    Row {
        meaning: Meaning {
            retry_action,
            ..row.meaning
        },
        ..row
    }
}

const PARAMETER: &str = "check that the KMS key and the region support this request; if they do, report it with the \
                         request id";
const BUG: &str = "report this with the request id: it is a bug in this program, or a proxy changes requests";
const GRANT: &str = "grant kms:{action} on this KMS key in CAM to the identity whose credentials are used";
const STATE: &str = "enable the KMS key, or cancel its deletion, in the Tencent Cloud console";
const RENEW: &str = "the secret id has been deleted or disabled: use the credentials of an existing API key";
const ENDPOINT: &str = "check the endpoint: this KMS does not support the request";
const ROLE: &str = "check the role's ARN, its trust policy (issuer, audience, subject, external id) and whether these \
                    credentials may assume it";

/// Sorted by code.
const TABLE: &[Row] = &[
    row("ActionOffline", Class::Configuration, ENDPOINT),
    row("AuthFailure", Class::Credentials, ""),
    with_retry(
        row("AuthFailure.InvalidAuthorization", Class::Credentials, BUG),
        RetryAction::Fail,
    ),
    row(
        "AuthFailure.InvalidSecretId",
        Class::Credentials,
        "use the secret id of a cloud API key (CAM, API keys)",
    ),
    row(
        "AuthFailure.MFAFailure",
        Class::Credentials,
        "use an identity that needs no multi-factor authentication for API calls",
    ),
    row("AuthFailure.SecretIdNotFound", Class::Credentials, RENEW),
    with_retry(
        row(
            "AuthFailure.SignatureExpire",
            Class::Configuration,
            "synchronize this host's clock (NTP): it must not be off by more than 5 minutes",
        ),
        RetryAction::CorrectClock,
    ),
    row(
        "AuthFailure.SignatureFailure",
        Class::Credentials,
        "check that the secret key belongs to the secret id and that both are from the right site (tencentcloud.com or \
         cloud.tencent.com); a proxy that changes Host or Content-Type has the same effect",
    ),
    row(
        "AuthFailure.TokenFailure",
        Class::Credentials,
        "the session token is not valid or has expired: get new temporary credentials",
    ),
    row("AuthFailure.UnauthorizedOperation", Class::Denied, GRANT),
    row("DryRunOperation", Class::Configuration, BUG),
    refusal("FailedOperation", Class::Transient, ""),
    refusal("FailedOperation.DecryptError", Class::Transient, ""),
    refusal("FailedOperation.EncryptionError", Class::Transient, ""),
    refusal(
        "FailedOperation.RotateTaskRunning",
        Class::KeyUnusable,
        "a rotation of this KMS key is in progress: wait until it has finished",
    ),
    refusal(
        "FailedOperation.TaggingError",
        Class::Configuration,
        "check the tags",
    ),
    refusal(
        "FailedOperation.TempKeyNotAllowed",
        Class::Credentials,
        "these temporary credentials must not assume a role: use other credentials",
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
        "choose another alias, or use the KMS key that has this one",
    ),
    refusal(
        "InvalidParameterValue.DataKeyNameAlreadyExists",
        Class::Configuration,
        PARAMETER,
    ),
    refusal(
        "InvalidParameterValue.InvalidAlias",
        Class::Configuration,
        "use 1 to 60 letters, digits, - and _; an alias starts with a letter or digit, and not with kms-",
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
        "the account blocks this IP address: ask the account's administrator",
    ),
    row(
        "IpNotInWhitelist",
        Class::Denied,
        "the account's allow list lacks this IP address: ask the account's administrator",
    ),
    row(
        "LimitExceeded",
        Class::Configuration,
        "a quota of the account is exhausted: raise it, or delete unused resources",
    ),
    row(
        "LimitExceeded.CmkLimitExceeded",
        Class::Configuration,
        "the account's quota of KMS keys in this region is exhausted: raise it, or delete unused keys",
    ),
    row(
        "LimitExceeded.DataKeyLimitExceeded",
        Class::Configuration,
        "the account's quota of data keys is exhausted: raise it, or delete unused data keys",
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
        "wait: a KMS key can be rotated manually once in 24 hours",
    ),
    row("RequestLimitExceeded.UinLimitExceeded", Class::Throttled, ""),
    refusal("RequestSizeLimitExceeded", Class::Configuration, BUG),
    row(
        "ResourceInUse",
        Class::KeyUnusable,
        "the resource is in use: wait, or check it in the console",
    ),
    row("ResourceInsufficient", Class::Transient, ""),
    row("ResourceNotFound", Class::NotFound, ""),
    row("ResourceNotFound.RoleNotFound", Class::Credentials, ROLE),
    unusable("ResourceUnavailable", "not available", STATE),
    unusable(
        "ResourceUnavailable.CmkArchived",
        "archived",
        "the KMS key is archived and can only decrypt: seal with another KMS key",
    ),
    unusable(
        "ResourceUnavailable.CmkDisabled",
        "disabled",
        "enable the KMS key in the Tencent Cloud console",
    ),
    row("ResourceUnavailable.CmkNotFound", Class::NotFound, ""),
    unusable(
        "ResourceUnavailable.CmkStateNotSupport",
        "in a state that does not allow this",
        STATE,
    ),
    unusable(
        "ResourceUnavailable.KeyPendingDelete",
        "pending deletion",
        "cancel the deletion of the KMS key before its waiting period ends",
    ),
    refusal("ResponseSizeLimitExceeded", Class::Configuration, BUG),
    row("ServiceUnavailable", Class::Transient, ""),
    row("UnauthorizedOperation", Class::Denied, GRANT),
    refusal("UnknownParameter", Class::Configuration, BUG),
    row(
        "UnsupportedOperation",
        Class::Configuration,
        "check that the account has an active KMS subscription, and that the region and the KMS key support this",
    ),
    row(
        "UnsupportedOperation.ExternalCmkCanNotRotate",
        Class::Configuration,
        "use a KMS key whose material the KMS generated: imported material cannot be rotated",
    ),
    row(
        "UnsupportedOperation.NotRoleOperation",
        Class::Configuration,
        "this KMS key is managed by a cloud product: use one of your own",
    ),
    row(
        "UnsupportedOperation.RotateNotSupported",
        Class::Configuration,
        "use a symmetric KMS key: this one cannot be rotated",
    ),
    row(
        "UnsupportedOperation.ServiceTemporaryUnavailable",
        Class::Transient,
        "",
    ),
    row(
        "UnsupportedOperation.UnsupportedKeyUsageInCurrentRegion",
        Class::Configuration,
        "choose another region: this one does not offer such KMS keys",
    ),
    row("UnsupportedProtocol", Class::Configuration, BUG),
    row(
        "UnsupportedRegion",
        Class::Configuration,
        "check the region in the KMS key's URI: KMS is not available in this one",
    ),
];

/// Returns what `code` means for an action, which may take a ciphertext (Decrypt, ReEncrypt).
pub(super) fn meaning(code: &str, reads_ciphertext: bool) -> Meaning {
    let find = |code: &str| TABLE.iter().find(|row| row.code == code);
    let family = code.split_once('.').map_or(code, |(family, _)| family);
    let row = find(code).or_else(|| find(family));
    let refuses = row.is_none_or(|row| row.refuses_ciphertext);
    if reads_ciphertext && refuses {
        return Meaning {
            class: Class::Integrity,
            retry_action: RetryAction::Fail,
            advice: "",
            state: "",
        };
    }
    row.map_or(
        Meaning {
            class: Class::Transient,
            retry_action: RetryAction::RetryOnce,
            advice: "this version does not know the KMS's error code: try again; if the error persists, look the code up",
            state: "",
        },
        |row| row.meaning,
    )
}

/// Returns the advice, with `{action}` for the action. What STS denies or does not find is the role, not a KMS key.
pub(super) fn advice(meaning: &Meaning, service: Service) -> &'static str {
    match (service, meaning.class) {
        (Service::Sts, Class::Denied | Class::NotFound) => ROLE,
        (Service::Sts, Class::Configuration)
            if meaning.advice != BUG && meaning.retry_action != RetryAction::CorrectClock =>
        {
            ROLE
        }
        (Service::Sts, Class::Throttled) => {
            "try again later: Tencent Cloud limits STS calls for the whole account"
        }
        (Service::Sts, Class::Transient) if meaning.advice.is_empty() => {
            "try again; if the error persists, check the network and Tencent Cloud's own status"
        }
        _ if meaning.advice.is_empty() => meaning.class.advice(),
        _ => meaning.advice,
    }
}

#[cfg(test)]
mod tests;
