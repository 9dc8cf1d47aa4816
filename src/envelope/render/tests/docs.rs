//! docs/templates.md agrees with the code: its examples, recipes, filters, limits and messages.

use std::collections::BTreeMap;

use super::super::{MAX_HANDLED, MAX_NESTING, MAX_RESULT, MAX_SECRET, MAX_TEXT, RenderErrorKind};
use super::support::{check_syntax, render_over};

const PAGE: &str = include_str!("../../../../docs/templates.md");

/// The values that the examples of the page use.
const VALUES: [(&str, &[u8]); 7] = [
    ("user", b"app"),
    ("password", b"p w\"d"),
    ("host", b"db:5432"),
    ("motto", b" Be lazy "),
    ("empty", b""),
    ("tls.crt", b"PEM"),
    ("bin", b"\xff\xfe"),
];

/// Returns the fenced code blocks in a language, each with its heading.
fn blocks(language: &str) -> Vec<(&'static str, String)> {
    let mut heading = "";
    let mut found = Vec::new();
    let mut lines = PAGE.lines();
    while let Some(line) = lines.next() {
        if line.starts_with('#') {
            heading = line.trim_start_matches(['#', ' ']);
        }
        if let Some(named) = line.strip_prefix("```") {
            let block: Vec<&str> = lines.by_ref().take_while(|line| *line != "```").collect();
            if named == language {
                found.push((heading, block.join("\n") + "\n"));
            }
        }
    }
    found
}

/// Returns the texts of `template.render` in a YAML block.
fn texts(block: &str) -> BTreeMap<String, String> {
    let value: serde_json::Value = serde_saphyr::from_str(block).expect("the page's YAML");
    let template = value
        .pointer("/spec/template")
        .or(value.pointer("/template"))
        .expect("a template");
    serde_json::from_value(template["render"].clone()).expect("render maps names to texts")
}

/// Returns the text of a recipe of the page by its heading and entry name.
pub(super) fn recipe(heading: &str, entry: &str) -> String {
    let all = blocks("yaml");
    let (_, block) = all
        .iter()
        .find(|(found, _)| *found == heading)
        .expect("the recipe is on the page");
    texts(block).remove(entry).expect("the recipe renders this entry")
}

/// Returns the rows of the table with this header, as cells.
fn table(head: &str) -> Vec<Vec<String>> {
    let mut lines = PAGE.lines().skip_while(|line| *line != head);
    assert!(
        lines.next().is_some() && lines.next().is_some(),
        "no table {head}"
    );
    let cells = |row: &str| {
        let row = row.trim_matches('|').replace("\\|", "\0");
        row.split('|')
            .map(|cell| cell.trim().replace('\0', "|"))
            .collect()
    };
    lines
        .take_while(|line| line.starts_with('|'))
        .map(cells)
        .collect()
}

#[test]
fn examples_render_to_the_documented_output() {
    let examples = blocks("text");
    let lines: Vec<&str> = examples.iter().flat_map(|(_, block)| block.lines()).collect();
    assert!(lines.len() > 10);
    for line in lines {
        let (text, expected) = line.split_once(" → ").expect("text and what it gives");
        let rendered = render_over(text.trim_end(), &VALUES).expect(line);
        assert_eq!(String::from_utf8_lossy(&rendered), expected, "{line}");
    }
}

#[test]
fn templates_in_yaml_blocks_are_valid() {
    let all = blocks("yaml");
    assert_eq!(all.len(), 7, "the first example and six recipes");
    for (heading, block) in all {
        for (entry, text) in texts(&block) {
            assert_eq!(check_syntax(&text), Ok(()), "{heading}: {entry}");
        }
    }
    let rendered = render_over(&recipe("Templates", "dsn"), &VALUES).expect("renders");
    assert_eq!(rendered, b"postgres://app:p%20w%22d@db:5432/app\n");
}

#[test]
fn every_filter_is_documented_with_a_correct_example() {
    let rows = table("| filter | gives | example |");
    let listed: Vec<&str> = rows
        .iter()
        .flat_map(|row| row[0].split(", `"))
        .map(|name| name.trim_matches('`').split('(').next().expect("a name"))
        .collect();
    let all = [
        "b64encode",
        "b64decode",
        "upper",
        "lower",
        "trim",
        "replace",
        "tojson",
        "urlencode",
        "sha256",
        "default",
    ];
    assert_eq!(listed, all);
    for row in rows {
        let (expr, result) = row[2].split_once("` is ").expect("an example");
        let expected = if result == "nothing" {
            ""
        } else {
            result.trim_matches('`')
        };
        let rendered = render_over(&format!("<%= {} %>", expr.trim_start_matches('`')), &VALUES).expect(expr);
        assert_eq!(String::from_utf8_lossy(&rendered), expected, "{expr}");
    }
}

#[test]
fn documented_limits_match_the_code() {
    let stated: Vec<String> = table("| what | at most |")
        .into_iter()
        .map(|row| row[1].clone())
        .collect();
    assert_eq!(stated, ["64", "65,536 bytes", "32", "1 MiB", "8 MiB", "1 MiB"]);
    let mib = 1024 * 1024;
    assert_eq!(
        (MAX_TEXT, MAX_NESTING, MAX_RESULT, MAX_HANDLED, MAX_SECRET),
        (65_536, 32, mib, 8 * mib, mib)
    );
}

#[test]
fn every_message_is_documented() {
    use RenderErrorKind::{
        EmptySearch, MissingName, MixedComparison, NotBase64, NotUtf8, NotValue, ResultTooLarge,
        SecretTooLarge, TooMuchWork,
    };
    let all = [
        MissingName,
        NotValue,
        MixedComparison,
        NotUtf8,
        EmptySearch,
        NotBase64,
        ResultTooLarge,
        TooMuchWork,
        SecretTooLarge,
    ];
    let rows: Vec<String> = table("| message | what helps |")
        .into_iter()
        .map(|row| row[0].clone())
        .collect();
    assert_eq!(rows, all.map(|kind| kind.to_string()));
}
