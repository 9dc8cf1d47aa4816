//! Section 8 sentence by sentence: what expressions give.
//! What it forbids stands in the tables of refusals and failures.

use std::collections::BTreeMap;

use super::super::{RenderErrorKind, Text, render_all};
use super::{VALUES, render};

/// Each text renders to what stands beside it.
pub(super) fn all_render(cases: &[(&str, &str)]) {
    for (text, expected) in cases {
        assert_eq!(render(text).as_deref(), Ok(*expected), "{text:?}");
    }
}

/// Each text, as a condition, holds or not.
pub(super) fn all_hold(wanted: bool, conditions: &[&str]) {
    for condition in conditions {
        let text = format!("<% if {condition} %>yes<% else %>no<% endif %>");
        let expected = if wanted { "yes" } else { "no" };
        assert_eq!(render(&text).as_deref(), Ok(expected), "{condition}");
    }
}

#[test]
fn operators_bind_as_the_grammar_says() {
    // `and` before `or`
    all_hold(true, &["true or false and false", "false and false or true"]);
    all_hold(false, &["(true or false) and false"]);
    // `not` before `and`, behind comparisons
    all_hold(
        false,
        &[
            "not true and false",
            "not v.user == 'app'",
            "not v.user is defined",
            "not true or false",
        ],
    );
    all_hold(
        true,
        &[
            "not (true and false)",
            "not not true",
            "not v.user == 'x' and true",
            "not v.none is defined",
        ],
    );
    // comparisons behind `~`, `~` behind filters
    all_hold(
        true,
        &[
            "'a' ~ 'b' == 'ab'",
            "'ab' == 'a' ~ 'b'",
            "'a' ~ 'b'|upper == 'aB'",
            "'a'|upper ~ 'b' == 'Ab'",
        ],
    );
    all_hold(
        true,
        &[
            "('a' ~ 'b')|upper == 'AB'",
            "'a' ~ 'b' ~ 'c' == 'a' ~ ('b' ~ 'c')",
        ],
    );
    // filters one after another, from the left
    all_render(&[
        ("<%= 'a'|b64encode|lower|b64encode %>", "eXE9PQ=="),
        ("<%= ' A '|trim|lower %>", "a"),
    ]);
    // an argument is a whole expression
    all_render(&[("<%= 'aXb'|replace('x'|upper, '-' ~ v.user ~ '-') %>", "a-app-b")]);
    all_hold(
        true,
        &[
            "v.none|default(v.user == 'app' and not v.empty)",
            "v.none|default(v.none is not defined)",
        ],
    );
    // `default` binds to its look-up alone
    all_render(&[
        ("<%= 'a' ~ v.none|default('b') ~ 'c' %>", "abc"),
        ("<%= v.none|default('a')|upper %>", "A"),
        ("<%= v.none|default('a' ~ v.none|default('b')) %>", "ab"),
        ("<%= ((v.none|default('a'))) %>", "a"),
    ]);
}

#[test]
fn v_maps_names_to_the_values_and_renders_do_not_see_each_other() {
    let texts: BTreeMap<_, _> = [
        ("a", "<%= v.user %>"),
        ("b", "<% if v.a is defined %>y<% else %>n<% endif %>"),
    ]
    .map(|(name, text)| (name.to_owned(), Text::parse(text).expect("a text")))
    .into();
    let rendered = render_all(&texts, &VALUES.into()).expect("renders");
    let all: Vec<_> = rendered
        .iter()
        .map(|(name, bytes)| (name.as_str(), bytes.expose()))
        .collect();
    assert_eq!(all, [("a", &b"app"[..]), ("b", b"n")]);
}

#[test]
fn a_missing_name_may_stand_under_is_defined_and_before_default() {
    all_hold(
        true,
        &[
            "v.none is not defined",
            "v.user is defined",
            "v.empty is defined",
            "v.bin is defined",
        ],
    );
    all_hold(
        false,
        &[
            "v.none is defined",
            "v.user is not defined",
            "v.empty is not defined",
        ],
    );
    all_render(&[
        ("<%= v.none|default('x') %>", "x"),
        ("<%= v['no.ne']|default(v.user) %>", "app"),
    ]);
    // An empty value is there.
    all_render(&[("<%= v.empty|default('x') %>.", ".")]);
}

#[test]
fn conditions_take_booleans_and_values() {
    all_hold(
        true,
        &[
            "true",
            "v.user",
            "v.bin",
            "not v.empty",
            "not false",
            "v.user and true",
            "v.empty or v.bin",
        ],
    );
    all_hold(
        false,
        &[
            "false",
            "v.empty",
            "not v.user",
            "v.user and v.empty",
            "v.empty or false",
        ],
    );
    // and give booleans
    all_hold(
        true,
        &[
            "(v.user and v.bin) == true",
            "(v.empty or '') == false",
            "(not v.user) == (not 'x')",
        ],
    );
}

#[test]
fn nothing_is_evaluated_that_is_not_needed() {
    all_hold(
        false,
        &[
            "false and v.none",
            "v.empty and v.none",
            "true and v.empty and v.none",
        ],
    );
    all_hold(
        true,
        &["true or v.none", "v.user or v.none", "false or v.user or v.none"],
    );
    all_hold(true, &["not (false and v.none)", "(v.user or v.none) == true"]);
    all_render(&[
        ("<% if true %>a<% elif v.none %>b<% endif %>", "a"),
        ("<% if true %>a<% else %><%= v.none %><% endif %>", "a"),
        ("<% if false %><%= true %><% endif %>", ""),
        ("<%= v.user|default(v.none) %>", "app"),
        ("<%= v.user|default(true ~ 'a') %>", "app"),
        (
            "<%= v.none|default('a') %><% if v.none is defined %><%= v.none %><% endif %>",
            "a",
        ),
    ]);
    // but both sides of a comparison and every argument are.
    for text in [
        "<% if 'a' == v.none %><% endif %>",
        "<%= 'a'|replace('b', v.none) %>",
    ] {
        let error = render(text).expect_err(text);
        assert_eq!(error.kind, RenderErrorKind::MissingName);
    }
}

#[test]
fn comparisons_are_of_two_values_or_two_booleans() {
    all_hold(
        true,
        &[
            "v.user == 'app'",
            "v.bin == v.bin",
            "v.bin != v.user",
            "true == true",
            "true != false",
        ],
    );
    all_hold(
        true,
        &[
            "'' == v.empty",
            "'a' != 'A'",
            "'a' != 'a '",
            "(v.user == 'app') != (v.user == 'x')",
        ],
    );
    all_hold(
        false,
        &[
            "v.user == 'APP'",
            "v.user != 'app'",
            "true == false",
            "'\u{e9}' == 'e\u{301}'",
        ],
    );
}

#[test]
fn bytes_meet_what_the_page_lists() {
    all_render(&[
        ("<%= v.bin|b64encode %>", "/wA="),
        ("<%= v.bin|urlencode %>", "%FF%00"),
        (
            "<%= v.bin|sha256|upper %>",
            "EA5DBF9596D187E9500F23E9A680109475341CF4E81F7E043F7D97152C10772F",
        ),
        ("<%= v.none|default(v.bin)|b64encode %>", "/wA="),
        ("<%= v.bin|default(v.none)|b64encode %>", "/wA="),
        ("<%= (v.bin)|b64encode|b64decode|b64encode %>", "/wA="),
    ]);
    all_hold(
        true,
        &[
            "v.bin",
            "v.bin == '/wA='|b64decode",
            "v.bin != 'a'",
            "v.bin is defined",
            "not not v.bin",
        ],
    );
}

#[test]
fn names_of_entries_are_in_bytewise_order() {
    // The first failure in that order is the outcome: capitals before small letters, "a.b" before "a0" before "aa".
    for (first, second) in [
        ("B", "a"),
        ("a.b", "a0"),
        ("a0", "aa"),
        ("-a", "A"),
        ("_", "a"),
        ("Z", "_"),
    ] {
        let texts: BTreeMap<_, _> = [first, second]
            .map(|name| (name.to_owned(), Text::parse("<%= v.none %>").expect("a text")))
            .into();
        let error = render_all(&texts, &VALUES.into()).err().expect("fails");
        assert_eq!(error.entry, first);
    }
}
