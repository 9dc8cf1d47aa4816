//! docs/format-es1.md#8-rendering, sentence by sentence: how deeply a text may nest.

use super::support::{assert_renders, check_syntax};

/// Each kind of nesting alone and mixed: 32 levels are allowed, 33 are not.
#[test]
fn more_than_32_nesting_levels_are_refused() {
    let wrapped = |open: &str, inner: &str, close: &str, levels: usize| {
        format!("{}{inner}{}", open.repeat(levels), close.repeat(levels))
    };
    let write = |expr: String| format!("<%= {expr} %>");
    let condition = |expr: String| format!("<% if {expr} %>a<% endif %>");
    // Each function returns a text with the given number of levels.
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
            condition(wrapped("(", "'a'", ")", levels - 1))
        }),
        ("not in a condition", &|levels| {
            condition(wrapped("not ", "'a'", "", levels - 1))
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
        assert_eq!(check_syntax(&text(32)), Ok(()), "{name}");
        let error = check_syntax(&text(33)).expect_err(name);
        assert!(error.what.contains("32 deep"), "{name}: {error}");
    }
}

#[test]
fn siblings_do_not_nest() {
    assert_renders(&[
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
        // `is not` is one operator, and brackets are not parentheses.
        (
            &format!("<%= {}v['user']{} %>", "(".repeat(32), ")".repeat(32)),
            "app",
        ),
        (
            &format!("<% if {}v.none is not defined %>a<% endif %>", "not ".repeat(31)),
            "",
        ),
        // A tag inside the 32nd level adds no level.
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
