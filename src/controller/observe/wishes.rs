//! What people express in the metadata of an object and of its Secret: annotations and the label `managed`. Decoded once,
//! here, in bounded size; what follows from it is decided elsewhere (docs/design/controller.md#ownership).

use crate::api::{MANAGED_LABEL, Mode, RECONCILE_AT_ANNOTATION, SEALED_FOR_ANNOTATION, SUSPEND_ANNOTATION};
use crate::controller::observe::decode::Meta;

/// Maximum length of an annotation that is kept in memory, in bytes; a namespace and a name fit. All annotations of an object
/// together may have 256 KiB.
const MAX_ANNOTATION: usize = 320;

/// The annotations of an `EnvelopeSecret`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::controller) struct Wishes {
    /// `reconcile-at`: a new value requests an immediate retry. Truncated to [`MAX_ANNOTATION`].
    pub(in crate::controller) reconcile_at: Option<Box<str>>,
    /// Whether `suspend` is `true`.
    pub(in crate::controller) suspended: bool,
    /// `sealed-for`: a hint for human readers, never used to open the document.
    pub(in crate::controller) sealed_for: Option<Box<str>>,
}

impl Wishes {
    pub(in crate::controller) fn of(meta: &Meta) -> Self {
        let text = |name| meta.annotations.get(name).map(truncated);
        Wishes {
            reconcile_at: text(RECONCILE_AT_ANNOTATION),
            suspended: meta.annotations.get(SUSPEND_ANNOTATION) == Some("true"),
            sealed_for: text(SEALED_FOR_ANNOTATION),
        }
    }
}

fn truncated(annotation: &str) -> Box<str> {
    annotation[..annotation.floor_char_boundary(MAX_ANNOTATION)].into()
}

/// The label `managed` of a Secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::controller) enum Mark {
    /// Absent: the watch does not deliver the Secret.
    Absent,
    /// A controller manages the Secret in this mode.
    Managed(Mode),
    /// Any other value. It gives no permission: consent to adopt or to merge is not implemented.
    Other,
}

impl Mark {
    pub(in crate::controller) fn of(meta: &Meta) -> Self {
        match meta.labels.get(MANAGED_LABEL) {
            None => Mark::Absent,
            Some(label) => Mode::of_label(label).map_or(Mark::Other, Mark::Managed),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn meta(text: Value) -> Meta {
        serde_json::from_value(text).expect("metadata")
    }

    #[test]
    fn annotations_are_kept_up_to_a_length() {
        let annotated = |value: &str| {
            Wishes::of(&meta(json!({"annotations": {
                "envelope-secrets.io/sealed-for": value, "envelope-secrets.io/reconcile-at": value,
                "envelope-secrets.io/suspend": value, "other": value
            }})))
        };
        let long = annotated(&"x".repeat(100_000));
        let lengths = [&long.sealed_for, &long.reconcile_at].map(|text| text.as_ref().map(|text| text.len()));
        assert_eq!(lengths, [Some(MAX_ANNOTATION); 2]);
        assert!(!long.suspended);
        let short = annotated("true");
        assert_eq!(
            (short.reconcile_at.as_deref(), short.suspended),
            (Some("true"), true)
        );
        assert_eq!(Wishes::of(&meta(json!({}))), Wishes::default());
    }

    #[test]
    fn only_true_suspends() {
        for (value, suspended) in [
            ("true", true),
            ("True", false),
            ("false", false),
            ("", false),
            ("1", false),
        ] {
            let wishes = Wishes::of(&meta(
                json!({"annotations": {"envelope-secrets.io/suspend": value}}),
            ));
            assert_eq!(wishes.suspended, suspended, "{value:?}");
        }
    }

    #[test]
    fn label_is_a_mode_or_gives_no_permission() {
        let mark = |value: &str| Mark::of(&meta(json!({"labels": {"envelope-secrets.io/managed": value}})));
        for (value, expected) in [
            ("owned", Mark::Managed(Mode::Owned)),
            ("retained", Mark::Managed(Mode::Retained)),
            ("merged", Mark::Managed(Mode::Merged)),
            ("Owned", Mark::Other),
            ("adopt", Mark::Other),
            ("merge", Mark::Other),
            ("release", Mark::Other),
            ("released", Mark::Other),
            ("", Mark::Other),
        ] {
            assert_eq!(mark(value), expected, "{value:?}");
        }
        assert_eq!(
            Mark::of(&meta(json!({"labels": {"other": "owned"}}))),
            Mark::Absent
        );
    }
}
