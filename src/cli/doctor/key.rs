//! One KMS key: what is known of it, and whether it does what sealing and opening need.

use super::duty::Duty;
use super::report::Check;
use crate::envelope::{DataKey, EncryptionContext};
use crate::kms::{
    self, Capability, Class, KeyDescription, KeyUri, Kms, KmsError, Rotation, Severity, random_data_key, utc,
};

const ENABLED: &str = "Enabled";
/// Decrypts and no longer encrypts.
const ARCHIVED: &str = "Archived";

/// What was found about a key.
pub(super) struct Examination {
    pub(super) key: KeyUri,
    pub(super) checks: Vec<Check>,
    /// There are no credentials, or the KMS does not take them.
    pub(super) unauthenticated: Option<KmsError>,
    /// Whether a call got so far that its credentials had been looked at.
    pub(super) answered: bool,
}

/// Describes the key, wraps a data key under it and unwraps that again. The first key of a document makes the data
/// key, the others encrypt it: different rights, in most KMSs.
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
            answered: false,
        },
        seals: duties.contains(&Duty::Seal),
        opens: duties.contains(&Duty::Open),
        state: None,
    };
    let described = kms.describe(key).await;
    let generates = first && kms::can(key, Capability::GenerateDataKey);
    let wrapping = if generates { "generate" } else { "encrypt" };
    if !probe.described(described) {
        for check in [wrapping, "decrypt"] {
            probe.add(check, Severity::Note, "not tried, for the reason above");
        }
        return probe.found;
    }
    let wrapped = if generates {
        let generated = kms.generate_data_key(key, context).await;
        generated.map(|new| (new.data_key, new.ciphertext))
    } else {
        encrypt_a_new_one(kms, key, context).await
    };
    if let Some((data_key, ciphertext)) = probe.wrapped(wrapping, wrapped) {
        let opened = kms.decrypt(key, &ciphertext, context).await;
        probe.decrypted(opened.map(|bytes| bytes.expose() == data_key.expose()));
    }
    probe.found
}

async fn encrypt_a_new_one(
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
    /// As the KMS names it, if it told.
    state: Option<String>,
}

impl Probe {
    fn add(&mut self, check: &'static str, result: Severity, message: impl Into<String>) {
        let check = Check::new(self.found.key.as_str(), check, result, message);
        self.found.checks.push(check);
    }

    /// Takes an error down; credentials have a line of their own, which is the provider's.
    fn add_error(&mut self, check: &'static str, result: Severity, before: &str, error: &KmsError) {
        match error.class {
            Class::Credentials => {
                self.add(
                    check,
                    Severity::Note,
                    "not known: there are no good credentials, see above",
                );
                self.found.unauthenticated.get_or_insert_with(|| error.clone());
                return;
            }
            Class::Denied | Class::KeyUnusable | Class::NotFound | Class::Integrity => {
                self.found.answered = true;
            }
            Class::Transient | Class::Throttled | Class::Configuration => {}
        }
        let check = Check::of_error(self.found.key.as_str(), check, result, before, error);
        self.found.checks.push(check);
    }

    /// Whether it is worth going on.
    fn described(&mut self, described: Result<KeyDescription, KmsError>) -> bool {
        match described {
            Ok(described) => {
                self.found.answered = true;
                self.state(&described);
                if let Some(rotation) = &described.rotation {
                    let check = rotates(&self.found.key, rotation);
                    self.found.checks.push(check);
                }
                self.state = Some(described.state);
                true
            }
            // Neither sealing nor opening needs it.
            Err(error) if error.class == Class::Denied => {
                let before = "not known, which harms neither sealing nor opening: ";
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
            ARCHIVED => (Severity::Note, format!("{state}: it decrypts, and seals no more")),
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

    /// What there is to decrypt.
    fn wrapped(
        &mut self,
        check: &'static str,
        wrapped: Result<(DataKey, String), KmsError>,
    ) -> Option<(DataKey, String)> {
        let error = match wrapped {
            Ok(wrapped) => {
                self.found.answered = true;
                self.add(check, Severity::Pass, "a data key under this KMS key");
                return Some(wrapped);
            }
            Err(error) => error,
        };
        let archived = error.class == Class::KeyUnusable && self.state.as_deref() == Some(ARCHIVED);
        if !self.seals && (error.class == Class::Denied || archived) {
            self.add_error(
                check,
                Severity::Note,
                "refused, as it may be for opening: ",
                &error,
            );
            self.add(
                "decrypt",
                Severity::Note,
                "cannot be tried: without a right to seal there is nothing to decrypt",
            );
        } else {
            self.add_error(check, Severity::Fail, "", &error);
            self.add(
                "decrypt",
                Severity::Note,
                "not tried: there is nothing to decrypt",
            );
        }
        None
    }

    /// `Ok`: whether it gave what had been wrapped.
    fn decrypted(&mut self, opened: Result<bool, KmsError>) {
        let check = "decrypt";
        match opened {
            Ok(true) => self.add(check, Severity::Pass, "gives the same data key"),
            Ok(false) => {
                let key = self.found.key.as_str();
                let line = Check::new(key, check, Severity::Fail, "gives other bytes than were wrapped");
                let line =
                    line.advice("check the endpoint and what stands between: seal nothing with this KMS key");
                self.found.checks.push(line);
            }
            Err(error) if error.class == Class::Denied && !self.opens => {
                self.add_error(
                    check,
                    Severity::Note,
                    "refused, as it may be for sealing: ",
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
            .advice(format!("where your rules ask for it: envelope keys enable-rotation {key}; what was sealed before still opens"))
    };
    check
        .fact("enabled", enabled)
        .fact("days", days)
        .fact("last", last.map(utc))
        .fact("next", next.map(utc))
}
