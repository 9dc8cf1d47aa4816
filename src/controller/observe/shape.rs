//! The shape of the Secret of a document: the names of its entries and its fields. Known without opening the document.

use std::collections::BTreeSet;

use super::fields::{Field, FieldSet};
use crate::envelope::Document;

/// Returns the names of all entries of the Secret: values, plain data, rendered texts.
pub(in crate::controller) fn entry_names(document: &Document) -> BTreeSet<&str> {
    let spec = document.spec();
    let template = &spec.template;
    let names = spec
        .encrypted_data
        .keys()
        .chain(template.data.keys())
        .chain(template.render.keys());
    names.map(String::as_str).collect()
}

/// Returns the fields of the Secret that are the same in every ownership mode: entries, labels and annotations.
pub(in crate::controller) fn fields(document: &Document) -> FieldSet {
    let template = &document.spec().template;
    FieldSet::default()
        .with(entry_names(document).into_iter().map(Field::Data))
        .with(template.labels.keys().map(|key| Field::Label(key)))
        .with(template.annotations.keys().map(|key| Field::Annotation(key)))
}
