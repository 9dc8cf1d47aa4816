//! Reads the YAML documents of a text.

use std::ops::Range;

use super::super::error::ManifestError;
use super::super::json_read;
use super::super::yaml_read::{self, Aliases, YamlFeatures};
use super::part::{Part, Syntax};

/// Reads a text as JSON or YAML. Fails if any document cannot be read.
pub fn read<'t>(bytes: &'t [u8], aliases: Aliases<'_>) -> Result<Vec<Part<'t>>, ManifestError> {
    let text = utf8(bytes)?;
    if text.trim_start().starts_with('{')
        && let Some(documents) = json_read::read(text)?
    {
        let mut lines = Lines::new(text);
        let parts = documents.into_iter().map(|document| Part {
            line: lines.line_at(document.range.start),
            text: &text[document.range],
            syntax: Syntax::Json,
            explicit: false,
            root: document.root,
            features: YamlFeatures::default(),
            bom_before_json: false,
            line_break: None,
        });
        return Ok(parts.collect());
    }
    let documents = yaml_read::read(text, aliases).map_err(|error| as_template_error(error, text))?;
    let bom_before_json = |range: &Range<usize>| {
        let behind = text[range.clone()].strip_prefix('\u{feff}');
        behind.is_some_and(|text| text.trim_start().starts_with('{'))
    };
    let mut lines = Lines::new(text);
    let parts = documents.into_iter().map(|document| {
        let line = lines.line_at(document.range.start);
        let bom_before_json = bom_before_json(&document.range);
        let text = &text[document.range];
        Part {
            line_break: odd_line_break(text, line),
            bom_before_json,
            text,
            line,
            syntax: Syntax::Yaml,
            explicit: document.explicit,
            root: document.root,
            features: document.features,
        }
    });
    Ok(parts.collect())
}

/// Reads every document that can be read, and reports the others.
pub fn read_each<'t>(bytes: &'t [u8], mut aliases: Aliases<'_>) -> (Vec<Part<'t>>, Vec<ManifestError>) {
    let error = match read(bytes, aliases.reborrow()) {
        Ok(parts) => return (parts, Vec::new()),
        Err(error) => error,
    };
    let chunks = match utf8(bytes) {
        Ok(text) if !text.trim_start().starts_with('{') => chunks(text),
        _ => return (Vec::new(), vec![error]),
    };
    if chunks.len() < 2 {
        return (Vec::new(), vec![error]);
    }
    let (mut parts, mut errors, mut line) = (Vec::new(), Vec::new(), 0);
    for chunk in chunks {
        match read(chunk.as_bytes(), aliases.reborrow()) {
            Ok(more) => parts.extend(more.into_iter().map(|part| part.shifted(line))),
            Err(error) => errors.push(error.shifted(line)),
        }
        line += chunk.matches('\n').count();
    }
    (parts, errors)
}

/// Splits a stream before each line that begins with `---` and a blank, as kubectl does.
fn chunks(text: &str) -> Vec<&str> {
    let mut out = Vec::new();
    let (mut start, mut offset) = (0, 0);
    for line in text.split_inclusive('\n') {
        let marker = line
            .strip_prefix("---")
            .is_some_and(|rest| rest.is_empty() || rest.starts_with([' ', '\t', '\r', '\n']));
        if marker && offset > start {
            out.push(&text[start..offset]);
            start = offset;
        }
        offset += line.len();
    }
    if offset > start {
        out.push(&text[start..]);
    }
    out
}

/// UTF-16 without a byte order mark is valid UTF-8 full of NUL, which neither YAML nor JSON allows.
fn utf8(bytes: &[u8]) -> Result<&str, ManifestError> {
    match std::str::from_utf8(bytes) {
        Ok(text) if !bytes.contains(&0) => Ok(text),
        _ => Err(ManifestError::NotUtf8),
    }
}

/// Recognizes the template behind a syntax error.
fn as_template_error(error: ManifestError, text: &str) -> ManifestError {
    match error {
        ManifestError::Yaml { line, what } if text.contains("{{") && text.contains("}}") => {
            ManifestError::Template { line, what }
        }
        other => other,
    }
}

fn odd_line_break(text: &str, first_line: usize) -> Option<(usize, char)> {
    let (offset, c) = text
        .char_indices()
        .find(|(_, c)| matches!(c, '\u{85}' | '\u{2028}' | '\u{2029}'))?;
    Some((first_line + text[..offset].matches('\n').count(), c))
}

/// Counts lines up to offsets that never decrease.
struct Lines<'t> {
    text: &'t str,
    offset: usize,
    line: usize,
}

impl<'t> Lines<'t> {
    fn new(text: &'t str) -> Self {
        Lines {
            text,
            offset: 0,
            line: 1,
        }
    }

    fn line_at(&mut self, offset: usize) -> usize {
        if let Some(between) = self.text.get(self.offset..offset) {
            self.line += between.matches('\n').count();
            self.offset = offset;
        }
        self.line
    }
}
