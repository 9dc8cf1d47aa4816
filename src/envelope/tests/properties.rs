//! Properties for whatever is sealed.

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use proptest::collection::{btree_map, vec};
use proptest::option;
use proptest::prelude::*;

use super::super::encoding::pae;
use super::super::keys::KeySchedule;
use super::super::names::is_entry_name;
use super::*;

/// A property of opening costs milliseconds in a debug build.
const CASES: u32 = 64;

fn entry_name() -> impl Strategy<Value = String> {
    "[-._a-zA-Z0-9]{1,24}".prop_filter("no key of a Secret", |name| is_entry_name(name))
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
    /// Any text as plain data, names as render texts that look one of the values or plain data up.
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

/// What a draft is made of; the draft itself cannot be printed.
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
            place: Place::new(Some("prod"), "db").expect("a place"),
            scope: self.scope,
            audience: self.audience.clone(),
            values: values.collect(),
            template: self.template.clone(),
        }
    }

    /// What the Secret must hold, made without the format's code.
    fn model(&self) -> BTreeMap<String, Vec<u8>> {
        let mut model = self.values.clone();
        for (name, text) in &self.template.data {
            model.insert(name.clone(), text.clone().into_bytes());
        }
        if self.template.render.contains_key("r") {
            let text: String = self
                .values
                .values()
                .map(|value| STANDARD.encode(value) + "\n")
                .collect();
            model.insert("r".into(), text.into_bytes());
        }
        model
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(CASES))]

    #[test]
    fn what_is_sealed_opens_to_itself(input in input()) {
        let dek = key();
        let document = read(&seal(input.draft(), &dek));
        let mut policy = ReaderPolicy::controller([input.audience.clone().unwrap_or_default()], now());
        policy.refused_types = None;
        let accepted = document.accept(&policy, &|_| true).expect("accepted");
        let answer = Ok::<_, UnwrapFailure<()>>(SecretBytes::new(dek.expose().to_vec()));
        let Ok(Progress::Opened(opened)) = accepted.start().answer(answer) else {
            return Err(TestCaseError::fail("does not open"));
        };
        let entries: BTreeMap<String, Vec<u8>> =
            opened.entries().iter().map(|(name, value)| (name.clone(), value.expose().to_vec())).collect();
        prop_assert_eq!(entries, input.model());
    }

    #[test]
    fn two_seals_share_no_id_nonce_or_byte_string(values in btree_map(entry_name(), vec(any::<u8>(), 0..80), 1..4)) {
        let dek = key();
        let values: Vec<(&str, &[u8])> = values.iter().map(|(n, v)| (n.as_str(), v.as_slice())).collect();
        let (one, two) = (seal(draft(&values), &dek), seal(draft(&values), &dek));
        prop_assert_ne!(one.spec().id, two.spec().id);
        prop_assert_ne!(one.digest(), two.digest());
        let mut nonces = BTreeSet::new();
        for value in one.spec().encrypted_data.values().chain(two.spec().encrypted_data.values()) {
            prop_assert!(nonces.insert(value.payload[..12].to_vec()), "a nonce twice");
        }
    }

    #[test]
    fn a_ciphertext_tells_no_more_than_its_64_byte_class(length in 0_usize..2000) {
        let document = seal(draft(&[("a", &vec![1; length])]), &key());
        let payload = document.spec().encrypted_data["a"].payload.len();
        let class = (length + 4).div_ceil(64);
        prop_assert_eq!(payload, 12 + class * 64 + 16);
    }

    #[test]
    fn pae_is_injective(one in vec(vec(any::<u8>(), 0..4), 0..4), two in vec(vec(any::<u8>(), 0..4), 0..4)) {
        prop_assert_eq!(pae(&one) == pae(&two), one == two);
    }

    /// The same bytes, cut into pieces in two ways.
    #[test]
    fn pae_tells_where_pieces_end(bytes in vec(any::<u8>(), 0..8), one in 0_usize..9, two in 0_usize..9) {
        let cut = |at: usize| { let (a, b) = bytes.split_at(at.min(bytes.len())); [a.to_vec(), b.to_vec()] };
        prop_assert_eq!(pae(&cut(one)) == pae(&cut(two)), one.min(bytes.len()) == two.min(bytes.len()));
    }

    #[test]
    fn the_context_is_canonical_json(binding in binding()) {
        let context = binding.context();
        let value: serde_json::Value = serde_json::from_str(context.as_str()).expect("JSON");
        prop_assert_eq!(serde_json_canonicalizer::to_string(&value).expect("JSON"), context.as_str());
        prop_assert_eq!(&value["es:v"], "es1");
    }

    #[test]
    fn two_bindings_that_differ_commit_differently(one in binding(), two in binding()) {
        let dek = DataKey::from_slice(&[7; 32]).expect("a key");
        let commitment = |binding: &Binding| KeySchedule::new(&dek, &[1; 32], binding).commitment();
        prop_assert_eq!(commitment(&one) == commitment(&two), one == two);
        prop_assert_eq!(one.context() == two.context(), one == two);
    }

    /// No text makes the reader panic; what it takes, it writes and reads again as the same.
    #[test]
    fn any_text_is_refused_or_read(text in any::<Vec<u8>>()) {
        let place = Place::new(Some("prod"), "db").expect("a place");
        prop_assert!(Document::from_spec_json(&text, place).is_err());
        prop_assert!(Document::from_object_json(&text, Some("prod")).is_err());
    }
}
