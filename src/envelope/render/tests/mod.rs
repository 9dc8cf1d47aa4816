//! Tests of the rendering language.

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
