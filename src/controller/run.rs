//! Starts everything, and ends it in order.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::sync::{Arc, Mutex};

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
use super::health::{Health, Parts, refresh_on_scrape};
use super::object::RawObject;
use super::opener::{self, Opener};
use super::providers;
use super::queue::Queue;
use super::reader::Reader;
use super::reconcile::{Context, reconcile};
use super::schema::{self, Schema};
use super::store::{Scope, Stores};
use super::watch::{Kind, Watched, follow};
use super::{ObjectKey, Timings};
use crate::api::MANAGED_LABEL;
use crate::config::ControllerConfig;
use crate::kms::Registry;
use crate::metrics::Metrics;

/// How many reconciles run at once, and so how many writes are under way at most: measured as the best.
const RECONCILES: usize = 32;
/// How many objects one page of a list holds: they are buffered whole.
const PAGE: u32 = 200;

/// What [`run`] works with.
pub struct Setup {
    /// What the controller was told.
    pub config: ControllerConfig,
    /// The configured KMS providers, with the keys that they may use.
    pub registry: Registry,
    /// Where it counts.
    pub metrics: Arc<Metrics>,
    /// Where it says how it does.
    pub health: Health,
}

/// Why the controller cannot start. That the API server does not answer, that the CRD is missing and that a list is
/// forbidden are no reasons: these are waited for.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The way to the API server.
    #[error(transparent)]
    Connect(#[from] ConnectError),
}

/// Runs until `shutdown`; running reconciles are finished then.
pub async fn run(setup: Setup, timings: Timings, shutdown: CancellationToken) -> Result<(), StartError> {
    let Setup {
        config,
        registry,
        metrics,
        health,
    } = setup;
    let signs = SignsOfLife::default();
    let client = connect(config.kubeconfig.as_deref(), timings.request, signs.clone()).await?;
    let namespaces = config
        .namespaces
        .as_ref()
        .map_or("all".to_owned(), |names| names.join(","));
    tracing::info!(
        version = env!("CARGO_PKG_VERSION"),
        namespaces,
        keys = providers::usable_keys(&registry),
        "the controller starts"
    );

    let registry = providers::observed(registry, &metrics);
    let (opener, asked) = Opener::new();
    let (events, waiting) = Events::new(metrics.clone());
    let context = Arc::new(Context {
        stores: Stores::new(config.namespaces.as_deref()),
        queue: Queue::default(),
        cluster: Cluster::new(client.clone()),
        reader: Reader::new(config.audiences, registry.clone()),
        opener,
        events,
        schema: Schema::new(),
        metrics: metrics.clone(),
        timings,
        epoch: AtomicU64::new(0),
        states: Mutex::new(HashMap::new()),
    });

    // Each of them works until the signal: one that ends before is a fault that liveness shows.
    let mut tasks = JoinSet::new();
    let mut streams = Vec::new();
    for scope in context.stores.scopes() {
        streams.extend(start_streams(&mut tasks, &client, scope, &context, &signs));
    }
    health.set(Parts {
        context: context.clone(),
        streams: streams.clone(),
        broken: AtomicBool::new(false),
    });
    refresh_on_scrape(&metrics, &context, streams, registry.clone());
    tasks.spawn(opener::run(context.clone(), asked, shutdown.clone()));
    tasks.spawn(schema::run(context.clone(), client.clone()));
    let rate = (timings.event_interval, timings.event_burst);
    tasks.spawn(events::run(client, waiting, metrics, rate, shutdown.clone()));
    for (scheme, kms) in registry.iter() {
        tasks.spawn(providers::follow(scheme, kms.clone(), context.clone()));
    }
    let tracker = TaskTracker::new();
    tasks.spawn(work(context, tracker.clone(), shutdown.clone()));

    tokio::select! {
        biased;
        () = shutdown.cancelled() => {}
        ended = tasks.join_next() => {
            let panicked = ended.is_some_and(|ended| ended.is_err());
            tracing::error!(panicked, "a task of the controller has ended");
            health.break_down();
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
        context.schema.known().await;
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
