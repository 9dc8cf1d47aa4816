use proptest::prelude::*;

use super::super::yaml_read::Aliases;
use super::*;
use crate::manifest::{json_read, yaml_read};

fn yaml(node: &Node) -> String {
    String::from_utf8(to_yaml(node).expose().to_vec()).expect("UTF-8")
}

fn parse(text: &str) -> Node {
    let Ok(mut documents) = yaml_read::read(text, Aliases::Ignore) else {
        panic!("{text}")
    };
    assert_eq!(documents.len(), 1, "{text}");
    assert!(documents[0].features.differs.is_none(), "{text}");
    documents.remove(0).root
}

fn tree(json: &str) -> Node {
    let Ok(Some(mut documents)) = json_read::read(json) else {
        panic!("{json}")
    };
    documents.remove(0).root
}

#[test]
fn yaml_is_written_in_block_style() {
    let node = tree(
        r#"{"kind":"X","spec":{"id":"fYty","dataKeys":[{"id":"69e86d38","wraps":[{"key":"local://a"}]},["x",[]]],
        "encryptedData":{},"none":null,"t":"2026-11-23T17:00:00Z","b":true,"q":"12345678","text":"a\nb\n","s":"a\nb",
        "host":"db:5432","yes":"yes","v":"69e86d38.E_ZTsY","u":"ä"}}"#,
    );
    assert_eq!(
        yaml(&node),
        r#"kind: X
spec:
  id: fYty
  dataKeys:
  - id: "69e86d38"
    wraps:
    - key: local://a
  -
    - x
    - []
  encryptedData: {}
  none: null
  t: "2026-11-23T17:00:00Z"
  b: true
  q: "12345678"
  text: |
    a
    b
  s: |-
    a
    b
  host: db:5432
  "yes": "yes"
  v: 69e86d38.E_ZTsY
  u: ä
"#
    );
    assert!(parse(&yaml(&node)) == node);
}

#[test]
fn awkward_strings_round_trip_through_two_yaml_readers() {
    for text in [
        "",
        " ",
        "a ",
        " a",
        "a\n",
        "\n",
        "\na",
        "a\n\nb",
        "a\n\n",
        "a\n b\n",
        "a\t",
        "\ta\nb",
        "a\r\nb",
        "a: b",
        "a:",
        "a #b",
        "#a",
        "- a",
        "-",
        "---",
        "--- a",
        "...",
        "a\n---\nb",
        "a\n...\n",
        "? a",
        "{a",
        "[",
        "*a",
        "&a",
        "!a",
        "|",
        ">",
        "%a",
        "@a",
        "`a",
        "'a",
        "\"a",
        "yes",
        "NO",
        "on",
        "null",
        "~",
        "true",
        "1",
        "-1",
        "1.5",
        "0x1f",
        "0o17",
        "017",
        "1e3",
        "69e86d38",
        "12345678",
        ".inf",
        "1:30",
        "2026-11-23",
        "=",
        "<<",
        "a,b",
        "a]b",
        "\u{85}",
        "\u{2028}",
        "\u{feff}a",
        "a\u{feff}",
        "\u{7f}",
        "\0",
        "\u{fffe}",
        "\u{1ffff}",
        "\u{10ffff}",
        "😀",
        "a\\b",
        "a\"b",
        "a  b\nc  \nd",
        "trailing \nspace",
        "\u{a0}",
        "a\n\u{a0}b",
    ] {
        let node = Node::Map(vec![
            Member::new("k", Node::text(text)),
            Member::new("l", Node::List(vec![Node::text(text)])),
            Member::new(format!("{text}!"), Node::text("x")),
        ]);
        let written = yaml(&node);
        assert!(parse(&written) == node, "{text:?}: {written}");
        assert!(
            !written.contains("\\ud"),
            "go-yaml takes no surrogates: {written}"
        );
        let second: serde_json::Value = serde_saphyr::from_str(&written).expect("serde-saphyr reads it");
        assert_eq!(second["k"], text, "{written}");
        assert_eq!(second["l"][0], text, "{written}");
        let json = to_json(&node);
        let third: serde_json::Value = serde_json::from_slice(json.expose()).expect("JSON");
        assert_eq!((&third["k"], &third["l"][0]), (&text.into(), &text.into()));
    }
}

#[test]
fn numbers_become_json_numbers() {
    for (yaml, json) in [
        ("1", "1"),
        ("-1", "-1"),
        ("+1", "1"),
        ("012", "12"),
        ("0o17", "15"),
        ("0xfF", "255"),
        (".5", "0.5"),
        ("1.", "1.0"),
        ("1e3", "1e3"),
    ] {
        assert_eq!(json_number(yaml).as_deref(), Some(json));
    }
}

#[test]
fn numbers_that_json_lacks_have_no_conversion() {
    for yaml in [
        ".inf",
        "-.INF",
        ".nan",
        "1e999",
        "0o7777777777777777777777777777777777777777777777",
    ] {
        assert_eq!(json_number(yaml), None, "{yaml}");
    }
}

#[test]
fn json_is_indented_by_two() {
    let text = to_json_pretty(&tree(r#"{"a":[],"b":{},"c":[1,{"d":"e"}]}"#));
    assert_eq!(
        std::str::from_utf8(text.expose()),
        Ok("{\n  \"a\": [],\n  \"b\": {},\n  \"c\": [\n    1,\n    {\n      \"d\": \"e\"\n    }\n  ]\n}\n")
    );
}

/// A `serde_json` value, because a node has no Debug.
fn any_value() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(Into::into),
        any::<i32>().prop_map(Into::into),
        ".{0,12}".prop_map(Into::into),
        "[ \t\n\r:#'\"\\\\|>~a0.-]{0,8}".prop_map(Into::into),
        any::<String>().prop_map(Into::into),
    ];
    leaf.prop_recursive(4, 32, 5, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Into::into),
            prop::collection::hash_map("[a-z:# \n.1-]{0,6}", inner, 0..5)
                .prop_map(|map| serde_json::Value::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn written_trees_read_back_equal(value in any_value()) {
        let node = tree_any(&value.to_string());
        let written = yaml(&node);
        prop_assert!(parse(&written) == node, "{written}");
        let json = to_json_pretty(&node);
        let text = std::str::from_utf8(json.expose()).expect("UTF-8");
        prop_assert!(tree_any(text) == node, "{text}");
    }
}

/// Any JSON value, wrapped in a map so that the text is a document.
fn tree_any(json: &str) -> Node {
    let Node::List(mut items) = tree(&format!("[{json}]")) else {
        panic!("a list")
    };
    items.remove(0)
}
