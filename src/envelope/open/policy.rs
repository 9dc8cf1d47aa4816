//! Step 2: what this reader accepts, before any KMS call.

use std::collections::BTreeSet;

use super::super::error::{NoUsableWrap, PolicyError};
use super::super::names::is_reserved;
use super::super::time::SealTime;
use super::super::wire::{Document, Spec};
use super::unwrap::PendingUnwrap;

/// Secret types that make the control plane act on their content (CVE-2026-42876 and its kin).
const REFUSED_TYPES: [&str; 3] = [
    "kubernetes.io/service-account-token",
    "bootstrap.kubernetes.io/token",
    "helm.sh/release.v1",
];

/// What a reader accepts.
#[derive(Clone, Debug)]
pub struct ReaderPolicy {
    /// The accepted audiences, "" for documents without one; `None` accepts every audience.
    pub audiences: Option<BTreeSet<String>>,
    /// The refused Secret types; `None` refuses none.
    pub refused_types: Option<BTreeSet<String>>,
    /// The reader's clock.
    pub now: SealTime,
}

impl ReaderPolicy {
    /// The controller's: these audiences (none given means only documents without one), and no type that makes
    /// the control plane act.
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

    /// The command line's: every audience and type; only the clock and the reserved names are asked.
    pub fn command_line(now: SealTime) -> Self {
        ReaderPolicy {
            audiences: None,
            refused_types: None,
            now,
        }
    }

    /// The order is that of format-es1 section 9: the clock comes last, because waiting cures nothing else.
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

/// A document that this reader does not open, found out without a KMS call.
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
    /// Step 2. `usable` says whether a wrap under this key URI may be tried at all: a known scheme whose rest
    /// makes sense, and a key on the reader's explicit list (a keyring is such a list).
    pub fn accept(self, policy: &ReaderPolicy, usable: &dyn Fn(&str) -> bool) -> Result<Accepted, Refusal> {
        policy.check(self.spec())?;
        let wraps = self
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
            wraps,
        })
    }
}

/// A document that this reader may try to open.
pub struct Accepted {
    pub(super) document: Document,
    /// For each data key the indices of its usable wraps, in order; never empty.
    pub(super) wraps: Vec<Vec<usize>>,
}

impl Accepted {
    /// The document.
    pub fn document(&self) -> &Document {
        &self.document
    }

    /// Steps 3 to 8 begin. `E` is the KMS's error.
    pub fn start<E>(self) -> PendingUnwrap<E> {
        PendingUnwrap::new(self)
    }
}
