//! A controller in this process, on the real control plane, in a namespace per test.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use envelope_secrets::api::{GROUP, PLURAL, VERSION};
use envelope_secrets::config::ControllerConfig;
use envelope_secrets::controller::{self, Health, Setup, StartError, Timings};
use envelope_secrets::envelope::Document;
use envelope_secrets::kms::Registry;
use envelope_secrets::kms::broker::BrokerSettings;
use envelope_secrets::kms::local::{self, FileRules, LocalKms};
use envelope_secrets::kms::tencent::{self, TencentKms};
use envelope_secrets::metrics::Metrics;
use k8s_openapi::api::core::v1::Secret;
use kube::api::{ApiResource, DeleteParams, Patch, PatchParams, PostParams};
use kube::core::{DynamicObject, GroupVersionKind};
use kube::{Api, Client};
use serde_json::{Value, json};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::canary::Canary;
use super::crd::plane_with_crd;
use super::sealing::{Sealer, draft, object};
use super::{client, wait_for};

/// Timings for tests: milliseconds instead of seconds, so that retries happen while a test waits.
pub(crate) fn timings() -> Timings {
    Timings {
        retry_min: Duration::from_millis(50),
        retry_max: Duration::from_millis(500),
        stream_retry_min: Duration::from_millis(50),
        stream_retry_max: Duration::from_millis(500),
        foreign_min: Duration::from_millis(100),
        foreign_max: Duration::from_millis(500),
        breaker_min: Duration::from_millis(100),
        breaker_max: Duration::from_millis(500),
        // Tests of other subjects have many permanent failures in one namespace.
        integrity_object: Duration::from_millis(100),
        integrity_namespace: Duration::from_millis(10),
        keyring: Duration::from_millis(100),
        schema: Duration::from_millis(200),
        schema_settle: Duration::from_secs(2),
        event_interval: Duration::from_millis(1),
        ..Timings::default()
    }
}

/// The KMS providers of a controller.
pub(crate) struct Keys(pub(crate) Registry);

impl From<PathBuf> for Keys {
    fn from(keyring: PathBuf) -> Self {
        let mut registry = Registry::new();
        let kms = LocalKms::open(&keyring, FileRules::Mounted).unwrap();
        registry.insert(local::SCHEME, Arc::new(kms));
        Keys(registry)
    }
}

impl From<Arc<TencentKms>> for Keys {
    fn from(tencent: Arc<TencentKms>) -> Self {
        let mut registry = Registry::new();
        registry.insert(tencent::SCHEME, tencent);
        Keys(registry)
    }
}

/// A running controller. Dropping it does not wait for its shutdown.
pub(crate) struct Running {
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) health: Health,
    stop: CancellationToken,
    task: JoinHandle<Result<(), StartError>>,
}

fn configured(namespaces: &[&str], audiences: &[&str], kubeconfig: PathBuf) -> ControllerConfig {
    let owned = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
    ControllerConfig::new(&owned(namespaces), &owned(audiences), Some(kubeconfig)).unwrap()
}

#[expect(
    clippy::large_types_passed_by_value,
    reason = "callers build the timings for the call"
)]
impl Running {
    /// Starts a controller for these namespaces of the shared control plane, with these keys.
    pub(crate) fn start(keys: impl Into<Keys>, namespaces: &[&str]) -> Self {
        let kubeconfig = plane_with_crd().kubeconfig();
        Running::start_with(keys, namespaces, &[], kubeconfig, timings())
    }

    pub(crate) fn start_with(
        keys: impl Into<Keys>,
        namespaces: &[&str],
        audiences: &[&str],
        kubeconfig: PathBuf,
        timings: Timings,
    ) -> Self {
        let config = configured(namespaces, audiences, kubeconfig);
        Running::start_configured(keys, config, timings)
    }

    /// Starts a controller with these limits of KMS calls.
    pub(crate) fn start_limited(
        keys: impl Into<Keys>,
        namespaces: &[&str],
        audiences: &[&str],
        kubeconfig: PathBuf,
        timings: Timings,
        broker: BrokerSettings,
    ) -> Self {
        let config = configured(namespaces, audiences, kubeconfig);
        Running::start_configured(keys, ControllerConfig { broker, ..config }, timings)
    }

    pub(crate) fn start_configured(
        keys: impl Into<Keys>,
        config: ControllerConfig,
        timings: Timings,
    ) -> Self {
        super::canary::capture_logs();
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let Keys(registry) = keys.into();
        let (metrics, health, stop) = (Metrics::new(), Health::default(), CancellationToken::new());
        let setup = Setup {
            config,
            registry,
            metrics: metrics.clone(),
            health: health.clone(),
        };
        let task = tokio::spawn(controller::run(setup, timings, stop.clone()));
        Running {
            metrics,
            health,
            stop,
            task,
        }
    }

    /// Shuts it down and waits until it has stopped.
    pub(crate) async fn stop(self) {
        self.stop.cancel();
        let stopped = tokio::time::timeout(Duration::from_mins(1), self.task);
        stopped
            .await
            .expect("shutdown in time")
            .expect("no panic")
            .expect("no error");
    }

    /// Returns the sum of the samples of this name whose labels contain `label`.
    pub(crate) fn metric(&self, name: &str, label: &str) -> u64 {
        let text = self.metrics.encode();
        let of_name = text.lines().filter(|line| {
            line.strip_prefix(name)
                .is_some_and(|rest| rest.starts_with(['{', ' ']))
        });
        let values = of_name.filter(|line| line.contains(label));
        values
            .filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok())
            .sum()
    }
}

/// A namespace with a sealer and a client. A controller can be started for it.
pub(crate) struct TestNamespace {
    pub(crate) namespace: String,
    pub(crate) sealer: Sealer,
    pub(crate) client: Client,
    pub(crate) canary: Canary,
}

impl TestNamespace {
    pub(crate) async fn new(prefix: &str) -> Self {
        let namespace = plane_with_crd().namespace(prefix).unwrap();
        TestNamespace {
            namespace,
            sealer: Sealer::new(1),
            client: client().await,
            canary: Canary::new(),
        }
    }

    pub(crate) fn controller(&self) -> Running {
        Running::start(self.sealer.keyring(), &[&self.namespace])
    }

    /// Creates a namespace, starts a controller for it, and applies the object `db` with these entries. Returns when it is
    /// Synced.
    pub(crate) async fn with_synced(prefix: &str, entries: &[(&str, &str)]) -> (Self, Running) {
        let place = TestNamespace::new(prefix).await;
        let running = place.controller();
        place.apply_synced("db", entries).await;
        (place, running)
    }

    /// Applies an object with these entries and waits until its Secret holds them and it is Synced.
    pub(crate) async fn apply_synced(&self, name: &str, entries: &[(&str, &str)]) -> DynamicObject {
        self.apply(&self.sealed(name, entries)).await;
        self.wait_for_secret(name, entries).await;
        self.wait_for_reason(name, "Synced").await
    }

    /// Adds a foreign annotation to the Secret `db`, waits until the status records the new resourceVersion, and returns the
    /// Secret.
    pub(crate) async fn annotate_secret(&self, annotation: &str) -> Secret {
        let note = json!({"metadata": {"annotations": {annotation: "x"}}});
        let touched = self
            .secrets()
            .patch("db", &PatchParams::default(), &Patch::Merge(note))
            .await
            .unwrap();
        let stamped = |object: Option<&DynamicObject>| {
            object.is_some_and(|object| {
                let applied = &object.data["status"]["applied"];
                applied["secretResourceVersion"] == json!(touched.metadata.resource_version)
            })
        };
        let what = "the status records the new resourceVersion";
        wait_for(&self.objects(), "db", what, stamped).await;
        touched
    }

    /// Seals for this namespace and registers the values with the canary.
    pub(crate) fn sealed(&self, name: &str, values: &[(&str, &str)]) -> Value {
        object(&self.document(name, values))
    }

    pub(crate) fn document(&self, name: &str, values: &[(&str, &str)]) -> Document {
        for (_, value) in values {
            self.canary.plant(value);
        }
        let values: Vec<(&str, &[u8])> = values
            .iter()
            .map(|(name, value)| (*name, value.as_bytes()))
            .collect();
        self.sealer.seal(draft(&self.namespace, name, &values))
    }

    pub(crate) fn objects(&self) -> Api<DynamicObject> {
        Api::namespaced_with(self.client.clone(), &self.namespace, &resource())
    }

    pub(crate) fn secrets(&self) -> Api<Secret> {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    /// Creates or updates the object like `kubectl apply --server-side`.
    pub(crate) async fn apply(&self, object: &Value) -> DynamicObject {
        let name = object["metadata"]["name"].as_str().unwrap();
        let params = PatchParams::apply("test").force();
        self.objects()
            .patch(name, &params, &Patch::Apply(object))
            .await
            .unwrap()
    }

    pub(crate) async fn delete(&self, name: &str) {
        self.objects()
            .delete(name, &DeleteParams::default())
            .await
            .unwrap();
    }

    pub(crate) async fn create_secret(&self, secret: &Secret) -> Secret {
        self.secrets()
            .create(&PostParams::default(), secret)
            .await
            .unwrap()
    }

    /// Waits until `Ready` has this reason for the current generation, and returns the object.
    pub(crate) async fn wait_for_reason(&self, name: &str, reason: &str) -> DynamicObject {
        let is = |object: Option<&DynamicObject>| object.is_some_and(|object| has_reason(object, reason));
        wait_for(&self.objects(), name, &format!("it is {reason}"), is)
            .await
            .unwrap()
    }

    /// Waits until the Secret holds exactly these entries, and returns it.
    pub(crate) async fn wait_for_secret(&self, name: &str, entries: &[(&str, &str)]) -> Secret {
        let holds = |secret: Option<&Secret>| {
            secret.is_some_and(|secret| text_entries(secret) == sorted_entries(entries))
        };
        wait_for(&self.secrets(), name, "it holds what was sealed", holds)
            .await
            .unwrap()
    }

    /// Shuts the controller down and checks that no planted value leaked.
    pub(crate) async fn finish(self, running: Running) {
        let metrics = running.metrics.encode();
        running.stop().await;
        self.canary.check(&self.client, &self.namespace, &[metrics]).await;
    }
}

pub(crate) fn resource() -> ApiResource {
    ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk(GROUP, VERSION, "EnvelopeSecret"), PLURAL)
}

/// Returns the condition of this type.
pub(crate) fn condition<'a>(object: &'a DynamicObject, type_: &str) -> Option<&'a Value> {
    let conditions = object.data["status"]["conditions"].as_array()?;
    conditions.iter().find(|condition| condition["type"] == type_)
}

/// Returns the message of `Ready`.
pub(crate) fn message(object: &DynamicObject) -> &str {
    condition(object, "Ready")
        .and_then(|ready| ready["message"].as_str())
        .unwrap_or_default()
}

/// Whether `Ready` has this reason and describes the current generation.
pub(crate) fn has_reason(object: &DynamicObject, reason: &str) -> bool {
    let current = object.data["status"]["observedGeneration"].as_i64() == object.metadata.generation;
    current && condition(object, "Ready").is_some_and(|ready| ready["reason"] == reason)
}

/// Returns the entries of a Secret as text.
pub(crate) fn text_entries(secret: &Secret) -> Vec<(String, String)> {
    let data = secret.data.iter().flatten();
    data.map(|(name, value)| (name.clone(), String::from_utf8_lossy(&value.0).into_owned()))
        .collect()
}

/// Sorts entries like those of a Secret.
pub(crate) fn sorted_entries(entries: &[(&str, &str)]) -> Vec<(String, String)> {
    let mut entries: Vec<(String, String)> = entries
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect();
    entries.sort();
    entries
}

/// Asserts that the conditions say that human action is required.
pub(crate) fn assert_stalled(object: &DynamicObject) {
    assert_eq!(condition(object, "Ready").unwrap()["status"], "False");
    assert_eq!(condition(object, "Stalled").unwrap()["status"], "True");
    assert!(condition(object, "Reconciling").is_none());
}
