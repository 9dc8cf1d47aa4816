use zeroize::Zeroizing;

/// One value of a manifest; maps keep the order of the text. May hold plaintext: no Debug, strings are wiped.
#[derive(Clone, PartialEq)]
pub enum Node {
    /// `null`, `~`, or an empty value.
    Null,
    /// `true`, `false`.
    Bool(bool),
    /// A number, as written in the text.
    Number(String),
    /// A string.
    String(Zeroizing<String>),
    /// A list.
    List(Vec<Node>),
    /// A map without duplicate keys.
    Map(Vec<Member>),
}

/// One member of a map.
#[derive(Clone)]
pub struct Member {
    /// Its key.
    pub key: String,
    /// The line of its key, from 1; 0 if unknown.
    pub line: usize,
    /// Its value.
    pub value: Node,
}

impl PartialEq for Member {
    /// Ignores line numbers.
    fn eq(&self, other: &Self) -> bool {
        self.key == other.key && self.value == other.value
    }
}

impl Member {
    /// Returns a member without a line number.
    pub fn new(key: impl Into<String>, value: Node) -> Self {
        Member {
            key: key.into(),
            line: 0,
            value,
        }
    }
}

impl Node {
    /// Returns a string node.
    pub fn text(text: impl Into<String>) -> Node {
        Node::String(Zeroizing::new(text.into()))
    }

    /// Returns a map of strings.
    pub fn texts<'a>(members: impl IntoIterator<Item = (&'a String, &'a String)>) -> Node {
        Node::Map(
            members
                .into_iter()
                .map(|(k, v)| Member::new(k, Node::text(v)))
                .collect(),
        )
    }

    /// Returns the value of a map's member; `None` for any other node.
    pub fn get(&self, key: &str) -> Option<&Node> {
        self.member(key).map(|member| &member.value)
    }

    /// Returns a map's member with its line.
    pub fn member(&self, key: &str) -> Option<&Member> {
        match self {
            Node::Map(members) => members.iter().find(|member| member.key == key),
            _ => None,
        }
    }

    /// Returns the text of a string; `None` for any other node.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Node::String(text) => Some(text),
            _ => None,
        }
    }

    /// Returns the line of the first member (in the order of the text) whose value, or an item of it, satisfies
    /// `found`.
    pub(super) fn find_line(&self, found: fn(&Node) -> bool) -> Option<usize> {
        fn search(node: &Node, line: usize, found: fn(&Node) -> bool) -> Option<usize> {
            if found(node) {
                return Some(line);
            }
            match node {
                Node::List(items) => items.iter().find_map(|item| search(item, line, found)),
                Node::Map(members) => members
                    .iter()
                    .find_map(|member| search(&member.value, member.line, found)),
                _ => None,
            }
        }
        search(self, 1, found)
    }

    /// Moves all lines down, for a document that was read alone.
    pub(super) fn shift_lines(&mut self, by: usize) {
        match self {
            Node::List(items) => items.iter_mut().for_each(|item| item.shift_lines(by)),
            Node::Map(members) => {
                for member in members {
                    if member.line > 0 {
                        member.line += by;
                    }
                    member.value.shift_lines(by);
                }
            }
            _ => {}
        }
    }

    /// Returns the type with its article, for messages: `a list`.
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
