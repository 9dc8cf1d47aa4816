//! How much of a text aliases may copy.

use super::super::node::{Member, Node};

/// How a reader treats aliases.
pub enum Aliases<'b> {
    /// Expand them within a budget. Everything read with one budget shares it.
    Expand(&'b mut AliasBudget),
    /// Read each alias as null and copy nothing. No sealed document may contain one, so this suffices to open them.
    Ignore,
}

impl Aliases<'_> {
    /// The same treatment, for one of several texts.
    pub fn reborrow(&mut self) -> Aliases<'_> {
        match self {
            Aliases::Expand(budget) => Aliases::Expand(budget),
            Aliases::Ignore => Aliases::Ignore,
        }
    }
}

/// Bytes of memory that anchors and aliases may still copy. The default is far above what people write and far below an
/// alias bomb.
pub struct AliasBudget(usize);

impl AliasBudget {
    /// Takes the weight of a copy of `node`; `false` if that is more than is left.
    pub(super) fn spend(&mut self, node: &Node) -> bool {
        match self.0.checked_sub(weight(node)) {
            Some(rest) => {
                self.0 = rest;
                true
            }
            None => false,
        }
    }
}

impl Default for AliasBudget {
    fn default() -> Self {
        AliasBudget(16 << 20)
    }
}

/// Estimates the bytes of a tree in memory.
fn weight(node: &Node) -> usize {
    size_of::<Member>()
        + match node {
            Node::Null | Node::Bool(_) => 0,
            Node::Number(text) => text.len(),
            Node::String(text) => text.len(),
            Node::List(items) => items.iter().map(weight).sum(),
            Node::Map(members) => members.iter().map(|m| m.key.len() + weight(&m.value)).sum(),
        }
}
