//! The rendering language of format-es1 section 8: one parser, one evaluator, bounded.

/// A render text that failed over verified values. Names entry, line and kind, never a value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("template {entry}, line {line}: {kind}")]
pub struct RenderError {
    /// The name in `template.render`.
    pub entry: String,
    /// Line of the text, from 1.
    pub line: usize,
    /// What failed, in fixed words.
    pub kind: String,
}
