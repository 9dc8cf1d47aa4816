//! The annotation that shows people what a document was sealed for. Nothing is ever opened by it.

use crate::envelope::{Place, Scope};

/// On an `EnvelopeSecret`: where it was sealed for, in the form that [`sealed_for`] returns.
pub const SEALED_FOR_ANNOTATION: &str = "envelope-secrets.io/sealed-for";

/// The annotation's text: `prod/db` for a strict document, `prod/*` for a namespace-wide one, `*` for a cluster-wide
/// one.
pub fn sealed_for(scope: Scope, place: &Place) -> String {
    match (scope, &place.namespace) {
        (Scope::ClusterWide, _) | (_, None) => "*".to_owned(),
        (Scope::NamespaceWide, Some(namespace)) => format!("{namespace}/*"),
        (Scope::Strict, Some(namespace)) => format!("{namespace}/{}", place.name),
    }
}

/// Returns the annotation's text if it is well formed and names another place than the object's own: a hint for an
/// error message.
pub fn sealed_elsewhere(annotation: &str, namespace: &str, name: &str) -> Option<String> {
    let (for_namespace, for_name) = annotation.split_once('/')?;
    let here = for_namespace == namespace && (for_name == "*" || for_name == name);
    let checked_name = if for_name == "*" { name } else { for_name };
    let well_formed = !for_namespace.is_empty() && Place::new(Some(for_namespace), checked_name).is_ok();
    (well_formed && !here).then(|| annotation.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_names_the_scope_and_is_no_hint_at_its_own_place() {
        let place = Place::new(Some("prod"), "db").expect("a place");
        for (scope, text) in [
            (Scope::Strict, "prod/db"),
            (Scope::NamespaceWide, "prod/*"),
            (Scope::ClusterWide, "*"),
        ] {
            assert_eq!(sealed_for(scope, &place), text);
            assert_eq!(sealed_elsewhere(text, "prod", "db"), None);
        }
        assert_eq!(
            sealed_elsewhere("prod/db", "stage", "db").as_deref(),
            Some("prod/db")
        );
    }
}
