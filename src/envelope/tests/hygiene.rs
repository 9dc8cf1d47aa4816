//! What holds plaintext or keys cannot be printed or serialised: code that tries does not compile.

use super::super::keys::KeySchedule;
use super::*;

/// Fails to compile when the type has one of the traits: the call then fits two impls, and inference gives up.
macro_rules! has_none_of {
    ($type:ty: $($of:path),+) => {
        const _: fn() = || {
            trait Probe<A> {
                fn probe() {}
            }
            impl<T: ?Sized> Probe<()> for T {}
            $({
                struct Has;
                impl<T: ?Sized + $of> Probe<Has> for T {}
            })+
            let _ = <$type as Probe<_>>::probe;
        };
    };
}

macro_rules! unprintable {
    ($($type:ty),+ $(,)?) => {
        $(has_none_of!($type: std::fmt::Debug, std::fmt::Display, serde::Serialize);)+
    };
}

unprintable!(
    SecretBytes,
    DataKey,
    KeySchedule<'static>,
    Draft,
    CheckedDraft,
    PendingUnwrap<()>,
    Progress<()>,
    Opened,
);

/// A value that somebody may have put where a sealed one belongs.
const CANARY: &str = "canary-4f1d9c-hunter2";

fn replace(value: &mut serde_json::Value, target: &mut usize) -> bool {
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
        Value::Array(items) => items.iter_mut().any(|item| replace(item, target)),
        Value::Object(members) => members.values_mut().any(|member| replace(member, target)),
        _ => false,
    }
}

#[test]
fn no_refusal_shows_what_stands_where_a_value_belongs() {
    let mut draft = draft(&[("a", b"1")]);
    draft.template.type_ = Some("Opaque".into());
    draft.template.labels.insert("app".into(), "db".into());
    draft.template.render.insert("r".into(), "<%= v.a %>".into());
    let document = seal(draft, &key());
    let whole = serde_json::to_value(document.spec()).expect("JSON");
    let mut refused = 0;
    for index in 0.. {
        let mut changed = whole.clone();
        if !replace(&mut changed, &mut index.clone()) {
            break;
        }
        let text = serde_json::to_vec(&changed).expect("JSON");
        if let Err(error) = Document::from_spec_json(&text, document.place().clone()) {
            // The word of an unknown format is shown: it tells which version is needed.
            let told = matches!(error.kind, StructureKind::UnknownFormat(_));
            assert!(told || !format!("{error} {error:?}").contains(CANARY), "{error}");
            refused += 1;
        }
    }
    assert!(refused >= 10, "only {refused} places");
}
