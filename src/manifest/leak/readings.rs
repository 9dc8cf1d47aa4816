//! Copies of a text with one or two encodings undone.

use zeroize::Zeroizing;

type Reading = Zeroizing<Vec<u8>>;
type Undo = fn(&[u8]) -> Option<Vec<u8>>;

/// Each returns `None` if it would change nothing.
const UNDO: [Undo; 4] = [unescaped, percent_decoded, form_decoded, without_white_space];

/// Returns the readings of a text, without the text itself.
pub(super) fn of(text: &[u8]) -> Vec<Reading> {
    let once: Vec<Reading> = UNDO
        .iter()
        .filter_map(|undo| undo(text))
        .map(Zeroizing::new)
        .collect();
    let twice: Vec<Reading> = once
        .iter()
        .flat_map(|reading| UNDO.iter().filter_map(|undo| undo(reading)))
        .map(Zeroizing::new)
        .collect();
    once.into_iter().chain(twice).collect()
}

/// Undoes the escapes of JSON and of double-quoted YAML.
fn unescaped(text: &[u8]) -> Option<Vec<u8>> {
    if !text.contains(&b'\\') {
        return None;
    }
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = memchr::memchr(b'\\', rest) {
        out.extend_from_slice(&rest[..at]);
        rest = &rest[at + 1..];
        let Some((escape, after)) = rest.split_first() else {
            break;
        };
        let hex_digits = match escape {
            b'x' => 2,
            b'u' => 4,
            b'U' => 8,
            _ => 0,
        };
        if hex_digits > 0 {
            match code_unit(after, hex_digits) {
                Some(high @ 0xd800..0xdc00) if after[hex_digits..].starts_with(b"\\u") => {
                    let low = code_unit(&after[hex_digits + 2..], 4).unwrap_or_default();
                    let code = 0x1_0000 + ((high & 0x3ff) << 10) + (low & 0x3ff);
                    push_char(&mut out, code);
                    rest = after.get(hex_digits + 6..).unwrap_or_default();
                }
                Some(code) => {
                    push_char(&mut out, code);
                    rest = &after[hex_digits..];
                }
                None => rest = after,
            }
            continue;
        }
        match escape {
            b'n' => out.push(b'\n'),
            b'r' => out.push(b'\r'),
            b't' => out.push(b'\t'),
            b'b' => out.push(8),
            b'f' => out.push(12),
            b'0' => out.push(0),
            b'e' => out.push(0x1b),
            // An escaped line break joins the lines, without the indentation.
            b'\n' => {
                rest = after.trim_ascii_start();
                continue;
            }
            other => out.push(*other),
        }
        rest = after;
    }
    out.extend_from_slice(rest);
    Some(out)
}

fn code_unit(text: &[u8], digits: usize) -> Option<u32> {
    let text = std::str::from_utf8(text.get(..digits)?).ok()?;
    u32::from_str_radix(text, 16).ok()
}

fn push_char(out: &mut Vec<u8>, code: u32) {
    let c = char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER);
    out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
}

fn percent_decoded(text: &[u8]) -> Option<Vec<u8>> {
    text.contains(&b'%').then(|| percent(text, false))
}

/// As in the body of a form, where `+` is a blank.
fn form_decoded(text: &[u8]) -> Option<Vec<u8>> {
    text.contains(&b'+').then(|| percent(text, true))
}

fn percent(text: &[u8], plus: bool) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut at = 0;
    while let Some(byte) = text.get(at) {
        let digits = text.get(at + 1..at + 3).and_then(|d| std::str::from_utf8(d).ok());
        match (byte, digits.and_then(|d| u8::from_str_radix(d, 16).ok())) {
            (b'%', Some(decoded)) => {
                out.push(decoded);
                at += 2;
            }
            (b'+', _) if plus => out.push(b' '),
            _ => out.push(*byte),
        }
        at += 1;
    }
    out
}

/// Base64 and hex are often wrapped.
fn without_white_space(text: &[u8]) -> Option<Vec<u8>> {
    let white = |byte: &u8| byte.is_ascii_whitespace();
    text.iter()
        .any(white)
        .then(|| text.iter().copied().filter(|byte| !white(byte)).collect())
}
