//! Section 8 sentence by sentence: tags, text, white space, strings.
//! What it forbids stands in the tables of refusals and failures.

use super::expressions::{all_hold, all_render};
use super::render;

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
