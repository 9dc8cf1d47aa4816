//! The Secret that an object shall have, as far as it is known without opening the document. Planning, request bodies and
//! the record of a write all take it from here. Pure.

use std::sync::Arc;

use crate::api::{Applied, MANAGED_BY_LABEL, MANAGED_LABEL, Mode, SECRET_MANAGER};
use crate::controller::observe::fields::{Field, FieldFacts, FieldSet};
use crate::controller::observe::object::Object;
use crate::controller::observe::secret_facts::SecretFacts;
use crate::controller::observe::summary::Facts;

/// The version of the rules that turn a document into a Secret (`status.applied.renderer`). It may only increase: a
/// controller with a lower version leaves the Secret alone.
pub(in crate::controller) const RENDERER: i64 = 1;

/// The desired state of a Secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::controller) struct Desired {
    pub(in crate::controller) mode: Mode,
    /// The fields that our Apply owns.
    pub(in crate::controller) fields: FieldSet,
    pub(in crate::controller) metadata: Metadata,
    /// SHA-256 over manifest and mac of the document, in hex.
    pub(in crate::controller) digest: String,
    /// The number of entries.
    pub(in crate::controller) entries: u32,
}

/// The metadata that the controller sets beside those of the template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::controller) struct Metadata {
    /// Policy refuses a template that sets one of them.
    pub(in crate::controller) labels: Vec<(&'static str, &'static str)>,
    /// The uid of the object that the ownerReference names; `None` without one.
    pub(in crate::controller) owner: Option<Arc<str>>,
}

impl Desired {
    /// Returns the desired state of the Secret of `object` with this document. Each Secret is owned: nothing can request
    /// another mode yet.
    pub(in crate::controller) fn of(object: &Object, document: &Facts) -> Self {
        let mode = Mode::Owned;
        let metadata = Metadata::of(mode, &object.uid);
        Desired {
            mode,
            fields: fields(mode, &metadata, document.fields, document.immutable),
            metadata,
            digest: document.digest(),
            entries: document.entries,
        }
    }

    /// Whether the Secret holds the entries of the document and no others, and has its type. A merged Secret also has
    /// entries of its owner, who decides about its type.
    pub(in crate::controller) fn is_exact(&self) -> bool {
        is_exact(self.mode)
    }

    /// Whether `applied` records a write in this mode, by the current rules.
    pub(in crate::controller) fn has_rules_of(&self, applied: &Applied) -> bool {
        applied.mode == self.mode.as_str() && applied.renderer == RENDERER
    }

    /// Whether applying the document would produce the Secret of the recorded write.
    pub(in crate::controller) fn has_result_of(&self, applied: &Applied) -> bool {
        applied.digest == self.digest && self.has_rules_of(applied)
    }

    /// Whether we own exactly the desired fields, and no other field manager owns content that would change the Secret's.
    pub(in crate::controller) fn is_held(&self, fields: &FieldFacts) -> bool {
        let foreign = fields.foreign.as_deref();
        fields.ours == Some(self.fields)
            && foreign.is_none_or(|foreign| !self.is_exact() && foreign.contested.is_empty())
    }

    /// Returns the record of the write of this state as generation `generation`, after which the API server returned
    /// `secret`.
    pub(in crate::controller) fn applied(
        &self,
        generation: i64,
        secret: &SecretFacts,
        time: String,
    ) -> Applied {
        Applied {
            generation,
            digest: self.digest.clone(),
            mode: self.mode.as_str().to_owned(),
            renderer: RENDERER,
            secret_uid: secret.uid.to_string(),
            secret_resource_version: secret.resource_version.to_string(),
            entries: self.entries.into(),
            time,
        }
    }
}

impl Metadata {
    fn of(mode: Mode, object_uid: &Arc<str>) -> Self {
        let mut labels = vec![(MANAGED_LABEL, mode.label())];
        if mode != Mode::Merged {
            labels.push((MANAGED_BY_LABEL, SECRET_MANAGER));
        }
        Metadata {
            labels,
            owner: (mode == Mode::Owned).then(|| object_uid.clone()),
        }
    }
}

fn is_exact(mode: Mode) -> bool {
    mode != Mode::Merged
}

/// Returns the fields that an Apply in this mode owns. `document` are those that the document names.
fn fields(mode: Mode, metadata: &Metadata, document: FieldSet, immutable: bool) -> FieldSet {
    let labels = metadata.labels.iter().map(|(label, _)| Field::Label(label));
    let set = document
        .with(labels)
        .with(metadata.owner.as_deref().map(Field::Owner));
    if is_exact(mode) {
        set.with([Field::Type])
            .with(immutable.then_some(Field::Immutable))
    } else {
        set
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::controller::observe::fields::ForeignContent;
    use crate::controller::observe::secret_facts::Owner;
    use crate::controller::observe::wishes::Mark;

    fn document() -> FieldSet {
        FieldSet::default().with([Field::Data("a"), Field::Label("app")])
    }

    fn in_mode(mode: Mode, immutable: bool) -> Desired {
        let metadata = Metadata::of(mode, &"o-1".into());
        Desired {
            mode,
            fields: fields(mode, &metadata, document(), immutable),
            metadata,
            digest: "d1".into(),
            entries: 1,
        }
    }

    #[test]
    fn metadata_and_fields_follow_from_the_mode() {
        let managed = Field::Label("envelope-secrets.io/managed");
        let decoration = Field::Label("app.kubernetes.io/managed-by");
        let owner = Field::Owner("o-1");
        // (mode, value of the label, fields beside those of the document if the Secret is immutable)
        let cases: [(Mode, &str, &[Field<'_>]); 3] = [
            (
                Mode::Owned,
                "owned",
                &[managed, decoration, owner, Field::Type, Field::Immutable],
            ),
            (
                Mode::Retained,
                "retained",
                &[managed, decoration, Field::Type, Field::Immutable],
            ),
            (Mode::Merged, "merged", &[managed]),
        ];
        for (mode, label, added) in cases {
            let [mutable, immutable] = [false, true].map(|immutable| in_mode(mode, immutable));
            assert_eq!(mutable.metadata, immutable.metadata, "{mode:?}");
            assert_eq!(mutable.metadata.labels[0], (MANAGED_LABEL, label), "{mode:?}");
            let uid = added.contains(&owner).then_some("o-1");
            assert_eq!(mutable.metadata.owner.as_deref(), uid, "{mode:?}");
            let added = added.iter().copied();
            assert_eq!(immutable.fields, document().with(added.clone()), "{mode:?}");
            let added = added.filter(|field| *field != Field::Immutable);
            assert_eq!(mutable.fields, document().with(added), "{mode:?}");
        }
    }

    #[test]
    fn content_of_other_managers_matters_by_mode() {
        let foreign = |contested: &[&str]| {
            Some(Box::new(ForeignContent {
                manager: "helm".into(),
                contested: contested.iter().map(|name| (*name).into()).collect(),
            }))
        };
        // (what others own, whether it is held in the modes Owned, Retained, Merged)
        for (foreign, expected) in [
            (None, [true, true, true]),
            (foreign(&[]), [false, false, true]),
            (foreign(&["a"]), [false, false, false]),
        ] {
            let held = [Mode::Owned, Mode::Retained, Mode::Merged].map(|mode| {
                let desired = in_mode(mode, false);
                let facts = |ours| FieldFacts {
                    ours,
                    foreign: foreign.clone(),
                };
                assert!(!desired.is_held(&facts(None)), "{mode:?}: cleared managedFields");
                assert!(
                    !desired.is_held(&facts(Some(document()))),
                    "{mode:?}: other fields"
                );
                desired.is_held(&facts(Some(desired.fields)))
            });
            assert_eq!(held, expected, "{foreign:?}");
        }
    }

    #[test]
    fn recorded_write_has_the_same_result_only_under_the_same_rules() {
        let secret = SecretFacts {
            uid: "s-1".into(),
            resource_version: "9".into(),
            deleting: false,
            mark: Mark::Managed(Mode::Owned),
            owner: Owner::Object(vec!["o-1".into()]),
            fields: FieldFacts::default(),
        };
        let desired = in_mode(Mode::Owned, false);
        let applied = desired.applied(3, &secret, "2026-11-24T00:47:55Z".into());
        let expected = Applied {
            generation: 3,
            digest: "d1".into(),
            mode: "Owned".into(),
            renderer: 1,
            secret_uid: "s-1".into(),
            secret_resource_version: "9".into(),
            entries: 1,
            time: "2026-11-24T00:47:55Z".into(),
        };
        assert_eq!(applied, expected);
        let compared = |applied: &Applied| (desired.has_rules_of(applied), desired.has_result_of(applied));
        assert_eq!(compared(&applied), (true, true));
        let changed = |change: fn(&mut Applied)| {
            let mut applied = applied.clone();
            change(&mut applied);
            compared(&applied)
        };
        assert_eq!(changed(|applied| applied.digest = "d0".into()), (true, false));
        assert_eq!(
            changed(|applied| applied.mode = "Retained".into()),
            (false, false)
        );
        assert_eq!(changed(|applied| applied.mode = "Later".into()), (false, false));
        assert_eq!(changed(|applied| applied.renderer = 0), (false, false));
    }
}
