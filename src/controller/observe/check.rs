//! What must hold for anything that the API server sends, for fuzzing and property tests.

use serde::de::IgnoredAny;

use super::decode::{self, Change, Item, Slim, item};
use super::object::Received;
use super::secret_facts::SecretFacts;
use super::summary::{Summary, Texts};

/// An object that is always decoded.
const GOOD: &str = r#"{"metadata":{"name":"good","namespace":"prod","uid":"u","resourceVersion":"1"}}"#;

/// Decodes `bytes` as everything that the API server sends: a list page, a watch event and an object, of both kinds.
///
/// # Panics
/// If decoding panics, or an object affects the others of its page.
#[doc(hidden)]
pub fn check_decoder(bytes: &[u8]) {
    check::<Received>(bytes);
    check::<SecretFacts>(bytes);
    let text = String::from_utf8_lossy(bytes);
    if let Ok((key, received)) = item::<Received>(&text) {
        let summary = Summary::of(&key, &received.uid, received.spec.get(), &mut Texts::default());
        let shown = format!("{:?}", summary.facts);
        assert!(!shown.contains("inside the controller"), "{shown}");
    }
}

fn check<T: Slim>(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    check_item(&item::<T>(&text));
    if let Ok(line) = decode::line::<T>(bytes)
        && let Change::Applied(item) | Change::Deleted(item) = &line.change
    {
        check_item(item);
    }
    if let Ok(page) = decode::page(bytes.to_vec()) {
        (0..page.len())
            .filter_map(|index| page.item::<T>(index))
            .for_each(|item| check_item(&item));
    }
    if serde_json::from_str::<IgnoredAny>(&text).is_ok() {
        let list = format!(r#"{{"items":[{GOOD},{text},{GOOD}]}}"#);
        let page = decode::page(list.into_bytes());
        let good = page.is_ok_and(|page| {
            let good = [0, 2].map(|index| page.item::<T>(index).is_some_and(|item| item.is_ok()));
            page.len() == 3 && good == [true, true]
        });
        assert!(good, "its neighbours are decoded");
    }
}

fn check_item<T>(item: &Item<T>) {
    if let Err(undecodable) = item {
        assert!(!undecodable.cause.contains("panicked"), "{}", undecodable.cause);
    }
}
