//! Section 8 sentence by sentence: how deep a text may nest.

use super::expressions::all_render;
use super::syntax;

/// Each kind of nesting by itself and mixed: 32 levels are allowed, 33 are not.
#[test]
fn nesting_counts_to_32() {
    let wrapped = |open: &str, inner: &str, close: &str, levels: usize| {
        format!("{}{inner}{}", open.repeat(levels), close.repeat(levels))
    };
    let write = |expr: String| format!("<%= {expr} %>");
    let when = |expr: String| format!("<% if {expr} %>a<% endif %>");
    // What stands around 32 or 33 levels; how many levels of it the text has is its parameter.
    let kinds: [(&str, &dyn Fn(usize) -> String); 12] = [
        ("parentheses", &|levels| write(wrapped("(", "'a'", ")", levels))),
        ("arguments of replace", &|levels| {
            write(wrapped("'a'|replace('a', ", "'a'", ")", levels))
        }),
        ("first arguments", &|levels| {
            write(wrapped("'a'|replace(", "'a'", ", 'a')", levels))
        }),
        ("arguments of default", &|levels| {
            write(wrapped("v.none|default(", "'a'", ")", levels))
        }),
        ("not in an argument", &|levels| {
            write(format!("v.none|default({}true) == ''", "not ".repeat(levels - 1)))
        }),
        ("if", &|levels| {
            wrapped("<% if true %>", "a", "<% endif %>", levels)
        }),
        ("else", &|levels| {
            wrapped("<% if false %><% else %>", "a", "<% endif %>", levels)
        }),
        ("elif", &|levels| {
            wrapped("<% if false %><% elif true %>", "a", "<% endif %>", levels)
        }),
        ("parentheses in a condition", &|levels| {
            when(wrapped("(", "'a'", ")", levels - 1))
        }),
        ("not in a condition", &|levels| {
            when(wrapped("not ", "'a'", "", levels - 1))
        }),
        ("parentheses in elif", &|levels| {
            let condition = wrapped("(", "'a'", ")", levels - 1);
            format!("<% if false %><% elif {condition} %>a<% endif %>")
        }),
        ("all of them", &|levels| {
            let inner = write(wrapped("(", "v.none|default(v.user)", ")", levels - 31));
            format!(
                "{}<% if {}true %>{inner}<% endif %>{}",
                "<% if true %>".repeat(29),
                "not ".repeat(levels - 30),
                "<% endif %>".repeat(29)
            )
        }),
    ];
    for (name, text) in kinds {
        assert_eq!(syntax(&text(32)), Ok(()), "{name}");
        let error = syntax(&text(33)).expect_err(name);
        assert!(error.what.contains("32 deep"), "{name}: {error}");
    }
}

#[test]
fn what_stands_side_by_side_does_not_nest() {
    all_render(&[
        (
            &format!("<%= {}'a' %>", "('b') ~ ".repeat(100)),
            &format!("{}a", "b".repeat(100)),
        ),
        (&"<% if true %>a<% endif %>".repeat(100), &"a".repeat(100)),
        (&format!("<%= 'a'{} %>", "|replace('a', 'a')".repeat(100)), "a"),
        (
            &format!("<% if {}true %>a<% endif %>", "not false and ".repeat(100)),
            "a",
        ),
        (
            &format!("<% if false %>{}a<% endif %>", "<% elif not true %>".repeat(100)),
            "",
        ),
        // `is not` is one operator, brackets are no parentheses.
        (
            &format!("<%= {}v['user']{} %>", "(".repeat(32), ")".repeat(32)),
            "app",
        ),
        (
            &format!("<% if {}v.none is not defined %>a<% endif %>", "not ".repeat(31)),
            "",
        ),
        // Text does not count where it stands.
        (
            &format!(
                "{}<%= 'a' %>{}",
                "<% if true %>".repeat(32),
                "<% endif %>".repeat(32)
            ),
            "a",
        ),
    ]);
}
