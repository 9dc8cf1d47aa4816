//! Which KMS calls opening makes, when it stops, and what the failure is then (format-es1 section 9, steps 3 to 7).

use super::super::{cipher, manifest};
use super::*;
use crate::envelope::keys::KeySchedule;

/// Outcome of opening: `Ok`, or the stage; and the calls.
type Outcome = (Result<(), Stage>, usize);

/// A document with these wraps, opened with what `keys` knows.
fn opens(ciphertexts: &[&str], keys: impl Fn(&DataKey) -> Keys) -> Outcome {
    let dek = key();
    let checked = draft(&[("a", b"1")]).check().expect("a good draft");
    let document = checked.seal(&dek, wraps(ciphertexts), now()).expect("sealed");
    outcome(document, &keys(&dek))
}

fn outcome(document: Document, keys: &Keys) -> Outcome {
    let result = keys.open(document).map(|_| ()).map_err(|error| error.stage());
    (result, keys.calls.get())
}

#[test]
fn wraps_are_tried_in_order_until_one_gives_the_key() {
    let good = |dek: &DataKey| Keys::default().with("good", dek.expose());
    assert_eq!(opens(&["good", "x", "y"], good), (Ok(()), 1));
    assert_eq!(opens(&["x", "good", "y"], good), (Ok(()), 2));
    let after_three_down = |dek: &DataKey| good(dek).down("d1").down("d2").down("d3");
    assert_eq!(opens(&["d1", "d2", "d3", "good"], after_three_down), (Ok(()), 4));
    assert_eq!(opens(&["d1", "x", "good"], after_three_down), (Ok(()), 3));
}

#[test]
fn two_permanent_failures_or_four_wraps_end_it() {
    let good = |dek: &DataKey| {
        let keys = Keys::default().with("good", dek.expose());
        keys.down("d1")
            .down("d2")
            .down("d3")
            .down("d4")
            .with("other", &[7; 32])
    };
    // The key would be there, two and four wraps on.
    assert_eq!(opens(&["x", "y", "good"], good), (Err(Stage::Unwrap), 2));
    assert_eq!(
        opens(&["d1", "d2", "d3", "d4", "good"], good),
        (Err(Stage::Unwrap), 4)
    );
    assert_eq!(
        opens(&["d1", "x", "d2", "y", "good"], good),
        (Err(Stage::Unwrap), 4)
    );
    // The stage is that of the last permanent failure.
    assert_eq!(opens(&["x", "other", "good"], good), (Err(Stage::Commitment), 2));
    assert_eq!(opens(&["other", "x", "good"], good), (Err(Stage::Unwrap), 2));
    assert_eq!(opens(&["other"], good), (Err(Stage::Commitment), 1));
}

#[test]
fn a_key_of_another_length_is_a_permanent_failure() {
    for length in [0, 16, 31, 33, 64] {
        let keys = |_: &DataKey| Keys::default().with("short", &vec![1; length]);
        assert_eq!(opens(&["short"], keys), (Err(Stage::Unwrap), 1), "{length}");
    }
}

#[test]
fn one_failure_that_may_pass_is_the_outcome() {
    let dek = key();
    let document = |ciphertexts: &[&str]| {
        let checked = draft(&[("a", b"1")]).check().expect("a good draft");
        checked.seal(&dek, wraps(ciphertexts), now()).expect("sealed")
    };
    let keys = Keys::default().down("d1").down("d2").with("other", &[7; 32]);
    for (ciphertexts, expected, expected_refused) in [
        (&["d1"][..], &["d1 is down"][..], 0),
        (&["x", "d1", "other", "d2"], &["d1 is down"], 2),
        (&["d1", "x", "d2"], &["d1 is down", "d2 is down"], 1),
    ] {
        match keys.open(document(ciphertexts)).err().expect("no key") {
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
fn unusable_wraps_cost_nothing_and_count_for_nothing() {
    let dek = key();
    let mut all = wraps(&["u1", "u2", "u3", "u4", "good"]);
    for wrap in &mut all[..4] {
        wrap.key = wrap.key.replace("test://", "other://");
    }
    let checked = draft(&[("a", b"1")]).check().expect("a good draft");
    let document = checked.seal(&dek, all, now()).expect("sealed");
    assert_eq!(
        outcome(document, &Keys::default().with("good", dek.expose())),
        (Ok(()), 1)
    );
}

/// A document whose second data key is the seal's: values `a` under the first, `b` under the second. Wraps `w1`, `w2`.
struct TwoKeys {
    first: DataKey,
    second: DataKey,
    spec: Spec,
    binding: Binding,
    place: Place,
}

impl TwoKeys {
    fn new() -> Self {
        let (first, second) = (key(), key());
        let mut draft = draft(&[("a", b"of the first")]);
        draft.template.labels.insert("app".into(), "db".into());
        let document = seal(draft, &first);
        let (mut spec, binding) = (document.spec().clone(), document.binding().clone());
        spec.data_keys[0].wraps = wraps(&["w1"]);
        let schedule = KeySchedule::new(&second, &spec.id, &binding);
        let commitment = schedule.commitment();
        let payload = cipher::encrypt(&schedule, "b", &SecretBytes::new(b"of the second".to_vec()));
        let data_key = commitment.key_id();
        spec.data_keys.push(SealedDataKey {
            id: data_key.clone(),
            commitment,
            template_mac: manifest::template_mac(&schedule, &spec.template),
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
        TwoKeys {
            first,
            second,
            spec,
            binding,
            place,
        }
    }

    /// Seals it as it stands, with the second key.
    fn sealed(mut self) -> (Document, Keys) {
        let schedule = KeySchedule::new(&self.second, &self.spec.id, &self.binding);
        let manifest = manifest::manifest(&self.spec, &self.binding);
        self.spec.seal.mac = manifest::seal_mac(&schedule, &manifest);
        self.unsealed()
    }

    fn unsealed(self) -> (Document, Keys) {
        let keys = Keys::default()
            .with("w1", self.first.expose())
            .with("w2", self.second.expose());
        (
            Document::new(self.spec, self.place).expect("structurally valid"),
            keys,
        )
    }
}

#[test]
fn the_data_key_of_the_seal_comes_first_and_a_bad_seal_costs_only_it() {
    let (document, keys) = TwoKeys::new().sealed();
    assert_eq!(outcome(read(&document), &keys), (Ok(()), 2));
    let asked = document
        .accept(&ReaderPolicy::controller([], now()), &|_| true)
        .expect("accepted")
        .start::<()>();
    assert_eq!(asked.ciphertext(), "w2");
    assert_eq!(asked.key(), "test://w2");

    let (document, keys) = TwoKeys::new().unsealed();
    assert_eq!(outcome(document, &keys), (Err(Stage::Seal), 1));
}

#[test]
fn a_data_key_is_known_to_hold_when_another_is_asked_for() {
    let (document, keys) = TwoKeys::new().sealed();
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
    let Ok(Progress::Unwrap(second)) = first.answer(keys.unwrap("w2")) else {
        panic!("one more key is wanted");
    };
    assert_eq!((second.data_key(), second.ciphertext()), (ids[0].as_str(), "w1"));
}

#[test]
fn every_data_key_must_agree_to_the_template_before_a_value_is_opened() {
    let mut two = TwoKeys::new();
    two.spec
        .template
        .annotations
        .insert("copy-to".into(), "everywhere".into());
    let schedule = KeySchedule::new(&two.second, &two.spec.id, &two.binding);
    two.spec.data_keys[1].template_mac = manifest::template_mac(&schedule, &two.spec.template);
    let (document, keys) = two.sealed();
    assert_eq!(outcome(document, &keys), (Err(Stage::Template), 2));
}

#[test]
fn a_data_key_without_usable_wrap_is_found_out_before_any_call() {
    let mut two = TwoKeys::new();
    two.spec.data_keys[0].wraps[0].key = "other://w1".into();
    let id = two.spec.data_keys[0].id.clone();
    let (document, _) = two.sealed();
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
fn values_and_plain_data_together_are_at_most_1_mib() {
    let sizes = |value: usize, data: usize| {
        let dek = key();
        let mut document = seal(draft(&[("a", &vec![b'x'; value])]), &dek);
        let (mut spec, binding) = (document.spec().clone(), document.binding().clone());
        spec.template.data.insert("b".into(), "y".repeat(data));
        let schedule = KeySchedule::new(&dek, &spec.id, &binding);
        spec.data_keys[0].template_mac = manifest::template_mac(&schedule, &spec.template);
        spec.seal.mac = manifest::seal_mac(&schedule, &manifest::manifest(&spec, &binding));
        document = Document::new(spec, document.place().clone()).expect("structurally valid");
        outcome(document, &Keys::one(&dek))
    };
    assert_eq!(sizes(524_288, 524_288), (Ok(()), 1));
    assert_eq!(sizes(524_288, 524_289), (Err(Stage::Value), 1));
}

#[test]
fn all_integrity_failures_have_one_face() {
    let mut faces = std::collections::BTreeSet::new();
    let mut stages = std::collections::BTreeSet::new();
    let mut see = |document: Document, keys: &Keys| {
        let error = keys.open(document).err().expect("fails");
        assert!(error.is_integrity());
        stages.insert(error.stage().as_str());
        faces.insert(error.to_string());
    };
    let dek = key();
    let document = || seal(draft(&[("a", b"1")]), &dek);
    see(document(), &Keys::default());
    see(document(), &Keys::one(&key()));
    let (unsealed, keys) = TwoKeys::new().unsealed();
    see(unsealed, &keys);
    let mut two = TwoKeys::new();
    two.spec.data_keys[0].template_mac[0] ^= 1;
    let (forged, keys) = two.sealed();
    see(forged, &keys);
    let mut two = TwoKeys::new();
    two.spec.encrypted_data.get_mut("a").expect("a").payload[40] ^= 1;
    let (broken, keys) = two.sealed();
    see(broken, &keys);
    assert_eq!(
        stages.into_iter().collect::<Vec<_>>(),
        ["COMMITMENT", "SEAL", "TEMPLATE", "UNWRAP", "VALUE"]
    );
    assert_eq!(faces.len(), 1, "{faces:?}");
}
