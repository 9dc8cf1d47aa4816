//! The text of a finding for human readers: the cause, the current state, the next step. One line of at most 1024
//! bytes, without any value of a Secret, naming only commands and flags that exist.

use std::fmt;

use super::finding::{Finding, Kept, KmsResponse, NotRestored, Rejection, Unsupported};
use super::text;
use crate::envelope::PolicyError;

impl fmt::Display for Kept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Kept::Generation(generation) => write!(f, "secret still holds generation {generation}"),
            Kept::Nothing => f.write_str("no secret exists yet"),
        }
    }
}

impl fmt::Display for KmsResponse {
    /// Writes nothing or ` (code, request id)`; without a code, the message takes its place.
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

impl KmsResponse {
    fn request(&self) -> Option<String> {
        let id = self.request_id.as_deref()?;
        Some(format!("request {}", text::field(id)))
    }
}

impl Finding {
    /// Returns the message of the conditions: the cause, the current state, the next step.
    pub fn message(&self, kept: Kept) -> String {
        text::message(&self.sentence(kept))
    }

    /// Whether `message`, which is this finding's, equals `earlier` except for the KMS request id.
    pub fn repeats(&self, message: &str, earlier: &str) -> bool {
        let request = self.response().and_then(KmsResponse::request);
        let Some((head, tail)) = request.and_then(|request| message.split_once(&request)) else {
            return message == earlier;
        };
        let id = earlier
            .strip_prefix(head)
            .and_then(|rest| rest.strip_prefix("request "))
            .and_then(|rest| rest.strip_suffix(tail));
        id.is_some_and(|id| !id.is_empty() && !id.contains([' ', ',', ')']))
    }

    /// Returns the text of the event and the log line: `message` plus the error message of the KMS or the network. That
    /// error message can differ from try to try, so it is not part of a condition.
    pub fn note(&self, message: &str) -> String {
        let Some((response, detail)) = self
            .response()
            .and_then(|response| Some((response, response.message.as_deref()?)))
        else {
            return text::message(message);
        };
        let detail = text::field(detail);
        let cause = match self {
            Finding::KmsUnavailable { .. } | Finding::CredentialsUnavailable { .. } => {
                let code_and_request = KmsResponse {
                    message: None,
                    ..response.clone()
                };
                format!("{detail}{code_and_request}")
            }
            _ if response.code.is_none() => return text::message(message), // it already contains the detail
            _ => detail,
        };
        text::message(&format!("{message}; cause: {cause}"))
    }

    #[expect(clippy::too_many_lines, reason = "one arm per reason, readable as a table")]
    fn sentence(&self, kept: Kept) -> String {
        use text::field;
        match self {
            Finding::Synced {
                entries,
                generation,
                older_than,
            } => {
                let entries = match entries {
                    1 => "1 entry".to_owned(),
                    n => format!("{n} entries"),
                };
                let rollback = older_than.as_ref().map_or_else(String::new, |time| {
                    format!("; this seal is older than one already seen ({time})")
                });
                format!("secret holds {entries} from generation {generation}{rollback}")
            }
            Finding::Progressing { key } => {
                format!(
                    "waiting for capacity to call {}; {kept}; no action needed",
                    field(&key.uri)
                )
            }
            Finding::KmsUnavailable { key, .. } => {
                let region = key.region.as_deref().map(field);
                let region = region.map_or_else(String::new, |region| format!(" in {region}"));
                format!(
                    "cannot reach {}{region}; {kept}; retrying with backoff; no action needed unless the KMS or \
                     network needs repair",
                    field(&key.service)
                )
            }
            Finding::KmsThrottled { key, response } => format!(
                "{} is throttling calls for {}{response}; {kept}; retrying with backoff; raise the quota if this \
                 persists",
                field(&key.service),
                field(&key.uri)
            ),
            Finding::CredentialsUnavailable { key, source, .. } => format!(
                "no valid credentials for {} from {}; {kept}; check the controller's credentials",
                field(&key.service),
                field(source)
            ),
            Finding::ApiUnavailable { request, code } => {
                let code = field(code);
                format!("{request} failed ({code}); {kept}; retrying with backoff")
            }
            Finding::SealTimeInFuture { time } => {
                let time = field(time);
                format!(
                    "sealed at {time}, ahead of the controller's clock; {kept}; check the clocks or re-seal"
                )
            }
            Finding::SecretMissing { cause } => not_restored("deleted", cause),
            Finding::SecretDrifted { cause } => not_restored("edited", cause),
            Finding::InvalidDocument { field: path, what } => format!(
                "{}: {}; {kept}; re-seal the document with envelope seal",
                field(path),
                field(what)
            ),
            Finding::UnsupportedDocument { unsupported } => {
                let version = env!("CARGO_PKG_VERSION");
                let unsupported = match unsupported {
                    Unsupported::Format(format) => format!("format {}", field(format)),
                    Unsupported::Field(path) => format!("field {}", field(path)),
                    Unsupported::Panic => {
                        return format!(
                            "a bug in controller {version} prevents it from opening the document; {kept}; see the \
                             controller's log and upgrade the controller"
                        );
                    }
                };
                format!(
                    "{unsupported} requires a controller newer than {version}; {kept}; upgrade the controller"
                )
            }
            Finding::PolicyDenied { error, namespace } => denied(error, &field(namespace), kept),
            Finding::NoUsableKey {
                keys,
                namespace,
                advice,
            } => format!(
                "none of {} may be used in namespace {}; {kept}; {}",
                text::list(keys),
                field(namespace),
                field(advice)
            ),
            Finding::KmsDenied {
                identity,
                key,
                response,
            } => format!(
                "{} is not allowed to decrypt with {}{response}; {kept}; grant Decrypt, then set envelope-secrets.io/reconcile-at",
                field(identity),
                field(&key.uri)
            ),
            Finding::KmsMisconfigured {
                key,
                response,
                advice,
            } => format!(
                "{} rejected the request{response}; {kept}; {}",
                field(&key.service),
                field(advice)
            ),
            // "or rewrap to another", once `envelope rewrap` is built.
            Finding::KmsKeyUnusable { key, state, response } => format!(
                "{} is {}{response}; {kept}; enable the KMS key or re-seal with another",
                field(&key.uri),
                field(state)
            ),
            Finding::IntegrityError { elsewhere } => {
                let hint = elsewhere.as_deref().map_or_else(String::new, |place| {
                    format!(" (its annotation says it was sealed for {})", field(place))
                });
                format!(
                    "the document cannot be opened: it was changed after sealing, or sealed for another namespace, name \
                     or KMS key; {kept}; run envelope open on the file and re-seal it; retrying with backoff{hint}"
                )
            }
            // To add: "or set --rollback=warn", once that flag is built.
            Finding::RollbackRefused { time, highest } => {
                format!("sealed at {time}, but {highest} was already seen; {kept}; re-seal")
            }
            Finding::RenderError { error } => format!(
                "template {}, line {}: {}; {kept}; fix the template and re-seal",
                field(&error.entry),
                error.line,
                error.kind
            ),
            Finding::Conflict {
                name,
                namespace,
                owner,
            } => {
                let name = field(name);
                let delete = format!("kubectl delete secret {name} --namespace {}", field(namespace));
                match owner.as_deref().map(field) {
                    None => format!(
                        "secret {name} exists and is not managed by this controller; nothing was changed; to take it \
                         over: {delete}"
                    ),
                    Some(owner) => format!(
                        "secret {name} exists and is owned by {owner}; nothing was changed; to take it over: remove \
                         that owner, then {delete}"
                    ),
                }
            }
            Finding::ImmutableSecret {
                name,
                holds,
                generation,
            } => {
                let held =
                    holds.map_or_else(|| "another generation".to_owned(), |g| format!("generation {g}"));
                format!(
                    "secret {} is immutable and holds {held}; delete it to apply generation {generation}, or use a new \
                     name",
                    field(name)
                )
            }
            Finding::SecretRejected {
                rejection: Rejection::TypeChange(name),
            } => format!(
                "the type of a secret cannot be changed: delete secret {} or use a new name",
                field(name)
            ),
            Finding::SecretRejected { rejection } => {
                let (reason, advice) = rejected(rejection);
                format!("the API server rejected the secret: {reason}; {kept}; {advice}")
            }
            Finding::ApiForbidden {
                verb,
                resource,
                namespace,
            } => format!(
                "the controller is not allowed to {} {resource} in {}; {kept}; check its Role and admission policy",
                field(verb),
                field(namespace)
            ),
        }
    }
}

fn not_restored(what: &str, cause: &NotRestored) -> String {
    let cause = match cause {
        NotRestored::Failed(reason) => format!("{} ({reason})", reason.summary()),
        NotRestored::Held => "a finalizer still holds it".to_owned(),
        NotRestored::Contested(_) if what == "deleted" => "it is deleted again each time".to_owned(),
        NotRestored::Contested(manager) => {
            format!("{} changes it again each time", client(manager.as_deref()))
        }
    };
    format!("the secret was {what} and cannot be restored yet: {cause}; retrying with backoff")
}

/// Names the client behind a field manager.
fn client(manager: Option<&str>) -> String {
    manager.filter(|name| !name.is_empty()).map_or_else(
        || "another client".to_owned(),
        |name| format!("field manager {}", text::field(name)),
    )
}

/// Returns the note of the event `DriftHealed`: `message`, and the field manager that had changed the Secret, if known.
pub fn healed(message: &str, manager: Option<&str>) -> String {
    match manager {
        Some(_) => text::message(&format!("{message}; {} had changed it", client(manager))),
        None => text::message(message),
    }
}

/// Describes a refusal by policy: the rule, what it does not allow, and what would be allowed.
fn denied(error: &PolicyError, namespace: &str, kept: Kept) -> String {
    const ALLOWED_AUDIENCE: &str = "ask the platform team or re-seal with an allowed audience";
    let (rule, what, advice) = match error {
        PolicyError::Audience(audience) if audience.is_empty() => (
            "audience",
            "a document without an audience".to_owned(),
            ALLOWED_AUDIENCE,
        ),
        PolicyError::Audience(audience) => (
            "audience",
            format!("audience {}", text::field(audience)),
            ALLOWED_AUDIENCE,
        ),
        PolicyError::SecretType(type_) => (
            "secret-types",
            format!("type {}", text::field(type_)),
            "ask the platform team or re-seal with an allowed type",
        ),
        PolicyError::ReservedLabel(label) => (
            "reserved-names",
            format!("label {}", text::field(label)),
            "re-seal without it",
        ),
        PolicyError::ReservedAnnotation(annotation) => (
            "reserved-names",
            format!("annotation {}", text::field(annotation)),
            "re-seal without it",
        ),
        PolicyError::SealTimeInFuture(time) => (
            "clock",
            format!("seal time {}", text::field(time)),
            "check the clocks or re-seal",
        ),
    };
    format!("rule {rule} does not allow {what} in namespace {namespace}; {kept}; {advice}")
}

/// Returns the reason of a rejection, without values, and the advice.
fn rejected(rejection: &Rejection) -> (String, &'static str) {
    match rejection {
        Rejection::Invalid(fields) if fields.is_empty() => {
            ("it is invalid".to_owned(), "fix the source and re-seal")
        }
        Rejection::Invalid(fields) => (
            format!("invalid {}", text::list(fields)),
            "fix these fields and re-seal",
        ),
        Rejection::Quota => (
            "the namespace exceeds its resource quota".to_owned(),
            "raise the quota or delete unused objects",
        ),
        Rejection::Admission => (
            "denied by an admission policy or webhook".to_owned(),
            "ask the owner of that policy",
        ),
        Rejection::TooLarge => ("it is too large".to_owned(), "split it into several secrets"),
        Rejection::TypeChange(_) => ("its type cannot be changed".to_owned(), "use a new name"),
    }
}

#[cfg(test)]
mod tests;
