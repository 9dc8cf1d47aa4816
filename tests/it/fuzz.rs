//! The properties of the fuzz targets on stable, each with as many cases as take a second or so.

use proptest::collection::vec;
use proptest::prelude::*;

#[expect(unreachable_pub, reason = "a library to the fuzz targets")]
#[path = "../../fuzz/src/lib.rs"]
mod properties;

/// Few changes, as most single ones are refused early, and none at all now and then.
fn changes() -> impl Strategy<Value = Vec<u8>> {
    vec(any::<u8>(), 0..24)
}

fn texts() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        vec(any::<u8>(), 0..80),
        any::<String>().prop_map(String::into_bytes)
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn any_bytes_are_a_document_or_refused(data in prop_oneof![changes(), texts()]) {
        properties::wire(&data);
    }

    #[test]
    fn any_bytes_are_rendered_or_refused(data in texts()) {
        properties::render(&data);
    }

    #[test]
    fn any_bytes_are_a_keyring_or_refused(data in prop_oneof![changes(), texts()]) {
        properties::keyring(&data);
    }

    #[test]
    fn any_bytes_are_a_key_uri_or_refused(data in prop_oneof![changes(), texts()]) {
        properties::key_uri(&data);
    }

    #[test]
    fn a_changed_document_never_opens_to_other_plaintext(data in changes()) {
        properties::open(&data);
    }
}

/// Without a change every base opens: the property above is not vacuous.
#[test]
fn unchanged_documents_open() {
    assert!(properties::opens_unchanged() >= 5);
}
