//! Examines one KMS key: its state, and whether it can seal and open.

use super::duty::Duty;
use super::report::Check;
use crate::envelope::{DataKey, EncryptionContext};
use crate::kms::{
    self, Capability, Class, KeyDescription, KeyUri, Kms, KmsError, Rotation, Severity, random_data_key, utc,
};

const ENABLED: &str = "Enabled";
/// The state of a KMS key that decrypts but no longer encrypts.
const ARCHIVED: &str = "Archived";

/// The result of examining a key.
pub(super) struct Examination {
    pub(super) key: KeyUri,
    pub(super) checks: Vec<Check>,
    /// The first call that failed for lack of valid credentials.
    pub(super) unauthenticated: Option<KmsError>,
    /// Whether the KMS accepted the credentials of any call.
    pub(super) authenticated: bool,
}

/// Describes the key, wraps a data key under it and unwraps it again. The first key of a document generates the data
/// key, the others encrypt it; most KMSs have separate permissions for the two.
pub(super) async fn examine(
    kms: &dyn Kms,
    key: &KeyUri,
    first: bool,
    duties: &[Duty],
    context: &EncryptionContext,
) -> Examination {
    let mut probe = Probe {
        found: Examination {
            key: key.clone(),
            checks: Vec::new(),
            unauthenticated: None,
            authenticated: false,
        },
        seals: duties.contains(&Duty::Seal),
        opens: duties.contains(&Duty::Open),
        state: None,
    };
    let described = kms.describe(key).await;
    let can_generate = first && kms::can(key, Capability::GenerateDataKey);
    let check = if can_generate { "generate" } else { "encrypt" };
    if !probe.described(described) {
        for check in [check, "decrypt"] {
            probe.add(check, Severity::Note, "not checked, for the reason above");
        }
        return probe.found;
    }
    let wrapped = if can_generate {
        let generated = kms.generate_data_key(key, context).await;
        generated.map(|new| (new.data_key, new.ciphertext))
    } else {
        encrypt_new_data_key(kms, key, context).await
    };
    if let Some((data_key, ciphertext)) = probe.wrapped(check, wrapped) {
        let opened = kms.decrypt(key, &ciphertext, context).await;
        probe.decrypted(opened.map(|bytes| bytes.expose() == data_key.expose()));
    }
    probe.found
}

async fn encrypt_new_data_key(
    kms: &dyn Kms,
    key: &KeyUri,
    context: &EncryptionContext,
) -> Result<(DataKey, String), KmsError> {
    let data_key = random_data_key(key)?;
    let ciphertext = kms.encrypt(key, &data_key, context).await?;
    Ok((data_key, ciphertext))
}

struct Probe {
    found: Examination,
    seals: bool,
    opens: bool,
    /// The state by the KMS's own name, if known.
    state: Option<String>,
}

impl Probe {
    fn add(&mut self, check: &'static str, result: Severity, message: impl Into<String>) {
        let check = Check::new(self.found.key.as_str(), check, result, message);
        self.found.checks.push(check);
    }

    /// Records an error. Credentials are reported once, in a line about the provider.
    fn add_error(&mut self, check: &'static str, result: Severity, before: &str, error: &KmsError) {
        match error.class {
            Class::Credentials => {
                self.add(
                    check,
                    Severity::Note,
                    "unknown: there are no valid credentials, see above",
                );
                self.found.unauthenticated.get_or_insert_with(|| error.clone());
                return;
            }
            Class::Denied | Class::KeyUnusable | Class::NotFound | Class::Integrity => {
                self.found.authenticated = true;
            }
            Class::Transient | Class::Throttled | Class::Configuration => {}
        }
        let check = Check::of_error(self.found.key.as_str(), check, result, before, error);
        self.found.checks.push(check);
    }

    /// Returns whether the remaining checks can succeed.
    fn described(&mut self, described: Result<KeyDescription, KmsError>) -> bool {
        match described {
            Ok(described) => {
                self.found.authenticated = true;
                self.state(&described);
                if let Some(rotation) = &described.rotation {
                    let check = rotates(&self.found.key, rotation);
                    self.found.checks.push(check);
                }
                self.state = Some(described.state);
                true
            }
            // Neither sealing nor opening needs this permission.
            Err(error) if error.class == Class::Denied => {
                let before = "unknown, which affects neither sealing nor opening: ";
                self.add_error("state", Severity::Note, before, &error);
                true
            }
            Err(error) => {
                self.add_error("state", Severity::Fail, "", &error);
                matches!(
                    error.class,
                    Class::KeyUnusable | Class::Configuration | Class::Integrity
                )
            }
        }
    }

    fn state(&mut self, described: &KeyDescription) {
        let state = described.state.as_str();
        let (result, message) = match state {
            ENABLED => (Severity::Pass, state.to_owned()),
            ARCHIVED if self.seals => (Severity::Fail, format!("{state}: it only decrypts")),
            ARCHIVED => (
                Severity::Note,
                format!("{state}: it decrypts but no longer seals"),
            ),
            _ => (Severity::Fail, state.to_owned()),
        };
        let mut check = Check::new(self.found.key.as_str(), "state", result, message)
            .fact("state", state)
            .fact("default", described.default);
        if result != Severity::Pass {
            check = check.advice(match state {
                ARCHIVED => "seal with another KMS key",
                _ => Class::KeyUnusable.advice(),
            });
        }
        self.found.checks.push(check);
    }

    /// Returns what can be decrypted in the next step.
    fn wrapped(
        &mut self,
        check: &'static str,
        wrapped: Result<(DataKey, String), KmsError>,
    ) -> Option<(DataKey, String)> {
        let error = match wrapped {
            Ok(wrapped) => {
                self.found.authenticated = true;
                self.add(check, Severity::Pass, "wrapped a data key under this KMS key");
                return Some(wrapped);
            }
            Err(error) => error,
        };
        let archived = error.class == Class::KeyUnusable && self.state.as_deref() == Some(ARCHIVED);
        if !self.seals && (error.class == Class::Denied || archived) {
            self.add_error(
                check,
                Severity::Note,
                "refused, which is fine for opening: ",
                &error,
            );
            self.add(
                "decrypt",
                Severity::Note,
                "cannot be checked: without permission to seal there is nothing to decrypt",
            );
        } else {
            self.add_error(check, Severity::Fail, "", &error);
            self.add(
                "decrypt",
                Severity::Note,
                "not checked: there is nothing to decrypt",
            );
        }
        None
    }

    /// `Ok`: whether the result equals the wrapped data key.
    fn decrypted(&mut self, opened: Result<bool, KmsError>) {
        let check = "decrypt";
        match opened {
            Ok(true) => self.add(check, Severity::Pass, "returned the same data key"),
            Ok(false) => {
                let key = self.found.key.as_str();
                let line = Check::new(
                    key,
                    check,
                    Severity::Fail,
                    "returned other bytes than were wrapped",
                );
                let line = line.advice("check the endpoint and any proxy; do not seal with this KMS key");
                self.found.checks.push(line);
            }
            Err(error) if error.class == Class::Denied && !self.opens => {
                self.add_error(
                    check,
                    Severity::Note,
                    "refused, which is fine for sealing: ",
                    &error,
                );
            }
            Err(error) => self.add_error(check, Severity::Fail, "", &error),
        }
    }
}

fn rotates(key: &KeyUri, rotation: &Rotation) -> Check {
    let Rotation {
        enabled,
        days,
        last,
        next,
    } = *rotation;
    let last_time = last
        .map(|last| format!(", last {}", utc(last)))
        .unwrap_or_default();
    let check = if enabled {
        let days = days.map_or_else(|| "on".to_owned(), |days| format!("every {days} days"));
        let next_time = next
            .map(|next| format!(", next {}", utc(next)))
            .unwrap_or_default();
        Check::new(
            key.as_str(),
            "rotation",
            Severity::Pass,
            format!("{days}{last_time}{next_time}"),
        )
    } else {
        Check::new(key.as_str(), "rotation", Severity::Note, format!("off{last_time}"))
            .advice(format!("if your policy requires rotation: envelope keys enable-rotation {key}; existing documents still open"))
    };
    check
        .fact("enabled", enabled)
        .fact("days", days)
        .fact("last", last.map(utc))
        .fact("next", next.map(utc))
}
