//! House style: words and phrases that the project does not use, in its pages, help texts, messages, comments and
//! function names. CONTRIBUTING.md has the glossary and the rule.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// A phrase, what to write instead, and the words after which the phrase means something else.
struct Entry {
    avoid: &'static str,
    write: &'static str,
    unless_before: &'static [&'static str],
}

const fn entry(avoid: &'static str, write: &'static str) -> Entry {
    Entry {
        avoid,
        write,
        unless_before: &[],
    }
}

/// Whole words, in any case.
const AVOIDED: &[Entry] = &[
    Entry {
        avoid: "stands",
        write: "exists, is present, is in, is defined",
        unless_before: &["for", "in for"],
    },
    Entry {
        avoid: "stand",
        write: "exist, be present, be in, be defined",
        unless_before: &["for", "in for", "in", "alone"],
    },
    Entry {
        avoid: "stood",
        write: "existed, was present, was in",
        unless_before: &["for", "in for"],
    },
    entry("anew", "again, or a verb with re-: re-seal, re-create"),
    entry("tells", "reports, says, shows, returns, specifies, distinguishes"),
    entry("told", "given, configured, reported, informed, distinguished"),
    entry("tell apart", "distinguish"),
    entry("lie in Git", "be committed to Git"),
    entry("lies in Git", "is committed to Git"),
    entry("lies beside", "is next to"),
    entry("nobody we know", "exists and is not managed by this controller"),
    entry("for ever", "indefinitely"),
    entry("ever more rarely", "with exponential backoff"),
    entry("put back", "restored"),
    entry("puts back", "restores"),
    entry("put right", "corrected, fixed"),
    entry("passes by itself", "is retryable, is transient"),
    entry("pass by itself", "be retryable, be transient"),
    entry("ends by itself", "exits"),
    entry("to its end", "to completion; exited"),
    entry("looked and found", "completed with findings"),
    entry("took down", "stopped, removed"),
    entry("whoever", "anyone who, users who"),
    entry("somebody", "someone, another user, another owner"),
    entry("unseen", "undetected; tamper-evident"),
    entry("comes of", "results from; the result of"),
    entry("came of", "resulted from; the result of"),
    entry("the way of the data", "the data flow"),
    entry("does without", "must not depend on"),
    entry("nothing to do costs nothing", "no-op reconciles are free"),
    entry("rooms", "modules"),
    entry("this room", "this module"),
    entry("a room", "a module"),
];

/// This file has the phrases themselves.
const EXEMPT: &str = "tests/it/language.rs";

/// Text for people, as characters with the line that each is on.
#[derive(Default)]
struct Text(Vec<(char, usize)>);

impl Text {
    fn push(&mut self, text: &str, mut line: usize) {
        for c in text.chars() {
            self.0.push((c, line));
            line += usize::from(c == '\n');
        }
    }

    /// The words with their positions.
    fn words(&self) -> Vec<(String, usize, usize)> {
        let is_word = |c: char| c.is_alphanumeric() || "'_{}".contains(c); // `{tells}` is a placeholder
        let mut words = Vec::new();
        let mut start = None;
        for at in 0..=self.0.len() {
            let inside = self.0.get(at).is_some_and(|(c, _)| is_word(*c));
            match start {
                None if inside => start = Some(at),
                Some(from) if !inside => {
                    let word: String = self.0[from..at].iter().map(|(c, _)| *c).collect();
                    words.push((word.to_lowercase(), from, at));
                    start = None;
                }
                _ => {}
            }
        }
        words
    }

    /// The sentence around a position, without line breaks.
    fn sentence(&self, from: usize, to: usize) -> String {
        let ends = |at: usize| {
            let (c, _) = self.0[at];
            let next = self.0.get(at + 1).map_or(' ', |(c, _)| *c);
            matches!(c, '.' | ';' | ':' | '!' | '?' | '|') && next.is_whitespace()
        };
        let start = (0..from).rev().find(|at| ends(*at)).map_or(0, |at| at + 1);
        let end = (to..self.0.len())
            .find(|at| ends(*at))
            .map_or(self.0.len(), |at| at + 1);
        let sentence: String = self.0[start..end].iter().map(|(c, _)| *c).collect();
        let sentence = sentence.split_whitespace().collect::<Vec<_>>().join(" ");
        sentence.chars().take(160).collect()
    }

    /// Each avoided phrase, as `line: sentence -> replacement`. The words of a phrase are separated by nothing but white
    /// space.
    fn findings(&self) -> Vec<String> {
        let words = self.words();
        let follow = |from: usize, phrase: &str| -> Option<usize> {
            let mut last: Option<usize> = None;
            for (at, wanted) in (from..).zip(phrase.split(' ')) {
                let (word, start, end) = words.get(at)?;
                let gap = last.map_or(&[][..], |last| &self.0[last..*start]);
                if *word != wanted.to_lowercase() || !gap.iter().all(|(c, _)| c.is_whitespace()) {
                    return None;
                }
                last = Some(*end);
            }
            last
        };
        let mut findings = Vec::new();
        for (at, (_, start, _)) in words.iter().enumerate() {
            for entry in AVOIDED {
                let Some(end) = follow(at, entry.avoid) else {
                    continue;
                };
                let next = at + entry.avoid.split(' ').count();
                if entry
                    .unless_before
                    .iter()
                    .any(|after| follow(next, after).is_some())
                {
                    continue;
                }
                let (line, sentence) = (self.0[*start].1, self.sentence(*start, end));
                let Entry { avoid, write, .. } = entry;
                findings.push(format!(
                    "{line}: \"{sentence}\": instead of \"{avoid}\" write: {write}"
                ));
            }
        }
        findings
    }
}

/// Paragraphs of Markdown.
fn paragraphs(page: &str) -> Vec<Text> {
    let mut texts = vec![Text::default()];
    for (line, text) in (1..).zip(page.lines()) {
        if text.trim().is_empty() {
            texts.push(Text::default());
        } else if let Some(last) = texts.last_mut() {
            last.push(text, line);
            last.push("\n", line);
        }
    }
    texts
}

/// The comments (consecutive line comments as one text), string literals and function names of a Rust file.
fn rust_texts(source: &str) -> Vec<Text> {
    let mut texts: Vec<Text> = Vec::new();
    let mut rest = source;
    let mut line = 1;
    let mut comment_before = 0; // the line of the previous line comment
    let mut before = ' ';
    while let Some(first) = rest.chars().next() {
        let mut text = Text::default();
        let length;
        if rest.starts_with("//") {
            length = rest.find('\n').unwrap_or(rest.len());
            let comment = rest[..length].trim_start_matches(['/', '!']);
            match texts.last_mut().filter(|_| comment_before + 1 == line) {
                // An empty comment line ends a paragraph.
                Some(last) if !comment.trim().is_empty() => last.push(&format!("\n{comment}"), line - 1),
                _ => text.push(comment, line),
            }
            comment_before = if comment.trim().is_empty() { 0 } else { line };
        } else if rest.starts_with("/*") {
            length = rest.find("*/").map_or(rest.len(), |at| at + 2);
            text.push(&rest[..length], line);
        } else if let Some(hashes) = raw_string(rest).filter(|_| !is_identifier(before)) {
            let open = rest.find('"').unwrap_or_default() + 1;
            let close = format!("\"{}", "#".repeat(hashes));
            let end = rest[open..].find(&close).map_or(rest.len(), |at| open + at);
            text.push(&rest[open..end], line);
            length = (end + close.len()).min(rest.len());
        } else if first == '"' {
            length = string_length(rest);
            text.push(&unescaped(&rest[1..length.max(2) - 1]), line);
        } else if first == '\'' {
            // A character or a lifetime.
            let mut chars = rest.char_indices().skip(1);
            let escaped = chars.next().is_some_and(|(_, c)| c == '\\');
            length = match chars.next() {
                Some((at, _)) if escaped => rest[at + 1..].find('\'').map_or(1, |end| at + end + 2),
                Some((at, '\'')) => at + 1,
                _ => 1,
            };
        } else if rest.starts_with("fn ") && !is_identifier(before) {
            let name = rest[3..]
                .split(|c: char| !is_identifier(c))
                .next()
                .unwrap_or_default();
            text.push(&name.replace('_', " "), line);
            length = 3 + name.len();
        } else {
            length = first.len_utf8();
        }
        line += rest[..length].matches('\n').count();
        before = rest[..length].chars().next_back().unwrap_or(' ');
        rest = &rest[length..];
        texts.extend(Some(text).filter(|text| !text.0.is_empty()));
    }
    texts
}

fn is_identifier(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// The number of `#` of a raw string that starts here.
fn raw_string(source: &str) -> Option<usize> {
    let rest = source.strip_prefix("br").or_else(|| source.strip_prefix('r'))?;
    let hashes = rest.len() - rest.trim_start_matches('#').len();
    rest[hashes..].starts_with('"').then_some(hashes)
}

/// The length of the string literal that starts here, with its quotes.
fn string_length(source: &str) -> usize {
    let mut escaped = false;
    for (at, c) in source.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return at + 1,
            _ => {}
        }
    }
    source.len()
}

/// With white space for line breaks, written as `\n` or skipped by a backslash.
fn unescaped(literal: &str) -> String {
    literal
        .replace("\\n", " .")
        .replace("\\\n", " \n")
        .replace("\\\"", "\"")
}

/// All files in a directory with this extension; `only` is a file or a directory.
fn files(only: &str, extension: &str) -> Vec<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(only);
    if !path.is_dir() {
        return vec![path];
    }
    let mut found = Vec::new();
    let mut directories = vec![path];
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(&directory).expect("a directory of the repository") {
            let path = entry.expect("a directory entry").path();
            if path.is_dir() {
                directories.push(path);
            } else if path.extension().is_some_and(|it| it == extension) {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

fn findings(places: &[&str], extension: &str, texts: fn(&str) -> Vec<Text>) -> Vec<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut findings = Vec::new();
    for path in places.iter().flat_map(|place| files(place, extension)) {
        let name = path
            .strip_prefix(root)
            .expect("in the repository")
            .display()
            .to_string();
        if name == EXEMPT {
            continue;
        }
        let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{name}: {error}"));
        let found = texts(&text);
        findings.extend(
            found
                .iter()
                .flat_map(Text::findings)
                .map(|finding| format!("{name}:{finding}")),
        );
    }
    findings
}

fn assert_none(findings: &[String]) {
    assert!(
        findings.is_empty(),
        "{} phrases that the project does not use:\n{}",
        findings.len(),
        findings.join("\n")
    );
}

#[test]
fn pages_and_help_texts_use_the_language_of_the_project() {
    // docs/cli.md is generated from the help texts.
    let pages = [
        "README.md",
        "ARCHITECTURE.md",
        "CONTRIBUTING.md",
        "SECURITY.md",
        "CHANGELOG.md",
        "docs",
    ];
    assert_none(&findings(&pages, "md", paragraphs));
}

#[test]
fn comments_messages_and_test_names_use_the_language_of_the_project() {
    let sources = ["build.rs", "src", "xtask", "tests", "benches"];
    assert_none(&findings(&sources, "rs", rust_texts));
}

#[test]
fn avoided_phrases_are_found_with_their_place_and_replacement() {
    let page = "# A page\n\nThe Secret that\nstands is PUT\nBack. Fine.\n\nA put. Back.\n";
    let found: Vec<String> = paragraphs(page).iter().flat_map(Text::findings).collect();
    assert_eq!(
        found,
        [
            "4: \"The Secret that stands is PUT Back.\": instead of \"stands\" write: exists, is present, is in, is defined",
            "4: \"The Secret that stands is PUT Back.\": instead of \"put back\" write: restored",
        ]
    );
    let source = "//! Looked\n//! and\n//! found it.\n\nfn is_looked_at_anew() {\n    let c = ['\"', '\\''];\n    \
                  say(\"retried for \\\n         ever: \\\"no\\\"\"); /* unseen */ r#\"whoever\"#; // it tells\n}\n\
                  // for\n\n// ever, standstill, stands for, 'anew', {told}, retold\n";
    let found: Vec<String> = rust_texts(source).iter().flat_map(Text::findings).collect();
    let found: Vec<&str> = found
        .iter()
        .filter_map(|finding| finding.split(" write:").next())
        .collect();
    assert_eq!(
        found,
        [
            "1: \"Looked and found it.\": instead of \"looked and found\"",
            "5: \"is looked at anew\": instead of \"anew\"",
            "7: \"retried for ever:\": instead of \"for ever\"",
            "8: \"/* unseen */\": instead of \"unseen\"",
            "8: \"whoever\": instead of \"whoever\"",
            "8: \"it tells\": instead of \"tells\"",
        ]
    );
}
