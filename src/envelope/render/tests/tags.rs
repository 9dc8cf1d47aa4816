//! docs/format-es1.md#8-rendering, sentence by sentence: tags, literal text, white space and strings. `syntax_errors`
//! and `render_errors` cover what the section forbids.

use super::support::{assert_conditions, assert_renders, render};

#[test]
fn tag_ends_at_the_first_end_outside_a_string() {
    assert_renders(&[
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
fn comment_ends_at_the_first_end_even_inside_quotes() {
    assert_renders(&[
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
fn tags_are_allowed_anywhere() {
    assert_renders(&[
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
fn longest_token_wins() {
    assert_renders(&[
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
fn tag_opening_is_written_with_a_string() {
    assert_renders(&[
        ("<%= \"<%\" %>", "<%"),
        ("<%= '<%' ~ '= v.user %>' %>", "<%= v.user %>"),
    ]);
}

#[test]
fn minus_removes_white_space_up_to_the_neighboring_tag() {
    assert_renders(&[
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
        // The single `-` of `<%#-%>` trims on both sides.
        ("a <%#-%> b", "ab"),
        ("a <%#--%> b", "ab"),
        // The whole run of white space, but nothing beyond other text and no other kinds of white space.
        ("a  b  <%=- v.user -%>  b  a", "a  bappb  a"),
        ("a\u{c}<%=- v.user -%>\u{a0}b", "a\u{c}app\u{a0}b"),
        ("a \u{b} <%=- v.user %>", "a \u{b}app"),
        // Only literal text next to the tag: the output of other tags stays.
        ("<%= ' ' %><%=- v.user -%><%= ' ' %>", " app "),
        (" <%# %> <%=- v.user -%> <%# %> ", " app "),
        ("a <%= v.user -%> <%=- v.user %> b", "a appapp b"),
        ("<%= v.user -%> ", "app"),
        (" <%=- v.user %>", "app"),
        // A minus that is not at the edge of a tag is text.
        ("- <%= v.user %> -", "- app -"),
    ]);
}

#[test]
fn text_outside_tags_is_copied() {
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
    assert_renders(&[("<%= v.user %>\n", "app\n"), ("<%= v.user %>\n\n", "app\n\n")]);
}

#[test]
fn if_nests_freely() {
    assert_renders(&[
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
fn white_space_is_allowed_between_tokens() {
    assert_renders(&[
        ("<%=\r\n\tv \t.\r user\n|\nreplace\n(\n'p'\n,\n''\n)\n%>", "a"),
        ("<% \n if \t v [ 'user' ] \r == 'app' \n %>y<%\nendif\n%>", "y"),
        ("<% if v.none is\nnot\tdefined %>y<% endif %>", "y"),
        ("<%= ( ( 'a' ) ) ~ \n 'b' %>", "ab"),
    ]);
}

#[test]
fn strings_have_six_escapes_and_both_quotes() {
    assert_renders(&[
        (r#"<%= '\\\"\'\n\r\t' %>"#, "\\\"'\n\r\t"),
        (r#"<%= "\\\"\'\n\r\t" %>"#, "\\\"'\n\r\t"),
        (r#"<%= '"' ~ "'" %>"#, "\"'"),
        (r"<%= '\\n' %>", "\\n"),
        ("<%= '' %>.", "."),
        // Except for line feed and carriage return, every character is allowed unescaped.
        (
            "<%= '\t\u{b}\0\u{85}\u{2028}\u{e9}\u{1f511}' %>",
            "\t\u{b}\0\u{85}\u{2028}\u{e9}\u{1f511}",
        ),
        ("<%= '<%= v.user' %>", "<%= v.user"),
    ]);
}

#[test]
fn brackets_accept_any_string() {
    assert_renders(&[
        ("<%= v['tls.crt'] %>", "PEM\n"),
        ("<%= v[\"u\\\"u\"]|default('x') %>", "x"),
        ("<%= v['']|default('x') %>", "x"),
        ("<%= v['%> \\' \\n']|default('x') %>", "x"),
        ("<%= v['us\\\\er']|default('x') %>", "x"),
        ("<%= v['if']|default('x') %>", "x"),
    ]);
}

#[test]
fn string_literals_are_values() {
    assert_conditions(true, &["'a'", "'false'", "' '", "'0'"]);
    assert_conditions(false, &["''", "\"\""]);
    assert_renders(&[("<%= 'a'|upper %>", "A"), ("<%= 'true' %>", "true")]);
}
