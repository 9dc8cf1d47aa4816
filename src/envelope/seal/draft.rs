//! What is to be sealed.

use std::collections::BTreeMap;

use super::super::binding::Scope;
use super::super::names::Place;
use super::super::secret_bytes::SecretBytes;
use super::super::wire::Template;

/// What is to be sealed. No `Debug`: it holds the values.
///
/// ```
/// use std::collections::BTreeMap;
///
/// use envelope_secrets::envelope::{Draft, Place, Scope, SecretBytes, Template};
///
/// let draft = |text: &str| Draft {
///     place: Place::new(Some("prod"), "db").expect("a valid place"),
///     scope: Scope::Strict,
///     audience: None,
///     values: BTreeMap::from([("password".to_owned(), SecretBytes::new(b"p w".to_vec()))]),
///     template: Template {
///         render: BTreeMap::from([("dsn".to_owned(), text.to_owned())]),
///         ..Template::default()
///     },
/// };
/// assert!(draft("postgres://app:<%= v.password|urlencode %>@db/").check().is_ok());
///
/// // A mistake in a render text is found before anything is sealed.
/// let error = draft("postgres://app:<%= v.passwd %>@db/").check().err().expect("a misspelled name");
/// assert_eq!(error.field, "spec.template.render.dsn");
/// ```
pub struct Draft {
    /// The namespace and name of the future object.
    pub place: Place,
    /// Where the document can be opened.
    pub scope: Scope,
    /// The readers that the document is meant for.
    pub audience: Option<String>,
    /// Secret values by name.
    pub values: BTreeMap<String, SecretBytes>,
    /// Everything else about the Secret. `immutable: false` has no effect and is dropped.
    pub template: Template,
}
