//! Links into the documentation: each `docs/PAGE.md#anchor` cited in a source file or a page names a page and a heading
//! that exist, and each image of a page exists.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

/// Directories that hold neither sources nor pages of ours.
const SKIPPED: [&str; 5] = ["target", ".git", "corpus", "artifacts", "node_modules"];

/// Files with links that are there to be found faulty.
const EXAMPLES: [&str; 2] = ["tests/it/doc_links.rs", "tests/it/docs.rs"];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Sources and pages, by their path from the root.
fn files() -> BTreeMap<PathBuf, String> {
    let mut found = BTreeMap::new();
    let mut directories = vec![root().to_owned()];
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(&directory).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            let extension = path.extension().unwrap_or_default();
            if path.is_dir() {
                if !SKIPPED.contains(&&*name) {
                    directories.push(path);
                }
            } else if extension == "rs" || extension == "md" || extension == "toml" {
                let text = fs::read_to_string(&path).unwrap();
                found.insert(path.strip_prefix(root()).unwrap().to_owned(), text);
            }
        }
    }
    found
}

/// A citation of a page below `docs/`, as it is written in a source file or a page.
#[derive(Debug, PartialEq, Eq)]
struct Citation<'a> {
    line: usize,
    page: &'a str,
    anchor: Option<&'a str>,
}

/// Every `docs/PAGE.md` and `docs/PAGE.md#anchor` in `text`, whatever precedes it.
fn citations(text: &str) -> Vec<Citation<'_>> {
    let part_of_path = |c: char| c.is_ascii_alphanumeric() || "-_./".contains(c);
    let mut found = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        for (at, _) in line.match_indices("docs/") {
            // `mydocs/` and `other/docs/` are other directories; `../docs/` and `/docs/` after a dot are ours.
            let before = line[..at].trim_end_matches("../").chars().next_back();
            if before.is_some_and(part_of_path) {
                continue;
            }
            let rest = &line[at..];
            let path = rest.split(|c| !part_of_path(c)).next().unwrap_or_default();
            let Some(end) = path.find(".md") else { continue };
            let page = &path[..end + ".md".len()];
            let anchor = rest[page.len()..].strip_prefix('#').map(|anchor| {
                let in_anchor = |c: char| c.is_alphanumeric() || c == '-' || c == '_';
                anchor.split(|c| !in_anchor(c)).next().unwrap_or_default()
            });
            found.push(Citation {
                line: number,
                page,
                anchor,
            });
        }
    }
    found
}

/// The anchors of a page's headings, as GitHub derives them: lower case, `-` for a blank, punctuation dropped, `-1`
/// appended to a repetition.
fn anchors(page: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut in_block = false;
    for line in page.lines() {
        if line.trim_start().starts_with("```") {
            in_block = !in_block;
        }
        let heading = line.trim_start_matches('#');
        if in_block || heading.len() == line.len() || !heading.starts_with(' ') {
            continue;
        }
        let slug: String = heading
            .trim()
            .to_lowercase()
            .chars()
            .filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'))
            .map(|c| if c == ' ' { '-' } else { c })
            .collect();
        let repeated = (1..).map(|count| format!("{slug}-{count}"));
        let free = std::iter::once(slug.clone())
            .chain(repeated)
            .find(|slug| !found.contains(slug));
        found.extend(free);
    }
    found
}

/// The targets of `src="..."` and `srcset="..."`.
fn images(text: &str) -> Vec<(usize, &str)> {
    let mut found = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        for attribute in [" src=\"", " srcset=\""] {
            for (at, _) in line.match_indices(attribute) {
                let value = line[at + attribute.len()..].split('"').next().unwrap_or_default();
                found.push((number, value));
            }
        }
    }
    found
}

#[test]
fn cited_pages_and_headings_exist() {
    let files = files();
    let anchors: BTreeMap<String, BTreeSet<String>> = files
        .iter()
        .filter(|(path, _)| path.starts_with("docs"))
        .map(|(path, text)| (path.to_string_lossy().into_owned(), anchors(text)))
        .collect();
    let (mut faults, mut with_anchor) = (Vec::new(), 0);
    for (path, text) in &files {
        if EXAMPLES.iter().any(|file| path.ends_with(file)) {
            continue;
        }
        for Citation { line, page, anchor } in citations(text) {
            let at = format!("{}:{line}", path.display());
            match (anchors.get(page), anchor) {
                (None, _) => faults.push(format!("{at}: {page} does not exist")),
                (Some(anchors), Some(anchor)) if !anchors.contains(anchor) => {
                    faults.push(format!("{at}: {page} has no heading #{anchor}"));
                }
                (Some(_), Some(_)) => with_anchor += 1,
                (Some(_), None) => {}
            }
        }
    }
    assert!(with_anchor > 0, "no citation with an anchor was found");
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn images_of_pages_exist() {
    let mut checked = 0;
    for (path, text) in files() {
        if path.extension().is_none_or(|extension| extension != "md") {
            continue;
        }
        for (line, image) in images(&text) {
            let file = root().join(&path).with_file_name(image);
            assert!(
                file.is_file(),
                "{}:{line}: {image} does not exist",
                path.display()
            );
            checked += 1;
        }
    }
    assert!(
        checked >= 4,
        "README and ARCHITECTURE have a picture each, in two themes: {checked}"
    );
}

#[test]
fn citations_are_found_in_comments_and_links() {
    let text = "//! See docs/design/controller.md#no-op-reconciles.\n\
                // `docs/format-es1.md`, [x](../docs/cli.md#envelope-seal) mydocs/a.md other/docs/b.md docs/diagrams/x.txt";
    let found: Vec<(usize, &str, Option<&str>)> = citations(text)
        .iter()
        .map(|citation| (citation.line, citation.page, citation.anchor))
        .collect();
    assert_eq!(
        found,
        [
            (1, "docs/design/controller.md", Some("no-op-reconciles")),
            (2, "docs/format-es1.md", None),
            (2, "docs/cli.md", Some("envelope-seal")),
        ]
    );
}

#[test]
fn anchors_are_those_of_the_usual_sites() {
    let page = "# A `b`, c\n## 9. Opening\n```\n# not a heading\n```\n## Rights (CAM)\n#no\n## 9. Opening\n";
    let expected = ["a-b-c", "9-opening", "9-opening-1", "rights-cam"];
    assert_eq!(anchors(page), expected.map(str::to_owned).into());
}
