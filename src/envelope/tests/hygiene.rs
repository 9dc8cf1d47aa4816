//! Types that hold plaintext or keys cannot be printed or serialized; code that tries does not compile.

use super::super::keys::KeySchedule;
use super::support::{draft, random_key, seal};
use crate::envelope::{
    CheckedDraft, DataKey, Document, Draft, Opened, PendingUnwrap, Progress, SecretBytes, StructureKind,
};

/// Fails to compile if the type implements one of the traits, because the call is then ambiguous between two impls.
macro_rules! assert_implements_none_of {
    ($type:ty: $($of:path),+) => {
        const _: fn() = || {
            trait Probe<A> {
                fn probe() {}
            }
            impl<T: ?Sized> Probe<()> for T {}
            $({
                struct Implements;
                impl<T: ?Sized + $of> Probe<Implements> for T {}
            })+
            let _ = <$type as Probe<_>>::probe;
        };
    };
}

macro_rules! assert_unprintable {
    ($($type:ty),+ $(,)?) => {
        $(assert_implements_none_of!($type: std::fmt::Debug, std::fmt::Display, serde::Serialize);)+
    };
}

assert_unprintable!(
    SecretBytes,
    DataKey,
    KeySchedule<'static>,
    Draft,
    CheckedDraft,
    PendingUnwrap<()>,
    Progress<()>,
    Opened,
);

/// A plaintext written by mistake where a sealed value belongs.
const CANARY: &str = "canary-4f1d9c-hunter2";

/// Replaces the string with the index `target`, counted depth first; returns whether there is one.
fn replace_string(value: &mut serde_json::Value, target: &mut usize) -> bool {
    use serde_json::Value;
    match value {
        Value::String(text) => {
            if *target == 0 {
                CANARY.clone_into(text);
                return true;
            }
            *target -= 1;
            false
        }
        Value::Array(items) => items.iter_mut().any(|item| replace_string(item, target)),
        Value::Object(members) => members.values_mut().any(|member| replace_string(member, target)),
        _ => false,
    }
}

#[test]
fn no_error_shows_the_text_of_a_misplaced_plaintext() {
    let mut draft = draft(&[("a", b"1")]);
    draft.template.type_ = Some("Opaque".into());
    draft.template.labels.insert("app".into(), "db".into());
    draft.template.render.insert("r".into(), "<%= v.a %>".into());
    let document = seal(draft, &random_key());
    let whole = serde_json::to_value(document.spec()).expect("JSON");
    let mut refused = 0;
    for index in 0.. {
        let mut changed = whole.clone();
        if !replace_string(&mut changed, &mut index.clone()) {
            break;
        }
        let text = serde_json::to_vec(&changed).expect("JSON");
        if let Err(error) = Document::from_spec_json(&text, document.place().clone()) {
            // An unknown format is shown on purpose: it says which version of the reader is needed.
            let is_format = matches!(error.kind, StructureKind::UnknownFormat(_));
            assert!(
                is_format || !format!("{error} {error:?}").contains(CANARY),
                "{error}"
            );
            refused += 1;
        }
    }
    assert!(refused >= 10, "only {refused} errors");
}
