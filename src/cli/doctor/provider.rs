//! The way to the KMS keys: a keyring file, or credentials and a clock.

use jiff::Timestamp;

use super::key::Examination;
use super::report::{Check, Outcome};
use crate::cli::clock::MOST_SKEW;
use crate::cli::git;
use crate::kms::local::{self, KeyringError};
use crate::kms::{Access, HeldCredentials, KeyUri, clock_difference};

/// What the provider of these keys says about itself, once they have been examined.
pub(super) fn checks(provider: &str, access: &Access, examined: &[&Examination]) -> Vec<Check> {
    match access {
        Access::Keyring { file, keys } => {
            let place = file
                .as_ref()
                .map_or_else(|| "in memory".to_owned(), |file| file.display().to_string());
            let check = |result, message| {
                let kids: Vec<&str> = keys.iter().map(KeyUri::as_str).collect();
                Check::new(provider, "keyring", result, message)
                    .fact("file", place.clone())
                    .fact("keys", kids)
            };
            if file.as_ref().is_some_and(|file| git::would_commit(file)) {
                let message = format!("{place} lies in a Git work tree that does not ignore it");
                let advice = "keep it outside of the repository, or name it in .gitignore; if it was committed, its \
                              KMS keys are known to whoever has the repository";
                return vec![check(Outcome::Fail, message).advice(advice)];
            }
            vec![check(
                Outcome::Pass,
                format!("{place}: for its owner alone; {}", holds(keys)),
            )]
        }
        Access::Service {
            credentials,
            clock_ahead,
        } => vec![
            credentials_check(provider, credentials.as_ref(), examined),
            clock_check(provider, *clock_ahead),
        ],
    }
}

fn holds(keys: &[KeyUri]) -> String {
    let (Some(first), others) = (keys.first(), keys.len().saturating_sub(1)) else {
        return "it holds no KMS key".to_owned();
    };
    if others == 0 {
        return format!("its KMS key is {first}");
    }
    let rest: Vec<&str> = keys[1..].iter().map(KeyUri::as_str).collect();
    format!("{first} seals when none is named, {} too open", rest.join(", "))
}

/// A local key is named, and there is no keyring at the default place.
pub(super) fn no_keyring() -> Check {
    Check::new(
        local::SCHEME,
        "keyring",
        Outcome::Fail,
        "there is none at the default place",
    )
    .advice("name the keyring with --keyring FILE or ENVELOPE_KEYRING")
}

/// There is one, and it cannot be used: others can read it, a line is wrong.
pub(super) fn unusable_keyring(error: &KeyringError) -> Check {
    Check::new(local::SCHEME, "keyring", Outcome::Fail, error.to_string())
        .advice(error.advice())
        .fact("file", error.path.display().to_string())
}

fn credentials_check(provider: &str, held: Option<&HeldCredentials>, examined: &[&Examination]) -> Check {
    let name = "credentials";
    let source = held.map(|held| match &held.role {
        Some(role) if held.assumed_role => format!("{}, as the role {role} taken with them", held.source),
        Some(role) => format!("{}, as the role {role}", held.source),
        None => held.source.to_owned(),
    });
    let check = if let Some(error) = examined.iter().find_map(|found| found.unauthenticated.as_ref()) {
        let before = source
            .map(|source| format!("from {source}: "))
            .unwrap_or_default();
        Check::of_error(provider, name, Outcome::Fail, &before, error)
    } else if let Some(source) = source {
        if examined.iter().any(|found| found.answered) {
            let until = held
                .and_then(|held| held.expires)
                .map(|end| format!(", until {}", time(end)));
            let message = format!("from {source}{}", until.unwrap_or_default());
            Check::new(provider, name, Outcome::Pass, message)
        } else {
            let message = format!("from {source}; not tried, since the KMS did not answer");
            Check::new(provider, name, Outcome::Note, message)
        }
    } else {
        Check::new(provider, name, Outcome::Note, "not asked for")
    };
    match held {
        None => check.fact("source", serde_json::Value::Null),
        Some(held) => check
            .fact("source", held.source)
            .fact("assumedRole", held.assumed_role)
            .fact("role", held.role.as_deref())
            .fact("expires", held.expires.map(time)),
    }
}

fn clock_check(provider: &str, ahead: Option<i64>) -> Check {
    let new =
        |result, message: String| Check::new(provider, "clock", result, message).fact("aheadSeconds", ahead);
    let Some(ahead) = ahead else {
        return new(Outcome::Note, "not known: no answer has told the time".to_owned());
    };
    let difference = clock_difference(ahead);
    if ahead.unsigned_abs() <= MOST_SKEW {
        return new(Outcome::Pass, difference);
    }
    new(Outcome::Fail, format!("this machine's clock {difference}")).advice(
        "set this machine's clock (NTP): requests that are minutes off are refused, and what is sealed here carries \
         this time",
    )
}

/// Unix seconds as RFC 3339.
pub(super) fn time(seconds: i64) -> String {
    Timestamp::from_second(seconds).map_or_else(|_| seconds.to_string(), |time| time.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_may_be_off_by_a_minute() {
        for (ahead, result, message) in [
            (None, Outcome::Note, "not known"),
            (Some(0), Outcome::Pass, "agrees"),
            (Some(60), Outcome::Pass, "60 s behind the server's"),
            (Some(-60), Outcome::Pass, "60 s ahead of the server's"),
            (Some(61), Outcome::Fail, "61 s behind the server's"),
            (Some(i64::MIN), Outcome::Fail, "ahead of"),
        ] {
            let check = clock_check("tencent-kms", ahead);
            assert_eq!(check.result, result, "{ahead:?}");
            assert!(check.message.contains(message), "{check:?}");
        }
    }
}
