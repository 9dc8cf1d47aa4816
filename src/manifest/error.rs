//! Why a manifest cannot be read.

/// Why a manifest cannot be read. Names lines, fields and entries, never a value.
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
    /// A value under `data` that the API server would refuse.
    #[error("{}data entry {entry:?} is not base64", at(*.line))]
    NotBase64 {
        /// The line, from 1; 0 if unknown.
        line: usize,
        /// The entry's name.
        entry: String,
    },
    /// A document that may pass through unchanged, but would change its meaning when rewritten.
    #[error("line {line}: {what} would change its meaning when rewritten")]
    NotRewritable {
        /// The line, from 1.
        line: usize,
        /// What it is.
        what: &'static str,
    },
    /// `Secret` exists in version v1 only.
    #[error("a Secret whose apiVersion is not \"v1\"")]
    NotV1,
}

impl ManifestError {
    /// Returns advice, if there is any.
    pub fn advice(&self) -> Option<&'static str> {
        Some(match self {
            ManifestError::NotUtf8 => {
                "save the file as UTF-8 (PowerShell's `>` writes UTF-16); \
                 put a binary value into an entry with --from-file"
            }
            ManifestError::Yaml { .. } | ManifestError::Json { .. } => return None,
            ManifestError::Irregular { .. } => {
                "write the document out in full, without anchors, aliases, merge keys, tags, \
                 and with keys that are strings"
            }
            ManifestError::ByteOrderMark => "save the file as UTF-8 without a byte order mark",
            ManifestError::Tag { .. } => "write the value in quotes instead",
            ManifestError::WrongType { is, wanted, .. } => match (*is, *wanted) {
                ("null", "a string") => "write \"\" for an empty value",
                (_, "a string") => "put the value in quotes",
                _ => return None,
            },
            ManifestError::NotBase64 { .. } => {
                "put plain text under `stringData`, or encode it: base64 < FILE"
            }
            ManifestError::NotRewritable { .. } => {
                "put the value in quotes; or use -o yaml, with each object in a document of its own"
            }
            ManifestError::NotV1 => "write `apiVersion: v1`",
        })
    }
}

impl ManifestError {
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

fn at(line: usize) -> String {
    if line == 0 {
        String::new()
    } else {
        format!("line {line}: ")
    }
}
