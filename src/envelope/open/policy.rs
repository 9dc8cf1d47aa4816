//! Step 2 of opening (docs/format-es1.md#9-opening): what this reader accepts, decided before any KMS call.

use std::collections::BTreeSet;

use super::super::error::{NoUsableWrap, PolicyError};
use super::super::names::is_reserved;
use super::super::time::SealTime;
use super::super::wire::{Document, Spec};
use super::accepted::Accepted;

/// Secret types whose content the control plane or Helm acts on (CVE-2026-42876 and similar).
const REFUSED_TYPES: [&str; 3] = [
    "kubernetes.io/service-account-token",
    "bootstrap.kubernetes.io/token",
    "helm.sh/release.v1",
];

/// What a reader accepts.
///
/// ```
/// use envelope_secrets::envelope::{ReaderPolicy, SealTime};
///
/// let now = SealTime::parse("2026-11-23T17:00:00Z").expect("a valid time");
///
/// // Without a configured audience, a controller accepts only documents without one.
/// let default = ReaderPolicy::controller([], now.clone());
/// assert!(default.audiences.expect("a list").contains(""));
///
/// let production = ReaderPolicy::controller(["prod-gz".to_owned()], now.clone());
/// assert!(!production.audiences.expect("a list").contains(""));
/// assert!(production.refused_types.expect("a list").contains("helm.sh/release.v1"));
///
/// // The command line restricts neither.
/// assert_eq!(ReaderPolicy::command_line(now).audiences, None);
/// ```
#[derive(Clone, Debug)]
pub struct ReaderPolicy {
    /// The accepted audiences, with "" for documents without one; `None` accepts every audience.
    pub audiences: Option<BTreeSet<String>>,
    /// The refused Secret types; `None` refuses none.
    pub refused_types: Option<BTreeSet<String>>,
    /// The reader's clock.
    pub now: SealTime,
}

impl ReaderPolicy {
    /// Returns the default policy of a controller.
    ///
    /// It accepts these audiences (if there are none, only documents without an audience), and refuses the Secret
    /// types that the control plane or Helm acts on.
    pub fn controller(audiences: impl IntoIterator<Item = String>, now: SealTime) -> Self {
        let mut audiences: BTreeSet<String> = audiences.into_iter().collect();
        if audiences.is_empty() {
            audiences.insert(String::new());
        }
        ReaderPolicy {
            audiences: Some(audiences),
            refused_types: Some(REFUSED_TYPES.map(str::to_owned).into()),
            now,
        }
    }

    /// Returns the policy of the command line: every audience and type, but still the reserved names and the clock.
    pub fn command_line(now: SealTime) -> Self {
        ReaderPolicy {
            audiences: None,
            refused_types: None,
            now,
        }
    }

    /// Checks in the order of section 9. The clock comes last: it is the only refusal that can go away with time.
    fn check(&self, spec: &Spec) -> Result<(), PolicyError> {
        let audience = spec.audience.as_deref().unwrap_or("");
        if self
            .audiences
            .as_ref()
            .is_some_and(|accepted| !accepted.contains(audience))
        {
            return Err(PolicyError::Audience(audience.to_owned()));
        }
        let type_ = spec.template.type_.as_deref().unwrap_or("Opaque");
        if self
            .refused_types
            .as_ref()
            .is_some_and(|refused| refused.contains(type_))
        {
            return Err(PolicyError::SecretType(type_.to_owned()));
        }
        if let Some(key) = spec.template.labels.keys().find(|key| is_reserved(key)) {
            return Err(PolicyError::ReservedLabel(key.clone()));
        }
        if let Some(key) = spec.template.annotations.keys().find(|key| is_reserved(key)) {
            return Err(PolicyError::ReservedAnnotation(key.clone()));
        }
        if spec.seal.time > self.now.plus_one_day() {
            return Err(PolicyError::SealTimeInFuture(spec.seal.time.to_string()));
        }
        Ok(())
    }
}

/// Why this reader does not open a document, decided without a KMS call.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// POLICY.
    #[error(transparent)]
    Policy(#[from] PolicyError),
    /// UNWRAP: a data key has no wrap that this reader may use.
    #[error(transparent)]
    NoUsableWrap(#[from] NoUsableWrap),
}

impl Document {
    /// Applies a policy (step 2 of opening), before any KMS call.
    ///
    /// `usable` returns whether a wrap under this key URI may be tried at all: the scheme is known, the rest of the
    /// URI is well-formed, and the key is on the reader's explicit list (a keyring is such a list).
    pub fn accept(self, policy: &ReaderPolicy, usable: &dyn Fn(&str) -> bool) -> Result<Accepted, Refusal> {
        policy.check(self.spec())?;
        let usable_wraps = self
            .spec()
            .data_keys
            .iter()
            .map(|data_key| {
                let usable: Vec<usize> = (0..data_key.wraps.len())
                    .filter(|index| usable(&data_key.wraps[*index].key))
                    .collect();
                if usable.is_empty() {
                    return Err(NoUsableWrap {
                        data_key: data_key.id.clone(),
                        keys: data_key.wraps.iter().map(|wrap| wrap.key.clone()).collect(),
                    });
                }
                Ok(usable)
            })
            .collect::<Result<_, _>>()?;
        Ok(Accepted {
            document: self,
            usable_wraps,
        })
    }
}
