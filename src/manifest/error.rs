//! Why a manifest cannot be read or sealed.

use super::shown::quoted;

/// Why a manifest cannot be read or sealed. Names lines, fields and entries, never a value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ManifestError {
    /// YAML and JSON are read as UTF-8 only.
    #[error("the text is not UTF-8")]
    NotUtf8,
    /// Not YAML 1.2, or beyond a limit of this reader.
    #[error("line {line}: {what}")]
    Yaml {
        /// The line, from 1.
        line: usize,
        /// The fault.
        what: String,
    },
    /// Not YAML, and it contains the delimiters of a template.
    #[error("line {line}: {what}")]
    Template {
        /// The line, from 1.
        line: usize,
        /// The fault.
        what: String,
    },
    /// Not JSON.
    #[error("line {line}, column {column}: {what}")]
    Json {
        /// The line, from 1.
        line: usize,
        /// The column, from 1.
        column: usize,
        /// The fault.
        what: String,
    },
    /// The document is an array.
    #[error("line {line}: a list without kind: List")]
    Array {
        /// The line, from 1.
        line: usize,
    },
    /// A sealed document that uses a YAML feature on which readers disagree.
    #[error("line {line}: {what} in an EnvelopeSecret")]
    Irregular {
        /// The line, from 1.
        line: usize,
        /// An anchor, an alias, a tag, ...
        what: &'static str,
    },
    /// A sealed document in JSON behind a byte order mark (format-es1 section 2).
    #[error("a byte order mark before the JSON of an EnvelopeSecret")]
    ByteOrderMark,
    /// A tag in a Secret.
    #[error("line {line}: a tag in a Secret")]
    Tag {
        /// The line, from 1.
        line: usize,
    },
    /// Something in a Secret, or in a document that would be rewritten, that kubectl reads differently.
    #[error("line {line}: {what}")]
    Ambiguous {
        /// The line, from 1.
        line: usize,
        /// The feature.
        what: Ambiguity,
    },
    /// A field of a Secret has the wrong type.
    #[error("{}{field} is {is}, not {wanted}", at(*.line))]
    WrongType {
        /// The line, from 1; 0 if unknown.
        line: usize,
        /// The field's path.
        field: String,
        /// Its type.
        is: &'static str,
        /// The type it must have.
        wanted: &'static str,
    },
    /// A field that a Secret does not have.
    #[error("{}a Secret has no field {field}", at(*.line))]
    UnknownField {
        /// The line, from 1; 0 if unknown.
        line: usize,
        /// The field, as shown.
        field: String,
        /// The field that was probably meant.
        meant: Option<&'static str>,
    },
    /// `data` holds a value that the API server would refuse.
    #[error("{}data entry {} is not base64", at(*.line), quoted(.entry))]
    NotBase64 {
        /// The line, from 1; 0 if unknown.
        line: usize,
        /// The entry's name.
        entry: String,
    },
    /// A name, label or annotation that the API server would refuse.
    #[error("{}{field} {rule}", at(*.line))]
    Invalid {
        /// The line, from 1; 0 if unknown.
        line: usize,
        /// The field's path.
        field: String,
        /// The rule that it violates: `must be ...`.
        rule: String,
    },
    /// A Secret lacks an entry that its type requires, or has one in the wrong form.
    #[error("{}a Secret of type {type_} {fault}", at(*.line))]
    Typed {
        /// The line, from 1; 0 if unknown.
        line: usize,
        /// The type.
        type_: &'static str,
        /// `needs the entry "tls.key"`.
        fault: String,
    },
    /// A document that may pass through unchanged, but would change its meaning when rewritten.
    #[error("line {line}: {what} would change its meaning when rewritten")]
    NotRewritable {
        /// The line, from 1.
        line: usize,
        /// What it is.
        what: &'static str,
    },
    /// A list that is unpacked has a field of its own.
    #[error("line {line}: {field} beside the items of a list would be lost")]
    BesideItems {
        /// The line, from 1.
        line: usize,
        /// The field, as shown.
        field: String,
    },
    /// `Secret` exists in version v1 only.
    #[error("{}a Secret whose apiVersion is not \"v1\"", at(*.line))]
    NotV1 {
        /// The line, from 1; 0 if unknown.
        line: usize,
    },
}

/// A YAML feature that kubectl reads differently.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ambiguity {
    /// A key such as `yes`, `012` or `1.0`.
    Key,
    /// A merge key after another member.
    LateMerge,
    /// U+0085, U+2028 or U+2029.
    LineBreak(char),
}

impl std::fmt::Display for Ambiguity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Ambiguity::Key => f.write_str("kubectl does not read this key as a string"),
            Ambiguity::LateMerge => f.write_str("in kubectl this merge key overrides the members before it"),
            Ambiguity::LineBreak(c) => write!(f, "kubectl ends the line at U+{:04X}", u32::from(*c)),
        }
    }
}

impl ManifestError {
    /// Returns advice, if there is any.
    pub fn advice(&self) -> Option<String> {
        Some(match self {
            ManifestError::UnknownField {
                meant: Some(field), ..
            } => format!("did you mean `{field}`?"),
            other => other.fixed_advice()?.to_owned(),
        })
    }

    fn fixed_advice(&self) -> Option<&'static str> {
        Some(match self {
            ManifestError::NotUtf8 => {
                "save the file as UTF-8 (PowerShell's `>` writes UTF-16); \
                 put a binary value into an entry with --from-file"
            }
            ManifestError::Yaml { what, .. } => advice_on_yaml(what),
            ManifestError::Json { what, .. } => advice_on_json(what),
            ManifestError::Typed { .. } => return None,
            ManifestError::BesideItems { .. } => {
                "kubectl applies only the items: remove the field, or write each item as a document of its own"
            }
            ManifestError::Invalid { field, .. } if !field.contains("{{") => return None,
            ManifestError::Template { .. } | ManifestError::Invalid { .. } => {
                "this looks like a template: render it first (helm template), and seal the result"
            }
            ManifestError::Array { .. } => {
                "write `apiVersion: v1`, `kind: List` and the array under `items`, or separate documents with `---`"
            }
            ManifestError::Irregular { .. } => {
                "write the document out in full, without anchors, aliases, merge keys, tags, \
                 and with keys that are strings"
            }
            ManifestError::ByteOrderMark => "save the file as UTF-8 without a byte order mark",
            ManifestError::Tag { .. } => "write the value in quotes instead",
            ManifestError::Ambiguous { what, .. } => match what {
                Ambiguity::Key => "write the key in quotes",
                Ambiguity::LateMerge => "move the merge key to the top of its map, or write its members out",
                Ambiguity::LineBreak(_) => {
                    "write the text in double quotes, with \\u2028, \\u2029 or \\u0085"
                }
            },
            ManifestError::WrongType { is, wanted, .. } => match (*is, *wanted) {
                ("null", "a string") => "write \"\" for an empty value",
                (_, "a string") => "put the value in quotes",
                _ => return None,
            },
            ManifestError::UnknownField { .. } => {
                "remove it: a Secret has only metadata, type, immutable, data and stringData"
            }
            ManifestError::NotBase64 { .. } => {
                "put plain text under `stringData`, or encode it on one line: base64 -w0 FILE (macOS: base64 -i FILE)"
            }
            ManifestError::NotRewritable { .. } => {
                "put the value in quotes; or use -o yaml, with each object in a document of its own"
            }
            ManifestError::NotV1 { .. } => "write `apiVersion: v1`",
        })
    }

    /// Moves the error down by a number of lines, for a document that was read alone.
    #[must_use]
    pub(super) fn shifted(mut self, by: usize) -> Self {
        use ManifestError as E;
        match &mut self {
            E::Yaml { line, .. }
            | E::Template { line, .. }
            | E::Json { line, .. }
            | E::Array { line }
            | E::Irregular { line, .. }
            | E::Tag { line }
            | E::Ambiguous { line, .. }
            | E::WrongType { line, .. }
            | E::UnknownField { line, .. }
            | E::NotBase64 { line, .. }
            | E::Invalid { line, .. }
            | E::Typed { line, .. }
            | E::NotRewritable { line, .. }
            | E::BesideItems { line, .. }
            | E::NotV1 { line } => {
                if *line > 0 {
                    *line += by;
                }
            }
            E::NotUtf8 | E::ByteOrderMark => {}
        }
        self
    }

    /// The messages of serde_json contain its own words and ours, never text of the document.
    pub(super) fn from_json(error: &serde_json::Error) -> Self {
        let message = error.to_string();
        let what = message.split(" at line ").next().unwrap_or(&message).to_owned();
        ManifestError::Json {
            line: error.line(),
            column: error.column(),
            what,
        }
    }
}

/// By the words of the parser's messages and of our own.
fn advice_on_yaml(what: &str) -> &'static str {
    let says = |words: &[&str]| words.iter().any(|word| what.contains(word));
    if says(&["duplicate key"]) {
        "remove one of the two, or rename it"
    } else if says(&["mapping values", "simple key", "unexpected character"]) {
        "put a value in quotes if it contains `: ` or ` #`, or begins with a character such as `@`, `%`, `*` or `&`"
    } else if says(&["tab"]) {
        "indent with blanks"
    } else if says(&["quote", "unclosed", "eof", "end of"]) {
        "check that every quote, bracket and brace is closed, and that the file is complete"
    } else if says(&["alias", "anchor"]) {
        "write the values out, or put a value in quotes if it begins with `*` or `&`"
    } else if says(&["nesting", "recursion", "depth"]) {
        "no manifest is nested so deeply: check that this is the right file"
    } else {
        "check the indentation and the quotes on this line and on the one before"
    }
}

/// By the words of serde_json's messages.
fn advice_on_json(what: &str) -> &'static str {
    if what.contains("EOF") {
        "the text ends too early: check that every quote, bracket and brace is closed, and that the file is complete"
    } else if what.contains("control character") {
        "write a line feed in a string as \\n, and a tab as \\t"
    } else {
        "check the commas and quotes on this line: JSON has no comments and no comma before a closing bracket"
    }
}

fn at(line: usize) -> String {
    if line == 0 {
        String::new()
    } else {
        format!("line {line}: ")
    }
}
