//! Differential test: minijinja renders generated texts to the same output.
//!
//! The two languages agree on this subset. Tables cover the rest of the es1 language.
//! * Text, `<%= %>`, `if`, `elif`, `else`, comments, and white space control with `-`, except for `<%#-%>`, whose
//!   single `-` trims only one side in Jinja. White space is space, tab, CR and LF; Jinja also trims Unicode white
//!   space.
//! * `and`, `or` and `not` in conditions only: in Jinja, `and` and `or` return one of their operands; in es1, a
//!   boolean.
//! * `==` and `!=` between two values or two booleans; Jinja compares anything.
//! * `is defined` and `default` directly on a look-up, and missing names nowhere else: elsewhere, whether a missing
//!   name fails in Jinja depends on its configuration.
//! * The filters `upper`, `lower` and `trim` on ASCII text, and `replace` of a non-empty string. In Jinja, `tojson` and
//!   `urlencode` escape other characters, and `b64encode`, `b64decode` and `sha256` do not exist.

use std::collections::BTreeMap;

use minijinja::syntax::SyntaxConfig;
use minijinja::{Environment, UndefinedBehavior};
use proptest::prelude::*;

use super::support::{check_syntax, render_over};

/// ASCII values by name. `none` is missing.
pub(super) const VALUES: [(&str, &str); 4] =
    [("user", "app"), ("empty", ""), ("some", " aXa\n"), ("a b", "-%>")];

fn render_with_minijinja(text: &str) -> Result<String, minijinja::Error> {
    let syntax = SyntaxConfig::builder()
        .block_delimiters("<%", "%>")
        .variable_delimiters("<%=", "%>")
        .comment_delimiters("<%#", "%>")
        .keep_trailing_newline(true)
        .build()?;
    let mut environment = Environment::new();
    environment.set_syntax(syntax);
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    let v: BTreeMap<_, _> = VALUES.into();
    environment.render_str(text, BTreeMap::from([("v", v)]))
}

/// A string literal in either kind of quotes.
fn literal(alphabet: &'static str) -> impl Strategy<Value = String> {
    (alphabet, prop::bool::ANY).prop_map(|(text, double)| {
        let quote = if double { '"' } else { '\'' };
        let escaped = text
            .replace('\\', "\\\\")
            .replace('\n', "\\n")
            .replace('\r', "\\r")
            .replace('\t', "\\t")
            .replace(quote, &format!("\\{quote}"));
        format!("{quote}{escaped}{quote}")
    })
}

/// White space between tokens.
fn space() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec![" ", "  ", "\n", "\t", "\r\n"])
}

fn present() -> impl Strategy<Value = String> {
    prop::sample::select(vec![
        "v.user",
        "v.empty",
        "v.some",
        "v['a b']",
        "v[\"user\"]",
        "v . some",
    ])
    .prop_map(str::to_owned)
}

fn missing() -> impl Strategy<Value = String> {
    prop::sample::select(vec!["v.none", "v['no ne']", "v.is_not_there"]).prop_map(str::to_owned)
}

/// An expression that returns a value and binds as tightly as a filter.
fn item() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![literal("[aXp %>\\-\"'\\\\\n\r\t<]{0,6}"), present()];
    leaf.prop_recursive(4, 24, 3, |inner| {
        prop_oneof![
            (missing(), join(inner.clone())).prop_map(|(name, value)| format!("{name}|default({value})")),
            (present(), join(inner.clone())).prop_map(|(name, value)| format!("{name} | default( {value} )")),
            (
                inner.clone(),
                prop::sample::select(vec!["upper", "lower", "trim"]),
                space()
            )
                .prop_map(|(value, filter, space)| format!("{value}{space}|{filter}")),
            (inner.clone(), literal("[apX ]{1,2}"), join(inner.clone()))
                .prop_map(|(value, from, to)| format!("{value}|replace({from}, {to})")),
            join(inner).prop_map(|value| format!("({value})")),
        ]
    })
}

/// One or more items, joined.
fn join(item: impl Strategy<Value = String> + 'static) -> impl Strategy<Value = String> {
    (prop::collection::vec(item, 1..4), space())
        .prop_map(|(items, space)| items.join(&format!("{space}~{space}")))
}

/// An expression that returns a boolean in both languages and binds as tightly as a comparison.
fn comparison() -> impl Strategy<Value = String> {
    let comparison = (join(item()), prop::sample::select(vec!["==", "!="]), join(item()));
    prop_oneof![
        comparison.prop_map(|(left, operator, right)| format!("{left} {operator} {right}")),
        (
            prop_oneof![present(), missing()],
            prop::sample::select(vec!["is defined", "is not defined", "is\nnot\tdefined"])
        )
            .prop_map(|(name, test)| format!("{name} {test}")),
    ]
}

/// A condition without redundant parentheses, so that the operator precedence of both languages matters.
fn condition() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        2 => join(item()),
        1 => prop::sample::select(vec!["true", "false"]).prop_map(str::to_owned),
        3 => comparison(),
        1 => (comparison(), prop::sample::select(vec!["==", "!="]), comparison())
            .prop_map(|(left, operator, right)| format!("({left}) {operator} ({right})")),
        1 => (comparison(), prop::sample::select(vec!["true", "false"]))
            .prop_map(|(left, right)| format!("({left}) == {right}")),
    ];
    leaf.prop_recursive(4, 16, 3, |inner| {
        prop_oneof![
            (inner.clone(), inner.clone(), space())
                .prop_map(|(left, right, space)| format!("{left}{space}and {right}")),
            (inner.clone(), inner.clone(), space())
                .prop_map(|(left, right, space)| format!("{left} or{space}{right}")),
            (inner.clone(), space()).prop_map(|(operand, space)| format!("not{space}{operand}")),
            inner.prop_map(|inner| format!("({inner})")),
        ]
    })
}

/// A tag with or without `-` on each side.
fn tag(opening: &'static str, inside: impl Strategy<Value = String>) -> impl Strategy<Value = String> {
    let minus = || prop::sample::select(vec!["", "", "-"]);
    (minus(), inside, space(), minus()).prop_map(move |(before, inside, space, after)| {
        format!("{opening}{before}{space}{inside}{space}{after}%>")
    })
}

fn statement(word: &'static str) -> impl Strategy<Value = String> {
    tag("<%", Just(word.to_owned()))
}

fn guarded(word: &'static str) -> impl Strategy<Value = String> {
    tag(
        "<%",
        condition().prop_map(move |condition| format!("{word} {condition}")),
    )
}

/// A whole text of the common subset.
pub(super) fn text() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        4 => "[ab%>{}<\"'\\- \n\r\t#=]{0,8}".prop_filter("a tag", |text| !text.contains("<%") && !text.ends_with('<')),
        3 => tag("<%=", join(item())),
        1 => tag("<%#", "[ab'\" ]{1,5}"),
    ];
    leaf.prop_recursive(3, 24, 4, |inner| {
        let body = prop::collection::vec(inner, 0..4).prop_map(|parts| parts.concat());
        let elif = (guarded("elif"), body.clone()).prop_map(|(tag, body)| tag + &body);
        let otherwise = (statement("else"), body.clone()).prop_map(|(tag, body)| tag + &body);
        (
            guarded("if"),
            body.clone(),
            prop::collection::vec(elif, 0..3).prop_map(|arms| arms.concat()),
            prop::option::of(otherwise).prop_map(Option::unwrap_or_default),
            statement("endif"),
            body,
        )
            .prop_map(|(opened, body, arms, otherwise, closed, after)| {
                format!("{opened}{body}{arms}{otherwise}{closed}{after}")
            })
    })
}

proptest! {
    #[test]
    fn minijinja_renders_the_same_output(text in text()) {
        let values = VALUES.map(|(name, value)| (name, value.as_bytes()));
        let ours = String::from_utf8(render_over(&text, &values).expect("renders")).expect("text");
        let theirs = render_with_minijinja(&text).expect("minijinja renders");
        prop_assert_eq!(ours, theirs);
    }
}

#[test]
fn languages_differ_outside_the_subset() {
    // Each case justifies one of the exclusions above.
    let values = VALUES.map(|(name, value)| (name, value.as_bytes()));
    let ours = |text: &str| {
        check_syntax(text).ok()?;
        let rendered = render_over(text, &values).ok()?;
        Some(String::from_utf8(rendered).expect("text"))
    };
    for (text, expected, theirs) in [
        ("a <%#-%> b", Some("ab"), "a b"),
        ("a\u{a0}<%=- v.user %>", Some("a\u{a0}app"), "aapp"),
        ("<%= v.empty or 'x' %>", None, "x"),
        ("<% if v.user == true %><% endif %>", None, ""),
        ("<%= (v.user)|default('x') %>", None, "app"),
        ("<%= '\u{e9}'|upper %>", Some("\u{e9}"), "\u{c9}"),
        ("<%= '\u{a0}a'|trim %>", Some("\u{a0}a"), "a"),
        ("<%= 'ab'|replace('', '-') %>", None, "-a-b-"),
    ] {
        assert_eq!(ours(text).as_deref(), expected, "{text}");
        assert_eq!(
            render_with_minijinja(text).ok().as_deref(),
            Some(theirs),
            "{text}"
        );
    }
}
