//! The KMS calls of opening, when they stop, and the resulting failure (docs/format-es1.md#9-opening, steps 3 to 7).

use super::super::keys::KeySchedule;
use super::super::{cipher, transcript};
use super::support::{FakeKms, draft, now, random_key, round_trip, seal, seal_with_wraps, wraps};
use crate::envelope::{
    Binding, DataKey, Document, NoUsableWrap, OpenError, Place, Progress, ReaderPolicy, Refusal,
    SealedDataKey, SealedValue, SecretBytes, Spec, Stage,
};

/// The result of opening (`Ok`, or the stage of the failure), and the number of KMS calls.
type Outcome = (Result<(), Stage>, usize);

/// Opens a document with these wraps through the KMS that `kms` returns for its data key.
fn open_with_wraps(ciphertexts: &[&str], kms: impl Fn(&DataKey) -> FakeKms) -> Outcome {
    let data_key = random_key();
    let document = seal_with_wraps(draft(&[("a", b"1")]), &data_key, wraps(ciphertexts));
    outcome(document, &kms(&data_key))
}

fn outcome(document: Document, kms: &FakeKms) -> Outcome {
    let result = kms.open(document).map(|_| ()).map_err(|error| error.stage());
    (result, kms.calls())
}

#[test]
fn wraps_are_tried_in_order_until_one_unwraps() {
    let good = |data_key: &DataKey| FakeKms::default().with("good", data_key.expose());
    assert_eq!(open_with_wraps(&["good", "x", "y"], good), (Ok(()), 1));
    assert_eq!(open_with_wraps(&["x", "good", "y"], good), (Ok(()), 2));
    let partly_unreachable = |data_key: &DataKey| {
        good(data_key)
            .unreachable_for("d1")
            .unreachable_for("d2")
            .unreachable_for("d3")
    };
    assert_eq!(
        open_with_wraps(&["d1", "d2", "d3", "good"], partly_unreachable),
        (Ok(()), 4)
    );
    assert_eq!(
        open_with_wraps(&["d1", "x", "good"], partly_unreachable),
        (Ok(()), 3)
    );
}

#[test]
fn opening_fails_after_two_permanent_failures_or_four_wraps() {
    let good = |data_key: &DataKey| {
        FakeKms::default()
            .with("good", data_key.expose())
            .unreachable_for("d1")
            .unreachable_for("d2")
            .unreachable_for("d3")
            .unreachable_for("d4")
            .with("other", &[7; 32])
    };
    // The next wrap would unwrap.
    assert_eq!(
        open_with_wraps(&["x", "y", "good"], good),
        (Err(Stage::Unwrap), 2)
    );
    assert_eq!(
        open_with_wraps(&["d1", "d2", "d3", "d4", "good"], good),
        (Err(Stage::Unwrap), 4)
    );
    assert_eq!(
        open_with_wraps(&["d1", "x", "d2", "y", "good"], good),
        (Err(Stage::Unwrap), 4)
    );
    // The stage is that of the last permanent failure.
    assert_eq!(
        open_with_wraps(&["x", "other", "good"], good),
        (Err(Stage::Commitment), 2)
    );
    assert_eq!(
        open_with_wraps(&["other", "x", "good"], good),
        (Err(Stage::Unwrap), 2)
    );
    assert_eq!(open_with_wraps(&["other"], good), (Err(Stage::Commitment), 1));
}

#[test]
fn data_key_of_wrong_length_is_a_permanent_failure() {
    for length in [0, 16, 31, 33, 64] {
        let kms = |_: &DataKey| FakeKms::default().with("wrong", &vec![1; length]);
        assert_eq!(
            open_with_wraps(&["wrong"], kms),
            (Err(Stage::Unwrap), 1),
            "{length}"
        );
    }
}

#[test]
fn one_unavailable_wrap_makes_the_opening_retryable() {
    let data_key = random_key();
    let document =
        |ciphertexts: &[&str]| seal_with_wraps(draft(&[("a", b"1")]), &data_key, wraps(ciphertexts));
    let kms = FakeKms::default()
        .unreachable_for("d1")
        .unreachable_for("d2")
        .with("other", &[7; 32]);
    for (ciphertexts, expected, expected_refused) in [
        (&["d1"][..], &["d1 is unreachable"][..], 0),
        (&["x", "d1", "other", "d2"], &["d1 is unreachable"], 2),
        (&["d1", "x", "d2"], &["d1 is unreachable", "d2 is unreachable"], 1),
    ] {
        match kms.open(document(ciphertexts)).err().expect("no data key") {
            OpenError::Unavailable {
                failures, refused, ..
            } => {
                assert_eq!(failures, expected);
                assert_eq!(refused, expected_refused);
            }
            other => panic!("{ciphertexts:?}: {other:?}"),
        }
    }
}

#[test]
fn unusable_wraps_cost_no_call_and_are_not_counted() {
    let data_key = random_key();
    let mut all = wraps(&["u1", "u2", "u3", "u4", "good"]);
    for wrap in &mut all[..4] {
        wrap.key = wrap.key.replace("test://", "other://");
    }
    let document = seal_with_wraps(draft(&[("a", b"1")]), &data_key, all);
    let kms = FakeKms::default().with("good", data_key.expose());
    assert_eq!(outcome(document, &kms), (Ok(()), 1));
}

/// A document with two data keys: value `a` is under the first, `b` and the seal are under the second. Their wraps
/// are `w1` and `w2`.
struct TwoDataKeys {
    first: DataKey,
    second: DataKey,
    spec: Spec,
    binding: Binding,
    place: Place,
}

impl TwoDataKeys {
    fn new() -> Self {
        let (first, second) = (random_key(), random_key());
        let mut draft = draft(&[("a", b"under the first")]);
        draft.template.labels.insert("app".into(), "db".into());
        let document = seal(draft, &first);
        let (mut spec, binding) = (document.spec().clone(), document.binding().clone());
        spec.data_keys[0].wraps = wraps(&["w1"]);
        let schedule = KeySchedule::new(&second, &spec.id, &binding);
        let commitment = schedule.commitment();
        let payload = cipher::encrypt(&schedule, "b", &SecretBytes::new(b"under the second".to_vec()));
        let data_key = commitment.key_id();
        spec.data_keys.push(SealedDataKey {
            id: data_key.clone(),
            commitment,
            template_mac: transcript::template_mac(&schedule, &spec.template),
            wraps: wraps(&["w2"]),
        });
        spec.encrypted_data.insert(
            "b".into(),
            SealedValue {
                data_key: data_key.clone(),
                payload: payload.expect("random bytes"),
            },
        );
        spec.seal.key = data_key;
        let place = document.place().clone();
        TwoDataKeys {
            first,
            second,
            spec,
            binding,
            place,
        }
    }

    /// Seals the spec in its current state with the second data key.
    fn with_valid_seal(mut self) -> (Document, FakeKms) {
        let schedule = KeySchedule::new(&self.second, &self.spec.id, &self.binding);
        let transcript = transcript::transcript(&self.spec, &self.binding);
        self.spec.seal.mac = transcript::seal_mac(&schedule, &transcript);
        self.with_stale_seal()
    }

    /// Keeps the seal of the document before the second data key was added.
    fn with_stale_seal(self) -> (Document, FakeKms) {
        let kms = FakeKms::default()
            .with("w1", self.first.expose())
            .with("w2", self.second.expose());
        (
            Document::new(self.spec, self.place).expect("structurally valid"),
            kms,
        )
    }
}

#[test]
fn data_key_of_the_seal_is_unwrapped_first_and_a_bad_seal_costs_no_other() {
    let (document, kms) = TwoDataKeys::new().with_valid_seal();
    assert_eq!(outcome(round_trip(&document), &kms), (Ok(()), 2));
    let pending = document
        .accept(&ReaderPolicy::controller([], now()), &|_| true)
        .expect("accepted")
        .start::<()>();
    assert_eq!(pending.ciphertext(), "w2");
    assert_eq!(pending.key(), "test://w2");

    let (document, kms) = TwoDataKeys::new().with_stale_seal();
    assert_eq!(outcome(document, &kms), (Err(Stage::Seal), 1));
}

#[test]
fn next_data_key_is_requested_once_the_current_one_is_verified() {
    let (document, kms) = TwoDataKeys::new().with_valid_seal();
    let ids: Vec<String> = document
        .spec()
        .data_keys
        .iter()
        .map(|key| key.id.clone())
        .collect();
    let first = document
        .accept(&ReaderPolicy::controller([], now()), &|_| true)
        .expect("accepted")
        .start();
    assert_eq!(first.data_key(), ids[1]);
    let Ok(Progress::Unwrap(second)) = first.resume(kms.decrypt("w2")) else {
        panic!("one more data key is missing");
    };
    assert_eq!((second.data_key(), second.ciphertext()), (ids[0].as_str(), "w1"));
}

#[test]
fn template_mac_of_every_data_key_is_verified_before_values() {
    let mut two = TwoDataKeys::new();
    two.spec
        .template
        .annotations
        .insert("copy-to".into(), "everywhere".into());
    let schedule = KeySchedule::new(&two.second, &two.spec.id, &two.binding);
    two.spec.data_keys[1].template_mac = transcript::template_mac(&schedule, &two.spec.template);
    let (document, kms) = two.with_valid_seal();
    assert_eq!(outcome(document, &kms), (Err(Stage::Template), 2));
}

#[test]
fn data_key_without_usable_wrap_is_refused_before_any_call() {
    let mut two = TwoDataKeys::new();
    two.spec.data_keys[0].wraps[0].key = "other://w1".into();
    let id = two.spec.data_keys[0].id.clone();
    let (document, _) = two.with_valid_seal();
    let refusal = document
        .accept(&ReaderPolicy::controller([], now()), &|key| {
            key.starts_with("test://")
        })
        .err()
        .expect("refused");
    let expected = NoUsableWrap {
        data_key: id,
        keys: vec!["other://w1".into()],
    };
    assert_eq!(refusal, Refusal::NoUsableWrap(expected));
}

#[test]
fn values_and_plain_data_over_1_mib_fail_at_value() {
    let open_with_sizes = |value: usize, data: usize| {
        let data_key = random_key();
        let mut document = seal(draft(&[("a", &vec![b'x'; value])]), &data_key);
        let (mut spec, binding) = (document.spec().clone(), document.binding().clone());
        spec.template.data.insert("b".into(), "y".repeat(data));
        let schedule = KeySchedule::new(&data_key, &spec.id, &binding);
        spec.data_keys[0].template_mac = transcript::template_mac(&schedule, &spec.template);
        spec.seal.mac = transcript::seal_mac(&schedule, &transcript::transcript(&spec, &binding));
        document = Document::new(spec, document.place().clone()).expect("structurally valid");
        outcome(document, &FakeKms::unwrapping(&data_key))
    };
    assert_eq!(open_with_sizes(524_288, 524_288), (Ok(()), 1));
    assert_eq!(open_with_sizes(524_288, 524_289), (Err(Stage::Value), 1));
}

#[test]
fn all_integrity_failures_display_the_same_text() {
    let mut texts = std::collections::BTreeSet::new();
    let mut stages = std::collections::BTreeSet::new();
    let mut record = |document: Document, kms: &FakeKms| {
        let error = kms.open(document).err().expect("a failure");
        assert!(error.is_integrity());
        stages.insert(error.stage().as_str());
        texts.insert(error.to_string());
    };
    let data_key = random_key();
    let document = || seal(draft(&[("a", b"1")]), &data_key);
    record(document(), &FakeKms::default());
    record(document(), &FakeKms::unwrapping(&random_key()));
    let (document, kms) = TwoDataKeys::new().with_stale_seal();
    record(document, &kms);
    let mut two = TwoDataKeys::new();
    two.spec.data_keys[0].template_mac[0] ^= 1;
    let (document, kms) = two.with_valid_seal();
    record(document, &kms);
    let mut two = TwoDataKeys::new();
    two.spec.encrypted_data.get_mut("a").expect("a").payload[40] ^= 1;
    let (document, kms) = two.with_valid_seal();
    record(document, &kms);
    assert_eq!(
        stages.into_iter().collect::<Vec<_>>(),
        ["COMMITMENT", "SEAL", "TEMPLATE", "UNWRAP", "VALUE"]
    );
    assert_eq!(texts.len(), 1, "{texts:?}");
}
