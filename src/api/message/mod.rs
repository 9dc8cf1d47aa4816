//! The text that a person reads about an outcome: what is the matter, what stands meanwhile, what to do. One line
//! of at most 1024 bytes, without a value of a Secret, naming only commands and flags that exist.

use std::fmt;

use super::outcome::{Answer, Kept, Outcome, Rejection, Unknown};
use super::reason::Reason;
use super::text;
use crate::envelope::PolicyError;

impl fmt::Display for Kept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Kept::Generation(generation) => write!(f, "the secret keeps generation {generation}"),
            Kept::Nothing => f.write_str("no secret exists yet"),
        }
    }
}

impl fmt::Display for Answer {
    /// Nothing, or ` (code, request id)`; the message stands in for a code that there is not.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = self.code.as_deref().or(self.message.as_deref());
        let parts = [what.map(text::field), self.request()];
        let parts: Vec<String> = parts.into_iter().flatten().collect();
        if parts.is_empty() {
            return Ok(());
        }
        write!(f, " ({})", parts.join(", "))
    }
}

impl Answer {
    fn request(&self) -> Option<String> {
        let id = self.request_id.as_deref()?;
        Some(format!("request {}", text::field(id)))
    }
}

impl Outcome {
    /// The message: what is the matter, what stands meanwhile, what to do.
    pub fn message(&self, kept: Kept) -> String {
        text::message(&self.sentence(kept))
    }

    /// Whether `message`, which is this outcome's, differs from an earlier one in the KMS's request id alone: no news.
    pub fn repeats(&self, message: &str, earlier: &str) -> bool {
        let request = self.answer().and_then(Answer::request);
        let Some((head, tail)) = request.and_then(|request| message.split_once(&request)) else {
            return message == earlier;
        };
        let id = earlier
            .strip_prefix(head)
            .and_then(|rest| rest.strip_prefix("request "))
            .and_then(|rest| rest.strip_suffix(tail));
        id.is_some_and(|id| !id.is_empty() && !id.contains([' ', ',', ')']))
    }

    /// What an event and the log say: `message`, with the KMS's own words or those of the network, which change from
    /// try to try and so stand in no condition.
    pub fn note(&self, message: &str) -> String {
        let Some((answer, said)) = self
            .answer()
            .and_then(|answer| Some((answer, answer.message.as_deref()?)))
        else {
            return text::message(message);
        };
        let said = text::field(said);
        let cause = match self {
            Outcome::KmsUnavailable { .. } | Outcome::CredentialsUnavailable { .. } => {
                let names = Answer {
                    message: None,
                    ..answer.clone()
                };
                format!("{said}{names}")
            }
            _ if answer.code.is_none() => return text::message(message), // it stands there
            _ => said,
        };
        text::message(&format!("{message}; cause: {cause}"))
    }

    #[expect(
        clippy::too_many_lines,
        reason = "one arm a reason, to be read as the table that it is"
    )]
    fn sentence(&self, kept: Kept) -> String {
        use text::field;
        match self {
            Outcome::Synced {
                entries,
                generation,
                older_than,
            } => {
                let plural = if *entries == 1 { "entry" } else { "entries" };
                let older = older_than.as_ref();
                let older = older.map_or_else(String::new, |t| {
                    format!("; older seal than one seen before ({t})")
                });
                format!("secret holds {entries} {plural} of generation {generation}{older}")
            }
            Outcome::Progressing { key } => {
                format!("waiting for a turn at {}; {kept}; nothing to do", field(key))
            }
            Outcome::KmsUnavailable { key, .. } => {
                let (provider, region) = provider(key);
                let region = region.map_or_else(String::new, |region| format!(" in {region}"));
                format!(
                    "cannot reach {provider}{region}; {kept}; retried by itself, nothing to do unless the KMS or the \
                     network needs repair"
                )
            }
            Outcome::KmsThrottled { key, answer } => format!(
                "{} limits calls for {}{answer}; {kept}; retried by itself; raise the quota if this lasts",
                provider(key).0,
                field(key)
            ),
            Outcome::CredentialsUnavailable { key, source, .. } => format!(
                "no valid credentials for {} from {}; {kept}; check the controller's credentials",
                provider(key).0,
                field(source)
            ),
            Outcome::ApiUnavailable { code } => {
                let code = field(code);
                format!("the API server did not take the secret ({code}); {kept}; retried by itself")
            }
            Outcome::SealTimeInFuture { time } => {
                let time = field(time);
                format!(
                    "sealed at {time}, ahead of the controller's clock; {kept}; check the clocks or seal again"
                )
            }
            Outcome::SecretMissing { because } => not_put_back("deleted", *because),
            Outcome::SecretDrifted { because } => not_put_back("edited", *because),
            Outcome::InvalidDocument { field: path, what } => format!(
                "{}: {}; {kept}; seal the document again with envelope seal",
                field(path),
                field(what)
            ),
            Outcome::UnsupportedDocument { unknown } => {
                let version = env!("CARGO_PKG_VERSION");
                let unknown = match unknown {
                    Unknown::Format(word) => format!("format {}", field(word)),
                    Unknown::Field(path) => format!("field {}", field(path)),
                };
                format!("{unknown} needs a newer controller than {version}; {kept}; upgrade the controller")
            }
            Outcome::PolicyDenied { error, namespace } => denied(error, &field(namespace), kept),
            Outcome::NoUsableKey { keys, namespace } => {
                let advice = if keys.iter().all(|key| key.starts_with("local://")) {
                    "give the controller a keyring with one of them or seal again with a key of its keyring"
                } else {
                    "let the controller use one (--allow-key) or seal again with a key that it may use"
                };
                format!(
                    "none of {} may be used for namespace {}; {kept}; {advice}",
                    text::list(keys),
                    field(namespace)
                )
            }
            Outcome::KmsDenied {
                identity,
                key,
                answer,
            } => format!(
                "{} may not decrypt with {}{answer}; {kept}; grant Decrypt; retried by itself",
                field(identity),
                field(key)
            ),
            Outcome::KmsMisconfigured { key, answer, advice } => format!(
                "{} refuses the request{answer}; {kept}; {}",
                provider(key).0,
                field(advice)
            ),
            Outcome::KmsKeyUnusable { key, state, answer } => format!(
                "{} is {}{answer}; {kept}; enable the key or seal again with another",
                field(key),
                field(state)
            ),
            Outcome::IntegrityError { elsewhere } => {
                let place = elsewhere.as_deref().map(field);
                let hint = place.map_or_else(String::new, |place| {
                    format!(" (its annotation says that it was sealed for {place})")
                });
                format!(
                    "the document does not open: it was changed after sealing, or sealed for another place or key; \
                     {kept}; run envelope open on the file and seal it again; retried ever more rarely{hint}"
                )
            }
            Outcome::RollbackRefused { time, highest } => {
                format!("sealed at {time}, but {highest} was already seen; {kept}; seal again")
            }
            Outcome::RenderError { error } => format!(
                "template {}, line {}: {}; {kept}; correct the template and seal again",
                field(&error.entry),
                error.line,
                error.kind
            ),
            Outcome::Conflict {
                name,
                namespace,
                owner,
            } => {
                let name = field(name);
                let delete = format!("kubectl delete secret {name} --namespace {}", field(namespace));
                match owner.as_deref().map(field) {
                    None => format!(
                        "secret {name} exists and belongs to nobody we know; nothing was changed; to take it over: \
                         {delete}"
                    ),
                    Some(owner) => format!(
                        "secret {name} exists and belongs to {owner}; nothing was changed; to take it over: remove \
                         that owner, then {delete}"
                    ),
                }
            }
            Outcome::ImmutableSecret {
                name,
                holds,
                generation,
            } => {
                let held =
                    holds.map_or_else(|| "another generation".to_owned(), |g| format!("generation {g}"));
                format!(
                    "secret {} is immutable and holds {held}; delete it to let generation {generation} in, or use a \
                     new name",
                    field(name)
                )
            }
            Outcome::SecretRejected { rejection } => {
                let (why, advice) = rejected(rejection);
                format!("the API server refuses the secret: {why}; {kept}; {advice}")
            }
            Outcome::ApiForbidden { verb, namespace } => format!(
                "the controller may not {} secrets in {}; {kept}; check its Role and admission policy",
                field(verb),
                field(namespace)
            ),
        }
    }
}

/// The provider in words, and the region if the URI has one.
fn provider(key: &str) -> (String, Option<String>) {
    let (scheme, rest) = key.split_once("://").unwrap_or((key, ""));
    let name = match scheme {
        "local" => "the local keyring".to_owned(),
        "tencent-kms" => "Tencent Cloud KMS".to_owned(),
        other => text::field(other),
    };
    let region = rest.split_once('/').map(|(region, _)| text::field(region));
    (name, region)
}

fn not_put_back(what: &str, because: Reason) -> String {
    let cause = because.summary();
    format!("the secret was {what} and cannot be put back yet: {cause} ({because}); retried by itself")
}

/// What the controller's rules refuse: what, by which rule, and what would be allowed.
fn denied(error: &PolicyError, namespace: &str, kept: Kept) -> String {
    let (rule, what, advice) = match error {
        PolicyError::Audience(audience) if audience.is_empty() => (
            "audience",
            "a document without an audience".to_owned(),
            "ask the platform team or seal with an allowed audience (--audience)",
        ),
        PolicyError::Audience(audience) => (
            "audience",
            format!("audience {}", text::field(audience)),
            "ask the platform team or seal with an allowed audience (--audience)",
        ),
        PolicyError::SecretType(type_) => (
            "secret-types",
            format!("type {}", text::field(type_)),
            "ask the platform team or seal with an allowed type (--type)",
        ),
        PolicyError::ReservedLabel(label) => (
            "reserved-names",
            format!("label {}", text::field(label)),
            "seal without it",
        ),
        PolicyError::ReservedAnnotation(annotation) => (
            "reserved-names",
            format!("annotation {}", text::field(annotation)),
            "seal without it",
        ),
        PolicyError::SealTimeInFuture(time) => (
            "clock",
            format!("a seal of {}", text::field(time)),
            "check the clocks or seal again",
        ),
    };
    format!("rule {rule} does not allow {what} in namespace {namespace}; {kept}; {advice}")
}

fn rejected(rejection: &Rejection) -> (String, &'static str) {
    match rejection {
        Rejection::Invalid(fields) if fields.is_empty() => {
            ("it is invalid".to_owned(), "correct the secret and seal again")
        }
        Rejection::Invalid(fields) => (
            format!("invalid {}", text::list(fields)),
            "correct these fields and seal again",
        ),
        Rejection::Quota => (
            "a quota of the namespace is used up".to_owned(),
            "raise the quota or delete what is not needed",
        ),
        Rejection::Admission => (
            "an admission policy or webhook does not allow it".to_owned(),
            "ask who runs that policy; the controller's log names it",
        ),
        Rejection::TooLarge => ("it is too large".to_owned(), "split it into several secrets"),
    }
}

#[cfg(test)]
mod tests;
