//! Which provider a key URI leads to.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{Class, KeyUri, Kms, KmsError, local, tencent};

/// The scheme of its URIs, what it takes to use it, what a URI of its scheme names.
type Provider = (&'static str, &'static str, fn(&KeyUri) -> Names);

/// Every provider of this build. A new one is a folder and a line.
const PROVIDERS: &[Provider] = &[
    (local::SCHEME, local::SETUP, local::names),
    (tencent::SCHEME, tencent::SETUP, tencent::names),
];

/// What a URI names by its provider's own grammar.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Names {
    /// One key, which may or may not exist.
    Key,
    /// All keys whose URIs begin so; it ends at `/`.
    Prefix,
    /// No key and no prefix: it can never match.
    Nothing,
}

/// What `uri` names; `None` for a scheme without a provider in this build.
pub(super) fn names(uri: &KeyUri) -> Option<Names> {
    let provider = PROVIDERS.iter().find(|(scheme, ..)| *scheme == uri.scheme());
    provider.map(|(.., names)| names(uri))
}

/// Whether `uri` has the form of a key of a provider of this build. It may still name none that exists.
pub fn is_key(uri: &KeyUri) -> bool {
    names(uri) == Some(Names::Key)
}

/// The providers that are set up, by the scheme of their key URIs.
#[derive(Clone, Default)]
pub struct Registry {
    providers: BTreeMap<&'static str, Arc<dyn Kms>>,
}

impl Registry {
    /// Without a provider.
    pub fn new() -> Self {
        Registry::default()
    }

    /// Sets a provider up; one that had the scheme before is replaced.
    pub fn insert(&mut self, scheme: &'static str, provider: Arc<dyn Kms>) {
        self.providers.insert(scheme, provider);
    }

    /// The provider of this key's scheme, if it is set up.
    pub fn provider(&self, key: &KeyUri) -> Option<&Arc<dyn Kms>> {
        self.providers.get(key.scheme())
    }

    /// [`Registry::provider`], or the error that says what is missing.
    pub fn require(&self, key: &KeyUri, action: &'static str) -> Result<&Arc<dyn Kms>, KmsError> {
        self.provider(key).ok_or_else(|| {
            let scheme = key.scheme();
            let known = PROVIDERS.iter().find(|(known, ..)| *known == scheme);
            let (message, advice) = if let Some((_, setup, _)) = known {
                (
                    format!("the provider {scheme} is not set up"),
                    (*setup).to_owned(),
                )
            } else {
                let known: Vec<&str> = PROVIDERS.iter().map(|(known, ..)| *known).collect();
                let advice = format!("use a KMS key of one of these providers: {}", known.join(", "));
                (format!("this version has no provider {scheme}"), advice)
            };
            KmsError::new(Class::Configuration, key, action, message).with_advice(advice)
        })
    }

    /// The providers whose service has told its time, with its clock less this machine's, in seconds. Makes no call.
    pub fn clocks(&self) -> impl Iterator<Item = (&'static str, i64)> {
        let providers = self.providers.iter();
        providers.filter_map(|(scheme, kms)| Some((*scheme, kms.access().clock_ahead()?)))
    }

    /// Whether a wrap under this key may be tried (format-es1 section 9.2): its provider is set up, and the key is on
    /// the provider's list. Costs no KMS call; the ciphertext is not looked at.
    pub fn usable(&self, key: &str) -> bool {
        KeyUri::parse(key).is_ok_and(|key| self.provider(&key).is_some_and(|provider| provider.allows(&key)))
    }
}

#[cfg(test)]
mod tests {
    use super::super::local::keyring_line;
    use super::super::local::{Keyring, LocalKms};
    use super::*;

    #[test]
    fn usable_is_a_known_scheme_and_a_key_on_the_list() {
        let ring = Keyring::parse(keyring_line(0).as_bytes()).expect("a keyring");
        let mut registry = Registry::new();
        assert!(!registry.usable("local://fa1975b2"), "no provider is set up");
        registry.insert(local::SCHEME, Arc::new(LocalKms::from_keyring(ring)));
        assert!(registry.usable("local://fa1975b2"));
        for unusable in [
            "local://41f313f6",
            "local://FA1975B2",
            "local://fa1975b2/x",
            "tencent-kms://ap-guangzhou/23e80852-1e38-11e9-b129-5cb9019b4b01",
            "fa1975b2",
            "",
        ] {
            assert!(!registry.usable(unusable), "{unusable}");
        }
    }

    #[test]
    fn a_key_is_what_its_provider_names_so() {
        let is = |uri| is_key(&KeyUri::parse(uri).expect("a key URI"));
        for key in [
            "local://fa1975b2",
            "tencent-kms://ap-guangzhou/23e80852-1e38-11e9-b129-5cb9019b4b01",
        ] {
            assert!(is(key), "{key}");
        }
        for none in [
            "local://FA1975B2",
            "tencent-kms://ap-guangzhou/",
            "tencent-kms://evil.example:80/23e80852-1e38-11e9-b129-5cb9019b4b01",
            "nokms://k",
        ] {
            assert!(!is(none), "{none}");
        }
    }

    #[test]
    fn a_missing_provider_says_how_to_get_it() {
        let registry = Registry::new();
        let ask = |uri| {
            let key = KeyUri::parse(uri).expect("a key URI");
            registry.require(&key, "Decrypt").err().expect("not set up")
        };
        let local = ask("local://fa1975b2");
        assert_eq!(local.class, Class::Configuration);
        assert_eq!(&*local.message, "the provider local is not set up");
        assert!(local.advice().contains("--keyring"), "{}", local.advice());
        let other = ask("nokms://k");
        assert_eq!(&*other.message, "this version has no provider nokms");
        assert_eq!(
            other.advice(),
            "use a KMS key of one of these providers: local, tencent-kms"
        );
    }
}
