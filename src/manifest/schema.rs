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
/// binary and base 60 numbers, digits with underscores.
pub(super) fn differs(text: &str) -> bool {
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    let only = |chars: &str| unsigned.chars().all(|c| chars.contains(c));
    let digits = unsigned.starts_with(|c: char| c.is_ascii_digit());
    is_word(text)
        || (digits && only("0123456789_.:") && unsigned.contains(['_', ':']))
        || (unsigned.len() > 1 && unsigned.starts_with('0') && only("0123456789"))
        || (unsigned.starts_with("0b") && only("01b_"))
        || (unsigned.starts_with("0o") && only("01234567o_"))
        || (unsigned.starts_with("0x") && unsigned.contains('_') && only("0123456789abcdefABCDEFx_"))
}

/// Reports whether a string must be quoted when written because some reader might not read it as a string. Errs on the
/// side of quoting: anything that begins like a number and has only characters of numbers and dates.
pub(super) fn must_quote(text: &str) -> bool {
    // Data key ids are always quoted (docs/format-es1.md#2), not only those that look like numbers.
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
            "y", "NO", "On", "=", "012", "-07", "1_000", "12:30:45", "1_0.5", "0b1", "0o17", "0x_f",
        ] {
            assert!(differs(text) && must_quote(text), "{text}");
        }
        for text in [
            "0",
            "10",
            "0x1f",
            "1e3",
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
