//! Startup and orderly shutdown of the controller.

use std::collections::HashMap;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use kube::Client;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::act::cluster::Cluster;
use super::act::events::{Events, run as send_events};
use super::act::token::WriterToken;
use super::act::writer::Writer;
use super::client::{ConnectError, WatchActivity, connect};
use super::health::{Health, Parts, refresh_on_scrape};
use super::key::ObjectKey;
use super::observe::object::Received;
use super::observe::secret_facts::SecretFacts;
use super::observe::store::{NamespaceCache, Stores};
use super::observe::watch::{WatchStream, follow};
use super::schema::Schema;
use super::schema_check;
use super::timings::Timings;
use super::work::clock::now;
use super::work::context::Context;
use super::work::opener::Opener;
use super::work::opening;
use super::work::providers;
use super::work::queue::{Next, Queue};
use super::work::reader::Reader;
use super::work::reconcile::reconcile;
use crate::api::MANAGED_LABEL;
use crate::config::ControllerConfig;
use crate::controller::observe::history::History;
use crate::controller::observe::kind::Kind;
use crate::controller::observe::source::{Target, events};
use crate::kms::Registry;
use crate::lanes::Bounds;
use crate::metrics::Metrics;

/// Concurrent reconciles, and the most of one namespace while others wait: twice as many as concurrent writes, so that
/// planning does not wait for those.
const RECONCILES: Bounds = Bounds {
    total: 64,
    contended: 16,
};

/// The input of [`run`].
pub struct Setup {
    /// The configuration.
    pub config: ControllerConfig,
    /// The configured KMS providers, with the keys that they may use.
    pub registry: Registry,
    /// The metrics to update.
    pub metrics: Arc<Metrics>,
    /// The state for the probes.
    pub health: Health,
}

/// Why the controller cannot start. An unreachable API server, a missing CRD and a forbidden list are not start errors: the
/// controller retries until they are fixed.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The client of the API server cannot be created.
    #[error(transparent)]
    Connect(#[from] ConnectError),
}

/// Runs the controller until `shutdown`, then lets running reconciles finish.
///
/// # Errors
/// If the configuration is unusable.
pub async fn run(setup: Setup, timings: Timings, shutdown: CancellationToken) -> Result<(), StartError> {
    let Setup {
        config,
        registry,
        metrics,
        health,
    } = setup;
    let activity = WatchActivity::default();
    let client = connect(config.kubeconfig.as_deref(), timings.request, activity.clone()).await?;
    let namespaces = config
        .namespaces
        .as_ref()
        .map_or("all".to_owned(), |names| names.join(","));
    tracing::info!(
        version = env!("CARGO_PKG_VERSION"),
        namespaces,
        keys = providers::usable_keys(&registry),
        "starting the controller"
    );

    let registry = providers::observed(registry, &metrics);
    let history = History::new();
    // Without a lease, this process is the writer until it exits.
    let (_deadline, deadline) = watch::channel(None);
    let token = WriterToken::new(deadline);
    let (opener, open_requests) = Opener::new();
    let (events, event_queue) = Events::new(metrics.clone());
    let context = Arc::new(Context {
        stores: Stores::new(config.namespaces.as_deref(), config.document_cache.0, &metrics),
        queue: Queue::new(RECONCILES),
        cluster: Cluster::new(client.clone(), metrics.clone()),
        writer: Writer::new(client.clone(), token.clone(), metrics.clone(), history.clone()),
        reader: Reader::new(config.audiences, registry.clone()),
        opener,
        events,
        schema: Schema::new(),
        metrics: metrics.clone(),
        timings,
        cures: Mutex::default(),
        states: Mutex::new(HashMap::new()),
    });

    let queueing = Arc::downgrade(&context);
    let queue: Arc<dyn Fn(ObjectKey) + Send + Sync> = Arc::new(move |key| {
        if let Some(context) = queueing.upgrade() {
            context.queue.add(key);
        }
    });
    context.stores.on_news(&queue);

    // Every task runs until `shutdown`. One that exits earlier makes the liveness probe fail.
    let mut tasks = JoinSet::new();
    let mut streams = Vec::new();
    for cache in context.stores.caches() {
        streams.extend(start_streams(
            &mut tasks, &client, cache, &context, &activity, &history,
        ));
    }
    health.set(Parts {
        context: context.clone(),
        streams: streams.clone(),
        task_exited: AtomicBool::new(false),
    });
    refresh_on_scrape(&metrics, &context, streams, registry.clone());
    tasks.spawn(opening::run(context.clone(), open_requests, shutdown.clone()));
    tasks.spawn(schema_check::run(context.clone(), client.clone()));
    let rate = (timings.event_interval, timings.event_burst);
    tasks.spawn(send_events(
        client,
        token,
        event_queue,
        metrics,
        rate,
        shutdown.clone(),
    ));
    tasks.spawn(forget_on_restore(context.clone(), history));
    tasks.spawn(queue_overdue(context.clone()));
    for (scheme, kms) in registry.iter() {
        tasks.spawn(providers::follow(scheme, kms.clone(), context.clone()));
    }
    let tracker = TaskTracker::new();
    tasks.spawn(work(context, tracker.clone(), shutdown.clone()));

    tokio::select! {
        biased;
        () = shutdown.cancelled() => {}
        exited = tasks.join_next() => {
            let panicked = exited.is_some_and(|exited| exited.is_err());
            tracing::error!(panicked, "a controller task exited");
            health.task_exited();
            shutdown.cancelled().await;
        }
    }
    tracing::info!("shutting down");
    tracker.close();
    if tokio::time::timeout(timings.shutdown, tracker.wait())
        .await
        .is_err()
    {
        tracing::warn!(
            running = tracker.len(),
            "aborting reconciles that did not finish in time"
        );
    }
    tasks.shutdown().await;
    Ok(())
}

/// Drops what is remembered about the cluster whenever its storage was restored; the streams list everything again.
async fn forget_on_restore(context: Arc<Context>, history: History) {
    let mut restores = history.restores();
    // `history` owns the sender: it does not end.
    while restores.changed().await.is_ok() {
        context.stores.forget_expectations();
        context.states().clear();
        // What is observed of an object changes with its expectations, even if the lists show no difference.
        context.queue_all();
    }
}

/// Queues the objects whose last write the watch has not delivered in time: after a gap it may never do so, and no other
/// trigger would follow.
async fn queue_overdue(context: Arc<Context>) {
    let interval = (context.timings.expectation / 30).max(Duration::from_millis(1));
    loop {
        tokio::time::sleep(interval).await;
        for cache in context.stores.caches() {
            for key in cache.overdue(tokio::time::Instant::now()) {
                context.queue.add(key);
            }
        }
    }
}

/// Starts the two watch streams of one namespace, or of the whole cluster.
fn start_streams(
    tasks: &mut JoinSet<()>,
    client: &Client,
    cache: &Arc<NamespaceCache>,
    context: &Arc<Context>,
    activity: &WatchActivity,
    history: &History,
) -> [Arc<WatchStream>; 2] {
    let namespace = cache.namespace.as_deref();
    let timings = &context.timings;
    let retry = (timings.stream_retry_min, timings.stream_retry_max);
    let start = |kind: Kind, label_selector| {
        let path = kind.path(namespace);
        let stream = WatchStream::new(kind, namespace, path.clone(), activity.clone());
        let target = Target {
            kind,
            path,
            label_selector,
            metadata_only: kind == Kind::Secrets,
            watch: timings.watch,
        };
        (stream, target)
    };

    let (object_stream, target) = start(Kind::Objects, None);
    let (store, queueing) = (cache.clone(), context.clone());
    let handle = move |event| {
        store
            .object_event(event)
            .into_iter()
            .for_each(|key| queueing.queue.add(key));
    };
    tasks.spawn(follow(
        object_stream.clone(),
        events::<Received>(client.clone(), target, context.metrics.clone(), history.clone()),
        context.metrics.clone(),
        retry,
        handle,
    ));

    let (secret_stream, target) = start(Kind::Secrets, Some(MANAGED_LABEL));
    let (store, queueing) = (cache.clone(), context.clone());
    let handle = move |event| {
        store
            .secret_event(event)
            .into_iter()
            .for_each(|key| queueing.queue.add(key));
    };
    tasks.spawn(follow(
        secret_stream.clone(),
        events::<SecretFacts>(client.clone(), target, context.metrics.clone(), history.clone()),
        context.metrics.clone(),
        retry,
        handle,
    ));
    cache.set_streams([object_stream.clone(), secret_stream.clone()]);
    [object_stream, secret_stream]
}

/// Reconciles the queued keys until `stop`.
async fn work(context: Arc<Context>, tracker: TaskTracker, stop: CancellationToken) {
    let dispatch = async {
        context.schema.known().await;
        loop {
            let Next { key, waited } = context.queue.next().await;
            context.metrics.lane_waited("reconcile", waited);
            let context = context.clone();
            tracker.spawn(async move {
                let mut guard = DoneGuard {
                    context,
                    key,
                    requeue_at: None,
                    finished: false,
                };
                guard.requeue_at = reconcile(&guard.context, &guard.key).await;
                guard.finished = true;
                drop(guard);
            });
        }
    };
    stop.run_until_cancelled(dispatch).await;
}

/// Returns the key to the queue on drop; after a panic with a delay.
struct DoneGuard {
    context: Arc<Context>,
    key: ObjectKey,
    requeue_at: Option<Instant>,
    finished: bool,
}

impl Drop for DoneGuard {
    fn drop(&mut self) {
        if !self.finished {
            let (namespace, name) = (&*self.key.namespace, &*self.key.name);
            tracing::error!(namespace, name, "reconcile panicked; requeued");
            self.requeue_at = Some(now() + self.context.timings.retry_max);
            if let Some(cache) = self.context.stores.cache(&self.key) {
                cache.abandon(&self.key);
            }
        }
        self.context
            .queue
            .done(&self.key, self.requeue_at.map(Into::into));
    }
}
