//! The properties of the fuzz targets as proptests on stable Rust. Each runs for about a second.

use proptest::collection::vec;
use proptest::prelude::*;

/// Encoded changes of a valid input. Few, because most single changes are already refused; sometimes none.
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
    fn any_input_is_a_document_or_refused(data in prop_oneof![changes(), texts()]) {
        properties::wire(&data);
    }

    #[test]
    fn any_input_is_rendered_or_refused(data in texts()) {
        properties::render(&data);
    }

    #[test]
    fn any_input_is_a_keyring_or_refused(data in prop_oneof![changes(), texts()]) {
        properties::keyring(&data);
    }

    #[test]
    fn any_input_is_a_key_uri_or_refused(data in prop_oneof![changes(), texts()]) {
        properties::key_uri(&data);
    }

    #[test]
    fn changed_document_never_opens_to_other_plaintext(data in changes()) {
        properties::open(&data);
    }
}

/// Shows that the property above is not vacuous.
#[test]
fn unchanged_documents_open() {
    assert!(properties::open_unchanged() >= 5);
}
