//! No plaintext in the output of `seal`: streams of Secrets, of what looks like Secrets, and of other documents, with a
//! planted value in any encoding.

use std::collections::BTreeMap;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};
use serde_json::Value;

use super::{KEYRING, mutate};

/// The value of the Secret in every composed stream. Other documents reveal it.
const PLANTED: &str = "planted-7f3a/9c51 e0&x";
/// The value of what only looks like a Secret: no leak check can know it.
const LOOKALIKE: &str = "planted-55e1/ab0d 7c&y";

/// Runs the command line with these arguments and returns its exit code.
pub(crate) type Run<'r> = &'r dyn Fn(&[&str]) -> i32;

/// Whatever stream arrives: `seal` fails, or nothing that it sealed is readable in its output. `directory` is empty or was
/// used before.
///
/// # Panics
/// If the property does not hold, or the directory cannot be used.
pub fn seal_stream(data: &[u8], directory: &Path, run: Run<'_>) {
    let stream = composed(data);
    if let Some(output) = sealed(stream.as_bytes(), directory, run) {
        for value in [PLANTED, LOOKALIKE] {
            let form = readable(&output, value);
            assert!(
                form.is_none(),
                "{} in the output of {stream:?}",
                form.unwrap_or_default()
            );
        }
    }
    // Changes may turn a Secret into something that may pass, so only what was sealed counts.
    let changed = mutate(stream.as_bytes(), data);
    for text in [changed.as_slice(), data] {
        let Some(output) = sealed(text, directory, run) else {
            continue;
        };
        for value in values(directory, run) {
            if value.len() >= 12 && value.contains("planted") {
                let form = readable(&output, &value);
                let text = String::from_utf8_lossy(text);
                assert!(
                    form.is_none(),
                    "{} in the output of {text:?}",
                    form.unwrap_or_default()
                );
            }
        }
    }
}

/// A composed stream is sealed now and then, and refused now and then: the property is not vacuous.
pub fn composed_stream_is_sealed(data: &[u8], directory: &Path, run: Run<'_>) -> bool {
    sealed(composed(data).as_bytes(), directory, run).is_some()
}

fn path(directory: &Path, name: &str) -> String {
    directory.join(name).to_string_lossy().into_owned()
}

/// Seals a text; returns the output if that succeeds.
fn sealed(text: &[u8], directory: &Path, run: Run<'_>) -> Option<Vec<u8>> {
    let [keyring, input, output] = ["keyring", "in.yaml", "out.yaml"].map(|name| path(directory, name));
    if !Path::new(&keyring).exists() {
        fs::write(&keyring, KEYRING.as_bytes()).expect("written");
        fs::set_permissions(&keyring, Permissions::from_mode(0o600)).expect("chmod");
    }
    fs::write(&input, text).expect("written");
    let code = run(&[
        "envelope",
        "seal",
        "-q",
        "--force",
        "-n",
        "prod",
        "--keyring",
        &keyring,
        "-w",
        &output,
        &input,
    ]);
    (code == 0).then(|| fs::read(&output).expect("the output"))
}

/// The values of all Secrets that were sealed last.
fn values(directory: &Path, run: Run<'_>) -> Vec<String> {
    let [keyring, output, opened] = ["keyring", "out.yaml", "opened.json"].map(|name| path(directory, name));
    let code = run(&[
        "envelope",
        "open",
        "-q",
        "--force",
        "--string-data",
        "--keyring",
        &keyring,
        "-w",
        &opened,
        &output,
    ]);
    if code != 0 {
        return Vec::new(); // documents that were sealed before
    }
    let object: Value = serde_json::from_slice(&fs::read(&opened).expect("the output")).expect("JSON");
    let list = object["items"]
        .as_array()
        .cloned()
        .unwrap_or_else(|| vec![object]);
    let texts = list
        .iter()
        .filter_map(|secret| secret["stringData"].as_object())
        .flat_map(|data| data.values())
        .filter_map(Value::as_str);
    texts.map(|text| text.trim().to_owned()).collect()
}

/// The name of the form in which a value is readable.
fn readable(output: &[u8], value: &str) -> Option<&'static str> {
    let output = String::from_utf8_lossy(output);
    let without_blanks: String = output.chars().filter(|c| !c.is_whitespace()).collect();
    forms(value)
        .into_iter()
        .find(|(_, form)| output.contains(form) || without_blanks.contains(form))
        .map(|(name, _)| name)
}

/// The forms of a value, by name.
fn forms(value: &str) -> BTreeMap<&'static str, String> {
    let hex = value
        .bytes()
        .fold(String::new(), |hex, byte| hex + &format!("{byte:02x}"));
    let percent = |upper: bool| -> String {
        let encode = |byte: u8| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' => char::from(byte).to_string(),
            _ if upper => format!("%{byte:02X}"),
            _ => format!("%{byte:02x}"),
        };
        value.bytes().map(encode).collect()
    };
    let json = serde_json::to_string(value).expect("JSON");
    let json = json.trim_matches('"').to_owned();
    let middle = |before: &str| {
        let encoded = STANDARD.encode(format!("{before}{value}"));
        let from = (before.len() * 8).div_ceil(6);
        encoded[from..(before.len() + value.len()) * 8 / 6].to_owned()
    };
    BTreeMap::from([
        ("the value", value.to_owned()),
        ("JSON", json.clone()),
        ("Go's JSON", json.replace('&', "\\u0026")),
        ("percent-encoding", percent(true)),
        ("percent-encoding in lower case", percent(false)),
        ("a form", percent(true).replace("%20", "+")),
        ("hex", hex.clone()),
        ("hex in upper case", hex.to_uppercase()),
        ("base64", middle("")),
        ("base64 after one byte", middle("x")),
        ("base64 after two bytes", middle("xx")),
        (
            "base64url",
            URL_SAFE.encode(value).trim_end_matches('=').to_owned(),
        ),
    ])
}

/// Choices made by bytes; without bytes the first of each.
struct Choices<'d>(std::slice::Iter<'d, u8>);

impl Choices<'_> {
    fn number(&mut self, below: usize) -> usize {
        self.0.next().map_or(0, |byte| usize::from(*byte) % below)
    }

    fn of<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.number(all.len())]
    }
}

/// A stream with a Secret that holds the planted value, and up to three documents that would reveal it.
fn composed(data: &[u8]) -> String {
    let mut choices = Choices(data.iter());
    let mut documents = vec![secret("Secret", "kind", "v1", "stringData", PLANTED)];
    for _ in 0..choices.number(4) {
        let document = match choices.number(4) {
            0 => other(&mut choices),
            _ => lookalike(&mut choices),
        };
        let at = choices.number(documents.len() + 1);
        documents.insert(at, document);
    }
    let separator = choices.of(&["---\n", "--- # next\n", "...\n---\n"]);
    let mut stream = documents.join(separator);
    if choices.number(4) == 1 {
        stream = format!("# {}\n---\n{stream}", encoded(&mut choices));
    }
    if choices.number(4) == 1 {
        stream = stream.replace('\n', "\r\n");
    }
    if choices.number(8) == 1 {
        stream.insert(0, '\u{feff}');
    }
    stream
}

fn secret(kind: &str, kind_key: &str, version: &str, data: &str, value: &str) -> String {
    let value = if data.eq_ignore_ascii_case("data") {
        STANDARD.encode(value)
    } else {
        value.to_owned()
    };
    format!(
        "apiVersion: {version}\n{kind_key}: {kind}\nmetadata: {{name: db}}\n{data}:\n  password: {value:?}\n"
    )
}

/// The planted value in one of its forms.
fn encoded(choices: &mut Choices<'_>) -> String {
    let forms: Vec<String> = forms(PLANTED).into_values().collect();
    let mut text = forms[choices.number(forms.len())].clone();
    if choices.number(3) == 1 {
        text = format!("https://user:{text}@db/");
    }
    text
}

/// A document that is no Secret and reveals the value.
fn other(choices: &mut Choices<'_>) -> String {
    let text = encoded(choices);
    let quoted = serde_json::to_string(&text).expect("JSON");
    match choices.number(5) {
        0 => format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: app}}\ndata:\n  url: {quoted}\n"),
        1 => format!(
            "apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: app}}\ndata:\n  file: |\n    {text}\n"
        ),
        2 => format!("apiVersion: v1\nkind: ConfigMap # {text}\nmetadata: {{name: app}}\n"),
        3 => format!("kind: Namespace\nmetadata: {{name: x, annotations: {{note: {quoted}}}}}\n"),
        _ => format!(
            "apiVersion: v1\nkind: Secret\nmetadata: {{name: b, annotations: {{note: {quoted}}}}}\nstringData: {{a: b}}\n"
        ),
    }
}

/// Something that looks like a Secret, in some object.
fn lookalike(choices: &mut Choices<'_>) -> String {
    let kind = choices.of(&[
        "Secret",
        "secret",
        "SECRET",
        "\"Secret\"",
        "\" Secret\"",
        "!!str Secret",
        "ConfigMap",
        "EnvelopeSecret",
        "\"\"",
        "null",
    ]);
    let kind_key = choices.of(&["kind", "Kind", "\"kind\"", "kinD"]);
    let version = choices.of(&[
        "v1",
        "V1",
        "v1beta3",
        "core/v1",
        "\"\"",
        "envelope-secrets.io/v1",
        "example.com/v1",
    ]);
    // Objects of other kinds and groups may have `data`, but only a Secret has `stringData`.
    let may_have_data = ["ConfigMap", "\"\"", "null"].contains(&kind) || version == "example.com/v1";
    let data = if may_have_data {
        choices.of(&["stringData", "stringdata", "STRINGDATA"])
    } else {
        choices.of(&["stringData", "data", "stringdata", "Data"])
    };
    let inner = secret(kind, kind_key, version, data, LOOKALIKE);
    let indented = |by: usize| {
        let mut lines = inner.lines().fold(String::new(), |lines, line| {
            lines + &format!("{:by$}{line}\n", "")
        });
        lines.replace_range(..by, "");
        lines
    };
    match choices.number(10) {
        0 => inner,
        1 => format!("apiVersion: v1\nkind: List\nitems:\n- {}", indented(2)),
        2 => format!("apiVersion: v1\nkind: SecretList\nitems:\n- {}", indented(2)),
        3 => format!("kind: ResourceList\nitems:\n- {}", indented(2)),
        4 => format!("- {}", indented(2)),
        5 => format!(
            "kind: Template\nmetadata: {{name: t}}\nobjects:\n- {}",
            indented(2)
        ),
        6 => format!(
            "kind: ManifestWork\nspec:\n  workload:\n    manifests:\n    - {}",
            indented(6)
        ),
        7 => format!(
            "kind: ConfigMap\nmetadata: {{name: c}}\ndata:\n  secret.yaml: |\n    {}",
            indented(4)
        ),
        8 => format!("# comment \u{2028}{}", inner.replace('\n', "\u{2028}")),
        _ => format!(
            "kind: ConfigMap\nmetadata: {{name: c}}\nx: &s\n  {}y: *s\n",
            indented(2)
        ),
    }
}
