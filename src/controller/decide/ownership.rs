//! Who owns a Secret, and so whether the controller may write it (docs/design/controller.md#ownership). Pure.

use crate::api::Mode;
use crate::controller::observe::secret_facts::{Owner, SecretFacts};
use crate::controller::observe::wishes::Mark;

/// The relation of a Secret to the object of its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::controller) enum Ownership<'a> {
    /// The object owns it, alone among the incarnations of its name.
    Current,
    /// The controller may write it, and the object then owns it: it belongs to an earlier incarnation of the object, or is
    /// what `--cascade=orphan` has left.
    Adoptable,
    /// The controller must not touch it: kind and name of its controller owner, if it has one.
    Foreign(Option<&'a str>),
}

/// Returns the relation of `secret` to the object of its name with this uid.
pub(in crate::controller) fn ownership<'a>(secret: &'a SecretFacts, object_uid: &str) -> Ownership<'a> {
    match (&secret.owner, secret.mark) {
        (Owner::Object(uids), _) if matches!(&**uids, [uid] if **uid == *object_uid) => Ownership::Current,
        (Owner::Object(_), _) | (Owner::None, Mark::Managed(Mode::Owned)) => Ownership::Adoptable,
        (Owner::None, Mark::Absent | Mark::Managed(_) | Mark::Other) => Ownership::Foreign(None),
        (Owner::Other(controller), _) => Ownership::Foreign(controller.as_deref()),
    }
}

/// Whether the controller must not touch `secret`, whatever the uid of the object.
pub(in crate::controller) fn is_foreign(secret: &SecretFacts) -> bool {
    matches!(ownership(secret, ""), Ownership::Foreign(_))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::controller::observe::fields::FieldFacts;

    #[test]
    fn ownership_follows_from_owners_and_label() {
        use Ownership::{Adoptable, Current, Foreign};
        let object = |uids: &[&str]| Owner::Object(uids.iter().map(|uid| (*uid).into()).collect());
        let other = |owner: &str| Owner::Other(Some(owner.into()));
        let owned = Mark::Managed(Mode::Owned);
        let cases = [
            (object(&["o-1"]), owned, Current),
            (object(&["o-1"]), Mark::Absent, Current),
            (object(&["o-1"]), Mark::Other, Current),
            (object(&["o-0"]), owned, Adoptable),
            (object(&["o-0"]), Mark::Absent, Adoptable),
            (object(&["o-0", "o-1"]), owned, Adoptable),
            (object(&["o-1", "o-0"]), owned, Adoptable),
            (Owner::None, owned, Adoptable),
            (Owner::None, Mark::Absent, Foreign(None)),
            (Owner::None, Mark::Managed(Mode::Retained), Foreign(None)),
            (Owner::None, Mark::Managed(Mode::Merged), Foreign(None)),
            (Owner::None, Mark::Other, Foreign(None)),
            // The label does not override an owner.
            (other("SealedSecret db"), owned, Foreign(Some("SealedSecret db"))),
            (
                other("SealedSecret db"),
                Mark::Absent,
                Foreign(Some("SealedSecret db")),
            ),
            (Owner::Other(None), owned, Foreign(None)),
        ];
        for (owner, mark, expected) in cases {
            let secret = SecretFacts {
                uid: "s-1".into(),
                resource_version: "9".into(),
                deleting: false,
                mark,
                owner,
                fields: FieldFacts::default(),
            };
            assert_eq!(ownership(&secret, "o-1"), expected, "{secret:?}");
            assert_eq!(is_foreign(&secret), matches!(expected, Foreign(_)), "{secret:?}");
        }
    }
}
