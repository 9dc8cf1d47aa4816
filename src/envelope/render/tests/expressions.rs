//! docs/format-es1.md#8-rendering, sentence by sentence: the results of expressions. `syntax_errors` and
//! `render_errors` cover what the section forbids.

use std::collections::BTreeMap;

use super::super::{RenderErrorKind, Text, render_all};
use super::support::{VALUES, assert_conditions, assert_renders, render};

#[test]
fn operator_precedence_follows_the_grammar() {
    // `and` before `or`
    assert_conditions(true, &["true or false and false", "false and false or true"]);
    assert_conditions(false, &["(true or false) and false"]);
    // `not` before `and`, after comparisons
    assert_conditions(
        false,
        &[
            "not true and false",
            "not v.user == 'app'",
            "not v.user is defined",
            "not true or false",
        ],
    );
    assert_conditions(
        true,
        &[
            "not (true and false)",
            "not not true",
            "not v.user == 'x' and true",
            "not v.none is defined",
        ],
    );
    // comparisons after `~`, `~` after filters
    assert_conditions(
        true,
        &[
            "'a' ~ 'b' == 'ab'",
            "'ab' == 'a' ~ 'b'",
            "'a' ~ 'b'|upper == 'aB'",
            "'a'|upper ~ 'b' == 'Ab'",
        ],
    );
    assert_conditions(
        true,
        &[
            "('a' ~ 'b')|upper == 'AB'",
            "'a' ~ 'b' ~ 'c' == 'a' ~ ('b' ~ 'c')",
        ],
    );
    // filters apply from the left
    assert_renders(&[
        ("<%= 'a'|b64encode|lower|b64encode %>", "eXE9PQ=="),
        ("<%= ' A '|trim|lower %>", "a"),
    ]);
    // an argument is a whole expression
    assert_renders(&[("<%= 'aXb'|replace('x'|upper, '-' ~ v.user ~ '-') %>", "a-app-b")]);
    assert_conditions(
        true,
        &[
            "v.none|default(v.user == 'app' and not v.empty)",
            "v.none|default(v.none is not defined)",
        ],
    );
    // `default` applies only to its look-up
    assert_renders(&[
        ("<%= 'a' ~ v.none|default('b') ~ 'c' %>", "abc"),
        ("<%= v.none|default('a')|upper %>", "A"),
        ("<%= v.none|default('a' ~ v.none|default('b')) %>", "ab"),
        ("<%= ((v.none|default('a'))) %>", "a"),
    ]);
}

#[test]
fn v_has_values_but_no_rendered_texts() {
    let texts: BTreeMap<_, _> = [
        ("a", "<%= v.user %>"),
        ("b", "<% if v.a is defined %>y<% else %>n<% endif %>"),
    ]
    .map(|(name, text)| (name.to_owned(), Text::parse(text).expect("a valid text")))
    .into();
    let rendered = render_all(&texts, &VALUES.into()).expect("renders");
    let all: Vec<_> = rendered
        .iter()
        .map(|(name, bytes)| (name.as_str(), bytes.expose()))
        .collect();
    assert_eq!(all, [("a", &b"app"[..]), ("b", b"n")]);
}

#[test]
fn missing_name_is_allowed_with_is_defined_and_default() {
    assert_conditions(
        true,
        &[
            "v.none is not defined",
            "v.user is defined",
            "v.empty is defined",
            "v.bin is defined",
        ],
    );
    assert_conditions(
        false,
        &[
            "v.none is defined",
            "v.user is not defined",
            "v.empty is not defined",
        ],
    );
    assert_renders(&[
        ("<%= v.none|default('x') %>", "x"),
        ("<%= v['no.ne']|default(v.user) %>", "app"),
    ]);
    // An empty value is defined.
    assert_renders(&[("<%= v.empty|default('x') %>.", ".")]);
}

#[test]
fn conditions_accept_booleans_and_values() {
    assert_conditions(
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
    assert_conditions(
        false,
        &[
            "false",
            "v.empty",
            "not v.user",
            "v.user and v.empty",
            "v.empty or false",
        ],
    );
    // and return booleans
    assert_conditions(
        true,
        &[
            "(v.user and v.bin) == true",
            "(v.empty or '') == false",
            "(not v.user) == (not 'x')",
        ],
    );
}

#[test]
fn evaluation_short_circuits() {
    assert_conditions(
        false,
        &[
            "false and v.none",
            "v.empty and v.none",
            "true and v.empty and v.none",
        ],
    );
    assert_conditions(
        true,
        &["true or v.none", "v.user or v.none", "false or v.user or v.none"],
    );
    assert_conditions(true, &["not (false and v.none)", "(v.user or v.none) == true"]);
    assert_renders(&[
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
    // However, both sides of a comparison and all arguments are evaluated.
    for text in [
        "<% if 'a' == v.none %><% endif %>",
        "<%= 'a'|replace('b', v.none) %>",
    ] {
        let error = render(text).expect_err(text);
        assert_eq!(error.kind, RenderErrorKind::MissingName);
    }
}

#[test]
fn comparisons_accept_two_values_or_two_booleans() {
    assert_conditions(
        true,
        &[
            "v.user == 'app'",
            "v.bin == v.bin",
            "v.bin != v.user",
            "true == true",
            "true != false",
        ],
    );
    assert_conditions(
        true,
        &[
            "'' == v.empty",
            "'a' != 'A'",
            "'a' != 'a '",
            "(v.user == 'app') != (v.user == 'x')",
        ],
    );
    assert_conditions(
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
fn values_that_are_not_utf8_work_where_listed() {
    assert_renders(&[
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
    assert_conditions(
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
fn entries_render_in_bytewise_order_of_their_names() {
    // The first failure in that order is returned: upper case before lower case, "a.b" before "a0" before "aa".
    for (first, second) in [
        ("B", "a"),
        ("a.b", "a0"),
        ("a0", "aa"),
        ("-a", "A"),
        ("_", "a"),
        ("Z", "_"),
    ] {
        let texts: BTreeMap<_, _> = [first, second]
            .map(|name| {
                (
                    name.to_owned(),
                    Text::parse("<%= v.none %>").expect("a valid text"),
                )
            })
            .into();
        let error = render_all(&texts, &VALUES.into()).err().expect("fails");
        assert_eq!(error.entry, first);
    }
}
