use zeroize::Zeroizing;

use super::error::ManifestError;
use super::json_read;

/// One value of a manifest, maps in the order of the text. May hold plaintext: no Debug, strings are wiped.
#[derive(Clone, PartialEq)]
pub enum Node {
    /// `null`, `~`, nothing.
    Null,
    /// `true`, `false`.
    Bool(bool),
    /// As it is written.
    Number(String),
    /// Text.
    String(Zeroizing<String>),
    /// A list.
    List(Vec<Node>),
    /// A map, no key twice.
    Map(Vec<Member>),
}

/// One member of a map.
#[derive(Clone)]
pub struct Member {
    /// Its key.
    pub key: String,
    /// The line of its key, from 1; 0 where it is not known (JSON).
    pub line: usize,
    /// Its value.
    pub value: Node,
}

impl PartialEq for Member {
    /// Lines do not count.
    fn eq(&self, other: &Self) -> bool {
        self.key == other.key && self.value == other.value
    }
}

impl Member {
    /// A member that was not read from a text.
    pub fn new(key: impl Into<String>, value: Node) -> Self {
        Member {
            key: key.into(),
            line: 0,
            value,
        }
    }
}

impl Node {
    /// A string.
    pub fn text(text: impl Into<String>) -> Node {
        Node::String(Zeroizing::new(text.into()))
    }

    /// Reads one JSON value.
    pub fn from_json(text: &str) -> Result<Node, ManifestError> {
        json_read::read_one(text)
    }

    /// A map of strings.
    pub fn texts<'a>(members: impl IntoIterator<Item = (&'a String, &'a String)>) -> Node {
        Node::Map(
            members
                .into_iter()
                .map(|(k, v)| Member::new(k, Node::text(v)))
                .collect(),
        )
    }

    /// The member of a map; `None` for anything else.
    pub fn get(&self, key: &str) -> Option<&Node> {
        self.member(key).map(|member| &member.value)
    }

    /// As [`Node::get`], with its line.
    pub fn member(&self, key: &str) -> Option<&Member> {
        match self {
            Node::Map(members) => members.iter().find(|member| member.key == key),
            _ => None,
        }
    }

    /// The text of a string; `None` for anything else.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Node::String(text) => Some(text),
            _ => None,
        }
    }

    /// For messages.
    pub fn type_name(&self) -> &'static str {
        match self {
            Node::Null => "null",
            Node::Bool(_) => "a boolean",
            Node::Number(_) => "a number",
            Node::String(_) => "a string",
            Node::List(_) => "a list",
            Node::Map(_) => "a map",
        }
    }
}
