//! Step 2 of opening (docs/format-es1.md#9-opening): what this reader accepts, decided before any KMS call.

use std::collections::BTreeSet;

use super::super::binding::Scope;
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
    ///
    /// # Errors
    /// The first rule that refuses.
    pub fn check(&self, inputs: &PolicyInputs<'_>) -> Result<(), PolicyError> {
        let audience = inputs.audience;
        if self
            .audiences
            .as_ref()
            .is_some_and(|accepted| !accepted.contains(audience))
        {
            return Err(PolicyError::Audience(audience.to_owned()));
        }
        let type_ = inputs.secret_type;
        if self
            .refused_types
            .as_ref()
            .is_some_and(|refused| refused.contains(type_))
        {
            return Err(PolicyError::SecretType(type_.to_owned()));
        }
        if let Some(key) = inputs.reserved_label {
            return Err(PolicyError::ReservedLabel(key.to_owned()));
        }
        if let Some(key) = inputs.reserved_annotation {
            return Err(PolicyError::ReservedAnnotation(key.to_owned()));
        }
        if *inputs.seal_time > self.now.plus_one_day() {
            return Err(PolicyError::SealTimeInFuture(inputs.seal_time.to_string()));
        }
        Ok(())
    }
}

/// What a [`ReaderPolicy`] decides on. A reader may keep it instead of the document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PolicyInputs<'a> {
    /// The audience; "" without one.
    pub audience: &'a str,
    /// The scope.
    pub scope: Scope,
    /// The type of the Secret; `Opaque` if the template sets none.
    pub secret_type: &'a str,
    /// The first label of the template that is reserved.
    pub reserved_label: Option<&'a str>,
    /// The first annotation of the template that is reserved.
    pub reserved_annotation: Option<&'a str>,
    /// When the document was sealed.
    pub seal_time: &'a SealTime,
}

impl Spec {
    /// Returns what a policy decides on.
    pub fn policy_inputs(&self) -> PolicyInputs<'_> {
        let template = &self.template;
        let reserved = |key: &&String| is_reserved(key);
        PolicyInputs {
            audience: self.audience.as_deref().unwrap_or(""),
            scope: self.scope,
            secret_type: template.type_.as_deref().unwrap_or("Opaque"),
            reserved_label: template.labels.keys().find(reserved).map(String::as_str),
            reserved_annotation: template.annotations.keys().find(reserved).map(String::as_str),
            seal_time: &self.seal.time,
        }
    }
}

/// Returns the indices of the wraps of a data key that this reader may try, given the key URIs of all its wraps.
///
/// # Errors
/// If there is none.
pub fn usable_wraps<'a>(
    data_key: &str,
    keys: impl Iterator<Item = &'a str> + Clone,
    usable: &dyn Fn(&str) -> bool,
) -> Result<Vec<usize>, NoUsableWrap> {
    let indexed = keys.clone().enumerate();
    let indices: Vec<usize> = indexed
        .filter(|(_, key)| usable(key))
        .map(|(index, _)| index)
        .collect();
    if indices.is_empty() {
        return Err(NoUsableWrap {
            data_key: data_key.to_owned(),
            keys: keys.map(str::to_owned).collect(),
        });
    }
    Ok(indices)
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
        policy.check(&self.spec().policy_inputs())?;
        let data_keys = self.spec().data_keys.iter();
        let usable_wraps = data_keys
            .map(|data_key| {
                let keys = data_key.wraps.iter().map(|wrap| wrap.key.as_str());
                usable_wraps(&data_key.id, keys, usable)
            })
            .collect::<Result<_, _>>()?;
        Ok(Accepted {
            document: self,
            usable_wraps,
        })
    }
}
