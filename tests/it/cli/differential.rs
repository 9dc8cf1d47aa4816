//! Manifests read by this program and by kubectl's own parser (`tests/kubectl-yaml`, built with Go), over generated YAML.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::{LazyLock, Mutex};

use envelope_secrets::manifest::{
    self, AliasBudget, Aliases, Item, Part, Treatment, from_base64, to_json, to_yaml,
};
use proptest::prelude::*;
use serde_json::Value;

/// The running parser.
struct Kubectl {
    _child: Child,
    stdin: ChildStdin,
    stdout: BufReader<ChildStdout>,
}

static KUBECTL: LazyLock<Mutex<Kubectl>> = LazyLock::new(|| {
    let program = built();
    let mut child = Command::new(program)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the parser starts");
    let (stdin, stdout) = (child.stdin.take(), child.stdout.take());
    Mutex::new(Kubectl {
        _child: child,
        stdin: stdin.expect("standard input"),
        stdout: BufReader::new(stdout.expect("standard output")),
    })
});

fn built() -> PathBuf {
    let program = Path::new(env!("CARGO_TARGET_TMPDIR")).join("kubectl-yaml");
    let status = Command::new("go")
        .args(["build", "-trimpath", "-buildvcs=false", "-mod=readonly", "-o"])
        .arg(&program)
        .arg(".")
        .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/kubectl-yaml"))
        .env("CGO_ENABLED", "0")
        .env("GOWORK", "off")
        .env("GOFLAGS", "")
        .status();
    assert!(
        status.expect("go runs").success(),
        "go cannot build tests/kubectl-yaml"
    );
    program
}

/// The documents that kubectl reads, and whether it read all of the text.
fn kubectl(text: &str) -> (Vec<Value>, bool) {
    let mut kubectl = KUBECTL.lock().expect("no panic before");
    let line = serde_json::to_string(text).expect("JSON");
    writeln!(kubectl.stdin, "{line}").expect("the parser runs");
    let mut answer = String::new();
    kubectl.stdout.read_line(&mut answer).expect("the parser answers");
    let mut answer: Value = serde_json::from_str(&answer).expect("JSON");
    let complete = answer.get("error").is_none();
    match answer["documents"].take() {
        Value::Array(documents) => (documents, complete),
        _ => (Vec::new(), complete),
    }
}

/// Numbers are compared by value: kubectl turns `1e3` into `1000`.
fn same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => a == b || a.as_f64() == b.as_f64(),
        (Value::Array(a), Value::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b)),
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(key, a)| b.get(key).is_some_and(|b| same(a, b)))
        }
        _ => a == b,
    }
}

/// Whether kubectl would send a Secret with data to the API server.
fn is_secret(value: &Value) -> bool {
    if let Some(items) = value["items"].as_array() {
        let of_secrets = value["kind"] == "SecretList";
        return items
            .iter()
            .any(|item| is_secret(item) || (of_secrets && item["kind"].is_null()));
    }
    value["kind"] == "Secret" && value["apiVersion"] == "v1"
}

fn check(text: &str) -> Result<(), TestCaseError> {
    let mut budget = AliasBudget::default();
    let Ok(parts) = manifest::read(text.as_bytes(), Aliases::Expand(&mut budget)) else {
        return Ok(()); // refused
    };
    let (documents, complete) = kubectl(text);
    let items: Vec<Item<'_>> = parts.iter().flat_map(Part::objects_to_process).collect();
    if items.iter().all(|item| item.treatment() != Treatment::Secret) {
        let passes = parts.iter().all(|part| part.find_plaintext().is_none());
        prop_assert!(
            !passes || !documents.iter().any(is_secret),
            "a Secret passes through: {documents:?}"
        );
    }
    let filled: Vec<&Part<'_>> = parts
        .iter()
        .filter(|part| !part.objects_to_process().is_empty())
        .collect();
    if !complete || filled.len() != documents.len() {
        return Ok(());
    }
    for (part, theirs) in filled.iter().zip(&documents) {
        let items = part.objects_to_process();
        let [item] = items.as_slice() else { continue };
        if let Ok(node) = item.rewritable() {
            let ours: Value = serde_json::from_slice(to_json(&node).expose()).expect("JSON");
            prop_assert!(
                same(&ours, theirs),
                "rewritten as JSON: {ours}, kubectl: {theirs}"
            );
            let yaml = String::from_utf8(to_yaml(&node).expose().to_vec()).expect("UTF-8");
            let (again, _) = kubectl(&yaml);
            prop_assert!(
                again.first().is_some_and(|again| same(again, theirs)),
                "rewritten as {yaml:?}: {again:?}, kubectl: {theirs}"
            );
        }
        if item.treatment() == Treatment::Secret
            && let Ok(secret) = item.secret()
        {
            let name = secret.name.as_deref().unwrap_or_default();
            prop_assert_eq!(theirs["metadata"]["name"].as_str().unwrap_or_default(), name);
            let mut names: Vec<&String> = Vec::new();
            for map in ["data", "stringData"] {
                for (name, value) in theirs[map].as_object().into_iter().flatten() {
                    names.push(name);
                    if map == "data" && !theirs["stringData"][name].is_null() {
                        continue;
                    }
                    // An unquoted word or number: kubectl's request fails, so nothing else is ever applied.
                    let Some(text) = value.as_str() else { continue };
                    let expected = match map {
                        "data" => from_base64(text).map(|v| v.expose().to_vec()),
                        _ => Some(text.as_bytes().to_vec()),
                    };
                    let ours = secret.entries.get(name).map(|v| v.expose().to_vec());
                    prop_assert!(ours == expected, "entry {name:?} of {theirs}");
                }
            }
            names.sort();
            names.dedup();
            prop_assert_eq!(names, secret.entries.keys().collect::<Vec<_>>());
        }
    }
    Ok(())
}

fn key() -> impl Strategy<Value = &'static str> {
    prop_oneof![
        4 => prop::sample::select(vec!["a", "b", "kind", "data", "stringData", "x.y", "items"]),
        1 => prop::sample::select(vec![
            "yes", "y", "N", "on", "off", "012", "0x10", "1.0", "1", "+1", "-1", ".5", "1e3", "1_0", "0b1", "0o17", "~", "null",
            "true", "\"quoted\"", "'yes'", "2001-01-01", "12:30:45", "<<", "!!str 1", "\"\\u2028\"", ".inf", "-0x1", "=",
            "99999999999999999999", "1e400",
        ]),
    ]
}

fn scalar() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec![
        "a",
        "Secret",
        "secret",
        "v1",
        "ConfigMap",
        "yes",
        "No",
        "012",
        "0x1F",
        "1.0",
        "1.",
        ".5",
        "1e3",
        "1E400",
        "1_000",
        "0b11",
        "0o17",
        "+0x1",
        "-.inf",
        ".nan",
        "~",
        "null",
        "",
        "true",
        "'it''s'",
        "\"two\\nlines\"",
        "\"\\u00e9\\x41\"",
        "\"a\u{2028}b\"",
        "a\u{85}b",
        "a # comment",
        "# \u{2028}kind: Secret",
        "12:30:45",
        "2001-01-01T00:00:00Z",
        "!!str 12",
        "!!binary aGk=",
        "!!int \"3\"",
        "*x",
        "aGk=",
        "a b",
        "-1",
        "0",
        "00",
        "08",
        "1__0",
        "-_1",
        "=",
        "\"\"",
        "99999999999999999999",
        "18446744073709551615",
        "<<",
        "|\n    block\n    text",
        ">-\n    folded\n    text",
        "{a: b, yes: 1}",
        "[1, yes, {c: d}]",
        "{<<: {kind: Secret}}",
        "&x {kind: Secret, a: 1}",
        "&x value",
    ])
}

fn document() -> impl Strategy<Value = String> {
    let line = (key(), scalar()).prop_map(|(key, value)| format!("{key}: {value}\n"));
    let nested = (key(), prop::collection::vec((key(), scalar()), 1..4)).prop_map(|(key, members)| {
        let members = members
            .iter()
            .map(|(key, value)| format!("  {key}: {}\n", value.replace("\n  ", "\n    ")));
        format!("{key}:\n{}", members.collect::<String>())
    });
    let head = prop_oneof![
        Just("apiVersion: v1\nkind: Secret\nmetadata: {name: db}\n"),
        Just("apiVersion: v1\nkind: ConfigMap\n"),
        Just(""),
    ];
    let separator = prop::sample::select(vec!["\n", "\r\n"]);
    (
        head,
        prop::collection::vec(prop_oneof![line, nested], 1..6),
        separator,
    )
        .prop_map(|(head, lines, separator)| format!("{head}{}", lines.concat()).replace('\n', separator))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3000))]

    #[test]
    fn kubectl_reads_what_is_sealed_or_rewritten_the_same_way(
        documents in prop::collection::vec(document(), 1..3),
        separator in prop::sample::select(vec!["---\n", "--- # next\n", "...\n---\n"]),
    ) {
        check(&documents.join(separator))?;
    }
}

#[test]
fn known_differences_are_refused() {
    for text in [
        "apiVersion: v1\nkind: Secret\nmetadata: {name: db}\nstringData: {a: x}\n<<: {stringData: {a: y}}\n",
        "apiVersion: v1\nkind: Secret\nmetadata: {name: db}\nstringData: {yes: x, 012: y, 0x10: z, 1.0: a, off: b}\n",
        "apiVersion: v1\nkind: Secret\nmetadata: {name: db}\nstringData: {a: \"x\u{85}y\"}\n",
        "apiVersion: v1\nkind: List\nitems:\n- {.5: a, +1: b}\n- {apiVersion: v1, kind: Secret}\n",
        "{\"kind\": \"A\", \"n\": 1e3, \"m\": 1.50, \"k\": -0}",
        "kind: ConfigMap\n<<: {kind: Secret, apiVersion: v1}\n",
        "kind: ConfigMap\n# \u{2028}apiVersion: v1\n",
        "a: \"x\u{2029} y\"\nb: {kind: Secret}\n",
        "apiVersion: v1\nkind: Secret\nmetadata: {name: db}\ndata: {a: 0b11}\nstringData: {b: yes}\n",
    ] {
        if let Err(error) = check(text) {
            panic!("{text:?}: {error}");
        }
    }
}
