//! `docs/benchmarks.md`: the generated section, from the stored results.

use std::fmt::Write as _;
use std::path::Path;

use anyhow::{Context as _, Result};

use crate::plot;
use crate::record::{Environment, Record, Row};

const BEGIN: &str = "<!-- The rest of this page is generated: cargo xtask bench -->\n";

/// Renders the page and the plots from the results in `directory/benchmarks`.
pub(crate) fn render(directory: &Path) -> Result<()> {
    let results = directory.join("benchmarks");
    let records = Record::read_all(&results)?;
    let plots = plot::draw(&records, &results)?;
    let path = directory.join("benchmarks.md");
    let old = std::fs::read_to_string(&path).unwrap_or_default();
    let page = format!("{}{BEGIN}{}", introduction(&old), section(&records, &plots));
    std::fs::write(&path, page).with_context(|| path.display().to_string())
}

/// The part of the page that is written by hand.
fn introduction(page: &str) -> &str {
    match page.split_once(BEGIN) {
        Some((before, _)) => before,
        None if page.is_empty() => "# Benchmarks\n\n",
        None => page,
    }
}

fn section(records: &[Record], plots: &[(String, &str)]) -> String {
    let mut text = String::new();
    let mut shown: Option<&Environment> = None;
    for record in records {
        let _ = writeln!(text, "\n## {}\n\n{}", title(&record.name), record.what);
        for note in &record.notes {
            let _ = writeln!(text, "\n{note}");
        }
        text.push_str(
            "\n| | median | range (samples) | target | | limiting factor |\n|---|---|---|---|---|---|\n",
        );
        for row in &record.rows {
            let Row {
                metric,
                median,
                spread,
                target,
                limit,
                ..
            } = row;
            let met = match row.met {
                Some(true) => "met",
                Some(false) => "**missed**",
                None => "",
            };
            let _ = writeln!(
                text,
                "| {metric} | {median} | {spread} | {target} | {met} | {limit} |"
            );
        }
        for (file, title) in plots {
            if plot_of(file) == record.name {
                let _ = writeln!(text, "\n![{title}](benchmarks/{file})");
            }
        }
        if shown == Some(&record.environment) {
            text.push_str("\nMeasured in the same run.\n");
        } else {
            let _ = writeln!(text, "\n{}", environment(&record.environment));
        }
        let name = &record.name;
        let _ = writeln!(text, "Raw samples: [{name}.json](benchmarks/{name}.json).");
        shown = Some(&record.environment);
    }
    text
}

fn plot_of(file: &str) -> &'static str {
    if file == "cost.svg" { "scaling" } else { "latency" }
}

/// `cold-start` as a heading: `Cold start`.
fn title(name: &str) -> String {
    let words = name.replace('-', " ");
    let mut chars = words.chars();
    chars
        .next()
        .map(|first| first.to_uppercase().to_string() + chars.as_str())
        .unwrap_or_default()
}

fn environment(environment: &Environment) -> String {
    let Environment {
        date,
        command,
        profile,
        commit,
        host,
        versions,
        runs,
        large_runs,
        ..
    } = environment;
    format!(
        "Measured {date} with `{command}` ({runs} pairs, {large_runs} with more than 5,000 objects) at commit {commit}, profile {profile}, \
         on {host}; {versions}."
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The page of the repository is the one that its results produce.
    #[test]
    fn page_matches_the_stored_results() {
        let docs = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs"));
        let records = Record::read_all(&docs.join("benchmarks")).expect("results");
        let copy = tempfile::tempdir().expect("a directory");
        let plots = plot::draw(&records, copy.path()).expect("plots");
        let page = std::fs::read_to_string(docs.join("benchmarks.md")).expect("the page");
        assert_eq!(
            page,
            format!("{}{BEGIN}{}", introduction(&page), section(&records, &plots)),
            "docs/benchmarks.md differs from docs/benchmarks/*.json: run cargo xtask bench --render"
        );
        for (file, _) in plots {
            let drawn = std::fs::read_to_string(copy.path().join(&file)).expect("a plot");
            let stored = std::fs::read_to_string(docs.join("benchmarks").join(&file)).expect("a plot");
            assert!(drawn == stored, "docs/benchmarks/{file} differs from the results");
        }
    }

    #[test]
    fn text_before_the_generated_section_is_kept() {
        let page = format!("# Benchmarks\n\nBy hand.\n\n{BEGIN}\n## Old\n");
        assert_eq!(introduction(&page), "# Benchmarks\n\nBy hand.\n\n");
        assert_eq!(title("cold-start"), "Cold start");
    }
}
