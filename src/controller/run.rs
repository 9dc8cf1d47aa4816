//! Starts everything, and ends it in order.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock};

use futures::StreamExt as _;
use kube::api::Api;
use kube::runtime::watcher::{self, watcher};
use kube::{Client, Resource as _};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::client::{ConnectError, SignsOfLife, connect};
use super::cluster::{Cluster, SecretMeta};
use super::events::{self, Events};
use super::metered::Metered;
use super::object::RawObject;
use super::opener::{self, Opener, Tools};
use super::queue::Queue;
use super::reader::Reader;
use super::reconcile::{Context, reconcile};
use super::store::{Scope, Stores};
use super::watch::{Condition, Kind, Watched, follow};
use super::{ObjectKey, Timings};
use crate::api::{MANAGED_LABEL, Reason};
use crate::config::ControllerConfig;
use crate::kms::local::{self, FileRules, KeyringError, LocalKms, Refresh};
use crate::kms::tencent::{self, TencentKms};
use crate::kms::{Kms, Registry};
use crate::metrics::Metrics;

/// How many reconciles run at once, and so how many writes are under way at most: measured as the best.
const RECONCILES: usize = 32;
/// How many objects one page of a list holds: they are buffered whole.
const PAGE: u32 = 200;

/// What [`run`] works with.
pub struct Setup {
    /// What the controller was told.
    pub config: ControllerConfig,
    /// Tencent Cloud KMS, with the keys that it may use.
    pub tencent: Option<Arc<TencentKms>>,
    /// Where it counts.
    pub metrics: Arc<Metrics>,
    /// Where it says how it does.
    pub health: Health,
}

/// Why the controller cannot start. That the API server does not answer, that the CRD is missing and that a list is
/// forbidden are no reasons: these are waited for.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The keyring.
    #[error("cannot use the keyring: {0}")]
    Keyring(#[from] KeyringError),
    /// The way to the API server.
    #[error(transparent)]
    Connect(#[from] ConnectError),
}

/// How the controller does, for the probes. Cheap to clone; before [`run`] it is alive and not ready.
#[derive(Clone, Default)]
pub struct Health(Arc<OnceLock<Parts>>);

struct Parts {
    stores: Arc<Stores>,
    streams: Vec<Arc<Watched>>,
    /// A task that never ends has ended.
    broken: AtomicBool,
}

impl Health {
    /// Whether the process can go on. An API server that does not answer is no failure of this process.
    pub fn live(&self) -> Result<(), String> {
        match self.0.get() {
            Some(parts) if parts.broken.load(Ordering::Relaxed) => {
                Err("a task of the controller has ended".to_owned())
            }
            _ => Ok(()),
        }
    }

    /// Whether both lists of at least one namespace are complete.
    pub fn ready(&self) -> Result<(), String> {
        let Some(parts) = self.0.get() else {
            return Err("starting".to_owned());
        };
        if parts.stores.any_complete() {
            return Ok(());
        }
        let complaints: Vec<String> = parts
            .streams
            .iter()
            .filter_map(|stream| stream.complaint())
            .collect();
        Err(complaints.join("; "))
    }
}

/// Runs until `shutdown`; running reconciles are finished then.
pub async fn run(setup: Setup, timings: Timings, shutdown: CancellationToken) -> Result<(), StartError> {
    let Setup {
        config,
        tencent,
        metrics,
        health,
    } = setup;
    let keyring = match &config.keyring {
        Some(path) => Some(Arc::new(LocalKms::open(path, FileRules::Mounted)?)),
        None => None,
    };
    let signs = SignsOfLife::default();
    let client = connect(config.kubeconfig.as_deref(), timings.request, signs.clone()).await?;
    tracing::info!(
        version = env!("CARGO_PKG_VERSION"),
        namespaces = config
            .namespaces
            .as_ref()
            .map_or("all".to_owned(), |names| names.join(",")),
        keys = keys_in_use(keyring.as_deref(), tencent.as_deref()),
        "the controller starts"
    );

    let stores = Arc::new(Stores::new(config.namespaces.as_deref()));
    let queue = Arc::new(Queue::default());
    let registry = providers(keyring.as_ref(), tencent.as_ref(), &metrics);
    let reader = Arc::new(Reader::new(config.audiences, registry));
    let (opener, asked) = Opener::new();
    let (events, waiting) = Events::new(metrics.clone());
    let context = Arc::new(Context {
        stores: stores.clone(),
        queue: queue.clone(),
        cluster: Cluster::new(client.clone()),
        reader: reader.clone(),
        opener: opener.clone(),
        events,
        metrics: metrics.clone(),
        timings,
        epoch: AtomicU64::new(0),
        states: Mutex::new(HashMap::new()),
    });

    // Ends with its owner: a task of it that ends by itself is a fault that liveness shows.
    let mut tasks = JoinSet::new();
    let mut streams = Vec::new();
    for scope in stores.scopes() {
        streams.extend(start_streams(&mut tasks, &client, scope, &context, &signs));
    }
    let parts = Parts {
        stores: stores.clone(),
        streams: streams.clone(),
        broken: AtomicBool::new(false),
    };
    let _ = health.0.set(parts);
    refresh_on_scrape(&metrics, &context, streams, tencent);

    let tools = Tools {
        stores,
        reader,
        queue,
        metrics: metrics.clone(),
    };
    let stop = shutdown.clone();
    tasks.spawn(opener::run(opener, asked, Arc::new(tools), stop.clone()));
    let rate = (timings.event_interval, timings.event_burst);
    tasks.spawn(events::run(client, waiting, metrics, rate, stop.clone()));
    if let (Some(keyring), Some(path)) = (keyring, config.keyring) {
        tasks.spawn(follow_keyring(keyring, path, context.clone()));
    }
    let tracker = TaskTracker::new();
    tasks.spawn(work(context, tracker.clone(), stop));

    tokio::select! {
        biased;
        () = shutdown.cancelled() => {}
        ended = tasks.join_next() => {
            // None of them ends before the signal: whatever this was, a person has to see it, and the kubelet restarts it.
            let panicked = ended.is_some_and(|ended| ended.is_err());
            tracing::error!(panicked, "a task of the controller has ended");
            if let Some(parts) = health.0.get() {
                parts.broken.store(true, Ordering::Relaxed);
            }
            shutdown.cancelled().await;
        }
    }
    tracing::info!("the controller ends");
    tracker.close();
    if tokio::time::timeout(timings.shutdown, tracker.wait())
        .await
        .is_err()
    {
        tracing::warn!(
            running = tracker.len(),
            "reconciles that did not end in time are given up"
        );
    }
    tasks.shutdown().await;
    Ok(())
}

/// The KMSs, their calls counted.
fn providers(
    keyring: Option<&Arc<LocalKms>>,
    tencent: Option<&Arc<TencentKms>>,
    metrics: &Arc<Metrics>,
) -> Registry {
    let mut registry = Registry::new();
    let mut provide = |scheme, kms: Arc<dyn Kms>| {
        registry.insert(scheme, Arc::new(Metered::new(scheme, kms, metrics.clone())));
    };
    if let Some(keyring) = keyring {
        provide(local::SCHEME, keyring.clone());
    }
    if let Some(tencent) = tencent {
        provide(tencent::SCHEME, tencent.clone());
    }
    registry
}

/// The keys that documents are opened with, for the log: those of the keyring, and what is allowed of others.
fn keys_in_use(keyring: Option<&LocalKms>, tencent: Option<&TencentKms>) -> String {
    let local = keyring.map(LocalKms::kids).unwrap_or_default();
    let local = local.iter().map(ToString::to_string);
    let others = tencent.into_iter().flat_map(|tencent| tencent.allowed().iter());
    let all: Vec<String> = local.chain(others.map(str::to_owned)).collect();
    all.join(",")
}

/// The two streams of one scope.
fn start_streams(
    tasks: &mut JoinSet<()>,
    client: &Client,
    scope: &Arc<Scope>,
    context: &Arc<Context>,
    signs: &SignsOfLife,
) -> [Arc<Watched>; 2] {
    let namespace = scope.namespace.as_deref();
    let timings = &context.timings;
    let retry = (timings.stream_retry_min, timings.stream_retry_max);
    let seconds = u32::try_from(timings.watch.as_secs()).unwrap_or(u32::MAX);
    let config = watcher::Config::default().timeout(seconds).page_size(PAGE);
    let watched = |kind, path| Watched::new(kind, namespace, path, signs.clone());

    let objects: Api<RawObject> = api(client, namespace);
    let of_objects = watched(Kind::Objects, RawObject::url_path(&(), namespace));
    let (to, with) = (scope.clone(), context.clone());
    let handle = move |event| {
        to.object_event(event)
            .into_iter()
            .for_each(|key| with.queue.add(key));
    };
    let stream = watcher(objects, config.clone()).boxed();
    tasks.spawn(follow(
        of_objects.clone(),
        stream,
        context.metrics.clone(),
        retry,
        handle,
    ));

    let secrets: Api<SecretMeta> = api(client, namespace);
    let of_secrets = watched(Kind::Secrets, SecretMeta::url_path(&(), namespace));
    let (to, with) = (scope.clone(), context.clone());
    let handle = move |event| {
        to.secret_event(event)
            .into_iter()
            .for_each(|key| with.queue.add(key));
    };
    let stream = watcher(secrets, config.labels(MANAGED_LABEL)).boxed();
    tasks.spawn(follow(
        of_secrets.clone(),
        stream,
        context.metrics.clone(),
        retry,
        handle,
    ));
    [of_objects, of_secrets]
}

fn api<K>(client: &Client, namespace: Option<&str>) -> Api<K>
where
    K: kube::Resource<DynamicType = (), Scope = k8s_openapi::NamespaceResourceScope>,
{
    match namespace {
        Some(namespace) => Api::namespaced(client.clone(), namespace),
        None => Api::all(client.clone()),
    }
}

/// Takes keys from the queue and runs their reconciles, until `stop`.
async fn work(context: Arc<Context>, tracker: TaskTracker, stop: CancellationToken) {
    let turns = Arc::new(tokio::sync::Semaphore::new(RECONCILES));
    let take = async {
        while let Ok(turn) = turns.clone().acquire_owned().await {
            let key = context.queue.next().await;
            let context = context.clone();
            tracker.spawn(async move {
                let mut running = Running {
                    context,
                    key,
                    alarm: None,
                    done: false,
                };
                running.alarm = reconcile(&running.context, &running.key).await;
                running.done = true;
                drop(running);
                drop(turn);
            });
        }
    };
    stop.run_until_cancelled(take).await;
}

/// Gives the key back to the queue whatever happens; after a panic it is tried again, but not at once.
struct Running {
    context: Arc<Context>,
    key: ObjectKey,
    alarm: Option<Instant>,
    done: bool,
}

impl Drop for Running {
    fn drop(&mut self) {
        if !self.done {
            let (namespace, name) = (&*self.key.namespace, &*self.key.name);
            tracing::error!(
                namespace,
                name,
                "a reconcile did not come to its end; tried again later"
            );
            self.alarm = Some(Instant::now() + self.context.timings.retry_max);
        }
        self.context.queue.done(&self.key, self.alarm);
    }
}

/// Looks at the keyring file now and then; another keyring is reason to look at every object.
async fn follow_keyring(keyring: Arc<LocalKms>, path: PathBuf, context: Arc<Context>) {
    let mut said = String::new();
    loop {
        tokio::time::sleep(context.timings.keyring).await;
        let look = keyring.clone();
        let found = tokio::task::spawn_blocking(move || look.refresh_if_changed()).await;
        match found {
            Ok(Refresh::Unchanged) | Err(_) => {}
            Ok(Refresh::Reloaded(kids)) => {
                said.clear();
                let keys: Vec<String> = kids.iter().map(ToString::to_string).collect();
                tracing::info!(keyring = %path.display(), keys = keys.join(","), "the keyring changed");
                context.epoch.fetch_add(1, Ordering::Relaxed);
                context
                    .stores
                    .keys()
                    .into_iter()
                    .for_each(|key| context.queue.add(key));
            }
            Ok(Refresh::Failed(error)) => {
                let message =
                    format!("the keyring changed and cannot be used; the keys held before stay: {error}");
                if said != message {
                    tracing::error!(keyring = %path.display(), "{message}");
                    said = message;
                }
            }
        }
    }
}

/// Brings the gauges up to date when they are read.
fn refresh_on_scrape(
    metrics: &Arc<Metrics>,
    context: &Arc<Context>,
    streams: Vec<Arc<Watched>>,
    tencent: Option<Arc<TencentKms>>,
) {
    let context = Arc::downgrade(context);
    metrics.on_scrape(move |metrics| {
        let Some(context) = context.upgrade() else { return };
        metrics.set_queue(context.queue.waiting() + context.opener.pending());
        let reasons = context.stores.reasons();
        for reason in Reason::ALL.iter().filter(|reason| reason.verdict().is_some()) {
            metrics.set_objects(
                reason.as_str(),
                reasons.get(reason.as_str()).copied().unwrap_or_default(),
            );
        }
        metrics.set_objects("New", reasons.get("").copied().unwrap_or_default());
        for kind in Kind::ALL {
            let of_kind: Vec<&Arc<Watched>> = streams.iter().filter(|stream| stream.kind == kind).collect();
            for condition in Condition::ALL {
                let count = of_kind
                    .iter()
                    .filter(|stream| stream.condition() == condition)
                    .count();
                metrics.set_streams(kind.as_str(), condition.as_str(), count);
            }
            let oldest = of_kind
                .iter()
                .map(|stream| stream.age())
                .max()
                .unwrap_or_default();
            metrics.set_stream_age(kind.as_str(), oldest);
        }
        if let Some(held) = tencent.as_ref().and_then(|tencent| tencent.credentials()) {
            metrics.set_credentials(tencent::SCHEME, held.source.as_str(), held.expires);
        }
    });
}
