//! Writes trees as JSON, and as YAML that YAML 1.1 and 1.2 readers read alike.

use super::buffer::SecretBuffer;
use super::node::{Member, Node};
use super::schema::{self, Plain};

/// Writes one JSON value on one line.
pub fn to_json(node: &Node) -> SecretBuffer {
    let mut out = SecretBuffer::default();
    json(&mut out, node, None);
    out
}

/// Writes one JSON value, indented by two, with a final line feed.
pub fn to_json_pretty(node: &Node) -> SecretBuffer {
    let mut out = SecretBuffer::default();
    json(&mut out, node, Some(0));
    out.push(b"\n");
    out
}

/// Writes one YAML document in block style, without `---`, with a final line feed.
pub fn to_yaml(node: &Node) -> SecretBuffer {
    let mut out = SecretBuffer::default();
    match node {
        Node::Map(members) if !members.is_empty() => yaml_map(&mut out, members, 0, false),
        Node::List(items) if !items.is_empty() => yaml_list(&mut out, items, 0),
        other => {
            yaml_scalar(&mut out, other, 0);
        }
    }
    out
}

/// `level` is `None` for compact output.
fn json(out: &mut SecretBuffer, node: &Node, level: Option<usize>) {
    match node {
        Node::Null => out.push(b"null"),
        Node::Bool(value) => out.push(value.to_string().as_bytes()),
        // A number that JSON cannot represent is refused before it gets here (`Item::rewritable`), except in sealed
        // documents, where the strict reader refuses every number.
        Node::Number(text) => out.push(json_number(text).as_deref().unwrap_or("0").as_bytes()),
        Node::String(text) => json_string(out, text),
        Node::List(items) => json_block(out, *b"[]", items, level, json),
        Node::Map(members) => json_block(out, *b"{}", members, level, |out, member: &Member, level| {
            json_string(out, &member.key);
            out.push(if level.is_some() { b": " } else { b":" });
            json(out, &member.value, level);
        }),
    }
}

fn json_block<T>(
    out: &mut SecretBuffer,
    brackets: [u8; 2],
    items: &[T],
    level: Option<usize>,
    each: impl Fn(&mut SecretBuffer, &T, Option<usize>),
) {
    let inner = level.map(|level| level + 1);
    let line = |out: &mut SecretBuffer, level: Option<usize>| {
        if let Some(level) = level {
            out.push(b"\n");
            indent(out, level * 2);
        }
    };
    out.push(&brackets[..1]);
    for (index, item) in items.iter().enumerate() {
        if index > 0 {
            out.push(b",");
        }
        line(out, inner);
        each(out, item, inner);
    }
    if !items.is_empty() {
        line(out, level);
    }
    out.push(&brackets[1..]);
}

/// RFC 8259; also escapes what is not printable in YAML or JavaScript.
fn json_string(out: &mut SecretBuffer, text: &str) {
    quoted(out, text, |c| {
        let mut units = [0; 2];
        let units = c.encode_utf16(&mut units).iter();
        units.fold(String::new(), |text, unit| format!("{text}\\u{unit:04x}"))
    });
}

/// Double-quoted YAML is JSON except above U+FFFF: go-yaml does not combine surrogates.
fn yaml_string(out: &mut SecretBuffer, text: &str) {
    quoted(out, text, |c| match u32::from(c) {
        code @ ..=0xffff => format!("\\u{code:04x}"),
        code => format!("\\U{code:08x}"),
    });
}

fn quoted(out: &mut SecretBuffer, text: &str, escape: impl Fn(char) -> String) {
    out.push(b"\"");
    let mut plain = 0;
    for (at, c) in text.char_indices() {
        let escape = match c {
            '"' => "\\\"".to_owned(),
            '\\' => "\\\\".to_owned(),
            '\n' => "\\n".to_owned(),
            '\r' => "\\r".to_owned(),
            '\t' => "\\t".to_owned(),
            c if !is_printable(c) => escape(c),
            _ => continue,
        };
        out.push(&text.as_bytes()[plain..at]);
        out.push(escape.as_bytes());
        plain = at + c.len_utf8();
    }
    out.push(&text.as_bytes()[plain..]);
    out.push(b"\"");
}

/// Converts a YAML number to JSON; `None` for infinities, NaN and numbers out of range.
pub(super) fn json_number(text: &str) -> Option<String> {
    if serde_json::from_str::<serde_json::Number>(text).is_ok() {
        return Some(text.to_owned());
    }
    let digits = |radix| u128::from_str_radix(&text[2..], radix).ok();
    let integer = match text.get(..2) {
        Some("0o") => digits(8),
        Some("0x") => digits(16),
        _ => None,
    };
    if let Some(integer) = integer {
        return Some(integer.to_string());
    }
    if let Ok(integer) = text.parse::<i128>() {
        return Some(integer.to_string());
    }
    let float = text.parse::<f64>().ok().filter(|float| float.is_finite())?;
    serde_json::to_string(&float).ok()
}

fn indent(out: &mut SecretBuffer, spaces: usize) {
    for _ in 0..spaces {
        out.push(b" ");
    }
}

/// `inline`: the first key follows a `- ` on the same line.
fn yaml_map(out: &mut SecretBuffer, members: &[Member], level: usize, inline: bool) {
    for (index, member) in members.iter().enumerate() {
        if index > 0 || !inline {
            indent(out, level);
        }
        yaml_text(out, &member.key, None);
        out.push(b":");
        yaml_value(out, &member.value, level);
    }
}

fn yaml_value(out: &mut SecretBuffer, value: &Node, level: usize) {
    match value {
        Node::Map(members) if !members.is_empty() => {
            out.push(b"\n");
            yaml_map(out, members, level + 2, false);
        }
        // Not indented below its key, as kubectl writes it.
        Node::List(items) if !items.is_empty() => {
            out.push(b"\n");
            yaml_list(out, items, level);
        }
        other => {
            out.push(b" ");
            yaml_scalar(out, other, level + 2);
        }
    }
}

fn yaml_list(out: &mut SecretBuffer, items: &[Node], level: usize) {
    for item in items {
        indent(out, level);
        out.push(b"-");
        match item {
            Node::Map(members) if !members.is_empty() => {
                out.push(b" ");
                yaml_map(out, members, level + 2, true);
            }
            Node::List(items) if !items.is_empty() => {
                out.push(b"\n");
                yaml_list(out, items, level + 2);
            }
            other => {
                out.push(b" ");
                yaml_scalar(out, other, level + 2);
            }
        }
    }
}

/// Writes a scalar on one line, or as a block scalar indented by `level`, with the final line feed.
fn yaml_scalar(out: &mut SecretBuffer, node: &Node, level: usize) {
    match node {
        Node::Null => out.push(b"null"),
        Node::Bool(value) => out.push(value.to_string().as_bytes()),
        Node::Number(text) => out.push(text.as_bytes()),
        Node::String(text) => yaml_text(out, text, Some(level)),
        Node::List(_) => out.push(b"[]"),
        Node::Map(_) => out.push(b"{}"),
    }
    if !out.expose().ends_with(b"\n") {
        out.push(b"\n");
    }
}

/// `block`: the indentation of a block scalar, where one is allowed.
fn yaml_text(out: &mut SecretBuffer, text: &str, block: Option<usize>) {
    match block {
        Some(level) if fits_block(text) && level > 0 => {
            out.push(if text.ends_with('\n') { b"|\n" } else { b"|-\n" });
            for line in text.lines() {
                if !line.is_empty() {
                    indent(out, level);
                    out.push(line.as_bytes());
                }
                out.push(b"\n");
            }
        }
        _ if fits_plain(text) => out.push(text.as_bytes()),
        _ => yaml_string(out, text),
    }
}

/// Reports whether a literal block scalar reproduces the text exactly and reads better than quotes.
fn fits_block(text: &str) -> bool {
    let body = text.strip_suffix('\n').unwrap_or(text);
    body.contains('\n')
        && !body.ends_with('\n')
        && !body.starts_with([' ', '\t', '\n'])
        && body.chars().all(|c| is_printable(c) || matches!(c, '\n' | '\t'))
}

fn fits_plain(text: &str) -> bool {
    const FIRST: &[char] = &[
        '-', '?', ':', ',', '[', ']', '{', '}', '#', '&', '*', '!', '|', '>', '\'', '"', '%', '@', '`', ' ',
    ];
    schema::resolve(text) == Plain::String
        && !schema::must_quote(text)
        && !text.starts_with(FIRST)
        && !text.ends_with([' ', ':'])
        && !text.contains(": ")
        && !text.contains(" #")
        && text.chars().all(is_printable)
}

/// Reports whether every reader accepts the character on one line: no control characters, line breaks, byte order mark
/// or noncharacters.
fn is_printable(c: char) -> bool {
    !(c.is_control() || matches!(c, '\u{2028}' | '\u{2029}' | '\u{feff}')) && u32::from(c) & 0xfffe != 0xfffe
}

#[cfg(test)]
mod tests;
