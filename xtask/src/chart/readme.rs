//! The table of values in the chart's README, from the comments in values.yaml.

use std::{fmt::Write as _, fs};

use anyhow::{Context as _, Result, ensure};

use super::support::CHART;
use crate::run::root;

const BEGIN: &str = "<!-- The table is generated from values.yaml by `cargo xtask generate`. -->\n";
const END: &str = "<!-- End of the generated table. -->\n";

/// The path of the README.
pub(crate) fn path() -> String {
    format!("{CHART}/README.md")
}

/// The README with a current table.
pub(crate) fn generate() -> Result<String> {
    let read = |name: &str| {
        let path = root().join(CHART).join(name);
        fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))
    };
    let readme = read("README.md")?;
    let (before, rest) = readme.split_once(BEGIN).context("no table in README.md")?;
    let (_, after) = rest
        .split_once(END)
        .context("the table in README.md has no end")?;
    Ok(format!(
        "{before}{BEGIN}{}{END}{after}",
        table(&read("values.yaml")?)?
    ))
}

/// A key of values.yaml.
struct Key {
    indent: usize,
    name: String,
    value: String,
    comment: String,
    /// The lines of a value below the key, without those of nested keys.
    nested: bool,
}

/// One row per value; the heading of a section is a comment `# -- TITLE`.
fn table(values: &str) -> Result<String> {
    let mut out = String::new();
    let mut path: Vec<(usize, String, String)> = Vec::new();
    let mut comment = String::new();
    let lines: Vec<&str> = values.lines().collect();
    let mut open = false;
    for (number, line) in lines.iter().enumerate() {
        let text = line.trim_start();
        if let Some(title) = text.strip_prefix("# -- ") {
            let _ = write!(out, "\n### {title}\n\n");
            open = false;
            comment.clear();
        } else if let Some(words) = text.strip_prefix("# ") {
            if !comment.is_empty() {
                comment.push(' ');
            }
            comment.push_str(words);
        } else if text.is_empty() {
            comment.clear();
        } else {
            let key = key(line, lines.get(number + 1).copied(), &comment)
                .with_context(|| format!("values.yaml:{}: {line}", number + 1))?;
            comment.clear();
            path.retain(|(indent, _, _)| *indent < key.indent);
            // A comment on a map describes its keys, unless they have comments of their own.
            let inherited = path.iter().rev().map(|(_, _, comment)| comment.as_str());
            let described = std::iter::once(key.comment.as_str())
                .chain(inherited)
                .find(|comment| !comment.is_empty())
                .unwrap_or_default()
                .to_owned();
            let names: Vec<&str> = path.iter().map(|(_, name, _)| name.as_str()).collect();
            let full = [&names[..], &[key.name.as_str()]].concat().join(".");
            if key.nested {
                path.push((key.indent, key.name, key.comment));
                continue;
            }
            ensure!(
                !described.is_empty(),
                "values.yaml:{}: {full} has no comment",
                number + 1
            );
            if !open {
                out.push_str("| value | default | meaning |\n|---|---|---|\n");
                open = true;
            }
            let cell = described.replace('|', "\\|");
            let _ = writeln!(out, "| `{full}` | `{}` | {cell} |", key.value);
        }
    }
    Ok(format!("{}\n", out.trim_start()))
}

/// The path of each value, and of each map of values.
pub(super) fn paths(values: &str) -> Result<Vec<Vec<String>>> {
    let mut paths = Vec::new();
    let mut path: Vec<(usize, String)> = Vec::new();
    let lines: Vec<&str> = values.lines().collect();
    for (number, line) in lines.iter().enumerate() {
        if line.trim().is_empty() || line.trim_start().starts_with('#') {
            continue;
        }
        let key = key(line, lines.get(number + 1).copied(), "")?;
        path.retain(|(indent, _)| *indent < key.indent);
        path.push((key.indent, key.name));
        paths.push(path.iter().map(|(_, name)| name.clone()).collect());
    }
    Ok(paths)
}

/// Parses `name: value`. Only what values.yaml uses: maps in block style, and lists and scalars on one line.
fn key(line: &str, next: Option<&str>, comment: &str) -> Result<Key> {
    let indent = line.len() - line.trim_start().len();
    let (name, value) = line.trim().split_once(':').context("no key")?;
    ensure!(!name.starts_with('-'), "a list in block style");
    let value = value.trim().to_owned();
    let deeper = next.is_some_and(|next| next.len() - next.trim_start().len() > indent);
    ensure!(
        value.is_empty() == deeper,
        "a key without a value, or a value with keys"
    );
    Ok(Key {
        indent,
        name: name.to_owned(),
        nested: value.is_empty(),
        value,
        comment: comment.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_become_rows() {
        let table = table(
            "# Introduction.\n\n# -- First\n\n# About\n# a.\na: 1\nb:\n  # About c | d.\n  c: \"\"\n\n# -- Second\n\n# About e.\ne:\n  f: []\n  g: {}\n",
        )
        .unwrap();
        assert_eq!(
            table,
            "### First\n\n| value | default | meaning |\n|---|---|---|\n| `a` | `1` | About a. |\n| `b.c` | `\"\"` | About c \\| d. |\n\n\
             ### Second\n\n| value | default | meaning |\n|---|---|---|\n| `e.f` | `[]` | About e. |\n| `e.g` | `{}` | About e. |\n\n"
        );
    }

    #[test]
    fn maps_and_their_values_have_paths() {
        let paths = paths("# A.\na:\n  b: 1\n\n  c.d/e:\n    f: []\ng: {}\n").unwrap();
        let joined: Vec<String> = paths.iter().map(|path| path.join(" ")).collect();
        assert_eq!(joined, ["a", "a b", "a c.d/e", "a c.d/e f", "g"]);
    }

    #[test]
    fn values_without_a_comment_are_errors() {
        for values in ["a: 1", "a:\n- b", "a: 1\n\n# About b.\n\nb: 2"] {
            assert!(table(values).is_err(), "{values}");
        }
    }

    #[test]
    fn readme_is_current() {
        let readme = fs::read_to_string(root().join(path())).unwrap();
        assert!(generate().unwrap() == readme, "run `cargo xtask generate`");
    }
}
