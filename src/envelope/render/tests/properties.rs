//! Properties over generated texts: every text stays within the limits, and text outside tags is copied.

use std::collections::BTreeMap;

use proptest::prelude::*;
use proptest::sample::Index;

use super::super::eval::{Budget, render_within};
use super::super::{MAX_HANDLED, MAX_SECRET, Text};
use super::minijinja;
use super::support::{VALUES, render, render_over};

/// Fragments whose concatenation is often almost a valid text.
const FRAGMENTS: [&str; 48] = [
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

/// Parses a text and, if it is valid, renders it. Checks that errors have a position in the text and that output
/// stays within the limits. Some of the values are large or not UTF-8.
fn check_bounds(source: &str) -> Result<(), TestCaseError> {
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
fn literal_text() -> impl Strategy<Value = String> {
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
    fn any_text_stays_within_bounds(text in any::<String>()) {
        check_bounds(&text)?;
    }

    #[test]
    fn almost_valid_text_stays_within_bounds(fragments in prop::collection::vec(prop::sample::select(FRAGMENTS.to_vec()), 0..40)) {
        check_bounds(&fragments.concat())?;
    }

    #[test]
    fn tag_of_any_fragments_stays_within_bounds(
        opening in prop::sample::select(vec!["<%", "<%=", "<%if "]),
        fragments in prop::collection::vec(prop::sample::select(FRAGMENTS[13..].to_vec()), 0..8),
    ) {
        check_bounds(&format!("{opening}{}%>", fragments.concat()))?;
    }

    #[test]
    fn text_without_tags_is_copied(text in any::<String>()) {
        prop_assume!(!text.contains("<%"));
        prop_assert_eq!(render(&text).expect("renders"), text);
    }

    #[test]
    fn minus_trims_white_space_on_its_side_only(before in literal_text(), after in literal_text()) {
        for (tag, written) in [("<%#{} x {}%>", ""), ("<%={} v.user {}%>", "app"), ("<%{} if '' {}%><% endif %>", "")] {
            for (left, right) in [("", ""), ("-", ""), ("", "-"), ("-", "-")] {
                let tag = tag.replacen("{}", left, 1).replacen("{}", right, 1);
                let kept_before = if left == "-" { trim_end(&before) } else { &before };
                // The neighbor on the right of `if` is the `endif` tag, not `after`.
                let trims_after = right == "-" && !tag.contains("endif");
                let kept_after = if trims_after { trim_start(&after) } else { &after };
                let expected = format!("{kept_before}{written}{kept_after}");
                prop_assert_eq!(render(&format!("{before}{tag}{after}")).expect("renders"), expected);
            }
        }
    }
}

// Fewer cases: the texts of the differential test are slow to generate.
proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn valid_text_with_one_mutation_stays_within_bounds(
        source in minijinja::text(),
        (from, to) in any::<(Index, Index)>(),
        fragment in prop::sample::select(FRAGMENTS.to_vec()),
    ) {
        check_bounds(&source)?;
        let boundaries: Vec<usize> = source.char_indices().map(|(at, _)| at).chain([source.len()]).collect();
        let (from, to) = (*from.get(&boundaries), *to.get(&boundaries));
        check_bounds(&format!("{}{fragment}{}", &source[..from], &source[from..]))?;
        check_bounds(&format!("{}{}", &source[..from.min(to)], &source[from.max(to)..]))?;
        check_bounds(&source[..from])?;
    }

    #[test]
    fn concatenated_texts_render_to_concatenated_output(left in minijinja::text(), right in minijinja::text()) {
        let values = minijinja::VALUES.map(|(name, value)| (name, value.as_bytes()));
        let rendered = |text: &str| render_over(text, &values).expect("renders");
        // The separator keeps a `-` of one text from trimming the other.
        let both = rendered(&format!("{left}|{right}"));
        prop_assert_eq!(both, [rendered(&left), b"|".to_vec(), rendered(&right)].concat());
    }
}
