//! The error of KMS calls and its classes, which all providers share.

use super::KeyUri;

/// What a failure means for the caller: whether a retry helps, and who can correct it. Each class maps to one condition
/// reason, one event reason and one metric label of the controller, and to an exit code of the command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Class {
    /// Network, 5xx, timeout: the same call may succeed later.
    Transient,
    /// The KMS rejected the call because of a rate limit or quota.
    Throttled,
    /// There are no credentials, or the KMS rejects them.
    Credentials,
    /// The identity lacks the permission.
    Denied,
    /// The key is disabled or pending deletion.
    KeyUnusable,
    /// The key does not exist.
    NotFound,
    /// An account in arrears, an unsupported region, an unreadable keyring.
    Configuration,
    /// The KMS refuses this ciphertext under this context, or its response is for another key. Permanent.
    Integrity,
}

impl Class {
    /// All of them.
    pub const ALL: [Class; 8] = [
        Class::Transient,
        Class::Throttled,
        Class::Credentials,
        Class::Denied,
        Class::KeyUnusable,
        Class::NotFound,
        Class::Configuration,
        Class::Integrity,
    ];

    /// One lower-case word for logs and metric labels.
    pub fn as_str(self) -> &'static str {
        match self {
            Class::Transient => "transient",
            Class::Throttled => "throttled",
            Class::Credentials => "credentials",
            Class::Denied => "denied",
            Class::KeyUnusable => "key_unusable",
            Class::NotFound => "not_found",
            Class::Configuration => "configuration",
            Class::Integrity => "integrity",
        }
    }

    /// Whether the ciphertext itself was refused, so that a retry cannot succeed (format-es1 section 9.3). No other
    /// failure says anything about the document.
    pub fn is_permanent(self) -> bool {
        self == Class::Integrity
    }

    /// Whether the same call may succeed later without any change.
    pub fn is_retryable(self) -> bool {
        matches!(self, Class::Transient | Class::Throttled)
    }

    /// What to do, unless the provider has more specific advice.
    pub fn advice(self) -> &'static str {
        match self {
            Class::Transient => {
                "try again; if it keeps failing, check the network and the status page of the KMS"
            }
            Class::Throttled => "try again later; if it keeps failing, raise the quota of the KMS",
            Class::Credentials => "check that credentials are configured and still valid",
            Class::Denied => "ask the owner of the KMS key to grant this permission",
            Class::KeyUnusable => "enable the KMS key, or cancel its deletion",
            Class::NotFound => "check the URI of the KMS key for typing errors, and its region",
            Class::Configuration => "check the account, the region and the configuration of this provider",
            Class::Integrity => {
                "check that the document has the namespace and name it was sealed for, or re-seal it"
            }
        }
    }

    /// The precedence among several failures: the lowest rank decides. Retryable failures come first, so that nobody
    /// repairs what a retry resolves; what an administrator can correct comes before what only re-sealing resolves.
    fn rank(self) -> u8 {
        match self {
            Class::Transient | Class::Throttled => 0,
            Class::Credentials => 1,
            Class::Denied => 2,
            Class::Configuration => 3,
            Class::KeyUnusable | Class::NotFound => 4,
            Class::Integrity => 5,
        }
    }
}

/// A failed KMS call. Display says what failed and why, never key material; [`KmsError::advice`] says what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{action} with {key}: {message}{}", request_reference(.code.as_deref(), .request_id.as_deref()))]
pub struct KmsError {
    /// The class of the failure.
    pub class: Class,
    /// The key of the call.
    pub key: KeyUri,
    /// `GenerateDataKey`, `Decrypt`, ...: one of [`super::action`].
    pub action: &'static str,
    /// The KMS's own error code, if its response had one.
    pub code: Option<Box<str>>,
    /// The reason, on one line.
    pub message: Box<str>,
    /// The KMS's id of the request, for its support and audit log.
    pub request_id: Option<Box<str>>,
    /// What to do, where the provider knows more than [`Class::advice`].
    pub advice: Option<Box<str>>,
    /// What messages may name in addition, if known: the source of the credentials for [`Class::Credentials`], the
    /// identity for [`Class::Denied`], the key's state for [`Class::KeyUnusable`]. Never a value of a credential.
    pub subject: Option<Box<str>>,
    /// Whether the same call may succeed later without any change although its class is not retryable: credentials
    /// whose service is down.
    pub retryable: bool,
    /// Whether the provider has corrected the cause, so that the same call may succeed now: rejected credentials were
    /// renewed, or the clock was corrected. Only where the caller makes every attempt itself, like the controller's broker;
    /// a call of the command line repeats itself.
    pub repeat_now: bool,
}

impl KmsError {
    /// Creates a failure without code and request id.
    pub fn new(class: Class, key: &KeyUri, action: &'static str, message: impl Into<Box<str>>) -> Self {
        KmsError {
            class,
            key: key.clone(),
            action,
            code: None,
            message: message.into(),
            request_id: None,
            advice: None,
            subject: None,
            retryable: false,
            repeat_now: false,
        }
    }

    /// Adds the provider's advice.
    #[must_use]
    pub fn with_advice(mut self, advice: impl Into<Box<str>>) -> Self {
        self.advice = Some(advice.into());
        self
    }

    /// Whether the same call may succeed later without any change.
    pub fn is_retryable(&self) -> bool {
        self.retryable || self.class.is_retryable()
    }

    /// The reason with code and request id, for messages that already name action and key.
    pub fn cause(&self) -> String {
        let reference = request_reference(self.code.as_deref(), self.request_id.as_deref());
        format!("{}{reference}", self.message)
    }

    /// What to do: the provider's advice, else that of the class.
    pub fn advice(&self) -> &str {
        self.advice.as_deref().unwrap_or_else(|| self.class.advice())
    }

    /// The failure that decides the outcome of several wraps: transient or throttled, then credentials, denied,
    /// configuration, key unusable or not found, integrity; among equals, the earlier wrap.
    pub fn deciding(failures: &[KmsError]) -> Option<&KmsError> {
        failures.iter().min_by_key(|failure| failure.class.rank())
    }
}

/// Formats what the KMS's support and audit log need: nothing, or ` (code, request id)`.
pub(super) fn request_reference(code: Option<&str>, request_id: Option<&str>) -> String {
    match (code, request_id) {
        (None, None) => String::new(),
        (Some(code), None) => format!(" ({code})"),
        (None, Some(id)) => format!(" (request {id})"),
        (Some(code), Some(id)) => format!(" ({code}, request {id})"),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn words_and_advice_of_classes_are_distinct() {
        let words: BTreeSet<_> = Class::ALL.map(Class::as_str).into();
        let advice: BTreeSet<_> = Class::ALL.map(Class::advice).into();
        assert_eq!((words.len(), advice.len()), (Class::ALL.len(), Class::ALL.len()));
        assert_eq!(
            Class::ALL
                .map(Class::is_permanent)
                .iter()
                .filter(|is| **is)
                .count(),
            1
        );
        assert!(Class::Integrity.is_permanent());
    }

    #[test]
    fn retryable_failures_decide_before_others() {
        let failure = |class, rest: &str| {
            let key = KeyUri::parse(&format!("test://{rest}")).expect("a key URI");
            KmsError::new(class, &key, "Decrypt", "no")
        };
        let in_order = [
            Class::Throttled,
            Class::Credentials,
            Class::Denied,
            Class::Configuration,
            Class::KeyUnusable,
            Class::Integrity,
        ];
        for (position, first) in in_order.iter().enumerate() {
            let mut failures: Vec<_> = in_order[position..]
                .iter()
                .map(|class| failure(*class, "k"))
                .collect();
            failures.reverse();
            assert_eq!(
                KmsError::deciding(&failures).map(|found| found.class),
                Some(*first)
            );
        }
        let alike = [failure(Class::Throttled, "a"), failure(Class::Transient, "b")];
        assert_eq!(
            KmsError::deciding(&alike),
            Some(&alike[0]),
            "the order of the wraps"
        );
        assert_eq!(KmsError::deciding(&[]), None);
    }

    #[test]
    fn advice_of_the_provider_takes_precedence() {
        let key = KeyUri::parse("local://fa1975b2").expect("a key URI");
        let plain = KmsError::new(Class::Denied, &key, "Decrypt", "no permission");
        assert_eq!(plain.to_string(), "Decrypt with local://fa1975b2: no permission");
        assert_eq!(plain.advice(), Class::Denied.advice());
        assert_eq!(
            plain.with_advice("grant kms:Decrypt").advice(),
            "grant kms:Decrypt"
        );
    }
}
