//! Properties over generated texts: no text does harm, and what is no tag is copied.

use std::collections::BTreeMap;

use proptest::prelude::*;
use proptest::sample::Index;

use super::super::eval::{Budget, render_within};
use super::super::{MAX_HANDLED, MAX_SECRET, Text};
use super::second_opinion::text;
use super::{VALUES, render};

/// Pieces of which texts are made that are nearly of the language.
const PIECES: [&str; 48] = [
    "<%",
    "<%=",
    "<%#",
    "<%-",
    "<%=-",
    "<%#-",
    "%>",
    "-%>",
    "%",
    "-",
    "=",
    "==",
    "!=",
    "~",
    "|",
    "(",
    ")",
    "[",
    "]",
    ",",
    ".",
    "v",
    "v.user",
    "v['bin']",
    "v.none",
    "'",
    "\"",
    "'a'",
    "\\",
    "\n",
    "\r",
    "\t",
    " ",
    "\u{e9}",
    "\u{2028}",
    "if",
    "elif",
    "else",
    "endif",
    "and",
    "or",
    "not",
    "is",
    "defined",
    "true",
    "default(",
    "replace('a',",
    "|b64decode",
];

/// Parses and, where that goes well, renders over values, two of them not text. Checks what holds for every text.
fn harmless(source: &str) -> Result<(), TestCaseError> {
    let lines = source.matches('\n').count() + 1;
    let text = match Text::parse(source) {
        Ok(text) => text,
        Err(error) => {
            let line = source.split('\n').nth(error.line - 1);
            let characters = line.map_or(0, |line| line.chars().count());
            prop_assert!(error.column >= 1 && error.column <= characters + 1, "{}", error);
            return Ok(());
        }
    };
    let texts = BTreeMap::from([("x".to_owned(), text)]);
    let mut values = BTreeMap::from(VALUES);
    let big = vec![b'a'; 100_000];
    values.insert("some", &big);
    let mut budget = Budget::new(&values);
    let before: usize = values.values().map(|value| value.len()).sum();
    match render_within(&mut budget, &texts, &values) {
        Ok(rendered) => {
            prop_assert!(budget.handled <= MAX_HANDLED);
            prop_assert!(before + rendered["x"].len() <= MAX_SECRET);
            prop_assert!(std::str::from_utf8(rendered["x"].expose()).is_ok());
        }
        Err(error) => prop_assert!(error.line >= 1 && error.line <= lines),
    }
    Ok(())
}

/// Text without a tag.
fn plain() -> impl Strategy<Value = String> {
    "[a<%>{}\\-' \t\r\n\u{a0}\u{e9}]{0,12}"
        .prop_filter("a tag", |text| !text.contains("<%") && !text.ends_with('<'))
}

fn trim_end(text: &str) -> &str {
    let end = text.bytes().rposition(|byte| !b" \t\r\n".contains(&byte));
    &text[..end.map_or(0, |last| last + 1)]
}

fn trim_start(text: &str) -> &str {
    let start = text.bytes().position(|byte| !b" \t\r\n".contains(&byte));
    &text[start.unwrap_or(text.len())..]
}

proptest! {
    #[test]
    fn any_text_is_harmless(text in any::<String>()) {
        harmless(&text)?;
    }

    #[test]
    fn nearly_texts_are_harmless(pieces in prop::collection::vec(prop::sample::select(PIECES.to_vec()), 0..40)) {
        harmless(&pieces.concat())?;
    }

    #[test]
    fn tags_of_any_pieces_are_harmless(
        opening in prop::sample::select(vec!["<%", "<%=", "<%if "]),
        pieces in prop::collection::vec(prop::sample::select(PIECES[13..].to_vec()), 0..8),
    ) {
        harmless(&format!("{opening}{}%>", pieces.concat()))?;
    }

    #[test]
    fn what_is_no_tag_is_copied(text in any::<String>()) {
        prop_assume!(!text.contains("<%"));
        prop_assert_eq!(render(&text).expect("renders"), text);
    }

    #[test]
    fn white_space_goes_on_the_side_of_the_minus_only(before in plain(), after in plain()) {
        for (tag, written) in [("<%#{} x {}%>", ""), ("<%={} v.user {}%>", "app"), ("<%{} if '' {}%><% endif %>", "")] {
            for (left, right) in [("", ""), ("-", ""), ("", "-"), ("-", "-")] {
                let tag = tag.replacen("{}", left, 1).replacen("{}", right, 1);
                let kept_before = if left == "-" { trim_end(&before) } else { &before };
                // Behind the `if` stands the other tag, not `after`.
                let trims_after = right == "-" && !tag.contains("endif");
                let kept_after = if trims_after { trim_start(&after) } else { &after };
                let expected = format!("{kept_before}{written}{kept_after}");
                prop_assert_eq!(render(&format!("{before}{tag}{after}")).expect("renders"), expected);
            }
        }
    }
}

// The texts of the second opinion take long to generate.
proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn texts_with_an_error_put_in_are_harmless(
        source in text(),
        (from, to) in any::<(Index, Index)>(),
        piece in prop::sample::select(PIECES.to_vec()),
    ) {
        harmless(&source)?;
        let borders: Vec<usize> = source.char_indices().map(|(at, _)| at).chain([source.len()]).collect();
        let (from, to) = (*from.get(&borders), *to.get(&borders));
        harmless(&format!("{}{piece}{}", &source[..from], &source[from..]))?;
        harmless(&format!("{}{}", &source[..from.min(to)], &source[from.max(to)..]))?;
        harmless(&source[..from])?;
    }

    #[test]
    fn texts_side_by_side_render_side_by_side(left in text(), right in text()) {
        let values = super::second_opinion::VALUES.map(|(name, value)| (name, value.as_bytes()));
        let rendered = |text: &str| super::render_over(text, &values).expect("renders");
        // No white space between them, which a `-` would remove.
        let both = rendered(&format!("{left}|{right}"));
        prop_assert_eq!(both, [rendered(&left), b"|".to_vec(), rendered(&right)].concat());
    }
}
