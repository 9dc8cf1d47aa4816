//! Texts that are not of the language: each is refused when it is parsed, at STRUCTURE.

use super::super::{MAX_TEXT, Text};
use super::syntax;

/// Name, text, where the refusal stands (line, column), and words of it.
#[rustfmt::skip] // one case a line
const REFUSED: &[(&str, &str, (usize, usize), &str)] = &[
    // Tags
    ("a tag that only begins", "<%", (1, 3), "not closed"),
    ("a write that only begins", "a\nb <%=", (2, 6), "not closed"),
    ("a tag without an end", "<%= v.a", (1, 8), "not closed"),
    ("a statement without an end", "<% if v.a", (1, 10), "not closed"),
    ("a comment without an end", "a <%# x", (1, 3), "comment is not closed"),
    ("a comment whose end is its beginning", "<%#>", (1, 1), "comment is not closed"),
    ("an end with a space in it", "<%=v.user% >", (1, 10), "no meaning"),
    ("an end whose percent sign is the beginning's", "<%>", (1, 3), "no meaning"),
    ("a trimming end with a space in it", "<%= v.a - %>", (1, 9), "no meaning"),
    ("two minus signs at the end", "<%= v.a --%>", (1, 9), "no meaning"),
    ("two minus signs at the beginning", "<%=--v.a %>", (1, 5), "no meaning"),
    ("a minus sign after a space", "<%= - v.a %>", (1, 5), "no meaning"),
    ("a minus sign before the equals sign", "<%-= v.a %>", (1, 4), "no meaning"),
    ("a minus sign before a comment's sign", "<%-# x %>", (1, 4), "no meaning"),
    ("a plus sign as whitespace control", "<%+ if v.a %><% endif %>", (1, 3), "no meaning"),
    ("a tag in a tag", "<%= <%= v.a %> %>", (1, 5), "no meaning"),
    ("nothing to write", "<%= %>", (1, 5), "here should be"),
    ("nothing to write, trimmed", "<%=-%>", (1, 5), "here should be"),
    ("no statement", "<% %>", (1, 4), "a statement is"),
    ("no statement, trimmed", "<%--%>", (1, 4), "a statement is"),
    ("an empty tag", "<%%>", (1, 3), "a statement is"),
    ("the braces of another language do not end it", "<%= v.a }}", (1, 9), "no meaning"),
    // Statements
    ("a statement that writes", "<% v.a %>", (1, 4), "a statement is"),
    ("a statement written out", "<%= if v.a %>", (1, 5), "here should be"),
    ("a loop", "<% for x in v %><% endfor %>", (1, 4), "a statement is"),
    ("an assignment", "<% set x = 'a' %>", (1, 4), "a statement is"),
    ("an inclusion", "<% include 'a' %>", (1, 4), "a statement is"),
    ("a raw block", "<% raw %><% endraw %>", (1, 4), "a statement is"),
    ("a word that only begins with if", "<% ifv.a %>", (1, 4), "a statement is"),
    ("if in capitals", "<% IF v.a %><% ENDIF %>", (1, 4), "a statement is"),
    ("if without a condition", "<% if %><% endif %>", (1, 7), "here should be"),
    ("elif without a condition", "<% if v.a %><% elif %><% endif %>", (1, 21), "here should be"),
    ("if without endif", "x\n<% if v.user %>\n", (2, 1), "no `endif`"),
    ("the inner if without endif", "<% if v.a %><% if v.b %><% endif %>", (1, 1), "no `endif`"),
    ("if and else without endif", "<% if v.a %><% else %>", (1, 1), "no `endif`"),
    ("endif without if", "<% endif %>", (1, 1), "no `if`"),
    ("else without if", "a<% else %>", (1, 2), "no `if`"),
    ("elif without if", "<% elif v.a %>", (1, 1), "no `if`"),
    ("endif twice", "<% if v.a %><% endif %><% endif %>", (1, 24), "no `if`"),
    ("else twice", "<% if v.a %><% else %><% else %><% endif %>", (1, 23), "only `endif`"),
    ("elif after else", "<% if v.a %><% else %><% elif v.b %><% endif %>", (1, 23), "only `endif`"),
    ("else with a condition", "<% if v.a %><% else v.b %><% endif %>", (1, 21), "stands alone"),
    ("else if in two words", "<% if v.a %><% else if v.b %><% endif %>", (1, 21), "stands alone"),
    ("endif with a condition", "<% if v.a %><% endif v.a %>", (1, 22), "stands alone"),
    ("two conditions", "<% if v.a v.b %><% endif %>", (1, 11), "should end here"),
    ("a colon", "<% if v.a: %><% endif %>", (1, 10), "no meaning"),
    ("end for endif", "<% if v.a %><% end %>", (1, 16), "a statement is"),
    // Expressions
    ("two values side by side", "<%= v.user password %>", (1, 12), "should end here"),
    ("two strings side by side", "<%= 'a' 'b' %>", (1, 9), "should end here"),
    ("a sum", "<%= v.user + 'a' %>", (1, 12), "no meaning"),
    ("membership", "<%= 'a' in v.user %>", (1, 9), "should end here"),
    ("less than", "<% if v.a < v.b %><% endif %>", (1, 11), "no meaning"),
    ("a number", "<%= 1 %>", (1, 5), "no meaning"),
    ("a choice in an expression", "<%= 'a' if v.a else 'b' %>", (1, 9), "should end here"),
    ("a list", "<%= ['a'] %>", (1, 5), "here should be"),
    ("true in capitals", "<% if True %><% endif %>", (1, 7), "here should be"),
    ("none", "<% if none %><% endif %>", (1, 7), "here should be"),
    ("or without a left side", "<% if or v.a %><% endif %>", (1, 7), "here should be"),
    ("or without a right side", "<% if v.a or %><% endif %>", (1, 14), "here should be"),
    ("and without a right side", "<% if v.a and %><% endif %>", (1, 15), "here should be"),
    ("and twice", "<% if v.a and and v.b %><% endif %>", (1, 15), "here should be"),
    ("signs for and", "<% if v.a && v.b %><% endif %>", (1, 11), "no meaning"),
    ("not without anything", "<% if not %><% endif %>", (1, 11), "here should be"),
    ("an exclamation mark for not", "<% if !v.a %><% endif %>", (1, 7), "no meaning"),
    ("not behind a comparison", "<% if v.a == not v.b %><% endif %>", (1, 14), "here should be"),
    ("not behind a tilde", "<%= v.a ~ not v.b %>", (1, 11), "here should be"),
    ("a tilde without a left side", "<%= ~ v.a %>", (1, 5), "here should be"),
    ("a tilde without a right side", "<%= v.a ~ %>", (1, 11), "here should be"),
    ("one equals sign", "<% if v.a = v.b %><% endif %>", (1, 11), "no meaning"),
    ("three equals signs", "<% if v.a === v.b %><% endif %>", (1, 13), "no meaning"),
    ("equals signs with a space", "<% if v.a = = v.b %><% endif %>", (1, 11), "no meaning"),
    ("a comparison without a right side", "<% if v.a == %><% endif %>", (1, 14), "here should be"),
    ("equal twice", "<%= v.user == 'a' == 'b' %>", (1, 19), "do not chain"),
    ("equal and unequal", "<% if v.a == 'a' != 'b' %><% endif %>", (1, 18), "do not chain"),
    ("equal and defined", "<% if v.a == v.b is defined %><% endif %>", (1, 18), "do not chain"),
    ("defined and equal", "<% if v.a is defined == true %><% endif %>", (1, 22), "should end here"),
    ("defined twice", "<% if v.a is defined is defined %><% endif %>", (1, 22), "should end here"),
    ("is without defined", "<% if v.a is %><% endif %>", (1, 14), "`is` is followed by"),
    ("is something else", "<% if v.a is none %><% endif %>", (1, 14), "`is` is followed by"),
    ("is not not defined", "<% if v.a is not not defined %><% endif %>", (1, 18), "`is` is followed by"),
    ("defined without is", "<% if v.a defined %><% endif %>", (1, 11), "should end here"),
    ("defined on parentheses", "<% if (v.user) is defined %><% endif %>", (1, 16), "directly behind a look-up"),
    ("defined on a string", "<% if 'a' is defined %><% endif %>", (1, 11), "directly behind a look-up"),
    ("defined on true", "<% if true is defined %><% endif %>", (1, 12), "directly behind a look-up"),
    ("defined on a filter", "<% if v.a|upper is defined %><% endif %>", (1, 17), "directly behind a look-up"),
    ("defined on default", "<% if v.a|default('b') is defined %><% endif %>", (1, 24), "directly behind a look-up"),
    ("defined on a join", "<% if v.a ~ v.b is defined %><% endif %>", (1, 17), "directly behind a look-up"),
    ("an open parenthesis", "<%= ('a' %>", (1, 10), "`)` is missing"),
    ("a closing parenthesis", "<%= 'a') %>", (1, 8), "should end here"),
    ("empty parentheses", "<%= () %>", (1, 6), "here should be"),
    ("a pair", "<%= ('a', 'b') %>", (1, 9), "`)` is missing"),
    // Look-ups
    ("a name without v", "<%= user %>", (1, 5), "here should be"),
    ("v alone", "<%= v %>", (1, 7), "`v` is followed by"),
    ("v in capitals", "<%= V.a %>", (1, 5), "here should be"),
    ("a dot without a name", "<%= v. %>", (1, 8), "followed by a name"),
    ("two dots", "<%= v..a %>", (1, 7), "followed by a name"),
    ("a string behind the dot", "<%= v.'a' %>", (1, 7), "followed by a name"),
    ("a look-up in a look-up", "<%= v.user.x %>", (1, 11), "should end here"),
    ("brackets behind a look-up", "<%= v['a']['b'] %>", (1, 11), "should end here"),
    ("a name that begins with a digit", "<%= v.1a %>", (1, 7), "no meaning"),
    ("a name with a minus sign", "<%= v.a-b %>", (1, 8), "no meaning"),
    ("a name that is not ASCII", "<%= v.\u{e9} %>", (1, 7), "no meaning"),
    ("the column counts characters", "\u{e9}\u{e9}<%= v.1 %>", (1, 9), "no meaning"),
    ("empty brackets", "<%= v[] %>", (1, 7), "followed by a string"),
    ("a name in brackets", "<%= v[user] %>", (1, 7), "followed by a string"),
    ("an expression in brackets", "<%= v['a' ~ 'b'] %>", (1, 11), "`]` is missing"),
    ("parentheses in brackets", "<%= v[('a')] %>", (1, 7), "followed by a string"),
    ("brackets that do not close", "<%= v['user' %>", (1, 14), "`]` is missing"),
    ("a string in brackets that does not close", "<%= v['user %>", (1, 7), "not closed on its line"),
    // Strings
    ("a string that does not close", "<%= 'a %>", (1, 5), "not closed on its line"),
    ("a string that ends with the other quote", "<%= 'a\" %>", (1, 5), "not closed on its line"),
    ("a line feed in a string", "<%= 'a\nb' %>", (1, 5), "not closed on its line"),
    ("a carriage return in a string", "<%= 'a\rb' %>", (1, 5), "not closed on its line"),
    ("a string over two lines by a backslash", "<%= 'a\\\nb' %>", (1, 7), "unknown escape"),
    ("a hex escape", "<%= '\\x41' %>", (1, 6), "unknown escape"),
    ("a Unicode escape", "<%= '\\u0041' %>", (1, 6), "unknown escape"),
    ("an escaped slash", "<%= '\\/' %>", (1, 6), "unknown escape"),
    ("an escaped zero", "<%= '\\0' %>", (1, 6), "unknown escape"),
    ("an escape of a letter of two bytes", "<%= '\\\u{e9}' %>", (1, 6), "unknown escape"),
    ("a backslash at the end of the text", "<%= '\\", (1, 6), "unknown escape"),
    ("backticks", "<%= `a` %>", (1, 5), "no meaning"),
    // Filters
    ("an unknown filter", "<%= v.user|nope %>", (1, 12), "unknown filter"),
    ("a filter of another language", "<%= v.user|length %>", (1, 12), "unknown filter"),
    ("a short name of another language", "<%= v.user|d('x') %>", (1, 12), "unknown filter"),
    ("a filter in capitals", "<%= v.user|UPPER %>", (1, 12), "unknown filter"),
    ("a filter whose name goes on", "<%= v.user|upper_ %>", (1, 12), "unknown filter"),
    ("no filter", "<%= v.user| %>", (1, 13), "unknown filter"),
    ("two pipes", "<%= v.user||upper %>", (1, 12), "unknown filter"),
    ("a pipe without a value", "<%= |upper %>", (1, 5), "here should be"),
    ("a string for a filter", "<%= v.user|'upper' %>", (1, 12), "unknown filter"),
    ("a look-up for a filter", "<%= v.user|v.upper %>", (1, 12), "unknown filter"),
    ("a filter as a function", "<%= upper(v.user) %>", (1, 5), "here should be"),
    ("an empty list of arguments", "<%= v.user|upper() %>", (1, 17), "takes no arguments"),
    ("an argument too many", "<%= v.user|sha256('a') %>", (1, 18), "takes no arguments"),
    ("replace without arguments", "<%= v.user|replace %>", (1, 20), "takes two arguments"),
    ("replace with an empty list", "<%= v.user|replace() %>", (1, 20), "here should be"),
    ("replace with one argument", "<%= v.user|replace('a') %>", (1, 19), "takes two arguments"),
    ("replace with three arguments", "<%= v.user|replace('a', 'b', 'c') %>", (1, 28), "takes two arguments"),
    ("a comma too many", "<%= v.user|replace('a', 'b',) %>", (1, 28), "takes two arguments"),
    ("a comma too few", "<%= v.user|replace('a' 'b') %>", (1, 24), "`)` is missing"),
    ("an argument with a name", "<%= v.user|replace(from='a', to='b') %>", (1, 20), "here should be"),
    ("arguments that do not close", "<%= v.user|replace('a', 'b' %>", (1, 29), "`)` is missing"),
    ("default without an argument", "<%= v.user|default %>", (1, 20), "takes one argument"),
    ("default with an empty list", "<%= v.user|default() %>", (1, 20), "here should be"),
    ("default with two arguments", "<%= v.user|default('a', true) %>", (1, 23), "takes one argument"),
    ("default on a string", "<%= 'a'|default('b') %>", (1, 9), "directly behind a look-up"),
    ("default on parentheses", "<%= (v.user)|default('b') %>", (1, 14), "directly behind a look-up"),
    ("default on a string in parentheses", "<%= ('a')|default('b') %>", (1, 11), "directly behind a look-up"),
    ("default on true", "<% if true|default('b') %><% endif %>", (1, 12), "directly behind a look-up"),
    ("default behind a filter", "<%= v.user|upper|default('b') %>", (1, 18), "directly behind a look-up"),
    ("default twice", "<%= v.user|default('a')|default('b') %>", (1, 25), "directly behind a look-up"),
    // White space
    ("a form feed", "<%= v.user\u{c}%>", (1, 11), "no meaning"),
    ("a no-break space", "<%=\u{a0}v.user %>", (1, 4), "no meaning"),
    ("a zero byte", "<%= v.user \0%>", (1, 12), "no meaning"),
    ("a line number far down", "\n\n\r\n<%=\n\nv.user nope %>", (6, 8), "should end here"),
];

#[test]
fn each_is_refused_where_it_is_wrong() {
    for (name, text, at, what) in REFUSED {
        let error = syntax(text).expect_err(name);
        assert_eq!((error.line, error.column), *at, "{name}: {error}");
        assert!(error.what.contains(what), "{name}: {error}");
    }
}

#[test]
fn no_refusal_repeats_the_text() {
    for (name, text, ..) in REFUSED {
        let marked = text.replace("user", "canary").replace("nope", "canary");
        let message = syntax(&marked).expect_err(name).to_string();
        assert!(!message.contains("canary"), "{name}: {message}");
    }
}

#[test]
fn every_reserved_word_is_no_name() {
    let reserved = [
        "and", "or", "not", "is", "defined", "if", "elif", "else", "endif", "true", "false", "v",
    ];
    for word in reserved {
        let error = syntax(&format!("<%= v.{word} %>")).expect_err(word);
        assert!(error.what.contains("followed by a name"), "{word}: {error}");
        // As a string it is a name like any other.
        assert_eq!(
            syntax(&format!("<%= v['{word}']|default('x') %>")),
            Ok(()),
            "{word}"
        );
    }
}

#[test]
fn a_text_of_65_536_bytes_is_the_longest() {
    assert!(Text::parse(&"x".repeat(MAX_TEXT)).is_ok());
    let error = syntax(&"x".repeat(MAX_TEXT + 1)).expect_err("too long");
    assert!(error.what.contains("65,536"), "{error}");
    // Bytes, not characters.
    assert!(syntax(&"\u{e9}".repeat(MAX_TEXT / 2 + 1)).is_err());
}
