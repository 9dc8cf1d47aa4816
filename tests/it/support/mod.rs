//! Helpers shared by the tests on the control plane.

pub(crate) mod canary;
pub(crate) mod controller;
pub(crate) mod crd;
pub(crate) mod sealing;

use std::fmt::Debug;
use std::path::Path;
use std::process::{Child, ExitStatus};
use std::time::Duration;

use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::runtime::wait::{Condition, await_condition};
use kube::{Api, Client, Config, Resource};
use serde::de::DeserializeOwned;

/// The timeout of waits. Generous: the host may be compiling, and the garbage collector discovers new kinds only every 30 s.
/// Successful tests never wait this long.
const LIMIT: Duration = Duration::from_mins(2);

/// A client with administrator permissions on the shared control plane. Create one per test: it is bound to the test's
/// runtime.
pub(crate) async fn client() -> Client {
    client_of(&testkit::shared().kubeconfig()).await
}

/// A client for a kubeconfig file, independent of the caller's environment.
pub(crate) async fn client_of(kubeconfig: &Path) -> Client {
    // The process-wide provider, as in `main`. Fails if another test has installed it already.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let file = Kubeconfig::read_from(kubeconfig).unwrap();
    let mut config = Config::from_custom_kubeconfig(file, &KubeConfigOptions::default())
        .await
        .unwrap();
    config.proxy_url = None;
    Client::try_from(config).unwrap()
}

/// Polls until `holds` returns true, for conditions without an event. The async variant of [`testkit::until`].
///
/// # Panics
/// If that does not happen within `limit`.
pub(crate) async fn until(limit: Duration, what: &str, holds: impl AsyncFn() -> bool) {
    let mut interval = tokio::time::interval(Duration::from_millis(20));
    let waiting = async {
        while !holds().await {
            interval.tick().await;
        }
    };
    let waited = tokio::time::timeout(limit, waiting).await;
    assert!(waited.is_ok(), "not within {} s: {what}", limit.as_secs());
}

/// Sends SIGTERM to a process.
pub(crate) fn terminate(child: &Child) {
    let id = rustix::process::Pid::from_child(child);
    rustix::process::kill_process(id, rustix::process::Signal::TERM).unwrap();
}

/// Waits until a process exits. `None` if that takes longer than `limit`; then it is killed.
pub(crate) async fn exit_status(mut child: Child, limit: Duration) -> Option<ExitStatus> {
    let id = rustix::process::Pid::from_child(&child);
    let waiting = tokio::task::spawn_blocking(move || child.wait().unwrap());
    let Ok(status) = tokio::time::timeout(limit, waiting).await else {
        rustix::process::kill_process(id, rustix::process::Signal::KILL).unwrap();
        return None;
    };
    Some(status.unwrap())
}

/// Watches one object until `condition` holds for it (or for its absence), and returns it.
///
/// # Panics
/// If that does not happen in time. The message contains `what` but no content of the object, which may be a Secret.
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
