use super::*;
use crate::envelope::wire::API_VERSION;

#[test]
fn group_and_version_match_the_format() {
    assert_eq!(format!("{GROUP}/{VERSION}"), API_VERSION);
    let resource = format!("{PLURAL}.{GROUP}");
    assert_eq!(crd().metadata.name.as_deref(), Some(resource.as_str()));
}

#[test]
fn our_labels_and_annotations_are_reserved_in_templates() {
    for key in [
        MANAGED_LABEL,
        MANAGED_BY_LABEL,
        SEALED_FOR_ANNOTATION,
        SUSPEND_ANNOTATION,
    ] {
        assert!(crate::envelope::names::is_reserved(key), "{key}");
    }
}
