//! The render cases of the vectors as unit tests, which also state the kind of each error. Other tests run the
//! vectors themselves.

use super::super::RenderErrorKind::{self, *};
use super::support::{check_syntax, render, render_over};

/// Entries of the positive case `languages`: name, text, and output over [`super::support::VALUES`].
const RENDERS: &[(&str, &str, &str)] = &[
    ("dotted", "<%= v['tls.crt'] -%>  \n end\n", "PEM\nend\n"),
    ("brackets", "<%= v[\"user\"] %>", "app"),
    ("literal", "<%= \"<%\" %> <%= '%>' %>", "<% %>"),
    ("comment", "a <%#- note -%>\n b", "ab"),
    (
        "auth",
        "<%= (v.user ~ ':' ~ v.password)|b64encode %>",
        "YXBwOnAidwo=",
    ),
    (
        "json",
        "{\"p\": <%= v.password|tojson %>, \"u\": <%= v.u|tojson %>}",
        "{\"p\": \"p\\\"w\\n\", \"u\": \"\u{e9}\\u2028/<>&+~\"}",
    ),
    (
        "hash",
        "<%= v.bin|sha256 %>",
        "ea5dbf9596d187e9500f23e9a680109475341cf4e81f7e043f7d97152c10772f",
    ),
    (
        "url",
        "<%= v.bin|urlencode %>?<%= v.u|urlencode %>",
        "%FF%00?%C3%A9%E2%80%A8%2F%3C%3E%26%2B~",
    ),
    (
        "default",
        "<%= v.none|default('x')|upper %><%= v.user|default(v.none) %>",
        "Xapp",
    ),
    (
        "defined",
        "<% if v.none is not defined and not v.empty %>y<% endif %><% if v.user is defined %>z<% endif %>",
        "yz",
    ),
    (
        "ascii",
        "<%= ('\u{e9}' ~ 'aB')|upper %><%= '\u{c9} Ab'|lower %>",
        "\u{e9}AB\u{c9} ab",
    ),
    (
        "replace",
        "<%= 'aaa'|replace('aa', 'b') %><%= v.user|replace('p', '') %>",
        "baa",
    ),
    (
        "branch",
        "<% if v.user == 'app' or v.none %>1<% elif true %>2<% else %>3<% endif %>\n",
        "1\n",
    ),
    (
        "lazy",
        "<% if false and v.none %>1<% elif v.bin != v.user %>2<% endif %>",
        "2",
    ),
    (
        "nested",
        "<% if v.user %>\n  <%- if v.empty %>a<% else %>b<% endif -%>\n<% endif %>",
        "b",
    ),
    ("trim", "[<%= ' x\\t ' | trim %>]", "[x]"),
    ("decode", "<%= 'YXBw'|b64decode %>", "app"),
    ("escape", "<%= '\\'\\\\\\n' %><%= \"\\\"\" %>", "'\\\n\""),
    ("minus", "a <%=-v.user-%> b", "aappb"),
    (
        "pgpass",
        "h:5432:*:<%= v.user %>:<%= v.password|trim|replace('\\\\', '\\\\\\\\')|replace(':', '\\\\:') %>",
        "h:5432:*:app:p\"w",
    ),
    ("spaces", "<%=\tv . user\n|\nupper%>", "APP"),
    ("bool", "<% if (v.user == 'app') == true %>t<% endif %>", "t"),
    ("not", "<% if not not v.user %>t<% endif %>", "t"),
    (
        "text",
        "no tags: % > < %% {{ v }} ${v}",
        "no tags: % > < %% {{ v }} ${v}",
    ),
    (
        "deep",
        "<%= (((((((((((((((((((((((((((((((('d')))))))))))))))))))))))))))))))) %>",
        "d",
    ),
    (
        "json-edges",
        "<%= '\u{7f}\u{80}\u{9f}\u{2028}\u{2029}\u{feff}\u{a0}/\u{1}\t'|tojson %>",
        "\"\\u007f\\u0080\\u009f\\u2028\\u2029\\ufeff\u{a0}/\\u0001\\t\"",
    ),
    (
        "default-bool",
        "<% if v.none|default(false) %>t<% else %>f<% endif %>",
        "f",
    ),
    ("trim-both", "a  <%#-%>  b", "ab"),
    ("odd-name", "<%= v['a b']|default('none') %>", "none"),
];

#[test]
fn positive_cases_render() {
    for (entry, text, expected) in RENDERS {
        assert_eq!(render(text).as_deref(), Ok(*expected), "{entry}");
    }
    let values: [(&str, &[u8]); 3] = [("user", b"app"), ("password", b"p w"), ("host", b"db:5432")];
    let dsn = "postgres://<%= v.user %>:<%= v.password|urlencode %>@<%= v.host %>/\n";
    assert_eq!(
        render_over(dsn, &values).as_deref(),
        Ok(&b"postgres://app:p%20w@db:5432/\n"[..])
    );
}

/// The texts of the negative cases `render-syntax-*`.
const SYNTAX_ERRORS: &[&str] = &[
    "<%",
    "<%= %>",
    "<%= v.and %>",
    "<% for x in v %><% endfor %>",
    "<% set x = 'a' %>",
    "<%= v.user|nope %>",
    "<%= v.user|upper() %>",
    "<%= v.user|length %>",
    "<% endif %>",
    "<% if v.user %>",
    "<%= ('a')|default('b') %>",
    "<%= v.user|upper|default('b') %>",
    "<%= (v.user) is defined %>",
    "<%= v.user password %>",
    "<%= v['user %>",
    "<%= 'a\nb' %>",
    "<%= '\\x41' %>",
    "<%# x",
    "<%= v.user == 'a' == 'b' %>",
    "<%= v.user + 'a' %>",
    "<%= 'a' in v.user %>",
    "<%= v.user.x %>",
    "<%= ((((((((((((((((((((((((((((((((('a'))))))))))))))))))))))))))))))))) %>",
    "<% if ((((((((((((((((((((((((((((((((v.user)))))))))))))))))))))))))))))))) %><% endif %>",
    "<%= v.user|default('a')|default('b') %>",
    "<%=v.user% >",
];

#[test]
fn negative_syntax_cases_are_refused() {
    for text in SYNTAX_ERRORS {
        assert!(check_syntax(text).is_err(), "{text:?}");
    }
}

/// The texts of the negative cases `render-fails-*`.
const RENDER_ERRORS: &[(&str, RenderErrorKind)] = &[
    ("<%= v.none %>", MissingName),
    ("<%= v.bin|upper %>", NotUtf8),
    ("<%= true %>", NotValue),
    ("<%= v.user|b64decode %>.", NotBase64),
    ("<%= 'YQ'|b64decode %>", NotBase64),
    ("<%= 'YQ==\\n'|b64decode %>", NotBase64),
    ("<%= v.user == true %>", MixedComparison),
    ("<%= 'a'|replace('', 'b') %>", EmptySearch),
    ("<%= true ~ 'a' %>", NotValue),
    ("<%= v.bin|tojson %>", NotUtf8),
    ("<%= v.bin|trim %>", NotUtf8),
    ("<%= v.none|b64encode %>", MissingName),
    ("<%= v.none == 'a' %>", MissingName),
    ("<%= '/w=='|b64decode %>", NotUtf8),
    ("<%= v.r1 %>", MissingName),
    ("<%= v.user|replace('a', v.bin) %>", NotUtf8),
];

#[test]
fn negative_render_cases_fail() {
    for (text, kind) in RENDER_ERRORS {
        assert_eq!(render(text).map_err(|error| error.kind), Err(*kind), "{text:?}");
    }
}
