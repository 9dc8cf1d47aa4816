use proptest::prelude::*;

use super::*;

fn read_fresh(text: &str) -> Result<Vec<YamlDocument>, ManifestError> {
    read(text, Aliases::Expand(&mut AliasBudget::default()))
}

fn ranges(text: &str) -> Vec<&str> {
    let Ok(documents) = read_fresh(text) else {
        panic!("{text:?} must be read")
    };
    let parts: Vec<&str> = documents.iter().map(|d| &text[d.range.clone()]).collect();
    assert!(
        parts.is_empty() || parts.concat() == text,
        "{text:?} must be covered"
    );
    parts
}

#[test]
fn document_ranges_cover_the_text() {
    assert_eq!(ranges("a: 1\n"), ["a: 1\n"]);
    assert_eq!(
        ranges("# top\n---\na: 1\n# of a\n---\nb: |\n  ---x\n--- # c\n"),
        ["# top\n---\na: 1\n# of a\n", "---\nb: |\n  ---x\n", "--- # c\n"]
    );
    assert_eq!(
        ranges("a: 1\r\n---\r\nb: 2\r\n...\r\n# of c\r\n---\r\nc: 3"),
        ["a: 1\r\n", "---\r\nb: 2\r\n...\r\n", "# of c\r\n---\r\nc: 3"]
    );
    assert_eq!(
        ranges("a: 1\n...\n%YAML 1.2\n---\nb: 2\n"),
        ["a: 1\n...\n", "%YAML 1.2\n---\nb: 2\n"]
    );
    assert_eq!(ranges("a: 1\n...\nb: 2\n...\n"), ["a: 1\n...\n", "b: 2\n...\n"]);
    assert_eq!(
        ranges("\u{feff}a: é\n---\nb: ü\n"),
        ["\u{feff}a: é\n", "---\nb: ü\n"]
    );
    assert_eq!(ranges("# only comments\n"), [""; 0]);
    assert_eq!(ranges(""), [""; 0]);
}

fn one(text: &str) -> YamlDocument {
    let Ok(mut documents) = read_fresh(text) else {
        panic!("{text:?} must be read")
    };
    assert_eq!(documents.len(), 1, "{text:?}");
    documents.remove(0)
}

#[test]
fn scalars_follow_the_core_schema() {
    let document = one("a: yes\nb: 12345678\nc: \"12345678\"\nd: true\ne:\nf: 'null'\ng: 0o17\nh: |\n  x");
    let get = |key| document.root.get(key).map(|n| (n.type_name(), n.as_str()));
    assert_eq!(get("a"), Some(("a string", Some("yes"))));
    assert_eq!(get("b"), Some(("a number", None)));
    assert_eq!(get("c"), Some(("a string", Some("12345678"))));
    assert_eq!(get("d"), Some(("a boolean", None)));
    assert_eq!(get("e"), Some(("null", None)));
    assert_eq!(get("f"), Some(("a string", Some("null"))));
    assert_eq!(get("g"), Some(("a number", None)));
    assert_eq!(get("h"), Some(("a string", Some("x\n"))), "as kubectl takes it");
    assert_eq!(document.features.differs, Some(1));
    assert_eq!(document.root.member("c").map(|m| m.line), Some(3));
}

#[test]
fn marks_name_the_line() {
    let features = one("a: &x 1\nb: *x\n").features;
    assert_eq!(features.reference, Some((1, "an anchor")));
    assert_eq!(
        one("a: {<<: {b: 1}}\n").features.reference,
        Some((1, "a merge key"))
    );
    assert_eq!(one("a: 1\n'<<': 2\n").features.reference, None);
    assert_eq!(one("a: 1\nb: !!str 1\n").features.tag, Some(2));
    assert_eq!(one("a:\n  ! b\n").features.tag, Some(2));
    assert_eq!(one("a: {1: x}\n").features.odd_key, Some(1));
    assert_eq!(one("a: {true: x}\n").features.odd_key, Some(1));
    assert_eq!(
        one("a: {yes: x}\n").features.odd_key,
        Some(1),
        "kubectl reads true"
    );
    assert_eq!(
        one("a: {b: 1}\nc:\n  d: 1\n  <<: {e: f}\n").features.late_merge,
        Some(4)
    );
}

#[test]
fn aliases_and_merges_are_resolved() {
    let document = one("base: &b {x: '1', y: '2'}\nz: {<<: *b, y: '3'}\nl: {<<: [{x: a}, {x: b, w: c}]}\n");
    let z = document.root.get("z");
    let text = |node: Option<&Node>, key| {
        node.and_then(|n| n.get(key))
            .and_then(Node::as_str)
            .map(str::to_owned)
    };
    assert_eq!(text(z, "x").as_deref(), Some("1"));
    assert_eq!(text(z, "y").as_deref(), Some("3"));
    assert_eq!(text(document.root.get("l"), "x").as_deref(), Some("a"));
    assert_eq!(text(document.root.get("l"), "w").as_deref(), Some("c"));
}

fn refusal(text: &str) -> String {
    match read_fresh(text) {
        Ok(_) => panic!("{text:?} must be refused"),
        Err(error) => error.to_string(),
    }
}

#[test]
fn errors_name_the_line_and_no_value() {
    for (text, line) in [
        ("a: 1\nb: 2\na: hunter2\n", 3),
        ("a: hunter2\n  b: [\n", 2),
        ("a: *nothing\n", 1),
        ("? [hunter2]\n: x\n", 1),
        ("a: \"hunter2\n", 1),
        ("a: @hunter2\n", 1),
        ("a: 1\n---\nb: *x\n", 3),
        ("a: &a [*a]\n", 1),
        ("<<: hunter2\n", 1),
    ] {
        let message = refusal(text);
        assert!(
            message.starts_with(&format!("line {line}")),
            "{text:?}: {message}"
        );
        assert!(!message.contains("hunter2"), "{message}");
    }
}

#[test]
fn an_alias_bomb_is_refused_early() {
    let mut bomb = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
    for n in 1..30 {
        use std::fmt::Write as _;
        let row = vec![format!("*a{}", n - 1); 10].join(", ");
        let _ = writeln!(bomb, "a{n}: &a{n} [{row}]");
    }
    let message = refusal(&bomb);
    assert!(message.contains("aliases expand to more"), "{message}");
    // Each line expands to ten times the previous one.
    assert!(
        message.starts_with("line 5:") || message.starts_with("line 6:"),
        "{message}"
    );
}

#[test]
fn depth_is_bounded() {
    refusal(&"[".repeat(100_000));
    refusal(&format!("{}x", "- ".repeat(100_000)));
}

/// Fragments that are significant to a YAML scanner.
fn any_text() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        Just("---\n"),
        Just("...\n"),
        Just("\n"),
        Just("\r\n"),
        Just("a: "),
        Just("- "),
        Just("? "),
        Just("{"),
        Just("}"),
        Just("["),
        Just("]"),
        Just(", "),
        Just("&x "),
        Just("*x "),
        Just("!!str "),
        Just("<<: "),
        Just("|\n  "),
        Just(">-\n "),
        Just("\""),
        Just("'"),
        Just("# c\n"),
        Just("%YAML 1.2\n"),
        Just("\u{feff}"),
        Just("é"),
        Just("\t"),
        Just("  "),
        Just("x"),
        Just("1"),
        Just("\\u"),
    ];
    prop::collection::vec(piece, 0..24).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn any_text_is_refused_or_covered_by_ranges(text in prop_oneof![any_text(), any::<String>()]) {
        if let Ok(documents) = read_fresh(&text) {
            let parts: String = documents.iter().map(|d| &text[d.range.clone()]).collect();
            prop_assert!(documents.is_empty() || parts == text, "{parts:?}");
            // Each document read alone has the same content.
            for document in &documents {
                let Ok(alone) = read_fresh(&text[document.range.clone()]) else {
                    panic!("{:?} of {text:?}", &text[document.range.clone()])
                };
                prop_assert_eq!(alone.len(), 1);
                prop_assert!(alone[0].root == document.root);
            }
        }
    }
}
