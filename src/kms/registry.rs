//! The providers of this build, and those that a process has configured.

use std::collections::BTreeMap;
use std::sync::{Arc, RwLock};
use std::time::{Duration, Instant};

use super::provider::{Capability, Provider, UriKind};
use super::{Class, KeyUri, Kms, KmsError, ProviderError, local, tencent};
use crate::sync;

/// Every built-in provider. A new one is a directory and an entry here.
static BUILT_IN: [&dyn Provider; 2] = [&local::PROVIDER, &tencent::PROVIDER];

/// Providers of the embedding program.
static REGISTERED: RwLock<Vec<&'static dyn Provider>> = RwLock::new(Vec::new());

/// Adds a provider to this process, for programs that embed this library. Call it before anything is parsed: flags and
/// key URIs of the provider are unknown until then.
///
/// `examples/custom_provider.rs` is a complete program with an additional provider.
///
/// ```
/// use envelope_secrets::kms::{
///     self, AllowedKeys, Capability, Configured, Caller, KeyUri, UriKind, Provider, ProviderError, Setting, Settings,
/// };
///
/// struct DemoProvider;
///
/// impl Provider for DemoProvider {
///     fn scheme(&self) -> &'static str {
///         "demo-kms"
///     }
///     fn title(&self) -> &'static str {
///         "Demo KMS"
///     }
///     fn capabilities(&self) -> &'static [Capability] {
///         &[]
///     }
///     fn classify_uri(&self, _uri: &KeyUri) -> UriKind {
///         UriKind::Key
///     }
///     fn key_form(&self) -> &'static str {
///         "write it as demo-kms://NAME"
///     }
///     fn setup_advice(&self) -> &'static str {
///         "nothing to configure"
///     }
///     fn settings(&self) -> &'static [Setting] {
///         &[]
///     }
///     fn configure(&self, _: &Settings, _: AllowedKeys, _: Caller) -> Result<Configured, ProviderError> {
///         Ok(Configured::NotConfigured("the demo has no service".to_owned()))
///     }
/// }
///
/// kms::register(&DemoProvider);
/// assert!(kms::is_key(&KeyUri::parse("demo-kms://one")?));
/// # Ok::<(), kms::KeyUriError>(())
/// ```
pub fn register(provider: &'static dyn Provider) {
    let mut registered = sync::write(&REGISTERED);
    registered.push(provider);
}

/// All providers, the built-in ones first.
pub fn providers() -> Vec<&'static dyn Provider> {
    let registered = sync::read(&REGISTERED);
    BUILT_IN
        .iter()
        .copied()
        .chain(registered.iter().copied())
        .collect()
}

/// The provider of a scheme.
pub fn provider_of_scheme(scheme: &str) -> Option<&'static dyn Provider> {
    providers()
        .into_iter()
        .find(|provider| provider.scheme() == scheme)
}

/// The provider of a key URI, by its scheme.
pub fn provider_of(uri: &KeyUri) -> Option<&'static dyn Provider> {
    provider_of_scheme(uri.scheme())
}

/// [`provider_of`], or the error that names the known providers.
pub fn require_provider(uri: &KeyUri) -> Result<&'static dyn Provider, ProviderError> {
    provider_of(uri).ok_or_else(|| {
        let known: Vec<&str> = providers().into_iter().map(Provider::scheme).collect();
        ProviderError::configuration(
            format!("this version has no provider {}", uri.scheme()),
            format!("use a KMS key of one of these providers: {}", known.join(", ")),
        )
    })
}

/// Returns the kind of `uri`; `None` for a scheme without a provider.
pub fn classify_uri(uri: &KeyUri) -> Option<UriKind> {
    provider_of(uri).map(|provider| provider.classify_uri(uri))
}

/// Whether `uri` has the form of a KMS key of some provider. The key need not exist.
pub fn is_key(uri: &KeyUri) -> bool {
    classify_uri(uri) == Some(UriKind::Key)
}

/// A finished call of a KMS, for metrics.
#[derive(Clone, Copy, Debug)]
pub struct FinishedCall {
    /// The scheme of the provider.
    pub provider: &'static str,
    /// One of [`super::action`].
    pub action: &'static str,
    /// `ok`, or the class of the failure.
    pub outcome: &'static str,
    /// From the request to the response, retries included.
    pub elapsed: Duration,
}

type Observer = Arc<dyn Fn(FinishedCall) + Send + Sync>;

/// The providers that are configured, by the scheme of their key URIs.
///
/// Sealing and opening with a keyring:
///
/// ```
/// use std::collections::BTreeMap;
/// use std::sync::Arc;
///
/// use envelope_secrets::envelope::{Draft, Place, ReaderPolicy, Scope, SealTime, SecretBytes, Template};
/// use envelope_secrets::kms::local::{FileRules, LocalKms, SCHEME, create_key};
/// use envelope_secrets::kms::{self, Registry};
///
/// # async fn round_trip() -> Result<(), Box<dyn std::error::Error>> {
/// let directory = tempfile::tempdir()?;
/// let keyring = directory.path().join("keyring");
/// let key = create_key(&keyring)?;
/// let mut registry = Registry::new();
/// registry.insert(SCHEME, Arc::new(LocalKms::open(&keyring, FileRules::Person)?));
///
/// let draft = Draft {
///     place: Place::new(Some("prod"), "db")?,
///     scope: Scope::Strict,
///     audience: None,
///     values: BTreeMap::from([("password".to_owned(), SecretBytes::new(b"correct horse".to_vec()))]),
///     template: Template::default(),
/// }
/// .check()?;
/// let context = draft.binding().context();
/// let (data_key, wraps) = kms::wrap_new_data_key(&registry, &key, &[], &context).await?;
/// let now = SealTime::now().ok_or("the clock is wrong")?;
/// let document = draft.seal(&data_key, wraps, now.clone())?;
///
/// let policy = ReaderPolicy::command_line(now);
/// let accepted = document.accept(&policy, &|key| registry.usable(key))?;
/// let opened = kms::open(accepted, &registry).await?;
/// assert_eq!(opened.entries()["password"].expose(), b"correct horse");
/// # Ok(())
/// # }
/// # tokio::runtime::Builder::new_current_thread().build()?.block_on(round_trip())?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Default)]
pub struct Registry {
    configured: BTreeMap<&'static str, Arc<dyn Kms>>,
    observer: Option<Observer>,
}

impl Registry {
    /// An empty registry.
    pub fn new() -> Self {
        Registry::default()
    }

    /// Adds a configured provider, or replaces the one of the same scheme.
    pub fn insert(&mut self, scheme: &'static str, kms: Arc<dyn Kms>) {
        self.configured.insert(scheme, kms);
    }

    /// Calls `observer` after each call that [`open`](super::open) makes.
    #[must_use]
    pub fn observed(mut self, observer: impl Fn(FinishedCall) + Send + Sync + 'static) -> Self {
        self.observer = Some(Arc::new(observer));
        self
    }

    /// Runs a call and reports it to the observer.
    pub(super) async fn observe<T>(
        &self,
        provider: &'static str,
        action: &'static str,
        call: impl Future<Output = Result<T, KmsError>>,
    ) -> Result<T, KmsError> {
        let started = Instant::now();
        let result = call.await;
        if let Some(observer) = &self.observer {
            observer(FinishedCall {
                provider,
                action,
                outcome: result
                    .as_ref()
                    .map_or_else(|error| error.class.as_str(), |_| "ok"),
                elapsed: started.elapsed(),
            });
        }
        result
    }

    /// The configured providers, by scheme.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, &Arc<dyn Kms>)> {
        self.configured.iter().map(|(scheme, kms)| (*scheme, kms))
    }

    /// Whether no provider is configured.
    pub fn is_empty(&self) -> bool {
        self.configured.is_empty()
    }

    /// The configured provider of this key's scheme.
    pub fn provider(&self, key: &KeyUri) -> Option<&Arc<dyn Kms>> {
        self.entry(key).map(|(_, kms)| kms)
    }

    fn entry(&self, key: &KeyUri) -> Option<(&'static str, &Arc<dyn Kms>)> {
        let entry = self.configured.get_key_value(key.scheme());
        entry.map(|(scheme, kms)| (*scheme, kms))
    }

    /// [`Registry::provider`], or the error that says what is missing.
    pub fn require(&self, key: &KeyUri, action: &'static str) -> Result<&Arc<dyn Kms>, KmsError> {
        self.require_entry(key, action).map(|(_, kms)| kms)
    }

    pub(super) fn require_entry(
        &self,
        key: &KeyUri,
        action: &'static str,
    ) -> Result<(&'static str, &Arc<dyn Kms>), KmsError> {
        self.entry(key).ok_or_else(|| {
            let (message, advice) = match require_provider(key) {
                Ok(provider) => (
                    format!("the provider {} is not configured", key.scheme()),
                    provider.setup_advice().to_owned(),
                ),
                Err(error) => (error.message, error.advice),
            };
            KmsError::new(Class::Configuration, key, action, message).with_advice(advice)
        })
    }

    /// The providers whose service has reported its time, with its clock minus this host's, in seconds. Makes no call.
    pub fn clocks(&self) -> impl Iterator<Item = (&'static str, i64)> {
        self.iter()
            .filter_map(|(scheme, kms)| Some((scheme, kms.access().clock_ahead()?)))
    }

    /// Whether a wrap under this key may be tried (format-es1 section 9.2): its provider is configured and allows the
    /// key. Makes no KMS call; the ciphertext is not read.
    pub fn usable(&self, key: &str) -> bool {
        KeyUri::parse(key).is_ok_and(|key| self.provider(&key).is_some_and(|provider| provider.allows(&key)))
    }
}

/// Whether the provider of a key URI has a capability; `false` for an unknown scheme.
pub fn can(uri: &KeyUri, capability: Capability) -> bool {
    provider_of(uri).is_some_and(|provider| provider.can(capability))
}

#[cfg(test)]
mod tests {
    use super::super::local::keyring_line;
    use super::super::local::{Keyring, LocalKms};
    use super::*;

    #[test]
    fn key_is_usable_if_its_provider_is_configured_and_allows_it() {
        let ring = Keyring::parse(keyring_line(0).as_bytes()).expect("a keyring");
        let mut registry = Registry::new();
        assert!(!registry.usable("local://fa1975b2"), "no provider is configured");
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
    fn key_uris_follow_the_grammar_of_their_provider() {
        let parsed = |uri| is_key(&KeyUri::parse(uri).expect("a key URI"));
        for key in [
            "local://fa1975b2",
            "tencent-kms://ap-guangzhou/23e80852-1e38-11e9-b129-5cb9019b4b01",
        ] {
            assert!(parsed(key), "{key}");
        }
        for none in [
            "local://FA1975B2",
            "tencent-kms://ap-guangzhou/",
            "tencent-kms://evil.example:80/23e80852-1e38-11e9-b129-5cb9019b4b01",
            "nokms://k",
        ] {
            assert!(!parsed(none), "{none}");
        }
    }

    #[test]
    fn missing_provider_is_reported_with_advice() {
        let registry = Registry::new();
        let ask = |uri| {
            let key = KeyUri::parse(uri).expect("a key URI");
            registry.require(&key, "Decrypt").err().expect("not configured")
        };
        let local = ask("local://fa1975b2");
        assert_eq!(local.class, Class::Configuration);
        assert_eq!(&*local.message, "the provider local is not configured");
        assert!(local.advice().contains("--keyring"), "{}", local.advice());
        let other = ask("nokms://k");
        assert_eq!(&*other.message, "this version has no provider nokms");
        assert_eq!(
            other.advice(),
            "use a KMS key of one of these providers: local, tencent-kms"
        );
    }
}
