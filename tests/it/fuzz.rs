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
    fn any_response_of_the_api_server_is_decoded_or_refused(data in prop_oneof![changes(), texts()]) {
        properties::decode(&data);
    }

    #[test]
    fn changed_document_never_opens_to_other_plaintext(data in changes()) {
        properties::open(&data);
    }
}

/// Runs the program, with its messages hidden.
fn run_envelope(args: &[&str]) -> i32 {
    let status = std::process::Command::new(env!("CARGO_BIN_EXE_envelope"))
        .args(&args[1..])
        .env_remove("ENVELOPE_KEY")
        .stdin(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .status();
    status.expect("the program runs").code().unwrap_or(-1)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn no_plaintext_in_output(data in vec(any::<u8>(), 0..40)) {
        let directory = tempfile::tempdir().expect("a directory");
        properties::seal_stream(&data, directory.path(), &run_envelope);
    }
}

/// Streams are neither all refused nor all sealed, and the property fails once lookalikes pass.
#[test]
fn no_plaintext_in_output_is_not_vacuous() {
    use std::panic::{AssertUnwindSafe, catch_unwind};

    let directory = tempfile::tempdir().expect("a directory");
    let streams: Vec<[u8; 10]> = (0..40_u8)
        .map(|n| [n % 2, n, n / 4, 0, n % 7, n / 3, n, n, 0, 0])
        .collect();
    let sealed = streams
        .iter()
        .filter(|data| properties::composed_stream_is_sealed(&data[..], directory.path(), &run_envelope))
        .count();
    assert!(
        (1..streams.len()).contains(&sealed),
        "{sealed} of {}",
        streams.len()
    );
    let passing = |args: &[&str]| {
        let mut args = args.to_vec();
        if args[1] == "seal" {
            args.insert(2, "--pass-plain");
        }
        run_envelope(&args)
    };
    let found = streams.iter().any(|data| {
        let run = AssertUnwindSafe(|| properties::seal_stream(&data[..], directory.path(), &passing));
        catch_unwind(run).is_err()
    });
    assert!(found, "with --pass-plain the property must fail");
}

/// Shows that the property of `open` is not vacuous.
#[test]
fn unchanged_documents_open() {
    assert!(properties::open_unchanged() >= 5);
}
