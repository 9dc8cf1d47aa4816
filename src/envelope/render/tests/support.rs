//! Helpers that render texts, and assertions over tables of cases.

use std::collections::BTreeMap;

use super::super::error::{RenderError, RenderErrorKind, SyntaxError};
use super::super::eval::{Budget, render_all, render_within};
use super::super::text::Text;
use crate::envelope::SecretBytes;

/// The entry that single texts are rendered as.
pub(super) const ENTRY: &str = "x";

pub(super) const MIB: usize = 1_048_576;

/// The values that most tests use.
pub(super) const VALUES: [(&str, &[u8]); 6] = [
    ("user", b"app"),
    ("password", b"p\"w\n"),
    ("empty", b""),
    ("bin", b"\xff\x00"),
    ("u", "\u{e9}\u{2028}/<>&+~".as_bytes()),
    ("tls.crt", b"PEM\n"),
];

pub(super) fn check_syntax(source: &str) -> Result<(), SyntaxError> {
    Text::parse(source).map(drop)
}

/// Renders one text over the given values.
pub(super) fn render_over(source: &str, values: &[(&str, &[u8])]) -> Result<Vec<u8>, RenderError> {
    let text = Text::parse(source).unwrap_or_else(|error| panic!("{source:?}: {error}"));
    let texts = BTreeMap::from([(ENTRY.to_owned(), text)]);
    let rendered = render_all(&texts, &values.iter().copied().collect())?;
    Ok(rendered[ENTRY].expose().to_vec())
}

/// Renders one text over [`VALUES`].
pub(super) fn render(source: &str) -> Result<String, RenderError> {
    render_over(source, &VALUES).map(|bytes| String::from_utf8(bytes).expect("output is UTF-8"))
}

/// Asserts that each text renders to the string next to it.
pub(super) fn assert_renders(cases: &[(&str, &str)]) {
    for (text, expected) in cases {
        assert_eq!(render(text).as_deref(), Ok(*expected), "{text:?}");
    }
}

/// Asserts that each expression, as a condition, evaluates to `expected`.
pub(super) fn assert_conditions(expected: bool, conditions: &[&str]) {
    for condition in conditions {
        let text = format!("<% if {condition} %>yes<% else %>no<% endif %>");
        let expected = if expected { "yes" } else { "no" };
        assert_eq!(render(&text).as_deref(), Ok(expected), "{condition}");
    }
}

/// Renders texts (named `t00`, `t01`, ...) and returns the bytes handled, and the bytes written or the failure.
pub(super) fn measure(sources: &[&str], values: &[(&str, &[u8])]) -> (usize, Result<usize, RenderErrorKind>) {
    let text = |source: &&str| Text::parse(source).unwrap_or_else(|error| panic!("{source:.60}: {error}"));
    let texts = sources
        .iter()
        .enumerate()
        .map(|(index, source)| (format!("t{index:02}"), text(source)))
        .collect();
    let values: BTreeMap<&str, &[u8]> = values.iter().copied().collect();
    let mut budget = Budget::new(&values);
    let rendered = render_within(&mut budget, &texts, &values);
    let written = rendered.map(|all| all.values().map(SecretBytes::len).sum());
    (budget.handled, written.map_err(|error| error.kind))
}

/// Returns a text that evaluates `condition` and writes nothing.
pub(super) fn evaluating(condition: &str) -> String {
    format!("<% if {condition} %><% endif %>")
}

pub(super) fn percent_decode(text: &[u8]) -> Vec<u8> {
    let mut decoded = Vec::new();
    let mut rest = text.iter();
    while let Some(byte) = rest.next() {
        if *byte == b'%' {
            let digits: Vec<u8> = rest.by_ref().take(2).copied().collect();
            let digits = std::str::from_utf8(&digits).expect("hex digits");
            decoded.push(u8::from_str_radix(digits, 16).expect("hex digits"));
        } else {
            decoded.push(*byte);
        }
    }
    decoded
}
