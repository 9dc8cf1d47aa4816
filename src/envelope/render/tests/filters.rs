//! The edge cases of each filter.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use proptest::prelude::*;

use super::support::{percent_decode, render, render_over};

/// Applies a filter to any bytes.
fn apply(filter: &str, value: &[u8]) -> Vec<u8> {
    render_over(&format!("<%= v.a|{filter} %>"), &[("a", value)]).expect("renders")
}

fn apply_text(filter: &str, value: &str) -> String {
    String::from_utf8(apply(filter, value.as_bytes())).expect("text")
}

#[test]
fn base64_is_standard_with_padding() {
    for (plain, encoded) in [
        ("", ""),
        ("f", "Zg=="),
        ("fo", "Zm8="),
        ("foo", "Zm9v"),
        ("foob", "Zm9vYg=="),
        ("\u{ff}\u{fbff}", "w7/vr78="),
        ("???>>>", "Pz8/Pj4+"),
    ] {
        assert_eq!(apply_text("b64encode", plain), encoded);
        assert_eq!(apply_text("b64decode", encoded), plain);
    }
    // No line breaks, whatever the length.
    assert_eq!(apply_text("b64encode", &"a".repeat(300)), "YWFh".repeat(100));
}

#[test]
fn upper_and_lower_change_only_ascii_letters() {
    assert_eq!(
        apply_text("upper", "az AZ \u{e9}\u{df}\u{131}\u{1c6} {`"),
        "AZ AZ \u{e9}\u{df}\u{131}\u{1c6} {`"
    );
    assert_eq!(
        apply_text("lower", "az AZ \u{c9}\u{130}\u{212a} @["),
        "az az \u{c9}\u{130}\u{212a} @["
    );
}

#[test]
fn trim_removes_only_space_tab_cr_and_lf() {
    assert_eq!(apply_text("trim", " \t\r\na \t b\n\r\t "), "a \t b");
    for kept in [
        "\u{b}a\u{c}",
        "\u{a0}a\u{2003}",
        "\u{85}a\u{2028}",
        "\0a\0",
        "\u{feff}a\u{200b}",
    ] {
        assert_eq!(apply_text("trim", kept), kept);
    }
    assert_eq!(apply_text("trim", " \t\r\n"), "");
    assert_eq!(apply_text("trim", ""), "");
}

#[test]
fn replace_finds_non_overlapping_matches_from_the_left() {
    for (text, from, to, expected) in [
        ("aaa", "aa", "b", "ba"),
        ("aaaa", "aa", "b", "bb"),
        ("abc", "d", "x", "abc"),
        ("abc", "abc", "", ""),
        ("abc", "abcd", "x", "abc"),
        ("", "a", "x", ""),
        ("a.b", ".", "..", "a..b"), // the replacement is not searched
        ("ab", "a", "ba", "bab"),
        ("\u{e9}\u{ea}", "\u{e9}", "e", "e\u{ea}"),
        ("a$1", "$1", "$0\\1", "a$0\\1"), // no patterns
    ] {
        let values = [
            ("a", text.as_bytes()),
            ("from", from.as_bytes()),
            ("to", to.as_bytes()),
        ];
        let rendered = render_over("<%= v.a|replace(v.from, v.to) %>", &values);
        assert_eq!(rendered.as_deref(), Ok(expected.as_bytes()), "{text} {from} {to}");
    }
}

#[test]
fn tojson_escapes_exactly_the_listed_characters() {
    let escaped = |c: char| match c {
        '"' => "\\\"".to_owned(),
        '\\' => "\\\\".to_owned(),
        '\n' => "\\n".to_owned(),
        '\r' => "\\r".to_owned(),
        '\t' => "\\t".to_owned(),
        '\0'..='\u{1f}' | '\u{7f}'..='\u{9f}' | '\u{2028}' | '\u{2029}' | '\u{feff}' => {
            format!("\\u{:04x}", u32::from(c))
        }
        _ => c.to_string(),
    };
    // Every character of the Basic Multilingual Plane, and some beyond it.
    let characters: Vec<char> = ('\0'..='\u{ffff}')
        .chain(['\u{10000}', '\u{1f511}', '\u{10ffff}'])
        .collect();
    for some in characters.chunks(4096) {
        let text: String = some.iter().collect();
        let expected: String = some.iter().copied().map(escaped).collect();
        assert_eq!(apply_text("tojson", &text), format!("\"{expected}\""));
    }
    assert_eq!(apply_text("tojson", ""), "\"\"");
}

#[test]
fn urlencode_keeps_only_unreserved_characters() {
    for byte in 0..=u8::MAX {
        let kept = byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~');
        let expected = if kept {
            char::from(byte).to_string()
        } else {
            format!("%{byte:02X}")
        };
        assert_eq!(apply("urlencode", &[byte]), expected.as_bytes());
    }
}

#[test]
fn sha256_is_lower_case_hex() {
    // Examples of FIPS 180-4.
    assert_eq!(
        apply_text("sha256", "abc"),
        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    );
    assert_eq!(
        apply_text("sha256", ""),
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    );
}

#[test]
fn default_applies_only_to_missing_names() {
    assert_eq!(render("<%= v.none|default('x') %>").as_deref(), Ok("x"));
    assert_eq!(render("<%= v.user|default('x') %>").as_deref(), Ok("app"));
    assert_eq!(render("[<%= v.empty|default('x') %>]").as_deref(), Ok("[]"));
    assert_eq!(
        render("<% if v.none|default(true) %>y<% endif %>").as_deref(),
        Ok("y")
    );
    assert_eq!(
        render("<% if v.none|default(false) %>y<% endif %>").as_deref(),
        Ok("")
    );
    assert_eq!(
        render("<% if v.none|default(true) == true %>y<% endif %>").as_deref(),
        Ok("y")
    );
}

proptest! {
    #[test]
    fn json_and_yaml_parsers_read_tojson_back(text in any::<String>()) {
        let json = apply_text("tojson", &text);
        prop_assert_eq!(&serde_json::from_str::<String>(&json).expect("JSON"), &text);
        // The format does not escape U+FFFE and U+FFFF. YAML 1.2 allows them in quotes, but serde-saphyr refuses
        // them.
        if !text.contains(['\u{fffe}', '\u{ffff}']) {
            prop_assert_eq!(&serde_saphyr::from_str::<String>(&json).expect("YAML"), &text);
        }
    }

    #[test]
    fn base64_agrees_with_the_crate_and_round_trips(value in any::<Vec<u8>>()) {
        let encoded = apply("b64encode", &value);
        prop_assert_eq!(&encoded, &STANDARD.encode(&value).into_bytes());
        let twice = render_over("<%= v.a|b64encode|b64decode|b64encode %>", &[("a", &value)]);
        prop_assert_eq!(twice.expect("renders"), encoded);
    }

    #[test]
    fn urlencode_round_trips(value in any::<Vec<u8>>()) {
        let encoded = apply("urlencode", &value);
        prop_assert!(encoded.iter().all(|byte| byte.is_ascii_alphanumeric() || b"-._~%".contains(byte)));
        prop_assert_eq!(percent_decode(&encoded), value);
    }

    #[test]
    fn replace_agrees_with_std(text in "[abé]{0,20}", from in "[abé]{1,3}", to in "[abé]{0,3}") {
        let values = [("a", text.as_bytes()), ("from", from.as_bytes()), ("to", to.as_bytes())];
        let rendered = render_over("<%= v.a|replace(v.from, v.to) %>", &values).expect("renders");
        prop_assert_eq!(rendered, text.replace(&from, &to).into_bytes());
    }
}
