//! The features of YAML on which readers disagree.

/// Lines (from 1) on which a document uses a feature; `None` if it does not.
#[derive(Clone, Copy, Default)]
pub(in super::super) struct YamlFeatures {
    /// An anchor, an alias or a merge key.
    pub(in super::super) reference: Option<(usize, &'static str)>,
    /// A tag.
    pub(in super::super) tag: Option<usize>,
    /// A key that is not a string under both YAML 1.1 and 1.2.
    pub(in super::super) odd_key: Option<usize>,
    /// A merge key after another member: kubectl lets it override that member.
    pub(in super::super) late_merge: Option<usize>,
    /// A plain scalar that YAML 1.1 readers read differently, or a number that JSON cannot represent.
    pub(in super::super) differs: Option<usize>,
}

impl YamlFeatures {
    /// Moves all lines down, for a document that was read alone.
    pub(in super::super) fn shift(&mut self, by: usize) {
        if let Some((line, _)) = &mut self.reference {
            *line += by;
        }
        for line in [
            &mut self.tag,
            &mut self.odd_key,
            &mut self.late_merge,
            &mut self.differs,
        ]
        .into_iter()
        .flatten()
        {
            *line += by;
        }
    }
}
