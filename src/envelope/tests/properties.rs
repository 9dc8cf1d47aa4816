//! Properties of sealing, opening and the encodings over random input.

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use proptest::collection::{btree_map, vec};
use proptest::option;
use proptest::prelude::*;

use super::super::encoding::pae;
use super::super::keys::KeySchedule;
use super::super::names::is_entry_name;
use super::support::{draft, now, place, random_key, round_trip, seal};
use crate::envelope::{
    Binding, DataKey, Document, Draft, Progress, ReaderPolicy, Scope, SecretBytes, Template, UnwrapFailure,
};

/// Fewer cases than the default: each opening takes milliseconds in a debug build.
const CASES: u32 = 64;

fn entry_name() -> impl Strategy<Value = String> {
    "[-._a-zA-Z0-9]{1,24}".prop_filter("not a valid key of a Secret", |name| is_entry_name(name))
}

fn binding() -> impl Strategy<Value = Binding> {
    (
        prop::sample::select(&Scope::ALL[..]),
        option::of("[a-z0-9]([-a-z0-9.]{0,4}[a-z0-9])?"),
        "[a-z0-9]([-a-z0-9]{0,4}[a-z0-9])?",
        "[a-z0-9]([-a-z0-9]{0,4}[a-z0-9])?(\\.[a-z0-9]{1,3})?",
    )
        .prop_map(|(scope, audience, namespace, name)| {
            Binding::new(scope, audience.as_deref(), &namespace, &name)
        })
}

prop_compose! {
    /// Any text as plain data and annotations; no render texts.
    fn template()(
        type_ in option::of("[!-~]{1,40}"),
        immutable in prop::sample::select(vec![None, Some(true)]),
        labels in btree_map("[a-z]{1,8}(/[A-Z]{1,8})?", "([A-Za-z0-9]([-._A-Za-z0-9]{0,8}[A-Za-z0-9])?)?", 0..4),
        annotations in btree_map("[a-z]{1,8}(/[A-Z]{1,8})?", any::<String>(), 0..4),
        data in btree_map(entry_name(), any::<String>(), 0..4),
    ) -> Template {
        Template { type_, immutable, labels, annotations, data, render: BTreeMap::new() }
    }
}

/// The parts of a draft. proptest prints its input, and a draft has no `Debug`.
#[derive(Debug)]
struct Input {
    values: BTreeMap<String, Vec<u8>>,
    template: Template,
    scope: Scope,
    audience: Option<String>,
}

prop_compose! {
    fn input()(
        values in btree_map(entry_name(), vec(any::<u8>(), 0..200), 0..6),
        mut template in template(),
        scope in prop::sample::select(&Scope::ALL[..]),
        audience in option::of("[a-z0-9]([-a-z0-9.]{0,8}[a-z0-9])?"),
    ) -> Input {
        template.data.retain(|name, _| !values.contains_key(name));
        if !values.contains_key("r") && !template.data.contains_key("r") {
            let text: Vec<String> = values.keys().map(|name| format!("<%= v['{name}']|b64encode %>\n")).collect();
            template.render.insert("r".into(), text.concat());
        }
        Input { values, template, scope, audience }
    }
}

impl Input {
    fn draft(&self) -> Draft {
        let values = self
            .values
            .iter()
            .map(|(name, value)| (name.clone(), SecretBytes::new(value.clone())));
        Draft {
            place: place(),
            scope: self.scope,
            audience: self.audience.clone(),
            values: values.collect(),
            template: self.template.clone(),
        }
    }

    /// The expected entries of the Secret, computed without the code under test.
    fn expected_entries(&self) -> BTreeMap<String, Vec<u8>> {
        let mut expected = self.values.clone();
        for (name, text) in &self.template.data {
            expected.insert(name.clone(), text.clone().into_bytes());
        }
        if self.template.render.contains_key("r") {
            let text: String = self
                .values
                .values()
                .map(|value| STANDARD.encode(value) + "\n")
                .collect();
            expected.insert("r".into(), text.into_bytes());
        }
        expected
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(CASES))]

    #[test]
    fn sealed_document_opens_to_its_input(input in input()) {
        let data_key = random_key();
        let document = round_trip(&seal(input.draft(), &data_key));
        let mut policy = ReaderPolicy::controller([input.audience.clone().unwrap_or_default()], now());
        policy.refused_types = None;
        let accepted = document.accept(&policy, &|_| true).expect("accepted");
        let response = Ok::<_, UnwrapFailure<()>>(SecretBytes::new(data_key.expose().to_vec()));
        let Ok(Progress::Opened(opened)) = accepted.start().resume(response) else {
            return Err(TestCaseError::fail("does not open"));
        };
        let entries: BTreeMap<String, Vec<u8>> =
            opened.entries().iter().map(|(name, value)| (name.clone(), value.expose().to_vec())).collect();
        prop_assert_eq!(entries, input.expected_entries());
    }

    #[test]
    fn two_seals_of_one_draft_share_no_id_or_nonce(values in btree_map(entry_name(), vec(any::<u8>(), 0..80), 1..4)) {
        let data_key = random_key();
        let values: Vec<(&str, &[u8])> = values.iter().map(|(n, v)| (n.as_str(), v.as_slice())).collect();
        let (one, two) = (seal(draft(&values), &data_key), seal(draft(&values), &data_key));
        prop_assert_ne!(one.spec().id, two.spec().id);
        prop_assert_ne!(one.digest(), two.digest());
        let mut nonces = BTreeSet::new();
        for value in one.spec().encrypted_data.values().chain(two.spec().encrypted_data.values()) {
            prop_assert!(nonces.insert(value.payload[..12].to_vec()), "a repeated nonce");
        }
    }

    #[test]
    fn ciphertext_length_reveals_only_the_64_byte_size_class(length in 0_usize..2000) {
        let document = seal(draft(&[("a", &vec![1; length])]), &random_key());
        let payload = document.spec().encrypted_data["a"].payload.len();
        let blocks = (length + 4).div_ceil(64);
        prop_assert_eq!(payload, 12 + blocks * 64 + 16);
    }

    #[test]
    fn pae_is_injective(one in vec(vec(any::<u8>(), 0..4), 0..4), two in vec(vec(any::<u8>(), 0..4), 0..4)) {
        prop_assert_eq!(pae(&one) == pae(&two), one == two);
    }

    /// The same bytes, split in two different ways.
    #[test]
    fn pae_of_the_same_bytes_depends_on_the_split(bytes in vec(any::<u8>(), 0..8), one in 0_usize..9, two in 0_usize..9) {
        let split = |at: usize| { let (a, b) = bytes.split_at(at.min(bytes.len())); [a.to_vec(), b.to_vec()] };
        prop_assert_eq!(pae(&split(one)) == pae(&split(two)), one.min(bytes.len()) == two.min(bytes.len()));
    }

    #[test]
    fn encryption_context_is_canonical_json(binding in binding()) {
        let context = binding.context();
        let value: serde_json::Value = serde_json::from_str(context.as_str()).expect("JSON");
        prop_assert_eq!(serde_json_canonicalizer::to_string(&value).expect("JSON"), context.as_str());
        prop_assert_eq!(&value["es:v"], "es1");
    }

    #[test]
    fn commitments_are_equal_only_for_equal_bindings(one in binding(), two in binding()) {
        let data_key = DataKey::from_slice(&[7; 32]).expect("32 bytes");
        let commitment = |binding: &Binding| KeySchedule::new(&data_key, &[1; 32], binding).commitment();
        prop_assert_eq!(commitment(&one) == commitment(&two), one == two);
        prop_assert_eq!(one.context() == two.context(), one == two);
    }

    /// Random bytes are never a document, and no input makes the parser panic.
    #[test]
    fn random_bytes_are_refused_without_a_panic(text in any::<Vec<u8>>()) {
        prop_assert!(Document::from_spec_json(&text, place()).is_err());
        prop_assert!(Document::from_object_json(&text, Some("prod")).is_err());
    }
}
