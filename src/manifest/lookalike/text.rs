//! Manifests inside strings and comments.

use super::super::base64_std::from_base64;
use super::super::json_read;
use super::super::node::Node;
use super::super::yaml_read::{self, Aliases};
use crate::envelope::SecretBytes;

/// Characters. No manifest of a Secret is shorter in base64.
const MIN_BASE64: usize = 48;

/// Returns the content of a string that is base64, or a data URI with base64.
pub(super) fn decoded(text: &str) -> Option<SecretBytes> {
    let text = text.trim();
    let encoded = text.rsplit(";base64,").next().unwrap_or(text);
    let possible = encoded.len() >= MIN_BASE64
        && encoded
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"+/=\r\n".contains(&b));
    possible.then(|| from_base64(encoded)).flatten()
}

/// A cheap test before a string is parsed.
pub(super) fn mentions_data(text: &str) -> bool {
    let text = text.as_bytes();
    let has = |word: &[u8]| text.windows(word.len()).any(|w| w.eq_ignore_ascii_case(word));
    (has(b"data") && (has(b"kind") || has(b"stringdata") || has(b"opaque"))) || has(b"secretgenerator")
}

/// The documents of a text; `None` if it is neither JSON nor YAML.
pub(super) fn parsed(text: &str) -> Option<Vec<Node>> {
    if text.trim_start().starts_with(['{', '['])
        && let Ok(Some(documents)) = json_read::read(text)
    {
        return Some(documents.into_iter().map(|d| d.root).collect());
    }
    let documents = yaml_read::read(text, Aliases::Ignore).ok()?;
    Some(documents.into_iter().map(|d| d.root).collect())
}

/// For text that cannot be parsed, such as a template: a line `kind: Secret` and a line `data:`, or both on one line in
/// flow style.
pub(super) fn reads_like_secret(text: &str) -> bool {
    let unquoted = |line: &str| {
        line.trim()
            .trim_start_matches("- ")
            .replace(['"', '\'', ','], "")
            .to_ascii_lowercase()
    };
    let lines: Vec<String> = text.lines().map(unquoted).collect();
    let secret = lines.iter().any(|line| {
        line.strip_prefix("kind:")
            .is_some_and(|kind| kind.split('#').next().unwrap_or_default().trim() == "secret")
    });
    let data = |word: &str| lines.iter().any(|line| line.starts_with(word));
    data("stringdata:") || (secret && data("data:")) || in_flow_style(text) || is_folded(text)
}

/// A manifest under `>`, which joins its lines. A text that only mentions its fields has no `apiVersion: v1` as well.
fn is_folded(text: &str) -> bool {
    let words: Vec<String> = text.split_whitespace().map(str::to_ascii_lowercase).collect();
    let has_pair = |key: &str, value: &str| words.windows(2).any(|pair| pair[0] == key && pair[1] == value);
    has_pair("apiversion:", "v1")
        && has_pair("kind:", "secret")
        && words.iter().any(|word| word == "data:" || word == "stringdata:")
}

/// Escaped any number of times, too: JSON is often in a string of JSON.
fn in_flow_style(text: &str) -> bool {
    let bare: String = text
        .chars()
        .filter(|c| !c.is_whitespace() && !matches!(c, '"' | '\'' | '\\'))
        .map(|c| c.to_ascii_lowercase())
        .collect();
    let has_member = |member: &str| {
        ['{', ',']
            .iter()
            .any(|before| bare.contains(&format!("{before}{member}")))
    };
    let secret = ["kind:secret,", "kind:secret}"].into_iter().any(has_member);
    has_member("stringdata:{") || (secret && has_member("data:{"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unparsable_text_with_a_secret_is_recognized() {
        for text in [
            "{{ if .x }}\nkind: Secret\ndata:\n  a: b\n",
            "- kind: \"Secret\" # x\n  data:\n",
            "{\"kind\":\"Secret\",\"data\":{\"p\":\"x\"}, {{x}} }",
            "x={\\\"apiVersion\\\":\\\"v1\\\", \\\"data\\\": {\\\"p\\\":1}, \\\"kind\\\": \\\"Secret\\\"}",
            "{kind: Secret, stringData: {p: x}, {{x}}",
            "apiVersion: v1 kind: Secret metadata: {name: x} data: {p: x}",
        ] {
            assert!(reads_like_secret(text), "{text}");
        }
        for text in [
            "use kind: Secret, and put data: under it",
            "kind: SecretStore\ndata:\n",
            "{\"kind\":\"Secret\",\"name\":\"x\"} {{y}}",
        ] {
            assert!(!reads_like_secret(text), "{text}");
        }
    }
}
