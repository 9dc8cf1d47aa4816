//! The documentation: link targets exist, and so do the commands and flags in examples.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Component, Path, PathBuf},
};

use crate::reasons::help;

/// Directories without documentation, by the start of their name: build output, fuzzing inputs, and CLI test cases.
const SKIPPED: [&str; 4] = ["target", ".git", "corpus", "cmd"];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every Markdown file, by its path in the repository.
fn pages() -> BTreeMap<PathBuf, Page> {
    let mut found = BTreeMap::new();
    let mut directories = vec![root().to_owned()];
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(&directory).expect("a directory of the repository") {
            let path = entry.expect("a directory entry").path();
            let name = path
                .file_name()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned();
            if path.is_dir() && !SKIPPED.iter().any(|skipped| name.starts_with(skipped)) {
                directories.push(path);
            } else if path.extension().is_some_and(|extension| extension == "md") {
                let text = fs::read_to_string(&path).expect("UTF-8");
                let name = path.strip_prefix(root()).expect("in the repository").to_owned();
                found.insert(name, Page::read(&text));
            }
        }
    }
    found
}

/// The parts of a page that are checked.
#[derive(Default)]
struct Page {
    anchors: BTreeSet<String>,
    links: Vec<Link>,
    /// Command lines: lines of shell blocks, and inline code.
    commands: Vec<(usize, String)>,
}

struct Link {
    line: usize,
    text: String,
    target: String,
}

impl Page {
    fn read(text: &str) -> Self {
        let mut page = Self::default();
        let mut block: Option<String> = None;
        let mut continued = String::new();
        for (number, line) in text.lines().enumerate() {
            let number = number + 1;
            if let Some(language) = line.trim_start().strip_prefix("```") {
                block = if block.is_some() {
                    None
                } else {
                    Some(language.trim().to_owned())
                };
            } else if let Some(language) = &block {
                if matches!(language.as_str(), "sh" | "bash" | "console" | "shell") {
                    continued.push_str(line.trim_start());
                    match continued.strip_suffix('\\') {
                        Some(open) => continued = open.to_owned(),
                        None => page.commands.push((number, std::mem::take(&mut continued))),
                    }
                }
            } else {
                if let Some(heading) = line.strip_prefix('#') {
                    page.anchors
                        .insert(anchor(heading.trim_start_matches('#').trim()));
                }
                page.inline(number, line);
            }
        }
        page
    }

    fn inline(&mut self, number: usize, line: &str) {
        for code in line.split('`').skip(1).step_by(2) {
            self.commands.push((number, code.to_owned()));
        }
        // Inline code is not a link, but a link's text may be inline code (the name of a test).
        let parts = line.split('`').enumerate();
        let plain: Vec<String> = parts
            .map(|(at, part)| {
                if at % 2 == 1 {
                    part.replace(['[', ']', '(', ')'], " ")
                } else {
                    part.to_owned()
                }
            })
            .collect();
        let line = plain.join("`");
        let mut rest = line.as_str();
        while let Some((before, after)) = rest.split_once("](") {
            let Some((target, after)) = after.split_once(')') else {
                break;
            };
            let text = before.rsplit_once('[').map_or("", |(_, text)| text);
            self.links.push(Link {
                line: number,
                text: text.to_owned(),
                target: target.to_owned(),
            });
            rest = after;
        }
    }
}

/// The anchor of a heading on GitHub: lower case, words joined by `-`, without punctuation.
fn anchor(heading: &str) -> String {
    let kept = heading
        .chars()
        .filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
    kept.map(|c| if c == ' ' { '-' } else { c.to_ascii_lowercase() })
        .collect()
}

/// Broken links to pages, headings, files and tests. `read` returns the content of a file if it exists.
fn broken_links(pages: &BTreeMap<PathBuf, Page>, read: &dyn Fn(&Path) -> Option<String>) -> Vec<String> {
    let mut broken = Vec::new();
    for (name, page) in pages {
        for Link { line, text, target } in &page.links {
            if target.contains("://") || target.starts_with("mailto:") {
                continue;
            }
            let at = format!("{}:{line}", name.display());
            let (file, anchor) = target
                .split_once('#')
                .map_or((target.as_str(), None), |(file, a)| (file, Some(a)));
            let file = if file.is_empty() {
                name.clone()
            } else {
                normal(&name.parent().unwrap_or(Path::new("")).join(file))
            };
            let Some(content) = read(&file) else {
                broken.push(format!("{at}: {} does not exist", file.display()));
                continue;
            };
            if let Some(anchor) = anchor
                && let Some(other) = pages.get(&file)
                && !other.anchors.contains(anchor)
            {
                broken.push(format!("{at}: {} has no heading #{anchor}", file.display()));
            }
            // Links to tests have the form [`name`](tests/it/topic.rs).
            let name = text.strip_prefix('`').and_then(|text| text.strip_suffix('`'));
            if let Some(test) = name
                && file.extension().is_some_and(|extension| extension == "rs")
                && !test.contains(['/', '.'])
                && !content.contains(&format!("fn {test}("))
            {
                broken.push(format!("{at}: {} has no test {test}", file.display()));
            }
        }
    }
    broken
}

/// Resolves `.` and `..`.
fn normal(path: &Path) -> PathBuf {
    let mut normal = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir => drop(normal.pop()),
            Component::CurDir => {}
            part => normal.push(part),
        }
    }
    normal
}

#[test]
fn docs_have_no_broken_links() {
    let pages = pages();
    let links = pages.values().map(|page| page.links.len()).sum::<usize>();
    assert!(links > 20, "only {links} links found");
    let broken = broken_links(&pages, &|file| {
        let path = root().join(file);
        if path.is_dir() {
            Some(String::new())
        } else {
            fs::read_to_string(path).ok()
        }
    });
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[test]
fn docs_checker_finds_broken_links() {
    let page = Page::read(
        "# One `two`, three\n[a](b.md) [self](#one-two-three) [`good`](t.rs) and [`bad`](t.rs)\n[c](../c.md#x) [d](b.md#no)\n\
         ```sh\n[in a block](gone.md)\n```\n[web](https://example.org/x) `[code](gone.md)`",
    );
    let pages = BTreeMap::from([
        (PathBuf::from("docs/a.md"), page),
        (PathBuf::from("docs/b.md"), Page::read("# B")),
    ]);
    let broken = broken_links(&pages, &|file| match file.to_str() {
        Some("docs/a.md" | "docs/b.md") => Some(String::new()),
        Some("docs/t.rs") => Some("fn good() {}".to_owned()),
        _ => None,
    });
    assert_eq!(
        broken,
        [
            "docs/a.md:2: docs/t.rs has no test bad",
            "docs/a.md:3: c.md does not exist",
            "docs/a.md:3: docs/b.md has no heading #no"
        ]
    );
}

/// The words of each command of this project in a line of shell, from `envelope` or `xtask` on.
fn calls(line: &str) -> Vec<Vec<&str>> {
    let line = line.split(" #").next().unwrap_or_default();
    let parts = line.split(['|', ';', '&', '(', ')']);
    let mut calls = Vec::new();
    for part in parts {
        let mut words = part
            .split_whitespace()
            .skip_while(|word| *word == "$" || word.contains('='))
            .peekable();
        match words.peek() {
            Some(&"envelope" | &"kubectl-envelope") => calls.push(words.collect()),
            Some(&"kubectl" | &"cargo") => {
                let words: Vec<&str> = words.collect();
                if matches!(words.get(1), Some(&"envelope" | &"xtask")) {
                    calls.push(words[1..].to_vec());
                }
            }
            _ => {}
        }
    }
    calls
}

/// The tasks of xtask, read from its source, which is cheaper than building it.
fn tasks() -> BTreeSet<String> {
    let source = fs::read_to_string(root().join("xtask/src/args.rs")).expect("xtask's source");
    let (_, body) = source.split_once("enum Task {").expect("the tasks");
    let (body, _) = body.split_once("\n}").expect("the end of the enum");
    let variants = body
        .lines()
        .filter_map(|line| line.strip_prefix("    "))
        .filter(|line| line.starts_with(char::is_uppercase));
    variants
        .map(|line| kebab(line.split(['(', ' ', ',']).next().unwrap_or_default()))
        .collect()
}

/// The name of a variant as clap shows it: `kms-emulator` for `KmsEmulator`.
fn kebab(variant: &str) -> String {
    let mut word = String::new();
    for c in variant.chars() {
        if c.is_ascii_uppercase() && !word.is_empty() {
            word.push('-');
        }
        word.push(c.to_ascii_lowercase());
    }
    word
}

#[test]
fn docs_name_commands_and_flags_that_exist() {
    let tasks = tasks();
    assert!(
        tasks.contains("test") && tasks.contains("kms-emulator"),
        "{tasks:?}"
    );
    let mut known: BTreeMap<Vec<&str>, Option<String>> = BTreeMap::new();
    let (mut unknown, mut checked) = (Vec::new(), 0);
    let pages = pages();
    for (name, page) in &pages {
        for (number, line) in &page.commands {
            for call in calls(line) {
                let at = format!("{}:{number}: {}", name.display(), call.join(" "));
                checked += 1;
                if call[0] == "xtask" {
                    if call.get(1).is_some_and(|task| !tasks.contains(*task)) {
                        unknown.push(format!("{at}: no such task"));
                    }
                    continue;
                }
                // A command has one word; those of `keys` have two.
                let depth = if call.get(1) == Some(&"keys") { 2 } else { 1 };
                let command: Vec<&str> = call[1..]
                    .iter()
                    .take(depth)
                    .copied()
                    .take_while(|word| !word.starts_with('-'))
                    .collect();
                let Some(text) = known.entry(command.clone()).or_insert_with(|| help(&command)) else {
                    unknown.push(format!("{at}: no such command"));
                    continue;
                };
                for flag in call.iter().filter(|word| word.starts_with("--")) {
                    let flag = flag
                        .split('=')
                        .next()
                        .unwrap_or_default()
                        .trim_end_matches([',', '.', ']']);
                    let exists = text
                        .split(|c: char| c.is_whitespace() || ",=[".contains(c))
                        .any(|word| word == flag);
                    if flag != "--" && !exists {
                        unknown.push(format!("{at}: no such flag {flag}"));
                    }
                }
            }
        }
    }
    assert!(checked > 20, "only {checked} commands found");
    assert!(unknown.is_empty(), "{}", unknown.join("\n"));
}

#[test]
fn docs_checker_finds_commands() {
    assert_eq!(
        calls("$ FOO=1 envelope seal -f a # why"),
        [["envelope", "seal", "-f", "a"]]
    );
    assert_eq!(
        calls("kubectl get x | envelope open && cargo xtask demo"),
        [vec!["envelope", "open"], vec!["xtask", "demo"]]
    );
    assert_eq!(calls("(umask 077; cat a)"), Vec::<Vec<&str>>::new());
    assert_eq!(calls("envelope-secrets.io/v1"), Vec::<Vec<&str>>::new());
    assert_eq!(help(&["sael"]), None);
}
