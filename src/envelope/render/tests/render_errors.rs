//! Valid texts that fail to render over verified values (RENDER). Errors name entry, line and kind, never a value.

use super::super::RenderErrorKind::{self, *};
use super::support::{ENTRY, render};

/// Name, text, and the line and kind of the error, over [`super::support::VALUES`].
#[rustfmt::skip] // one case per line
const FAILING: &[(&str, &str, usize, RenderErrorKind)] = &[
    // Look-ups
    ("a missing name", "<%= v.none %>", 1, MissingName),
    ("a missing name on line 3", "a\nb\n<%= v.none %>", 3, MissingName),
    ("a missing name on the third line of its tag", "<%=\n'a' ~\nv.none %>", 3, MissingName),
    ("a missing name in brackets", "<%= v['no.ne'] %>", 1, MissingName),
    ("an empty name", "<%= v[''] %>", 1, MissingName),
    ("a name in a different case", "<%= v.User %>", 1, MissingName),
    ("a name with a space after it", "<%= v['user '] %>", 1, MissingName),
    ("a missing name in a condition", "<% if v.none %><% endif %>", 1, MissingName),
    ("a missing name under not", "<% if not v.none %><% endif %>", 1, MissingName),
    ("a missing name in elif", "<% if false %>\n<% elif v.none %><% endif %>", 2, MissingName),
    ("a missing name left of and", "<% if v.none and false %><% endif %>", 1, MissingName),
    ("a missing name right of and", "<% if v.user and v.none %><% endif %>", 1, MissingName),
    ("a missing name left of or", "<% if v.none or true %><% endif %>", 1, MissingName),
    ("a missing name right of or", "<% if v.empty or v.none %><% endif %>", 1, MissingName),
    ("a missing name compared", "<% if v.none == 'a' %><% endif %>", 1, MissingName),
    ("a missing name compared on the right", "<% if 'a' != v.none %><% endif %>", 1, MissingName),
    ("a missing name joined", "<%= 'a' ~ v.none %>", 1, MissingName),
    ("a missing name filtered", "<%= v.none|b64encode %>", 1, MissingName),
    ("a missing name in parentheses before a filter", "<%= (v.none)|upper %>", 1, MissingName),
    ("a missing name as an argument", "<%= v.user|replace('z', v.none) %>", 1, MissingName),
    ("a missing name in default", "<%= v.none|default(v.nope) %>", 1, MissingName),
    ("a missing name after the default of another", "<%= v.none|default('a') ~ v.nope %>", 1, MissingName),
    ("the name of the text itself", "<%= v.x %>", 1, MissingName),
    // Types
    ("true written", "<%= true %>", 1, NotValue),
    ("a comparison written", "<%= v.user == 'app' %>", 1, NotValue),
    ("defined written", "<%= v.user is defined %>", 1, NotValue),
    ("not written", "<%= not v.user %>", 1, NotValue),
    ("and written, though both are values", "<%= v.user and v.user %>", 1, NotValue),
    ("or written, though both are values", "<%= v.user or 'x' %>", 1, NotValue),
    ("a boolean default written", "<%= v.none|default(true) %>", 1, NotValue),
    ("true joined", "<%= true ~ 'a' %>", 1, NotValue),
    ("false joined on the right", "<%= 'a' ~ false %>", 1, NotValue),
    ("true joined in a later step", "<%= 'a' ~ 'b'\n~ true %>", 2, NotValue),
    ("true filtered", "<%= true|upper %>", 1, NotValue),
    ("a comparison filtered", "<%= (v.user == 'app')\n|b64encode %>", 2, NotValue),
    ("a boolean default filtered", "<%= v.none|default(false)|sha256 %>", 1, NotValue),
    ("true as the search string", "<%= v.user|replace(true, 'a') %>", 1, NotValue),
    ("true as the replacement", "<%= v.user|replace('z', true) %>", 1, NotValue),
    ("a value compared with true", "<% if v.user == true %><% endif %>", 1, MixedComparison),
    ("false compared with a value", "<% if false != v.user %><% endif %>", 1, MixedComparison),
    ("a condition compared with a value", "<% if (v.user and true)\n== 'true' %><% endif %>", 2, MixedComparison),
    ("an empty value compared with false", "<% if v.empty == false %><% endif %>", 1, MixedComparison),
    // UTF-8
    ("bytes written", "<%= v.bin %>", 1, NotUtf8),
    ("bytes in parentheses written", "<%= (v.bin) %>", 1, NotUtf8),
    ("bytes from a default written", "<%= v.none|default(v.bin) %>", 1, NotUtf8),
    ("bytes with a default written", "<%= v.bin|default('a') %>", 1, NotUtf8),
    ("decoded bytes written", "<%= '/w=='|b64decode %>", 1, NotUtf8),
    ("bytes joined on the right and encoded", "<%= ('a' ~ v.bin)|b64encode %>", 1, NotUtf8),
    ("two halves of a character joined", "<%= 'ww=='|b64decode ~ 'qQ=='|b64decode %>", 1, NotUtf8),
    ("half a character joined", "<%= 'w6k='|b64decode ~ 'ww=='|b64decode %>", 1, NotUtf8),
    ("bytes joined on the left", "<%= v.bin ~ 'a' %>", 1, NotUtf8),
    ("bytes joined on the right", "<%= 'a' ~ v.bin %>", 1, NotUtf8),
    ("bytes joined in a condition", "<% if v.bin ~ '' %><% endif %>", 1, NotUtf8),
    ("bytes decoded", "<%= v.bin|b64decode %>", 1, NotUtf8),
    ("bytes converted to upper case", "<%= v.bin|upper %>", 1, NotUtf8),
    ("bytes converted to lower case", "<%= v.bin|lower %>", 1, NotUtf8),
    ("bytes trimmed", "<%= v.bin|trim %>", 1, NotUtf8),
    ("bytes converted to JSON", "<%= v.bin|tojson %>", 1, NotUtf8),
    ("bytes as the operand of replace", "<%= v.bin|replace('a', 'b') %>", 1, NotUtf8),
    ("bytes as the search string", "<%= v.user|replace(v.bin, 'a') %>", 1, NotUtf8),
    ("bytes as the replacement, without a match", "<%= v.user|replace('z', v.bin) %>", 1, NotUtf8),
    // Filters
    ("an empty search string", "<%= v.user|replace('', 'b') %>", 1, EmptySearch),
    ("an empty search string in an empty value", "<%= ''|replace('', '') %>", 1, EmptySearch),
    ("an empty value as the search string", "<%= v.user|replace(v.empty, 'b') %>", 1, EmptySearch),
    ("base64 without padding", "<%= 'YQ'|b64decode %>", 1, NotBase64),
    ("base64 with half its padding", "<%= 'YQ='|b64decode %>", 1, NotBase64),
    ("base64 with too much padding", "<%= 'YQ==='|b64decode %>", 1, NotBase64),
    ("only padding", "<%= '===='|b64decode %>", 1, NotBase64),
    ("base64 with padding inside", "<%= 'YQ==YQ=='|b64decode %>", 1, NotBase64),
    ("base64 with a line feed", "<%= 'YQ==\\n'|b64decode %>", 1, NotBase64),
    ("base64 with a space inside", "<%= 'YW Jj'|b64decode %>", 1, NotBase64),
    ("base64 with spare bits", "<%= 'YR=='|b64decode %>", 1, NotBase64),
    ("base64 with spare bits and one padding character", "<%= 'YWJ='|b64decode %>", 1, NotBase64),
    ("base64url", "<%= '_w=='|b64decode %>", 1, NotBase64),
    ("base64 of one character", "<%= 'Y'|b64decode %>", 1, NotBase64),
    ("a word", "<%= v.user|b64decode %>", 1, NotBase64),
    ("base64 that is not ASCII", "<%= '\u{e9}\u{e9}'|b64decode %>", 1, NotBase64),
];

#[test]
fn render_error_names_entry_line_and_kind() {
    for (name, text, line, kind) in FAILING {
        let error = render(text).expect_err(name);
        assert_eq!(
            (error.entry.as_str(), error.line, error.kind),
            (ENTRY, *line, *kind),
            "{name}"
        );
    }
}

#[test]
fn render_error_does_not_show_values() {
    for (name, text, ..) in FAILING {
        let error = render(text).expect_err(name);
        for shown in [error.to_string(), format!("{error:?}")] {
            for value in ["app", "p\"w", "PEM"] {
                assert!(!shown.contains(value), "{name}: {shown}");
            }
        }
    }
}

#[test]
fn render_error_displays_as_one_line() {
    let error = render("\n<%= v.none %>").expect_err("missing");
    assert_eq!(
        error.to_string(),
        "template x, line 2: no entry has the name that is looked up"
    );
}
