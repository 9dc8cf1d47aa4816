//! docs/templates.md: its examples are rendered, its recipes and tables are those of the code.

use std::collections::BTreeMap;

use super::super::{MAX_HANDLED, MAX_NESTING, MAX_RESULT, MAX_SECRET, MAX_TEXT, RenderErrorKind};
use super::{render_over, syntax};

const PAGE: &str = include_str!("../../../../docs/templates.md");

/// The values that the page names.
const VALUES: [(&str, &[u8]); 7] = [
    ("user", b"app"),
    ("password", b"p w\"d"),
    ("host", b"db:5432"),
    ("motto", b" Be lazy "),
    ("empty", b""),
    ("tls.crt", b"PEM"),
    ("bin", b"\xff\xfe"),
];

/// The fenced blocks of a language, each with the heading before it.
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

/// The texts of `template.render` in a block of YAML.
fn texts(block: &str) -> BTreeMap<String, String> {
    let value: serde_json::Value = serde_saphyr::from_str(block).expect("the page's YAML");
    let template = value
        .pointer("/spec/template")
        .or(value.pointer("/template"))
        .expect("a template");
    serde_json::from_value(template["render"].clone()).expect("render maps names to texts")
}

/// The one text of a recipe of the page, under the name it has there.
pub(super) fn recipe(heading: &str, entry: &str) -> String {
    let all = blocks("yaml");
    let (_, block) = all
        .iter()
        .find(|(found, _)| *found == heading)
        .expect("the recipe is on the page");
    texts(block).remove(entry).expect("the recipe renders this entry")
}

/// The cells of the rows of a table, by the words of its head.
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
fn the_examples_render_as_the_page_says() {
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
fn the_templates_in_yaml_are_of_the_language() {
    let all = blocks("yaml");
    assert_eq!(all.len(), 7, "the first example and six recipes");
    for (heading, block) in all {
        for (entry, text) in texts(&block) {
            assert_eq!(syntax(&text), Ok(()), "{heading}: {entry}");
        }
    }
    let rendered = render_over(&recipe("Templates", "dsn"), &VALUES).expect("renders");
    assert_eq!(rendered, b"postgres://app:p%20w%22d@db:5432/app\n");
}

#[test]
fn the_filters_are_listed_with_examples_that_hold() {
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
fn the_limits_are_those_of_the_code() {
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
fn each_message_has_a_row() {
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
