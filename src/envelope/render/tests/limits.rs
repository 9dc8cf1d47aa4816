//! What a text may cost: bytes are counted as the page says, before the work is done. All of it is asserted by counts,
//! none by a clock.

use std::collections::BTreeMap;

use super::super::eval::{Budget, render_within};
use super::super::{MAX_HANDLED, MAX_RESULT, MAX_SECRET, RenderErrorKind, Text};
use super::VALUES;
use crate::envelope::SecretBytes;

pub(super) const MIB: usize = 1_048_576;

/// Renders texts (named `t00`, `t01`, ...) and gives the bytes that were handled, and how it went.
pub(super) fn cost(sources: &[&str], values: &[(&str, &[u8])]) -> (usize, Result<usize, RenderErrorKind>) {
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

/// `condition` in a text that writes nothing.
pub(super) fn when(condition: &str) -> String {
    format!("<% if {condition} %><% endif %>")
}

#[test]
fn bytes_are_counted_as_the_page_says() {
    let cases: &[(&str, usize)] = &[
        // Each piece of text or value written.
        ("", 0),
        ("abc", 3),
        ("\u{e9}", 2),
        ("<%= v.user %>", 3),
        ("<%= 'ab' %>", 2),
        ("<%= ((('ab'))) %>", 2),
        ("ab<%= 'c' %>d", 4),
        ("<%= v.empty %>", 0),
        // Comments and white space that is removed are not written.
        ("<%# abc %>", 0),
        ("a  <%#- abc -%>  b", 2),
        // For each filter operands, arguments and result; here what is written comes last.
        ("<%= v.user|b64encode %>", 3 + 4 + 4),
        ("<%= 'YWI='|b64decode %>", 4 + 2 + 2),
        ("<%= 'YQ=='|b64decode %>", 4 + 1 + 1),
        ("<%= 'YWJj'|b64decode %>", 4 + 3 + 3),
        ("<%= ''|b64decode %>", 0),
        ("<%= v.user|upper %>", 3 + 3 + 3),
        ("<%= v.user|lower %>", 3 + 3 + 3),
        ("<%= ' a '|trim %>", 3 + 1 + 1),
        ("<%= v.user|replace('p', 'xyz') %>", (3 + 1 + 3 + 7) + 7),
        ("<%= v.user|replace('z', 'xyz') %>", (3 + 1 + 3 + 3) + 3),
        ("<%= 'a\\n'|tojson %>", 2 + 5 + 5),
        ("<%= 'a/'|urlencode %>", 2 + 4 + 4),
        ("<%= v.bin|sha256 %>", 2 + 64 + 64),
        ("<%= v.user|upper|lower %>", (3 + 3) + (3 + 3) + 3),
        ("<%= v.user|replace('P'|lower, '') %>", (1 + 1) + (3 + 1 + 1) + 1),
        // `default` apart, not what its argument does.
        ("<%= v.user|default('abcdef') %>", 3),
        ("<%= v.none|default('ab') %>", 2),
        ("<%= v.none|default('ab'|upper) %>", (2 + 2) + 2),
        ("<%= v.user|default('ab'|upper) %>", 3),
        ("<%= v.none|default('ab')|upper %>", (2 + 2) + 2),
        // For `~` each step, from the left.
        ("<%= 'ab' ~ 'c' %>", (2 + 1 + 3) + 3),
        ("<%= 'abc' ~ 'd' ~ 'e' %>", (3 + 1 + 4) + (4 + 1 + 5) + 5),
        ("<%= 'abc' ~ ('d' ~ 'e') %>", (1 + 1 + 2) + (3 + 2 + 5) + 5),
        // For `==` and `!=` the operands; a boolean counts nothing.
        ("<% if v.user == 'ab' %><% endif %>", 3 + 2),
        ("<% if v.user != v.bin %><% endif %>", 3 + 2),
        ("<% if (v.user == 'ab') == true %><% endif %>", 3 + 2),
        ("<% if true != false %><% endif %>", 0),
        // Look-ups, conditions, `is defined`, `and`, `or`, `not` handle no bytes.
        ("<% if v.user and not v.empty or v.bin %><% endif %>", 0),
        (
            "<% if v.user is defined or v.none is not defined %><% endif %>",
            0,
        ),
        // What is not evaluated is not handled.
        (
            "<% if true or v.user == 'a' %><% elif v.user|upper %>abc<% endif %>",
            0,
        ),
        ("<% if false %>abc<% else %>ab<% endif %>", 2),
    ];
    for (text, expected) in cases {
        let (handled, result) = cost(&[text], &VALUES);
        assert!(result.is_ok(), "{text}: {result:?}");
        assert_eq!(handled, *expected, "{text}");
    }
    // Over all texts.
    let all: Vec<&str> = cases.iter().map(|(text, _)| *text).collect();
    assert_eq!(
        cost(&all, &VALUES).0,
        cases.iter().map(|(_, bytes)| bytes).sum::<usize>()
    );
}

#[test]
fn a_result_may_have_exactly_1_mib() {
    let a = vec![b'a'; MAX_RESULT];
    let slash = vec![b'/'; MAX_RESULT];
    let bell = vec![7; MAX_RESULT];
    // What gives a result of just the limit, and what gives the least more.
    let cases: [(&str, &str, usize, &str, usize); 7] = [
        ("join", "v.x ~ 'b'", MAX_RESULT - 1, "v.x ~ 'bc'", MAX_RESULT - 1),
        (
            "second step of a join",
            "v.x ~ 'b' ~ 'c'",
            MAX_RESULT - 2,
            "v.x ~ 'b' ~ 'cd'",
            MAX_RESULT - 2,
        ),
        (
            "base64",
            "v.x|b64encode",
            MAX_RESULT / 4 * 3,
            "v.x|b64encode",
            MAX_RESULT / 4 * 3 + 1,
        ),
        ("JSON", "v.x|tojson", MAX_RESULT - 2, "v.x|tojson", MAX_RESULT - 1),
        (
            "replace",
            "v.x|replace('aa', 'bbb')",
            MAX_RESULT / 3 * 2 + 1,
            "v.x|replace('aa', 'bbb')",
            MAX_RESULT / 3 * 2 + 2,
        ),
        (
            "URL",
            "v.y|urlencode",
            MAX_RESULT / 3,
            "v.y|urlencode",
            MAX_RESULT / 3 + 1,
        ),
        (
            "JSON of control characters",
            "v.z|tojson",
            (MAX_RESULT - 2) / 6,
            "v.z|tojson",
            (MAX_RESULT - 2) / 6 + 1,
        ),
    ];
    for (name, fits, length, exceeds, more) in cases {
        let values = |length: usize| {
            [
                ("x", &a[..length]),
                ("y", &slash[..length]),
                ("z", &bell[..length]),
            ]
        };
        assert_eq!(cost(&[&when(fits)], &values(length)).1, Ok(0), "{name}");
        let refused = cost(&[&when(exceeds)], &values(more)).1;
        assert_eq!(refused, Err(RenderErrorKind::ResultTooLarge), "{name}");
    }
    // The filters whose result is no longer than what they are given take a whole MiB.
    for filter in [
        "upper",
        "lower",
        "trim",
        "sha256",
        "urlencode",
        "replace('a', 'b')",
    ] {
        assert_eq!(
            cost(&[&when(&format!("v.x|{filter}"))], &[("x", &a)]).1,
            Ok(0),
            "{filter}"
        );
    }
}

#[test]
fn all_renders_together_may_handle_exactly_8_mib() {
    let w = vec![b'w'; MIB - 64]; // the Secret has room for what is written
    let values: [(&str, &[u8]); 2] = [("w", &w), ("u", b"u")];
    let handling = |rest: usize| {
        let rest = "r".repeat(rest);
        when(&format!(
            "v.w == v.w and v.w == v.w and v.w == v.w and v.w == v.w and '{rest}' == ''"
        ))
    };
    let full = handling(8 * 64);
    assert_eq!(cost(&[&full], &values), (MAX_HANDLED, Ok(0)));
    // Nothing more is refused that handles nothing.
    for free in [
        "",
        "<%# x %>",
        "<%= '' %>",
        &when("v.w and v.u is defined"),
        &when("true == true"),
        &when("'' == ''"),
    ] {
        assert_eq!(cost(&[&full, free], &values), (MAX_HANDLED, Ok(0)), "{free}");
    }
    // One byte more, of whatever kind, in the same text or another one.
    for more in [
        "x",
        "<%= v.u %>",
        "<%= 'x' %>",
        &when("v.u == ''"),
        &when("'' != 'x'"),
        &when("v.u ~ ''"),
        &when("'' ~ 'x'"),
        &when("'x'|upper"),
        &when("''|replace('x', '')"),
        &when("'    '|b64encode"),
        &when("''|tojson"),
        &when("''|sha256"),
    ] {
        let expected = Err(RenderErrorKind::TooMuchWork);
        assert_eq!(cost(&[&full, more], &values).1, expected, "{more}");
        assert_eq!(cost(&[&format!("{full}{more}")], &values).1, expected, "{more}");
    }
    // One byte less before it leaves room for one.
    let less = handling(8 * 64 - 1);
    assert_eq!(cost(&[&less, &when("v.u == ''")], &values), (MAX_HANDLED, Ok(0)));
    let expected = Err(RenderErrorKind::TooMuchWork);
    assert_eq!(cost(&[&less, &when("v.u == 'u'")], &values).1, expected);
}

#[test]
fn the_secret_may_have_exactly_1_mib() {
    let w = vec![b'w'; MAX_SECRET - 10];
    let values: [(&str, &[u8]); 1] = [("w", &w)];
    assert_eq!(cost(&["0123456789"], &values).1, Ok(10));
    assert_eq!(cost(&["01234", "<%= '56' %>789"], &values).1, Ok(10));
    for texts in [
        &["0123456789a"][..],
        &["01234", "<%= '56' %>789a"],
        &["0123456789", "<%= 'a' %>"],
        &["<%= v.w %>"],
    ] {
        assert_eq!(
            cost(texts, &values).1,
            Err(RenderErrorKind::SecretTooLarge),
            "{texts:?}"
        );
    }
}
