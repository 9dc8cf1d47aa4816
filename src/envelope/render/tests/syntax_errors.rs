//! Texts that do not match the grammar: parsing refuses each of them (STRUCTURE).

use super::super::{MAX_TEXT, Text};
use super::support::check_syntax;

/// Name, text, position of the error (line, column), and a part of its message.
#[rustfmt::skip] // one case per line
const REFUSED: &[(&str, &str, (usize, usize), &str)] = &[
    // Tags
    ("only the opening of a tag", "<%", (1, 3), "not closed"),
    ("only the opening of a write", "a\nb <%=", (2, 6), "not closed"),
    ("a tag without an end", "<%= v.a", (1, 8), "not closed"),
    ("a statement without an end", "<% if v.a", (1, 10), "not closed"),
    ("a comment without an end", "a <%# x", (1, 3), "comment is not closed"),
    ("a comment whose opening doubles as its end", "<%#>", (1, 1), "comment is not closed"),
    ("an end with a space in it", "<%=v.user% >", (1, 10), "no meaning"),
    ("an end that shares the percent sign of the opening", "<%>", (1, 3), "no meaning"),
    ("a trimming end with a space in it", "<%= v.a - %>", (1, 9), "no meaning"),
    ("two minus signs at the end", "<%= v.a --%>", (1, 9), "no meaning"),
    ("two minus signs at the beginning", "<%=--v.a %>", (1, 5), "no meaning"),
    ("a minus sign after a space", "<%= - v.a %>", (1, 5), "no meaning"),
    ("a minus sign before the equals sign", "<%-= v.a %>", (1, 4), "no meaning"),
    ("a minus sign before the comment sign", "<%-# x %>", (1, 4), "no meaning"),
    ("a plus sign as whitespace control", "<%+ if v.a %><% endif %>", (1, 3), "no meaning"),
    ("a tag in a tag", "<%= <%= v.a %> %>", (1, 5), "no meaning"),
    ("nothing to write", "<%= %>", (1, 5), "expected a"),
    ("nothing to write, trimmed", "<%=-%>", (1, 5), "expected a"),
    ("no statement", "<% %>", (1, 4), "expected `if`"),
    ("no statement, trimmed", "<%--%>", (1, 4), "expected `if`"),
    ("an empty tag", "<%%>", (1, 3), "expected `if`"),
    ("the braces of another language do not end it", "<%= v.a }}", (1, 9), "no meaning"),
    // Statements
    ("a statement that writes", "<% v.a %>", (1, 4), "expected `if`"),
    ("a statement written out", "<%= if v.a %>", (1, 5), "expected a"),
    ("a loop", "<% for x in v %><% endfor %>", (1, 4), "expected `if`"),
    ("an assignment", "<% set x = 'a' %>", (1, 4), "expected `if`"),
    ("an inclusion", "<% include 'a' %>", (1, 4), "expected `if`"),
    ("a raw block", "<% raw %><% endraw %>", (1, 4), "expected `if`"),
    ("a word that starts with if", "<% ifv.a %>", (1, 4), "expected `if`"),
    ("if in capitals", "<% IF v.a %><% ENDIF %>", (1, 4), "expected `if`"),
    ("if without a condition", "<% if %><% endif %>", (1, 7), "expected a"),
    ("elif without a condition", "<% if v.a %><% elif %><% endif %>", (1, 21), "expected a"),
    ("if without endif", "x\n<% if v.user %>\n", (2, 1), "no `endif`"),
    ("the inner if without endif", "<% if v.a %><% if v.b %><% endif %>", (1, 1), "no `endif`"),
    ("if and else without endif", "<% if v.a %><% else %>", (1, 1), "no `endif`"),
    ("endif without if", "<% endif %>", (1, 1), "no `if`"),
    ("else without if", "a<% else %>", (1, 2), "no `if`"),
    ("elif without if", "<% elif v.a %>", (1, 1), "no `if`"),
    ("endif twice", "<% if v.a %><% endif %><% endif %>", (1, 24), "no `if`"),
    ("else twice", "<% if v.a %><% else %><% else %><% endif %>", (1, 23), "only `endif`"),
    ("elif after else", "<% if v.a %><% else %><% elif v.b %><% endif %>", (1, 23), "only `endif`"),
    ("else with a condition", "<% if v.a %><% else v.b %><% endif %>", (1, 21), "must be alone"),
    ("else if in two words", "<% if v.a %><% else if v.b %><% endif %>", (1, 21), "must be alone"),
    ("endif with a condition", "<% if v.a %><% endif v.a %>", (1, 22), "must be alone"),
    ("two conditions", "<% if v.a v.b %><% endif %>", (1, 11), "expected `%>`"),
    ("a colon", "<% if v.a: %><% endif %>", (1, 10), "no meaning"),
    ("end instead of endif", "<% if v.a %><% end %>", (1, 16), "expected `if`"),
    // Expressions
    ("two values side by side", "<%= v.user password %>", (1, 12), "expected `%>`"),
    ("two strings side by side", "<%= 'a' 'b' %>", (1, 9), "expected `%>`"),
    ("a sum", "<%= v.user + 'a' %>", (1, 12), "no meaning"),
    ("membership", "<%= 'a' in v.user %>", (1, 9), "expected `%>`"),
    ("less than", "<% if v.a < v.b %><% endif %>", (1, 11), "no meaning"),
    ("a number", "<%= 1 %>", (1, 5), "no meaning"),
    ("a choice in an expression", "<%= 'a' if v.a else 'b' %>", (1, 9), "expected `%>`"),
    ("a list", "<%= ['a'] %>", (1, 5), "expected a"),
    ("true in capitals", "<% if True %><% endif %>", (1, 7), "expected a"),
    ("none", "<% if none %><% endif %>", (1, 7), "expected a"),
    ("or without a left side", "<% if or v.a %><% endif %>", (1, 7), "expected a"),
    ("or without a right side", "<% if v.a or %><% endif %>", (1, 14), "expected a"),
    ("and without a right side", "<% if v.a and %><% endif %>", (1, 15), "expected a"),
    ("and twice", "<% if v.a and and v.b %><% endif %>", (1, 15), "expected a"),
    ("&& instead of and", "<% if v.a && v.b %><% endif %>", (1, 11), "no meaning"),
    ("not without anything", "<% if not %><% endif %>", (1, 11), "expected a"),
    ("! instead of not", "<% if !v.a %><% endif %>", (1, 7), "no meaning"),
    ("not after a comparison operator", "<% if v.a == not v.b %><% endif %>", (1, 14), "expected a"),
    ("not after a tilde", "<%= v.a ~ not v.b %>", (1, 11), "expected a"),
    ("a tilde without a left side", "<%= ~ v.a %>", (1, 5), "expected a"),
    ("a tilde without a right side", "<%= v.a ~ %>", (1, 11), "expected a"),
    ("one equals sign", "<% if v.a = v.b %><% endif %>", (1, 11), "no meaning"),
    ("three equals signs", "<% if v.a === v.b %><% endif %>", (1, 13), "no meaning"),
    ("equals signs with a space", "<% if v.a = = v.b %><% endif %>", (1, 11), "no meaning"),
    ("a comparison without a right side", "<% if v.a == %><% endif %>", (1, 14), "expected a"),
    ("equal twice", "<%= v.user == 'a' == 'b' %>", (1, 19), "do not chain"),
    ("equal and unequal", "<% if v.a == 'a' != 'b' %><% endif %>", (1, 18), "do not chain"),
    ("equal and defined", "<% if v.a == v.b is defined %><% endif %>", (1, 18), "do not chain"),
    ("defined and equal", "<% if v.a is defined == true %><% endif %>", (1, 22), "expected `%>`"),
    ("defined twice", "<% if v.a is defined is defined %><% endif %>", (1, 22), "expected `%>`"),
    ("is without defined", "<% if v.a is %><% endif %>", (1, 14), "`is` must be followed by"),
    ("is something else", "<% if v.a is none %><% endif %>", (1, 14), "`is` must be followed by"),
    ("is not not defined", "<% if v.a is not not defined %><% endif %>", (1, 18), "`is` must be followed by"),
    ("defined without is", "<% if v.a defined %><% endif %>", (1, 11), "expected `%>`"),
    ("defined on parentheses", "<% if (v.user) is defined %><% endif %>", (1, 16), "must directly follow a look-up"),
    ("defined on a string", "<% if 'a' is defined %><% endif %>", (1, 11), "must directly follow a look-up"),
    ("defined on true", "<% if true is defined %><% endif %>", (1, 12), "must directly follow a look-up"),
    ("defined on a filter", "<% if v.a|upper is defined %><% endif %>", (1, 17), "must directly follow a look-up"),
    ("defined on default", "<% if v.a|default('b') is defined %><% endif %>", (1, 24), "must directly follow a look-up"),
    ("defined on a join", "<% if v.a ~ v.b is defined %><% endif %>", (1, 17), "must directly follow a look-up"),
    ("an open parenthesis", "<%= ('a' %>", (1, 10), "expected `)`"),
    ("a closing parenthesis", "<%= 'a') %>", (1, 8), "expected `%>`"),
    ("empty parentheses", "<%= () %>", (1, 6), "expected a"),
    ("a pair", "<%= ('a', 'b') %>", (1, 9), "expected `)`"),
    // Look-ups
    ("a name without v", "<%= user %>", (1, 5), "expected a"),
    ("v alone", "<%= v %>", (1, 7), "`v` must be followed by"),
    ("v in capitals", "<%= V.a %>", (1, 5), "expected a"),
    ("a dot without a name", "<%= v. %>", (1, 8), "followed by a name"),
    ("two dots", "<%= v..a %>", (1, 7), "followed by a name"),
    ("a string after the dot", "<%= v.'a' %>", (1, 7), "followed by a name"),
    ("a look-up in a look-up", "<%= v.user.x %>", (1, 11), "expected `%>`"),
    ("brackets after a look-up", "<%= v['a']['b'] %>", (1, 11), "expected `%>`"),
    ("a name that starts with a digit", "<%= v.1a %>", (1, 7), "no meaning"),
    ("a name with a minus sign", "<%= v.a-b %>", (1, 8), "no meaning"),
    ("a name that is not ASCII", "<%= v.\u{e9} %>", (1, 7), "no meaning"),
    ("the column counts characters", "\u{e9}\u{e9}<%= v.1 %>", (1, 9), "no meaning"),
    ("empty brackets", "<%= v[] %>", (1, 7), "followed by a string"),
    ("a name in brackets", "<%= v[user] %>", (1, 7), "followed by a string"),
    ("an expression in brackets", "<%= v['a' ~ 'b'] %>", (1, 11), "expected `]`"),
    ("parentheses in brackets", "<%= v[('a')] %>", (1, 7), "followed by a string"),
    ("brackets that do not close", "<%= v['user' %>", (1, 14), "expected `]`"),
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
    ("a filter name with a suffix", "<%= v.user|upper_ %>", (1, 12), "unknown filter"),
    ("no filter", "<%= v.user| %>", (1, 13), "unknown filter"),
    ("two pipes", "<%= v.user||upper %>", (1, 12), "unknown filter"),
    ("a pipe without a value", "<%= |upper %>", (1, 5), "expected a"),
    ("a string as a filter", "<%= v.user|'upper' %>", (1, 12), "unknown filter"),
    ("a look-up as a filter", "<%= v.user|v.upper %>", (1, 12), "unknown filter"),
    ("a filter as a function", "<%= upper(v.user) %>", (1, 5), "expected a"),
    ("an empty list of arguments", "<%= v.user|upper() %>", (1, 17), "takes no arguments"),
    ("one argument too many", "<%= v.user|sha256('a') %>", (1, 18), "takes no arguments"),
    ("replace without arguments", "<%= v.user|replace %>", (1, 20), "takes two arguments"),
    ("replace with an empty list", "<%= v.user|replace() %>", (1, 20), "expected a"),
    ("replace with one argument", "<%= v.user|replace('a') %>", (1, 19), "takes two arguments"),
    ("replace with three arguments", "<%= v.user|replace('a', 'b', 'c') %>", (1, 28), "takes two arguments"),
    ("a trailing comma", "<%= v.user|replace('a', 'b',) %>", (1, 28), "takes two arguments"),
    ("a missing comma", "<%= v.user|replace('a' 'b') %>", (1, 24), "expected `)`"),
    ("a named argument", "<%= v.user|replace(from='a', to='b') %>", (1, 20), "expected a"),
    ("arguments that do not close", "<%= v.user|replace('a', 'b' %>", (1, 29), "expected `)`"),
    ("default without an argument", "<%= v.user|default %>", (1, 20), "takes one argument"),
    ("default with an empty list", "<%= v.user|default() %>", (1, 20), "expected a"),
    ("default with two arguments", "<%= v.user|default('a', true) %>", (1, 23), "takes one argument"),
    ("default on a string", "<%= 'a'|default('b') %>", (1, 9), "must directly follow a look-up"),
    ("default on parentheses", "<%= (v.user)|default('b') %>", (1, 14), "must directly follow a look-up"),
    ("default on a string in parentheses", "<%= ('a')|default('b') %>", (1, 11), "must directly follow a look-up"),
    ("default on true", "<% if true|default('b') %><% endif %>", (1, 12), "must directly follow a look-up"),
    ("default after a filter", "<%= v.user|upper|default('b') %>", (1, 18), "must directly follow a look-up"),
    ("default twice", "<%= v.user|default('a')|default('b') %>", (1, 25), "must directly follow a look-up"),
    // White space
    ("a form feed", "<%= v.user\u{c}%>", (1, 11), "no meaning"),
    ("a no-break space", "<%=\u{a0}v.user %>", (1, 4), "no meaning"),
    ("a zero byte", "<%= v.user \0%>", (1, 12), "no meaning"),
    ("a line number far down", "\n\n\r\n<%=\n\nv.user nope %>", (6, 8), "expected `%>`"),
];

#[test]
fn syntax_error_has_position_and_message() {
    for (name, text, at, what) in REFUSED {
        let error = check_syntax(text).expect_err(name);
        assert_eq!((error.line, error.column), *at, "{name}: {error}");
        assert!(error.what.contains(what), "{name}: {error}");
    }
}

#[test]
fn syntax_error_does_not_repeat_the_text() {
    for (name, text, ..) in REFUSED {
        let marked = text.replace("user", "canary").replace("nope", "canary");
        let message = check_syntax(&marked).expect_err(name).to_string();
        assert!(!message.contains("canary"), "{name}: {message}");
    }
}

#[test]
fn reserved_word_is_refused_as_a_name() {
    let reserved = [
        "and", "or", "not", "is", "defined", "if", "elif", "else", "endif", "true", "false", "v",
    ];
    for word in reserved {
        let error = check_syntax(&format!("<%= v.{word} %>")).expect_err(word);
        assert!(error.what.contains("followed by a name"), "{word}: {error}");
        // In brackets, it is a name like any other.
        assert_eq!(
            check_syntax(&format!("<%= v['{word}']|default('x') %>")),
            Ok(()),
            "{word}"
        );
    }
}

#[test]
fn text_longer_than_65_536_bytes_is_refused() {
    assert!(Text::parse(&"x".repeat(MAX_TEXT)).is_ok());
    let error = check_syntax(&"x".repeat(MAX_TEXT + 1)).expect_err("too long");
    assert!(error.what.contains("65,536"), "{error}");
    // The limit counts bytes, not characters.
    assert!(check_syntax(&"\u{e9}".repeat(MAX_TEXT / 2 + 1)).is_err());
}
