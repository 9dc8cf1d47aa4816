use std::collections::BTreeSet;

use super::*;

#[test]
fn each_code_stands_once_and_in_order() {
    let codes: Vec<&str> = TABLE.iter().map(|row| row.code).collect();
    let sorted: BTreeSet<&str> = codes.iter().copied().collect();
    assert_eq!(codes, sorted.into_iter().collect::<Vec<_>>());
    // A code without its family would make its unknown sisters unknown codes.
    for code in &codes {
        let family = code.split('.').next().expect("the first part");
        assert!(codes.contains(&family), "{code}");
    }
}

/// Design 5, sentence by sentence: what is a refusal of the ciphertext, and what is not.
#[test]
fn a_refusal_of_the_ciphertext_is_integrity_and_nothing_else_is() {
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
            (found.class, found.then),
            (Class::Integrity, Then::Fail),
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
            row.refuses,
            "{}",
            row.code
        );
        assert_ne!(meaning(row.code, false).class, Class::Integrity, "{}", row.code);
    }
}

#[test]
fn other_actions_take_the_tables_class_and_an_unknown_code_is_tried_once_more() {
    for (code, class, then) in [
        (
            "FailedOperation.EncryptionError",
            Class::Transient,
            Then::RetryOnce,
        ),
        ("InvalidParameterValue.InvalidKeyId", Class::NotFound, Then::Fail),
        (
            "InvalidParameterValue.SomethingNew",
            Class::Configuration,
            Then::Fail,
        ),
        ("RequestLimitExceeded", Class::Throttled, Then::Retry),
        (
            "RequestLimitExceeded.RotateRateLimited",
            Class::KeyUnusable,
            Then::Fail,
        ),
        ("InternalError.X", Class::Transient, Then::Retry),
        ("AuthFailure.SecretIdNotFound", Class::Credentials, Then::Refresh),
        ("AuthFailure.TokenFailure", Class::Credentials, Then::Refresh),
        (
            "AuthFailure.SignatureExpire",
            Class::Configuration,
            Then::CorrectClock,
        ),
        ("Gibberish.X", Class::Transient, Then::RetryOnce),
    ] {
        let found = meaning(code, false);
        assert_eq!((found.class, found.then), (class, then), "{code}");
    }
    let unknown = meaning("Gibberish", false);
    assert!(unknown.advice.contains("does not know"), "{}", unknown.advice);
}

/// Only what passes by itself, a refused credential and a wrong clock are tried again.
#[test]
fn nothing_that_a_person_must_repair_is_retried() {
    for row in TABLE {
        let again = matches!(row.then, Then::Retry | Then::RetryOnce);
        assert_eq!(again, row.class.is_retryable(), "{}", row.code);
    }
}
