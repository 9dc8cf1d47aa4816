//! The meaning of plain scalars: under the YAML 1.2 core schema, which this program follows, and whether YAML 1.1
//! readers such as kubectl disagree.

use crate::envelope::names::is_data_key_id;

/// The booleans of YAML 1.1 as kubectl reads them, and its default value `=`.
const WORDS: [&str; 7] = ["y", "n", "yes", "no", "on", "off", "="];

/// The type of a plain scalar under the core schema.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Plain {
    Null,
    Bool(bool),
    Number,
    String,
}

/// YAML 1.2.2, section 10.3.2, "Tag Resolution".
pub(super) fn resolve(text: &str) -> Plain {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => Plain::Null,
        "true" | "True" | "TRUE" => Plain::Bool(true),
        "false" | "False" | "FALSE" => Plain::Bool(false),
        _ if is_number(text) => Plain::Number,
        _ => Plain::String,
    }
}

fn is_number(text: &str) -> bool {
    if let Some(rest) = text.strip_prefix("0o") {
        return !rest.is_empty() && rest.bytes().all(|b| (b'0'..=b'7').contains(&b));
    }
    if let Some(rest) = text.strip_prefix("0x") {
        return !rest.is_empty() && rest.bytes().all(|b| b.is_ascii_hexdigit());
    }
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    match unsigned {
        ".inf" | ".Inf" | ".INF" => return true,
        ".nan" | ".NaN" | ".NAN" => return text == unsigned,
        _ => {}
    }
    // (\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?
    let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (unsigned, None),
    };
    let digits = |s: &str| s.bytes().all(|b| b.is_ascii_digit());
    let mantissa_fits = match mantissa.split_once('.') {
        Some(("", fraction)) => !fraction.is_empty() && digits(fraction),
        Some((whole, fraction)) => digits(whole) && digits(fraction),
        None => !mantissa.is_empty() && digits(mantissa),
    };
    let exponent_fits = exponent.is_none_or(|e| {
        let e = e.strip_prefix(['-', '+']).unwrap_or(e);
        !e.is_empty() && digits(e)
    });
    mantissa_fits && exponent_fits
}

fn is_word(text: &str) -> bool {
    WORDS.iter().any(|word| text.eq_ignore_ascii_case(word))
}

/// Reports whether YAML 1.1 gives a plain scalar another meaning than [`resolve`]: booleans such as `yes`, octal,
/// binary and base 60 numbers, digits with underscores, signs before a prefix, numbers beyond 64 bits.
pub(super) fn differs(text: &str) -> bool {
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    let only = |chars: &str| unsigned.chars().all(|c| chars.contains(c));
    let digits = unsigned.starts_with(|c: char| c.is_ascii_digit());
    let number = resolve(text) == Plain::Number;
    is_word(text)
        || go_number(text).is_some() != number
        || (number && is_integer(text) && go_number(text) != Some(GoNumber::Integer))
        || (digits && only("0123456789_.:") && unsigned.contains(['_', ':']))
        || (unsigned.len() > 1 && unsigned.starts_with('0') && only("0123456789"))
        || (unsigned.starts_with("0b") && only("01b_"))
        || (unsigned.starts_with("0o") && only("01234567o_"))
        || (unsigned.starts_with("0x") && unsigned.contains('_') && only("0123456789abcdefABCDEFx_"))
}

fn is_integer(number: &str) -> bool {
    number.starts_with("0x") || number.starts_with("0o") || !number.contains(['.', 'e', 'E', 'n', 'N'])
}

/// The kinds of numbers in go-yaml.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum GoNumber {
    /// It fits into 64 bits.
    Integer,
    Float,
}

/// Resolves a plain scalar as kubectl's go-yaml v2 does (`resolve.go`); `None` if that is not a number.
fn go_number(text: &str) -> Option<GoNumber> {
    match text {
        ".inf" | ".Inf" | ".INF" | "+.inf" | "+.Inf" | "+.INF" | "-.inf" | "-.Inf" | "-.INF" | ".nan"
        | ".NaN" | ".NAN" => return Some(GoNumber::Float),
        _ => {}
    }
    let first = text.chars().next()?;
    if !(first.is_ascii_digit() || matches!(first, '+' | '-' | '.')) {
        return None;
    }
    let plain = if first == '.' {
        text.to_owned()
    } else {
        text.replace('_', "")
    };
    if first != '.' && go_integer(&plain) {
        return Some(GoNumber::Integer);
    }
    // The pattern of a float is that of the core schema without its prefixes; a value out of range is a string.
    let float = is_number(&plain) && !plain.starts_with("0x") && !plain.starts_with("0o");
    let in_range = plain.parse::<f64>().is_ok_and(f64::is_finite);
    (float && in_range).then_some(GoNumber::Float)
}

/// `strconv.ParseInt(text, 0, 64)`, else `ParseUint`.
fn go_integer(text: &str) -> bool {
    let (negative, signed, digits) = match text.as_bytes().first() {
        Some(b'-') => (true, true, &text[1..]),
        Some(b'+') => (false, true, &text[1..]),
        _ => (false, false, text),
    };
    let lower = digits.to_ascii_lowercase();
    let (radix, digits) = match lower.get(..2) {
        Some("0x") => (16, &lower[2..]),
        Some("0o") => (8, &lower[2..]),
        Some("0b") => (2, &lower[2..]),
        _ if lower.len() > 1 && lower.starts_with('0') => (8, &lower[1..]),
        _ => (10, lower.as_str()),
    };
    if !digits.starts_with(|c: char| c.is_ascii_alphanumeric()) {
        return false;
    }
    let most = match (negative, signed) {
        (true, _) => 1 << 63,
        (false, true) => (1 << 63) - 1,
        (false, false) => u128::from(u64::MAX),
    };
    u128::from_str_radix(digits, radix).is_ok_and(|value| value <= most)
}

/// Reports whether a string must be quoted when written because some reader might not read it as a string. Errs on the
/// side of quoting: anything that begins like a number and has only characters of numbers and dates.
pub(super) fn must_quote(text: &str) -> bool {
    // Data key ids are always quoted (docs/format-es1.md#2-well-formed-documents), not only those that look like numbers.
    if is_word(text) || text == "<<" || is_data_key_id(text) {
        return true;
    }
    // Spellings of true, false and null that the core schema does not have, such as `tRUE`.
    if resolve(text) == Plain::String
        && ["true", "false", "null"]
            .iter()
            .any(|word| text.eq_ignore_ascii_case(word))
    {
        return true;
    }
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    let begins = unsigned.strip_prefix('.').unwrap_or(unsigned);
    let numeric = begins.starts_with(|c: char| c.is_ascii_digit() || c == '_')
        && unsigned
            .bytes()
            .all(|b| b.is_ascii_hexdigit() || b"_.:,+-xXoObBtTzZ ".contains(&b));
    let decimal = !unsigned.is_empty()
        && unsigned.bytes().all(|b| b.is_ascii_digit())
        && (unsigned == "0" || !unsigned.starts_with('0'));
    numeric && !decimal && !plain_float(unsigned)
}

/// Recognizes decimal fractions such as `1.5`, which all readers agree on.
fn plain_float(unsigned: &str) -> bool {
    is_number(unsigned) && unsigned.contains('.') && unsigned.starts_with(|c: char| c.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_scalars_resolve_by_the_core_schema() {
        for text in ["", "~", "null", "Null", "NULL"] {
            assert_eq!(resolve(text), Plain::Null, "{text}");
        }
        for text in ["true", "True", "TRUE"] {
            assert_eq!(resolve(text), Plain::Bool(true), "{text}");
        }
        for text in [
            "0", "12345678", "-1", "+1", "012", "0o17", "0xfF", "1.", ".5", "1.5e3", "12e45678", "1E-2",
            ".inf", "-.INF", ".nan",
        ] {
            assert_eq!(resolve(text), Plain::Number, "{text}");
        }
        for text in [
            "yes",
            "on",
            "nULL",
            "tRue",
            "69e86d38a",
            "1_000",
            "12:30",
            "0b1",
            "0o8",
            "0x",
            "-0x1",
            "1e",
            "e1",
            ".",
            "-",
            "+",
            "--1",
            "-.nan",
            "1.2.3",
            "2026-11-23",
            "=",
            "<<",
            ". 5",
            "infinity",
            "nan",
        ] {
            assert_eq!(resolve(text), Plain::String, "{text}");
        }
    }

    #[test]
    fn scalars_that_yaml_1_1_reads_differently_are_detected() {
        for text in [
            "y", "NO", "On", "=", "012", "-07", "1_000", "12:30:45", "1_0.5", "0b1", "0o17", "0x_f", "+0x1",
            "-0x1F", "0X1f", "0B1", "-_1", "0_8",
        ] {
            assert!(differs(text) && must_quote(text), "{text}");
        }
        for number in ["99999999999999999999", "1e400", "-9223372036854775809"] {
            assert!(differs(number), "{number}");
        }
        for text in [
            "0",
            "10",
            "0x1f",
            "1e3",
            "1.",
            ".5",
            "+.5",
            "-.inf",
            "18446744073709551615",
            "69e86d38",
            "2026-11-23",
            "1.5",
            "db:5432",
            "true",
            "a_b",
            "0.5",
        ] {
            assert!(!differs(text), "{text}");
        }
    }

    #[test]
    fn ambiguous_strings_are_quoted() {
        for text in [
            "y",
            "N",
            "yes",
            "Off",
            "=",
            "<<",
            "0b1",
            "1_000",
            "12:30:45",
            "0o17",
            "012",
            "0x1f",
            "2026-11-23",
            "2026-11-23T17:00:00Z",
            "+.5e3",
            "69e86d38",
            "nULL",
            "tRUE",
            "1e3",
            "_1",
            "fadedbac",
        ] {
            assert!(must_quote(text), "{text}");
        }
        for text in [
            "0", "15", "-3", "1.5", "true", "null", "yess", "a", "10Gi", "v1", "db", "no-one",
        ] {
            assert!(!must_quote(text), "{text}");
        }
    }
}
