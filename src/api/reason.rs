//! The one list of reasons: of conditions, of events, of the metric label `reason`, and of the table in
//! docs/troubleshooting.md.

use std::fmt;

/// What a reason says in the conditions (kstatus).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// `Ready=True`: the Secret stands as the controller wrote it for this generation.
    Ready,
    /// `Ready=Unknown`, `Reconciling=True`: a retry without a person can succeed.
    Waiting,
    /// `Ready=False`, `Reconciling=True`: the Secret is known to be missing or edited; retried by itself.
    Broken,
    /// `Ready=False`, `Stalled=True`: a person is needed.
    Stalled,
}

impl Verdict {
    /// The status of the condition `Ready`.
    pub fn ready(self) -> &'static str {
        match self {
            Verdict::Ready => "True",
            Verdict::Waiting => "Unknown",
            Verdict::Broken | Verdict::Stalled => "False",
        }
    }

    /// The second condition, which is there only while it is True.
    pub fn second(self) -> Option<&'static str> {
        match self {
            Verdict::Ready => None,
            Verdict::Waiting | Verdict::Broken => Some("Reconciling"),
            Verdict::Stalled => Some("Stalled"),
        }
    }
}

/// One row a reason: its verdict (none for a reason of events alone) and what has happened, in one line.
macro_rules! reasons {
    ($($name:ident: $verdict:expr, $summary:literal;)*) => {
        /// Why an object is as it is, or what was done to it. The words are an interface: dashboards and
        /// scripts name them.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Reason {
            $(#[doc = $summary] $name,)*
        }

        impl Reason {
            /// All of them, in the order of the documentation.
            pub const ALL: &[Reason] = &[$(Reason::$name,)*];

            /// The word, as it stands in conditions, events and metrics.
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Reason::$name => stringify!($name),)*
                }
            }

            /// What it says in the conditions; `None` for a reason that only events have.
            pub fn verdict(self) -> Option<Verdict> {
                match self {
                    $(Reason::$name => $verdict,)*
                }
            }

            /// What has happened, in one line and without an end mark.
            pub fn summary(self) -> &'static str {
                match self {
                    $(Reason::$name => $summary,)*
                }
            }
        }
    };
}

reasons! {
    Synced: Some(Verdict::Ready), "the Secret stands as sealed";
    Progressing: Some(Verdict::Waiting), "the object waits for its turn at the KMS";
    KmsUnavailable: Some(Verdict::Waiting), "the KMS cannot be reached";
    KmsThrottled: Some(Verdict::Waiting), "the KMS limits calls";
    CredentialsUnavailable: Some(Verdict::Waiting), "the controller has no valid credentials for the KMS";
    ApiUnavailable: Some(Verdict::Waiting), "the API server did not take a write";
    SealTimeInFuture: Some(Verdict::Waiting), "the seal's time is more than 24 h ahead of the controller's clock";
    SecretMissing: Some(Verdict::Broken), "the Secret was deleted and cannot be put back now";
    SecretDrifted: Some(Verdict::Broken), "the Secret was edited and cannot be put back now";
    InvalidDocument: Some(Verdict::Stalled), "the spec is not a document of the format";
    UnsupportedDocument: Some(Verdict::Stalled), "the document has a format or a field that this controller does not know";
    PolicyDenied: Some(Verdict::Stalled), "the controller's rules do not allow the document here";
    NoUsableKey: Some(Verdict::Stalled), "the controller may use none of the KMS keys that the document is sealed with";
    KmsDenied: Some(Verdict::Stalled), "the KMS does not let the controller decrypt";
    KmsMisconfigured: Some(Verdict::Stalled), "the KMS refuses the request, or the keyring cannot be used";
    KmsKeyUnusable: Some(Verdict::Stalled), "the KMS key is disabled, about to be deleted or gone";
    IntegrityError: Some(Verdict::Stalled), "the document does not open";
    RollbackRefused: Some(Verdict::Stalled), "an older seal than one that was seen before";
    RenderError: Some(Verdict::Stalled), "a template of the document failed";
    Conflict: Some(Verdict::Stalled), "a Secret of this name exists and is not the controller's";
    ImmutableSecret: Some(Verdict::Stalled), "the Secret is immutable and holds something else";
    SecretRejected: Some(Verdict::Stalled), "the API server refuses the Secret";
    ApiForbidden: Some(Verdict::Stalled), "the controller lacks a right on Secrets";
    SecretCreated: None, "the Secret was created";
    SecretUpdated: None, "the Secret was changed to a new generation";
    DriftHealed: None, "a deleted or edited Secret was put back";
    Adopted: None, "a Secret that was not the controller's was taken over";
    Released: None, "a Secret was given up";
    Suspended: None, "the object is no longer reconciled";
    Resumed: None, "the object is reconciled again";
    RollbackDetected: None, "an older seal than one that was seen before was applied";
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn words_are_distinct_and_of_kubernetes_form() {
        let words: BTreeSet<&str> = Reason::ALL.iter().map(|r| r.as_str()).collect();
        assert_eq!(words.len(), Reason::ALL.len());
        for word in words {
            // metav1.Condition: ^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$
            assert!(
                word.len() <= 64 && word.bytes().all(|b| b.is_ascii_alphabetic()),
                "{word}"
            );
        }
    }

    #[test]
    fn a_person_is_needed_exactly_where_the_object_stalls() {
        assert_eq!((Verdict::Ready.ready(), Verdict::Ready.second()), ("True", None));
        assert_eq!(
            (Verdict::Waiting.ready(), Verdict::Waiting.second()),
            ("Unknown", Some("Reconciling"))
        );
        assert_eq!(
            (Verdict::Broken.ready(), Verdict::Broken.second()),
            ("False", Some("Reconciling"))
        );
        assert_eq!(
            (Verdict::Stalled.ready(), Verdict::Stalled.second()),
            ("False", Some("Stalled"))
        );
    }
}
