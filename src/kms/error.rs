//! The classes that every provider's failures fall into.

use super::KeyUri;

/// What a failure means for the caller: whether to retry, and whom to call. Each class is one condition reason, one
/// event reason and one metric label of the controller, and decides the command line's exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Class {
    /// Network, 5xx, timeout: the same call may succeed later.
    Transient,
    /// The KMS limits calls.
    Throttled,
    /// No credentials, or the KMS refuses them.
    Credentials,
    /// The identity may not do this.
    Denied,
    /// Disabled, pending deletion.
    KeyUnusable,
    /// The key does not exist.
    NotFound,
    /// Arrears, an unsupported region, a keyring that cannot be read.
    Configuration,
    /// The KMS refuses this ciphertext under this context, or answers for another key. Permanent.
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

    /// Whether the ciphertext itself was refused, so that asking again cannot help (format-es1 section 9.3). All
    /// other failures say nothing about the document.
    pub fn is_permanent(self) -> bool {
        self == Class::Integrity
    }

    /// Whether what failed so passes without a change by anybody.
    pub fn is_retryable(self) -> bool {
        matches!(self, Class::Transient | Class::Throttled)
    }

    /// What a person can do when the provider knows nothing better.
    pub fn advice(self) -> &'static str {
        match self {
            Class::Transient => "try again; if it lasts, check the network and the KMS's own status",
            Class::Throttled => "try again later; raise the quota of the KMS if this lasts",
            Class::Credentials => {
                "check the credentials: whether there are any, whether they are still valid"
            }
            Class::Denied => "ask whoever grants access to the KMS key for the right to do this",
            Class::KeyUnusable => "enable the KMS key, or cancel its deletion",
            Class::NotFound => "check the URI of the KMS key for a typing error and its region",
            Class::Configuration => "check the account, the region and how this provider is configured",
            Class::Integrity => "check that the document is where it was sealed for, or seal it again",
        }
    }

    /// Which failure of several tells the outcome: the smallest. What passes by itself comes first, so that nobody
    /// is sent to repair what a retry cures; what a person of the cluster can repair comes before what only a new
    /// sealing cures.
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

/// A failed KMS call. Display carries what failed and why, never key material; [`KmsError::advice`] says what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{action} with {key}: {message}{}", answer(.code.as_deref(), .request_id.as_deref()))]
pub struct KmsError {
    /// What it means.
    pub class: Class,
    /// The key that was to be used.
    pub key: KeyUri,
    /// `GenerateDataKey`, `Decrypt`, ...: one of [`super::action`].
    pub action: &'static str,
    /// The KMS's own error code, if it answered with one.
    pub code: Option<Box<str>>,
    /// Why, in one line.
    pub message: Box<str>,
    /// The KMS's id of the request, for its support and audit log.
    pub request_id: Option<Box<str>>,
    /// What a person can do about it, where the provider knows better than [`Class::advice`].
    pub advice: Option<Box<str>>,
    /// Whom or what the class is about, as a message may name it, where the provider knows: for
    /// [`Class::Credentials`] where they come from, for [`Class::Denied`] who may not, for [`Class::KeyUnusable`] the
    /// key's state. Never a value of a credential.
    pub subject: Option<Box<str>>,
    /// The same call may succeed later without a change by anybody, though the class does not tell: credentials whose
    /// service is down.
    pub retryable: bool,
}

impl KmsError {
    /// A failure without a KMS's code and request id.
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
        }
    }

    /// With advice of the provider's own.
    #[must_use]
    pub fn with_advice(mut self, advice: impl Into<Box<str>>) -> Self {
        self.advice = Some(advice.into());
        self
    }

    /// Whether the same call may succeed later without any change.
    pub fn is_retryable(&self) -> bool {
        self.retryable || self.class.is_retryable()
    }

    /// Why it failed, with code and request id, for a reader who knows action and key.
    pub fn cause(&self) -> String {
        let answer = answer(self.code.as_deref(), self.request_id.as_deref());
        format!("{}{answer}", self.message)
    }

    /// What a person can do: the provider's advice, else the class's.
    pub fn advice(&self) -> &str {
        self.advice.as_deref().unwrap_or_else(|| self.class.advice())
    }

    /// The failure of several wraps that tells the outcome: unavailable or throttled, then credentials, denied,
    /// configuration, key unusable or gone, integrity; the earlier wrap of two alike.
    pub fn deciding(failures: &[KmsError]) -> Option<&KmsError> {
        failures.iter().min_by_key(|failure| failure.class.rank())
    }
}

/// What the KMS's support and audit log need: nothing, or ` (code, request id)`.
pub(super) fn answer(code: Option<&str>, request_id: Option<&str>) -> String {
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
    fn every_class_has_a_word_and_advice_of_its_own() {
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
    fn what_a_retry_cures_decides_before_what_a_person_must_repair() {
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
    fn the_providers_advice_wins() {
        let key = KeyUri::parse("local://fa1975b2").expect("a key URI");
        let plain = KmsError::new(Class::Denied, &key, "Decrypt", "no right");
        assert_eq!(plain.to_string(), "Decrypt with local://fa1975b2: no right");
        assert_eq!(plain.advice(), Class::Denied.advice());
        assert_eq!(
            plain.with_advice("grant kms:Decrypt").advice(),
            "grant kms:Decrypt"
        );
    }
}
