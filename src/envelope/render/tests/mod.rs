//! Tests of the rendering language.

mod docs;
mod expressions;
mod failures;
mod filters;
mod hostile;
mod limits;
mod nesting;
mod properties;
mod recipes;
mod refusals;
mod second_opinion;
mod text;
mod vectors;

use std::collections::BTreeMap;

use super::{RenderError, SyntaxError, Text, render_all};

/// The entry that a single text is rendered as.
const ENTRY: &str = "x";

/// The values that most tests use.
const VALUES: [(&str, &[u8]); 6] = [
    ("user", b"app"),
    ("password", b"p\"w\n"),
    ("empty", b""),
    ("bin", b"\xff\x00"),
    ("u", "\u{e9}\u{2028}/<>&+~".as_bytes()),
    ("tls.crt", b"PEM\n"),
];

fn syntax(source: &str) -> Result<(), SyntaxError> {
    Text::parse(source).map(drop)
}

/// Renders one text over given values.
fn render_over(source: &str, values: &[(&str, &[u8])]) -> Result<Vec<u8>, RenderError> {
    let text = Text::parse(source).unwrap_or_else(|error| panic!("{source:?}: {error}"));
    let texts = BTreeMap::from([(ENTRY.to_owned(), text)]);
    let rendered = render_all(&texts, &values.iter().copied().collect())?;
    Ok(rendered[ENTRY].expose().to_vec())
}

/// Renders one text over [`VALUES`].
fn render(source: &str) -> Result<String, RenderError> {
    render_over(source, &VALUES).map(|bytes| String::from_utf8(bytes).expect("only text is written"))
}

/// The bytes that a percent-encoded text stands for.
fn percent_decode(text: &[u8]) -> Vec<u8> {
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
