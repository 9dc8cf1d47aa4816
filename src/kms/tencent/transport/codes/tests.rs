use std::collections::BTreeSet;

use super::*;

#[test]
fn table_is_sorted_and_has_no_duplicate_codes() {
    let codes: Vec<&str> = TABLE.iter().map(|row| row.code).collect();
    let sorted: BTreeSet<&str> = codes.iter().copied().collect();
    assert_eq!(codes, sorted.into_iter().collect::<Vec<_>>());
    // Without the family, unlisted codes of that family would be unknown.
    for code in &codes {
        let family = code.split('.').next().expect("the first part");
        assert!(codes.contains(&family), "{code}");
    }
}

#[test]
fn only_refusals_of_the_ciphertext_are_integrity_failures() {
    for code in [
        "FailedOperation",
        "FailedOperation.DecryptError",
        "FailedOperation.EncryptionError",
        "FailedOperation.SomethingNew",
        "InvalidParameter",
        "InvalidParameter.SomethingNew",
        "InvalidParameterValue",
        "InvalidParameterValue.InvalidCiphertext",
        "InvalidParameterValue.InvalidKeyId",
        "InvalidParameterValue.SomethingNew",
        "MissingParameter",
        "UnknownParameter",
        "InvalidRequest",
        "RequestSizeLimitExceeded",
        "Gibberish",
        "",
    ] {
        let found = meaning(code, true);
        assert_eq!(
            (found.class, found.retry_action),
            (Class::Integrity, RetryAction::Fail),
            "{code}"
        );
    }
    for (code, class) in [
        ("InternalError", Class::Transient),
        ("InternalError.DbError", Class::Transient),
        ("ServiceUnavailable", Class::Transient),
        (
            "UnsupportedOperation.ServiceTemporaryUnavailable",
            Class::Transient,
        ),
        ("RequestLimitExceeded", Class::Throttled),
        ("RequestLimitExceeded.UinLimitExceeded", Class::Throttled),
        ("RequestLimitExceeded.SomethingNew", Class::Throttled),
        ("UnauthorizedOperation", Class::Denied),
        ("AuthFailure.UnauthorizedOperation", Class::Denied),
        ("IpNotInWhitelist", Class::Denied),
        ("ResourceUnavailable.CmkDisabled", Class::KeyUnusable),
        ("ResourceUnavailable.KeyPendingDelete", Class::KeyUnusable),
        ("ResourceUnavailable.SomethingNew", Class::KeyUnusable),
        ("ResourceUnavailable.CmkNotFound", Class::NotFound),
        ("AuthFailure.SignatureFailure", Class::Credentials),
        ("AuthFailure.TokenFailure", Class::Credentials),
        ("AuthFailure.SomethingNew", Class::Credentials),
        ("AuthFailure.SignatureExpire", Class::Configuration),
        ("UnsupportedRegion", Class::Configuration),
        ("UnsupportedOperation", Class::Configuration),
        ("LimitExceeded", Class::Configuration),
        ("NoSuchVersion", Class::Configuration),
    ] {
        assert_eq!(meaning(code, true).class, class, "{code}");
    }
    for row in TABLE {
        assert_eq!(
            meaning(row.code, true).class == Class::Integrity,
            row.refuses_ciphertext,
            "{}",
            row.code
        );
        assert_ne!(meaning(row.code, false).class, Class::Integrity, "{}", row.code);
    }
}

#[test]
fn actions_without_a_ciphertext_use_the_table_and_retry_unknown_codes_once() {
    for (code, class, retry_action) in [
        (
            "FailedOperation.EncryptionError",
            Class::Transient,
            RetryAction::RetryOnce,
        ),
        (
            "InvalidParameterValue.InvalidKeyId",
            Class::NotFound,
            RetryAction::Fail,
        ),
        (
            "InvalidParameterValue.SomethingNew",
            Class::Configuration,
            RetryAction::Fail,
        ),
        ("RequestLimitExceeded", Class::Throttled, RetryAction::Retry),
        (
            "RequestLimitExceeded.RotateRateLimited",
            Class::KeyUnusable,
            RetryAction::Fail,
        ),
        ("InternalError.X", Class::Transient, RetryAction::Retry),
        (
            "AuthFailure.SecretIdNotFound",
            Class::Credentials,
            RetryAction::RefreshCredentials,
        ),
        (
            "AuthFailure.TokenFailure",
            Class::Credentials,
            RetryAction::RefreshCredentials,
        ),
        (
            "AuthFailure.SignatureExpire",
            Class::Configuration,
            RetryAction::CorrectClock,
        ),
        ("Gibberish.X", Class::Transient, RetryAction::RetryOnce),
    ] {
        let found = meaning(code, false);
        assert_eq!((found.class, found.retry_action), (class, retry_action), "{code}");
    }
    let unknown = meaning("Gibberish", false);
    assert!(unknown.advice.contains("does not know"), "{}", unknown.advice);
}

#[test]
fn only_retryable_classes_are_retried() {
    for row in TABLE {
        let meaning = row.meaning;
        let is_retried = matches!(meaning.retry_action, RetryAction::Retry | RetryAction::RetryOnce);
        assert_eq!(is_retried, meaning.class.is_retryable(), "{}", row.code);
    }
}
