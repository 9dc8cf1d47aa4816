//! The limits of rendering. Bytes are counted as docs/format-es1.md#8-rendering specifies, before the work is done.
//! The tests assert counts, never elapsed time.

use super::super::{MAX_HANDLED, MAX_RESULT, MAX_SECRET, RenderErrorKind};
use super::support::{MIB, VALUES, evaluating, measure};

#[test]
fn bytes_are_counted_as_the_format_specifies() {
    let cases: &[(&str, usize)] = &[
        // Each text or value that is written counts.
        ("", 0),
        ("abc", 3),
        ("\u{e9}", 2),
        ("<%= v.user %>", 3),
        ("<%= 'ab' %>", 2),
        ("<%= ((('ab'))) %>", 2),
        ("ab<%= 'c' %>d", 4),
        ("<%= v.empty %>", 0),
        // Comments and removed white space are not written.
        ("<%# abc %>", 0),
        ("a  <%#- abc -%>  b", 2),
        // Filters count operands, arguments and result. In these sums, the output comes last.
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
        // `default` itself counts nothing; its argument counts if it is evaluated.
        ("<%= v.user|default('abcdef') %>", 3),
        ("<%= v.none|default('ab') %>", 2),
        ("<%= v.none|default('ab'|upper) %>", (2 + 2) + 2),
        ("<%= v.user|default('ab'|upper) %>", 3),
        ("<%= v.none|default('ab')|upper %>", (2 + 2) + 2),
        // `~` counts each step, from the left.
        ("<%= 'ab' ~ 'c' %>", (2 + 1 + 3) + 3),
        ("<%= 'abc' ~ 'd' ~ 'e' %>", (3 + 1 + 4) + (4 + 1 + 5) + 5),
        ("<%= 'abc' ~ ('d' ~ 'e') %>", (1 + 1 + 2) + (3 + 2 + 5) + 5),
        // `==` and `!=` count their operands; booleans count nothing.
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
        // An expression that is not evaluated counts nothing.
        (
            "<% if true or v.user == 'a' %><% elif v.user|upper %>abc<% endif %>",
            0,
        ),
        ("<% if false %>abc<% else %>ab<% endif %>", 2),
    ];
    for (text, expected) in cases {
        let (handled, result) = measure(&[text], &VALUES);
        assert!(result.is_ok(), "{text}: {result:?}");
        assert_eq!(handled, *expected, "{text}");
    }
    // The count covers all texts of a document.
    let all: Vec<&str> = cases.iter().map(|(text, _)| *text).collect();
    assert_eq!(
        measure(&all, &VALUES).0,
        cases.iter().map(|(_, bytes)| bytes).sum::<usize>()
    );
}

#[test]
fn result_over_1_mib_is_refused() {
    let a = vec![b'a'; MAX_RESULT];
    let slash = vec![b'/'; MAX_RESULT];
    let bell = vec![7; MAX_RESULT];
    // An expression whose result is exactly at the limit, and one whose result is the smallest above it.
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
        assert_eq!(measure(&[&evaluating(fits)], &values(length)).1, Ok(0), "{name}");
        let refused = measure(&[&evaluating(exceeds)], &values(more)).1;
        assert_eq!(refused, Err(RenderErrorKind::ResultTooLarge), "{name}");
    }
    // Filters that do not lengthen their operand accept a full MiB.
    for filter in [
        "upper",
        "lower",
        "trim",
        "sha256",
        "urlencode",
        "replace('a', 'b')",
    ] {
        assert_eq!(
            measure(&[&evaluating(&format!("v.x|{filter}"))], &[("x", &a)]).1,
            Ok(0),
            "{filter}"
        );
    }
}

#[test]
fn more_than_8_mib_handled_in_total_is_refused() {
    let w = vec![b'w'; MIB - 64]; // leaves room in the Secret for output
    let values: [(&str, &[u8]); 2] = [("w", &w), ("u", b"u")];
    let handling = |rest: usize| {
        let rest = "r".repeat(rest);
        evaluating(&format!(
            "v.w == v.w and v.w == v.w and v.w == v.w and v.w == v.w and '{rest}' == ''"
        ))
    };
    let full = handling(8 * 64);
    assert_eq!(measure(&[&full], &values), (MAX_HANDLED, Ok(0)));
    // At the limit, expressions that handle no bytes still succeed.
    for free in [
        "",
        "<%# x %>",
        "<%= '' %>",
        &evaluating("v.w and v.u is defined"),
        &evaluating("true == true"),
        &evaluating("'' == ''"),
    ] {
        assert_eq!(measure(&[&full, free], &values), (MAX_HANDLED, Ok(0)), "{free}");
    }
    // One more byte of any kind fails, in the same text or in another.
    for more in [
        "x",
        "<%= v.u %>",
        "<%= 'x' %>",
        &evaluating("v.u == ''"),
        &evaluating("'' != 'x'"),
        &evaluating("v.u ~ ''"),
        &evaluating("'' ~ 'x'"),
        &evaluating("'x'|upper"),
        &evaluating("''|replace('x', '')"),
        &evaluating("'    '|b64encode"),
        &evaluating("''|tojson"),
        &evaluating("''|sha256"),
    ] {
        let expected = Err(RenderErrorKind::TooMuchWork);
        assert_eq!(measure(&[&full, more], &values).1, expected, "{more}");
        assert_eq!(
            measure(&[&format!("{full}{more}")], &values).1,
            expected,
            "{more}"
        );
    }
    // One byte below the limit leaves room for one more.
    let less = handling(8 * 64 - 1);
    assert_eq!(
        measure(&[&less, &evaluating("v.u == ''")], &values),
        (MAX_HANDLED, Ok(0))
    );
    let expected = Err(RenderErrorKind::TooMuchWork);
    assert_eq!(measure(&[&less, &evaluating("v.u == 'u'")], &values).1, expected);
}

#[test]
fn secret_over_1_mib_is_refused() {
    let w = vec![b'w'; MAX_SECRET - 10];
    let values: [(&str, &[u8]); 1] = [("w", &w)];
    assert_eq!(measure(&["0123456789"], &values).1, Ok(10));
    assert_eq!(measure(&["01234", "<%= '56' %>789"], &values).1, Ok(10));
    for texts in [
        &["0123456789a"][..],
        &["01234", "<%= '56' %>789a"],
        &["0123456789", "<%= 'a' %>"],
        &["<%= v.w %>"],
    ] {
        assert_eq!(
            measure(texts, &values).1,
            Err(RenderErrorKind::SecretTooLarge),
            "{texts:?}"
        );
    }
}
