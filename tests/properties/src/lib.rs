//! Properties that hold for any input.
//!
//! Each function takes arbitrary bytes and panics if its property does not hold. The fuzz targets (`fuzz/`) and the
//! proptests of `tests/it/fuzz.rs` call them.

mod seal;

pub use seal::{composed_stream_is_sealed, seal_stream};

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use envelope_secrets::controller::check_decoder;
use envelope_secrets::envelope::render::{Text, render_all};
use envelope_secrets::envelope::{Document, Place, ReaderPolicy, SealTime, SecretBytes, StructureError};
use envelope_secrets::kms::local::{Keyring, Kid, LocalKms};
use envelope_secrets::kms::{self, KeyUri, Registry};
use futures::FutureExt as _;
use serde_json::Value;

/// The vectors of the project, whose valid documents and keys are mutated.
static VECTORS: LazyLock<Value> = LazyLock::new(|| {
    serde_json::from_str(include_str!("../../vectors/es1.json")).expect("the vectors are JSON")
});

/// The keyring of the vectors.
static KEYRING: LazyLock<String> = LazyLock::new(|| {
    let lines = VECTORS["localKeyring"]
        .as_array()
        .expect("a list of keys")
        .iter()
        .map(|key| {
            let kid = text(&key["uri"]).trim_start_matches("local://");
            format!(
                "ES-LOCAL-KEY-1 {kid} {}\n",
                URL_SAFE_NO_PAD.encode(hex(text(&key["key"])))
            )
        });
    lines.collect::<Vec<_>>().concat()
});

static REGISTRY: LazyLock<Registry> = LazyLock::new(|| {
    let ring = Keyring::parse(KEYRING.as_bytes()).expect("a valid keyring");
    let mut registry = Registry::new();
    registry.insert("local", Arc::new(LocalKms::from_keyring(ring)));
    registry
});

static BASES: LazyLock<Vec<Base>> = LazyLock::new(|| {
    VECTORS["positive"]
        .as_array()
        .expect("a list of cases")
        .iter()
        .map(Base::new)
        .collect()
});

/// A valid document and the entries that it opens to.
struct Base {
    spec: String,
    place: Place,
    audience: String,
    entries: BTreeMap<String, Vec<u8>>,
    /// Secret values that no error may show.
    values: Vec<Vec<u8>>,
}

impl Base {
    fn new(case: &Value) -> Self {
        let spec = &case["spec"];
        let plaintext = case["plaintext"].as_object().expect("entries").iter();
        let entries: BTreeMap<String, Vec<u8>> = plaintext
            .map(|(name, value)| (name.clone(), STANDARD.decode(text(value)).expect("base64")))
            .collect();
        let sealed = |name: &str| spec["encryptedData"].get(name).is_some();
        Base {
            spec: spec.to_string(),
            place: Place::new(case["namespace"].as_str(), text(&case["objectName"])).expect("a valid place"),
            audience: spec["audience"].as_str().unwrap_or("").to_owned(),
            values: entries
                .iter()
                .filter(|(n, v)| sealed(n) && v.len() >= 8)
                .map(|(_, v)| v.clone())
                .collect(),
            entries,
        }
    }
}

fn text(value: &Value) -> &str {
    value.as_str().expect("a string")
}

fn hex(text: &str) -> Vec<u8> {
    let digit = |at| u8::from_str_radix(&text[at..at + 2], 16).expect("hex");
    (0..text.len()).step_by(2).map(digit).collect()
}

/// Applies the changes encoded in `data` to `base`: each is four bytes of offset (2), operation and operand.
fn mutate(base: &[u8], data: &[u8]) -> Vec<u8> {
    let mut out = base.to_vec();
    for change in data.chunks_exact(4).take(64) {
        if out.is_empty() {
            break;
        }
        let at = usize::from(u16::from_le_bytes([change[0], change[1]])) % out.len();
        match change[2] % 5 {
            0 => out[at] = change[3],
            1 => out[at] ^= 1 << (change[3] % 8),
            2 => out.insert(at, change[3]),
            3 => drop(out.drain(at..out.len().min(at + 1 + usize::from(change[3] % 16)))),
            _ => {
                let other = usize::from(change[3]) * 7 % out.len();
                out.swap(at, other);
            }
        }
    }
    out
}

/// Returns the valid document that the first byte selects, and its spec, changed by the other bytes.
fn select_and_mutate(data: &[u8]) -> (&'static Base, Vec<u8>) {
    let (first, changes) = data.split_first().unwrap_or((&0, &[]));
    let base = &BASES[usize::from(*first) % BASES.len()];
    (base, mutate(base.spec.as_bytes(), changes))
}

/// The parser never panics, and each document that it accepts round-trips unchanged.
///
/// # Panics
///
/// If the property does not hold for `data`.
pub fn wire(data: &[u8]) {
    let (base, changed) = select_and_mutate(data);
    for spec in [data, &changed] {
        assert_round_trip(Document::from_spec_json(spec, base.place.clone()));
        let head = br#"{"apiVersion":"envelope-secrets.io/v1","kind":"EnvelopeSecret","metadata":{"name":"db"},"spec":"#;
        let whole = [&head[..], spec, b"}"].concat();
        assert_round_trip(Document::from_object_json(&whole, Some("prod")));
    }
    assert_round_trip(Document::from_object_json(data, Some("prod")));
}

fn assert_round_trip(parsed: Result<Document, StructureError>) {
    let Ok(document) = parsed else { return };
    let written = serde_json::to_vec(document.spec()).expect("JSON");
    let reread =
        Document::from_spec_json(&written, document.place().clone()).expect("a written document is valid");
    assert_eq!(reread.spec(), document.spec());
    assert_eq!(reread.digest(), document.digest());
}

/// Tokens of the rendering language and look-ups of the values.
const TOKENS: &[&str] = &[
    "<%",
    "<%=",
    "<%#",
    "<%-",
    "<%=-",
    "%>",
    "-%>",
    "if ",
    "elif ",
    "else",
    "endif",
    "and ",
    "or ",
    "not ",
    "is ",
    "defined",
    "true",
    "false",
    "v.user",
    "v['none']",
    "v[\"bin\"]",
    "v.long",
    "(",
    ")",
    ",",
    "|",
    "~",
    "==",
    "!=",
    "'x'",
    "\"\\n\"",
    "b64encode",
    "b64decode",
    "upper",
    "lower",
    "trim",
    "replace",
    "tojson",
    "urlencode",
    "sha256",
    "default",
    " ",
    "\n",
    "text ",
    "%",
    "<",
    "-",
    "'",
    "\\",
];

/// A value that no error may show.
const CANARY: &str = "canary-horse-battery-staple";

/// A text is refused or renders within the limits, and no error shows a value.
///
/// # Panics
///
/// If the property does not hold for `data`.
pub fn render(data: &[u8]) {
    let words: Vec<&str> = data
        .iter()
        .map(|byte| TOKENS[usize::from(*byte) % TOKENS.len()])
        .collect();
    for source in [String::from_utf8_lossy(data).into_owned(), words.concat()] {
        let parsed = match Text::parse(&source) {
            Ok(parsed) => parsed,
            Err(error) => {
                assert!(
                    error.line >= 1 && error.line <= source.lines().count().max(1) + 1,
                    "{error}"
                );
                continue;
            }
        };
        let long = CANARY.repeat(5000);
        let values: BTreeMap<&str, &[u8]> = [
            ("user", CANARY.as_bytes()),
            ("bin", &[0xff, 0, 0xfe]),
            ("long", long.as_bytes()),
        ]
        .into();
        let texts = BTreeMap::from([("a".to_owned(), parsed.clone()), ("b".to_owned(), parsed)]);
        match render_all(&texts, &values) {
            Ok(rendered) => {
                let bytes: usize = rendered.values().map(SecretBytes::len).sum();
                assert!(bytes + CANARY.len() + long.len() + 3 <= 1 << 20);
                assert!(
                    rendered["a"].expose() == rendered["b"].expose(),
                    "equal texts render to equal output"
                );
            }
            Err(error) => assert!(!format!("{error} {error:?}").contains("canary"), "{error}"),
        }
    }
}

/// A keyring is refused, or its keys are distinct and its first key is the default; no error shows part of a key.
///
/// # Panics
///
/// If the property does not hold for `data`.
pub fn keyring(data: &[u8]) {
    for file in [data.to_vec(), mutate(KEYRING.as_bytes(), data)] {
        match Keyring::parse(&file) {
            Ok(ring) => {
                let mut kids = ring.kids();
                assert_eq!(ring.default_kid(), kids[0]);
                for kid in &kids {
                    assert!(ring.key(*kid).is_some_and(|key| key.kid() == *kid));
                }
                let count = kids.len();
                kids.sort_unstable();
                kids.dedup();
                assert_eq!(kids.len(), count, "a duplicate key");
            }
            Err(error) => {
                let message = format!("{error} {error:?}");
                for line in KEYRING.lines() {
                    let key = line.rsplit(' ').next().expect("a key").as_bytes();
                    let shown = key
                        .windows(9)
                        .find(|part| message.contains(&*String::from_utf8_lossy(part)));
                    assert!(shown.is_none(), "{message}");
                }
            }
        }
    }
}

/// A key URI equals its text, which is `<scheme>://<rest>`, and a local URI names exactly one key.
///
/// # Panics
///
/// If the property does not hold for `data`.
pub fn key_uri(data: &[u8]) {
    let local = mutate(b"local://fa1975b2", data);
    let cloud = mutate(
        b"tencent-kms://ap-guangzhou/23e80852-1e38-11e9-b129-5cb9019b4b01",
        data,
    );
    for bytes in [data, &local, &cloud] {
        let text = String::from_utf8_lossy(bytes);
        let Ok(uri) = KeyUri::parse(&text) else { continue };
        assert_eq!(uri.as_str(), text);
        assert_eq!(format!("{}://{}", uri.scheme(), uri.rest()), text);
        assert!(!uri.scheme().contains(':') && text.bytes().all(|byte| byte.is_ascii_graphic()));
        match Kid::of_uri(&uri) {
            Some(kid) => assert_eq!(kid.uri(), uri),
            None => assert!(!REGISTRY.usable(&text), "{text}"),
        }
    }
}

/// What the API server sends: an object, a Secret, a watch event and a list page. `SPEC` is replaced with a valid spec.
const RESPONSES: [&str; 4] = [
    r#"{"metadata":{"name":"db","namespace":"prod","uid":"o-1","resourceVersion":"7","generation":3,
        "annotations":{"envelope-secrets.io/sealed-for":"dev/db"}},"spec":SPEC,
        "status":{"observedGeneration":3,"conditions":[{"type":"Ready","status":"True","reason":"Synced","message":"m",
        "lastTransitionTime":"2026-11-24T00:47:55Z"}]}}"#,
    r#"{"metadata":{"name":"db","namespace":"prod","uid":"s-1","resourceVersion":"7",
        "labels":{"envelope-secrets.io/managed":"owned"},"ownerReferences":[{"apiVersion":"envelope-secrets.io/v1",
        "kind":"EnvelopeSecret","name":"db","uid":"o-1","controller":true}],"managedFields":[{"manager":
        "envelope-secrets","operation":"Apply","time":"9999-12-31T23:59:59Z","fieldsV1":{"f:data":{"f:a":{}}}}]}}"#,
    r#"{"type":"MODIFIED","object":{"metadata":{"name":"db","namespace":"prod","uid":"o-1","resourceVersion":"7"},
        "spec":SPEC}}"#,
    r#"{"metadata":{"resourceVersion":"9","continue":"t"},"items":[{"metadata":{"name":"db","namespace":"prod",
        "uid":"o-1","resourceVersion":"7"},"spec":SPEC},{"metadata":{}}]}"#,
];

/// Anything that the API server sends is decoded or refused without a panic, and no object affects the others of its page.
///
/// # Panics
///
/// If the property does not hold for `data`.
pub fn decode(data: &[u8]) {
    check_decoder(data);
    let (first, changes) = data.split_first().unwrap_or((&0, &[]));
    let spec = &BASES[usize::from(*first) % BASES.len()].spec;
    for response in RESPONSES {
        let response = response.replace("SPEC", spec);
        check_decoder(response.as_bytes());
        check_decoder(&mutate(response.as_bytes(), changes));
    }
}

/// A changed document never opens to other plaintext, and no error shows a value.
///
/// # Panics
///
/// If the property does not hold for `data`.
pub fn open(data: &[u8]) {
    let (base, spec) = select_and_mutate(data);
    if let Err(message) = try_open(base, &spec) {
        for value in &base.values {
            let raw = String::from_utf8_lossy(value);
            for shown in [&*raw, &STANDARD.encode(value), &URL_SAFE_NO_PAD.encode(value)] {
                assert!(!message.contains(shown), "{message}");
            }
        }
    }
}

/// Opens every valid document unchanged and returns their number.
///
/// # Panics
///
/// If one of them does not open.
pub fn open_unchanged() -> usize {
    for base in BASES.iter() {
        try_open(base, base.spec.as_bytes()).expect("a valid document opens");
    }
    BASES.len()
}

fn try_open(base: &Base, spec: &[u8]) -> Result<(), String> {
    fn describe(error: &(impl std::fmt::Display + std::fmt::Debug)) -> String {
        format!("{error} {error:?}")
    }
    let document = Document::from_spec_json(spec, base.place.clone()).map_err(|error| describe(&error))?;
    let now = SealTime::parse(text(&VECTORS["now"])).expect("a valid time");
    let policy = ReaderPolicy::controller([base.audience.clone()], now);
    let accepted = document
        .accept(&policy, &|key| REGISTRY.usable(key))
        .map_err(|error| describe(&error))?;
    let opened = kms::open(accepted, &REGISTRY)
        .now_or_never()
        .expect("the local provider never waits");
    let opened = opened.map_err(|error| describe(&error))?;
    let entries = opened
        .entries()
        .iter()
        .map(|(name, value)| (name.clone(), value.expose().to_vec()));
    assert!(
        entries.collect::<BTreeMap<_, _>>() == base.entries,
        "opened to other plaintext"
    );
    Ok(())
}
