//! The shape of the Secret of a document: the names of its entries and its labels. Known without opening the document.

use std::collections::{BTreeMap, BTreeSet};

use super::fields::FieldSet;
use crate::api::{MANAGED_BY_LABEL, MANAGED_LABEL, Mode, SECRET_MANAGER};
use crate::envelope::{Document, Template};

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

/// Returns the labels of the Secret.
pub(in crate::controller) fn labels(template: &Template) -> BTreeMap<&str, &str> {
    // Policy refuses a template that sets one of the two labels inserted below.
    let mut labels: BTreeMap<&str, &str> = template
        .labels
        .iter()
        .map(|(k, v)| (k.as_str(), v.as_str()))
        .collect();
    labels.insert(MANAGED_LABEL, Mode::Owned.label());
    labels.insert(MANAGED_BY_LABEL, SECRET_MANAGER);
    labels
}

/// Returns the fields that our Apply of this document owns on the Secret of the object with this uid.
pub(in crate::controller) fn fields(document: &Document, object_uid: &str) -> FieldSet {
    let template = &document.spec().template;
    FieldSet::expected(
        entry_names(document).into_iter(),
        labels(template).into_keys(),
        template.annotations.keys().map(String::as_str),
        template.immutable == Some(true),
        object_uid,
    )
}
