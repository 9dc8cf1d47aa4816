//! Section 8 sentence by sentence: what each allows. What it forbids stands in the tables of refusals and failures.

use std::collections::BTreeMap;

use super::super::{RenderErrorKind, Text, render_all};
use super::{VALUES, render, syntax};

/// Each text renders to what stands beside it.
fn all_render(cases: &[(&str, &str)]) {
    for (text, expected) in cases {
        assert_eq!(render(text).as_deref(), Ok(*expected), "{text:?}");
    }
}

/// Each text, as a condition, holds or not.
fn all_hold(wanted: bool, conditions: &[&str]) {
    for condition in conditions {
        let text = format!("<% if {condition} %>yes<% else %>no<% endif %>");
        let expected = if wanted { "yes" } else { "no" };
        assert_eq!(render(&text).as_deref(), Ok(expected), "{condition}");
    }
}

#[test]
fn a_tag_ends_at_the_first_end_outside_a_string() {
    all_render(&[
        ("<%= '%>' %>", "%>"),
        ("<%= \"-%>\" -%> .", "-%>."),
        ("<%= 'a\\'%>' %>", "a'%>"),
        ("<%= 'a\"%>' ~ \"'%>\" %>", "a\"%>'%>"),
        ("<%= v['%>']|default('none') %>", "none"),
        ("<% if '%>' %>a<% endif %>", "a"),
        ("<%= v.user %> %>", "app %>"),
        ("<%= v.user %>%>", "app%>"),
    ]);
}

#[test]
fn a_comment_knows_no_strings() {
    all_render(&[
        ("a<%# '%>' %>b", "a' %>b"),
        ("a<%# \" %>b", "ab"),
        ("a<%#%>b", "ab"),
        ("a<%#>%>b", "ab"),
        ("a<%#%%>b", "ab"),
        ("a<%# <% if x <%= %>b", "ab"),
        ("a<%#\n\n%>b", "ab"),
        ("<%# it's %><%= 'b' %>", "b"),
    ]);
}

#[test]
fn a_tag_may_stand_anywhere() {
    all_render(&[
        ("<<%= v.user %>>", "<app>"),
        ("%<%= v.user %>", "%app"),
        ("\"<%= v.user %>\"", "\"app\""),
        ("{{<%= v.user %>}}", "{{app}}"),
        ("<%= v.user %><%= v.user %>", "appapp"),
        ("\u{e9}<%= v.user %>\u{e9}", "\u{e9}app\u{e9}"),
        ("<<%# %>%", "<%"),
    ]);
}

#[test]
fn the_longest_token_is_taken() {
    all_render(&[
        ("<%=v.user~v.user%>", "appapp"),
        ("<%=v.notv|default('x')%>", "x"),
        (
            "<%=v.ifx|default('x')~v._|default('y')~v.a1|default('z')%>",
            "xyz",
        ),
        ("<%if'a'%>b<%endif%>", "b"),
        ("<%if'a'==\"a\"and'b'!='c'%>b<%else%>c<%endif%>", "b"),
        ("<%=v['user']|upper%>", "APP"),
        ("<%='a'-%> b", "ab"),
    ]);
}

#[test]
fn the_beginning_of_a_tag_is_written_by_a_string() {
    all_render(&[
        ("<%= \"<%\" %>", "<%"),
        ("<%= '<%' ~ '= v.user %>' %>", "<%= v.user %>"),
    ]);
}

#[test]
fn a_minus_removes_the_white_space_up_to_the_neighbouring_tag() {
    all_render(&[
        (" \t\r\n<%=-v.user-%> \t\r\n", "app"),
        ("a \n <%=- v.user %> b", "aapp b"),
        ("a <%= v.user -%> \n b", "a appb"),
        ("a <%- if true %> b <%- endif %> c", "a b c"),
        ("a <% if true -%> b <% endif -%> c", "a b c"),
        ("a <%- if false %>b<%- else -%> c <%- endif -%> d", "acd"),
        ("a <%# x -%> b", "a b"),
        ("a <%#- x %> b", "a b"),
        ("a <%#- x -%> b", "ab"),
        ("a <%# - x - %> b", "a  b"),
        // The one `-` of `<%#-%>` does both.
        ("a <%#-%> b", "ab"),
        ("a <%#--%> b", "ab"),
        // The whole run, other text between, no other white space.
        ("a  b  <%=- v.user -%>  b  a", "a  bappb  a"),
        ("a\u{c}<%=- v.user -%>\u{a0}b", "a\u{c}app\u{a0}b"),
        ("a \u{b} <%=- v.user %>", "a \u{b}app"),
        // Only the text beside the tag: what other tags write stays.
        ("<%= ' ' %><%=- v.user -%><%= ' ' %>", " app "),
        (" <%# %> <%=- v.user -%> <%# %> ", " app "),
        ("a <%= v.user -%> <%=- v.user %> b", "a appapp b"),
        ("<%= v.user -%> ", "app"),
        (" <%=- v.user %>", "app"),
        // A minus that is not at a tag's edge is text.
        ("- <%= v.user %> -", "- app -"),
    ]);
}

#[test]
fn everything_else_is_copied() {
    for text in [
        "",
        "\n",
        "a\n",
        "a\r\n\r\n",
        "% > < %% {{ v }} {% if %} {# #} ${v} $(v) \\n \\",
        "%>",
        "-%>",
        "< %= v.user %>",
        "<\u{200b}%",
        "\0\u{1}\u{feff}",
    ] {
        assert_eq!(render(text).as_deref(), Ok(text), "{text:?}");
    }
    all_render(&[("<%= v.user %>\n", "app\n"), ("<%= v.user %>\n\n", "app\n\n")]);
}

#[test]
fn if_nests_freely() {
    all_render(&[
        ("<% if true %><% endif %>", ""),
        ("<% if false %>a<% endif %>b", "b"),
        (
            "<% if false %>a<% elif false %>b<% elif true %>c<% elif true %>d<% else %>e<% endif %>",
            "c",
        ),
        ("<% if false %>a<% elif false %>b<% else %>e<% endif %>", "e"),
        ("<% if false %>a<% else %><% endif %>", ""),
        (
            "<% if true %>1<% if false %>2<% else %>3<% if true %>4<% endif %><% endif %>5<% else %>6<% endif %>7",
            "13457",
        ),
        (
            "<% if false %><% if true %>a<% endif %><% else %><% if true %>b<% endif %><% endif %>",
            "b",
        ),
        (
            "<% if v.user == 'app' %>\n  <%= v.user %>\n<% endif %>\n",
            "\n  app\n\n",
        ),
    ]);
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
fn white_space_may_stand_between_tokens() {
    all_render(&[
        ("<%=\r\n\tv \t.\r user\n|\nreplace\n(\n'p'\n,\n''\n)\n%>", "a"),
        ("<% \n if \t v [ 'user' ] \r == 'app' \n %>y<%\nendif\n%>", "y"),
        ("<% if v.none is\nnot\tdefined %>y<% endif %>", "y"),
        ("<%= ( ( 'a' ) ) ~ \n 'b' %>", "ab"),
    ]);
}

#[test]
fn strings_have_six_escapes_and_both_quotes() {
    all_render(&[
        (r#"<%= '\\\"\'\n\r\t' %>"#, "\\\"'\n\r\t"),
        (r#"<%= "\\\"\'\n\r\t" %>"#, "\\\"'\n\r\t"),
        (r#"<%= '"' ~ "'" %>"#, "\"'"),
        (r"<%= '\\n' %>", "\\n"),
        ("<%= '' %>.", "."),
        // No line feed and no carriage return: everything else stands for itself.
        (
            "<%= '\t\u{b}\0\u{85}\u{2028}\u{e9}\u{1f511}' %>",
            "\t\u{b}\0\u{85}\u{2028}\u{e9}\u{1f511}",
        ),
        ("<%= '<%= v.user' %>", "<%= v.user"),
    ]);
}

#[test]
fn any_string_may_stand_in_brackets() {
    all_render(&[
        ("<%= v['tls.crt'] %>", "PEM\n"),
        ("<%= v[\"u\\\"u\"]|default('x') %>", "x"),
        ("<%= v['']|default('x') %>", "x"),
        ("<%= v['%> \\' \\n']|default('x') %>", "x"),
        ("<%= v['us\\\\er']|default('x') %>", "x"),
        ("<%= v['if']|default('x') %>", "x"),
    ]);
}

#[test]
fn string_literals_give_values() {
    all_hold(true, &["'a'", "'false'", "' '", "'0'"]);
    all_hold(false, &["''", "\"\""]);
    all_render(&[("<%= 'a'|upper %>", "A"), ("<%= 'true' %>", "true")]);
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
