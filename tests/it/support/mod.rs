//! What several topics need on the control plane.

pub(crate) mod canary;
pub(crate) mod controller;
pub(crate) mod crd;
pub(crate) mod sealing;

use std::fmt::Debug;
use std::path::Path;
use std::time::Duration;

use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::runtime::wait::{Condition, await_condition};
use kube::{Api, Client, Config, Resource};
use serde::de::DeserializeOwned;

/// How long anything may take that happens by itself. Generous: the machine may be compiling, and the garbage collector looks for new
/// kinds only every 30 s. Nothing waits this long when all is well.
const LIMIT: Duration = Duration::from_mins(2);

/// A client with an administrator's rights on the shared control plane. One a test: it lives on the test's own runtime.
pub(crate) async fn client() -> Client {
    client_of(&testkit::shared().kubeconfig()).await
}

/// A client for a kubeconfig file, with nothing of the caller's own settings.
pub(crate) async fn client_of(kubeconfig: &Path) -> Client {
    // The process-wide provider, as `main` installs it; a second test finds it there.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let file = Kubeconfig::read_from(kubeconfig).unwrap();
    let mut config = Config::from_custom_kubeconfig(file, &KubeConfigOptions::default())
        .await
        .unwrap();
    config.proxy_url = None;
    Client::try_from(config).unwrap()
}

/// The async twin of [`testkit::until`], for what gives no event: looks again until `holds`.
///
/// # Panics
/// When that does not happen within `limit`.
pub(crate) async fn until(limit: Duration, what: &str, holds: impl AsyncFn() -> bool) {
    let mut pause = tokio::time::interval(Duration::from_millis(20));
    let waiting = async {
        while !holds().await {
            pause.tick().await;
        }
    };
    let waited = tokio::time::timeout(limit, waiting).await;
    assert!(waited.is_ok(), "not within {} s: {what}", limit.as_secs());
}

/// Watches one object until `condition` holds of it (or of its absence), and returns it as it was then.
///
/// # Panics
/// When that does not happen in time; the message holds `what` and nothing of the object, which may be a Secret.
pub(crate) async fn wait_for<K>(
    api: &Api<K>,
    name: &str,
    what: &str,
    condition: impl Condition<K>,
) -> Option<K>
where
    K: Clone + Debug + Send + DeserializeOwned + Resource + 'static,
{
    let waited = tokio::time::timeout(LIMIT, await_condition(api.clone(), name, condition)).await;
    let waited = waited.unwrap_or_else(|_| panic!("{name}: not within {} s: {what}", LIMIT.as_secs()));
    waited.unwrap_or_else(|error| panic!("{name}: waiting until {what}: {error}"))
}
