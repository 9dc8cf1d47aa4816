//! Field paths for error messages, like `spec.dataKeys[0].wraps[1].key`.

use std::fmt;

use super::super::error::{StructureError, StructureKind};

/// Number of characters shown of a key that is not a plain word.
const SHOWN: usize = 80;

/// The path of one field. Nothing is allocated until it is formatted.
#[derive(Clone, Copy)]
pub(in super::super) enum Path<'a> {
    Root(&'static str),
    Field(&'a Path<'a>, &'a str),
    Item(&'a Path<'a>, usize),
}

impl<'a> Path<'a> {
    pub(in super::super) fn field(&'a self, name: &'a str) -> Path<'a> {
        Path::Field(self, name)
    }

    pub(in super::super) fn item(&'a self, index: usize) -> Path<'a> {
        Path::Item(self, index)
    }

    pub(in super::super) fn invalid(&self, what: impl Into<String>) -> StructureError {
        StructureError::invalid(self.to_string(), what)
    }

    pub(super) fn error(&self, what: impl Into<String>, kind: StructureKind) -> StructureError {
        StructureError {
            field: self.to_string(),
            what: what.into(),
            kind,
        }
    }
}

impl fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Path::Root(name) => f.write_str(name),
            Path::Item(parent, index) => write!(f, "{parent}[{index}]"),
            Path::Field(parent, name) => {
                let is_word = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_');
                if !name.is_empty() && name.len() <= SHOWN && name.bytes().all(is_word) {
                    write!(f, "{parent}.{name}")
                } else {
                    // The author of the document chooses the names: escape and truncate them.
                    let shown: String = name.chars().take(SHOWN).collect();
                    let ellipsis = if shown.len() < name.len() { "..." } else { "" };
                    write!(f, "{parent}[{shown:?}{ellipsis}]")
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_names_are_escaped_and_truncated() {
        let spec = Path::Root("spec");
        let keys = spec.field("dataKeys");
        let key = keys.item(0);
        assert_eq!(key.field("id").to_string(), "spec.dataKeys[0].id");
        assert_eq!(spec.field("tls.crt").to_string(), r#"spec["tls.crt"]"#);
        assert_eq!(spec.field("").to_string(), r#"spec[""]"#);
        assert_eq!(spec.field("a\n\u{1b}").to_string(), r#"spec["a\n\u{1b}"]"#);
        let long = "ä".repeat(1000);
        assert!(spec.field(&long).to_string().len() < 200);
    }
}
