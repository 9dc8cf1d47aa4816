//! What `envelope doctor` reports about a provider itself: a keyring file, or credentials and a clock.

use std::path::PathBuf;

use serde_json::{Map, Value};

use super::KmsError;
use super::credentials::HeldCredentials;
use crate::envelope::SealTime;

/// The largest clock skew that is not reported, in seconds: far below the 5 minutes at which Tencent Cloud refuses
/// requests.
pub const MAX_CLOCK_SKEW: u64 = 60;

/// How serious a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Checked and good.
    Pass,
    /// Needs action.
    Fail,
    /// Worth knowing, without a need to act: unknown, not requested, or the duty of another identity.
    Note,
}

impl Severity {
    /// The word of the report.
    pub fn as_str(self) -> &'static str {
        match self {
            Severity::Pass => "pass",
            Severity::Fail => "fail",
            Severity::Note => "note",
        }
    }
}

/// One line of `envelope doctor` about a provider. Holds no credential and no key material.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The name of the check: `keyring`, `credentials`, `clock`.
    pub check: &'static str,
    /// The result.
    pub severity: Severity,
    /// One line.
    pub message: String,
    /// What to do about a failure.
    pub advice: Option<String>,
    /// The key file that the finding is about. The caller adds a failure if Git would commit it.
    pub file: Option<PathBuf>,
    /// The same facts for programs.
    pub facts: Map<String, Value>,
}

impl Finding {
    /// A finding without advice and facts.
    pub fn new(check: &'static str, severity: Severity, message: impl Into<String>) -> Self {
        Finding {
            check,
            severity,
            message: message.into(),
            advice: None,
            file: None,
            facts: Map::new(),
        }
    }

    /// Adds advice.
    #[must_use]
    pub fn advice(mut self, advice: impl Into<String>) -> Self {
        self.advice = Some(advice.into());
        self
    }

    /// Adds a fact.
    #[must_use]
    pub fn fact(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.facts.insert(name.to_owned(), value.into());
        self
    }
}

/// What examining a provider's KMS keys has shown about its credentials.
#[derive(Clone, Copy, Debug, Default)]
pub struct Evidence<'e> {
    /// The first call that failed for lack of valid credentials.
    pub unauthenticated: Option<&'e KmsError>,
    /// Whether the service accepted the credentials of any call.
    pub authenticated: bool,
}

/// Describes the difference between this host's clock and a service's: `is 600 s behind the server's`. `ahead` is the
/// service's clock minus this host's, in seconds.
pub fn clock_difference(ahead: i64) -> String {
    let side = if ahead > 0 { "behind" } else { "ahead of" };
    if ahead == 0 {
        "agrees with the server's".to_owned()
    } else {
        format!("is {} s {side} the server's", ahead.unsigned_abs())
    }
}

/// Unix seconds in RFC 3339, or as a number if they are out of its range.
pub fn utc(seconds: i64) -> String {
    SealTime::from_unix(seconds).map_or_else(|| seconds.to_string(), |time| time.as_str().to_owned())
}

/// The findings about a service that is called with credentials.
pub fn diagnose_service(
    held: Option<&HeldCredentials>,
    clock_ahead: Option<i64>,
    evidence: &Evidence<'_>,
) -> Vec<Finding> {
    vec![credentials(held, evidence), clock(clock_ahead)]
}

fn credentials(held: Option<&HeldCredentials>, evidence: &Evidence<'_>) -> Finding {
    let name = "credentials";
    let source = held.map(|held| match &held.role {
        Some(role) if held.assumed_role => format!("{}, with the assumed role {role}", held.source),
        Some(role) => format!("{}, with the role {role}", held.source),
        None => held.source.to_owned(),
    });
    let finding = match (evidence.unauthenticated, source) {
        (Some(error), source) => {
            let source = source.map_or_else(String::new, |source| format!("from {source}: "));
            Finding::new(name, Severity::Fail, format!("{source}{}", error.cause()))
                .advice(error.advice())
                .fact("class", error.class.as_str())
                .fact("code", error.code.as_deref())
                .fact("requestId", error.request_id.as_deref())
        }
        (None, Some(source)) if evidence.authenticated => {
            let until = held
                .and_then(|held| held.expires)
                .map_or_else(String::new, |end| format!(", until {}", utc(end)));
            Finding::new(name, Severity::Pass, format!("from {source}{until}"))
        }
        (None, Some(source)) => {
            let message = format!("from {source}; not verified, since the KMS did not respond");
            Finding::new(name, Severity::Note, message)
        }
        (None, None) => Finding::new(name, Severity::Note, "not requested"),
    };
    match held {
        None => finding.fact("source", Value::Null),
        Some(held) => finding
            .fact("source", held.source)
            .fact("assumedRole", held.assumed_role)
            .fact("role", held.role.as_deref())
            .fact("expires", held.expires.map(utc)),
    }
}

fn clock(ahead: Option<i64>) -> Finding {
    let new =
        |severity, message: String| Finding::new("clock", severity, message).fact("aheadSeconds", ahead);
    let Some(ahead) = ahead else {
        return new(Severity::Note, "unknown: no response carried a time".to_owned());
    };
    let difference = clock_difference(ahead);
    if ahead.unsigned_abs() <= MAX_CLOCK_SKEW {
        return new(Severity::Pass, difference);
    }
    new(Severity::Fail, format!("this host's clock {difference}")).advice(
        "synchronize this host's clock (NTP): requests that are minutes off are refused, and documents sealed here \
         carry this time",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clock_skew_of_more_than_a_minute_fails() {
        for (ahead, severity, message) in [
            (None, Severity::Note, "unknown"),
            (Some(0), Severity::Pass, "agrees"),
            (Some(60), Severity::Pass, "60 s behind the server's"),
            (Some(-60), Severity::Pass, "60 s ahead of the server's"),
            (Some(61), Severity::Fail, "61 s behind the server's"),
            (Some(i64::MIN), Severity::Fail, "ahead of"),
        ] {
            let finding = clock(ahead);
            assert_eq!(finding.severity, severity, "{ahead:?}");
            assert!(finding.message.contains(message), "{finding:?}");
        }
    }

    #[test]
    fn credentials_are_good_once_the_service_accepted_them() {
        let held = HeldCredentials {
            source: "environment",
            assumed_role: false,
            role: None,
            expires: Some(0),
        };
        let found = |evidence: Evidence<'_>| credentials(Some(&held), &evidence);
        let unverified = found(Evidence::default());
        assert_eq!(unverified.severity, Severity::Note, "{unverified:?}");
        let accepted = found(Evidence {
            authenticated: true,
            ..Evidence::default()
        });
        assert_eq!(accepted.severity, Severity::Pass);
        assert_eq!(accepted.message, "from environment, until 1970-01-01T00:00:00Z");
        assert_eq!(credentials(None, &Evidence::default()).message, "not requested");
    }
}
