/// Why a manifest cannot be read. Names lines, fields and entries, never a value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ManifestError {
    /// Neither YAML nor JSON is anything else.
    #[error("the text is not UTF-8")]
    NotUtf8,
    /// Not YAML 1.2, or beyond the bounds of this reader.
    #[error("line {line}: {what}")]
    Yaml {
        /// From 1.
        line: usize,
        /// What is wrong.
        what: String,
    },
    /// Not JSON.
    #[error("line {line}, column {column}: {what}")]
    Json {
        /// From 1.
        line: usize,
        /// From 1.
        column: usize,
        /// What is wrong.
        what: String,
    },
    /// A sealed document with something that readers understand in different ways.
    #[error("line {line}: {what} in an EnvelopeSecret")]
    Irregular {
        /// From 1.
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
        /// From 1.
        line: usize,
    },
    /// A field of a Secret has the wrong type.
    #[error("{}{field} is {is}, not {wanted}", at(*.line))]
    WrongType {
        /// 0 where it is not known.
        line: usize,
        /// Its path.
        field: String,
        /// What it is.
        is: &'static str,
        /// What it must be.
        wanted: &'static str,
    },
    /// `data` holds something that Kubernetes would refuse.
    #[error("{}data entry {entry:?} is not base64", at(*.line))]
    NotBase64 {
        /// 0 where it is not known.
        line: usize,
        /// The entry's name.
        entry: String,
    },
    /// A document that may pass through, but cannot be written anew without a change of meaning.
    #[error("line {line}: {what} cannot be written anew without a change of meaning")]
    NotRewritable {
        /// From 1.
        line: usize,
        /// What it is.
        what: &'static str,
    },
    /// A kind that only version v1 has.
    #[error("a Secret whose apiVersion is not \"v1\"")]
    NotV1,
}

impl ManifestError {
    /// What a person can do about it.
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

fn at(line: usize) -> String {
    if line == 0 {
        String::new()
    } else {
        format!("line {line}: ")
    }
}
