//! The single list of reasons: for conditions, events, the metric label `reason`, and the table in
//! docs/troubleshooting.md.

use std::fmt;

/// The conditions that a reason stands for (kstatus).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// `Ready=True`: the Secret is as the controller wrote it for this generation.
    Ready,
    /// `Ready=Unknown`, `Reconciling=True`: a retry can succeed without human action.
    Retrying,
    /// `Ready=False`, `Reconciling=True`: the Secret is known to be missing or edited; restoring it is being retried.
    Degraded,
    /// `Ready=False`, `Stalled=True`: human action is required; the controller may still retry.
    Stalled,
}

impl Verdict {
    /// Returns the status of the condition `Ready`.
    pub fn ready(self) -> &'static str {
        match self {
            Verdict::Ready => "True",
            Verdict::Retrying => "Unknown",
            Verdict::Degraded | Verdict::Stalled => "False",
        }
    }

    /// Returns the type of the second condition, which is present only while it is True.
    pub fn second_condition(self) -> Option<&'static str> {
        match self {
            Verdict::Ready => None,
            Verdict::Retrying | Verdict::Degraded => Some("Reconciling"),
            Verdict::Stalled => Some("Stalled"),
        }
    }
}

/// One row per reason: its verdict (`None` for a reason used only in events) and a one-line summary.
macro_rules! reasons {
    ($($name:ident: $verdict:expr, $summary:literal;)*) => {
        /// Why an object is in its state, or what was done to it. Dashboards and scripts depend on these names.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Reason {
            $(#[doc = $summary] $name,)*
        }

        impl Reason {
            /// All reasons, in the order of the documentation.
            pub const ALL: &[Reason] = &[$(Reason::$name,)*];

            /// Returns the name used in conditions, events and metrics.
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Reason::$name => stringify!($name),)*
                }
            }

            /// Returns the conditions that it stands for; `None` for a reason used only in events.
            pub fn verdict(self) -> Option<Verdict> {
                match self {
                    $(Reason::$name => $verdict,)*
                }
            }

            /// Returns a summary: one line without final punctuation.
            pub fn summary(self) -> &'static str {
                match self {
                    $(Reason::$name => $summary,)*
                }
            }
        }
    };
}

reasons! {
    Synced: Some(Verdict::Ready), "the Secret holds what the document describes";
    Progressing: Some(Verdict::Retrying), "the object is waiting for capacity to call the KMS";
    KmsUnavailable: Some(Verdict::Retrying), "the KMS cannot be reached";
    KmsThrottled: Some(Verdict::Retrying), "the KMS is throttling calls";
    CredentialsUnavailable: Some(Verdict::Retrying), "the controller has no valid credentials for the KMS";
    ApiUnavailable: Some(Verdict::Retrying), "writing the Secret failed";
    SealTimeInFuture: Some(Verdict::Retrying), "the seal time is more than 24 h ahead of the controller's clock";
    SecretMissing: Some(Verdict::Degraded), "the Secret was deleted and cannot be restored yet";
    SecretDrifted: Some(Verdict::Degraded), "the Secret was edited and cannot be restored yet";
    InvalidDocument: Some(Verdict::Stalled), "the spec is not a valid document";
    UnsupportedDocument: Some(Verdict::Stalled), "the document uses a format or field that this controller does not support";
    PolicyDenied: Some(Verdict::Stalled), "the controller's policy does not allow the document in this namespace";
    NoUsableKey: Some(Verdict::Stalled), "the controller may use none of the document's KMS keys";
    KmsDenied: Some(Verdict::Stalled), "the KMS does not allow the controller to decrypt";
    KmsMisconfigured: Some(Verdict::Stalled), "the KMS rejected the request, or the keyring cannot be used";
    KmsKeyUnusable: Some(Verdict::Stalled), "the KMS key is disabled, pending deletion or not found";
    IntegrityError: Some(Verdict::Stalled), "the document cannot be opened";
    RollbackRefused: Some(Verdict::Stalled), "the seal is older than one already seen";
    RenderError: Some(Verdict::Stalled), "a template cannot be rendered";
    Conflict: Some(Verdict::Stalled), "a Secret of this name exists and is not managed by this controller";
    ImmutableSecret: Some(Verdict::Stalled), "the Secret is immutable and differs from the document";
    SecretRejected: Some(Verdict::Stalled), "the API server rejected the Secret";
    ApiForbidden: Some(Verdict::Stalled), "the controller lacks a permission on Secrets";
    SecretCreated: None, "the Secret was created";
    SecretUpdated: None, "the Secret was updated to a new generation";
    SecretRecreated: None, "the Secret was deleted and created again, because its type changed";
    DriftHealed: None, "a deleted or edited Secret was restored";
    Adopted: None, "an existing Secret was adopted";
    Released: None, "the Secret was released and is no longer managed";
    Suspended: None, "reconciliation was suspended";
    Resumed: None, "reconciliation was resumed";
    RollbackDetected: None, "a seal older than one already seen was applied";
}

/// Reserved for planned features: no condition and no event has them yet.
const PLANNED: [Reason; 3] = [Reason::RollbackRefused, Reason::Adopted, Reason::Released];

impl Reason {
    /// Returns whether the reason is reserved for a planned feature: no condition and no event has it yet.
    pub fn is_planned(self) -> bool {
        PLANNED.contains(&self)
    }
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
    fn names_are_distinct_and_valid_for_kubernetes() {
        let names: BTreeSet<&str> = Reason::ALL.iter().map(|r| r.as_str()).collect();
        assert_eq!(names.len(), Reason::ALL.len());
        for name in names {
            // metav1.Condition: ^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$
            assert!(
                name.len() <= 64 && name.bytes().all(|b| b.is_ascii_alphabetic()),
                "{name}"
            );
        }
    }

    #[test]
    fn verdicts_map_to_kstatus_conditions() {
        for (verdict, ready, second) in [
            (Verdict::Ready, "True", None),
            (Verdict::Retrying, "Unknown", Some("Reconciling")),
            (Verdict::Degraded, "False", Some("Reconciling")),
            (Verdict::Stalled, "False", Some("Stalled")),
        ] {
            assert_eq!((verdict.ready(), verdict.second_condition()), (ready, second));
        }
    }
}
