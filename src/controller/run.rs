//! Startup and orderly shutdown of the controller.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use kube::Client;
use kube::runtime::watcher::Event;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

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
use super::work::context::{Context, Listing};
use super::work::dispatch;
use super::work::large::LargeDocuments;
use super::work::providers;
use super::work::queue::Queue;
use super::work::reached::ReachedKeys;
use super::work::reader::Reader;
use crate::api::MANAGED_LABEL;
use crate::config::ControllerConfig;
use crate::controller::observe::history::History;
use crate::controller::observe::kind::Kind;
use crate::controller::observe::relists::Relists;
use crate::controller::observe::source::{Target, events};
use crate::kms::Registry;
use crate::kms::broker::{Broker, BrokerSettings};
use crate::metrics::Metrics;

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
    let connecting = connect_blocking(config.kubeconfig.clone(), timings.request, activity.clone());
    let Some(connected) = shutdown.run_until_cancelled(connecting).await else {
        return Ok(());
    };
    let client = connected?;
    log_start(&config, &registry);

    let registry = providers::observed(registry, &metrics);
    let history = History::new();
    // Without a lease, this process is the writer until it exits.
    let (_deadline, deadline) = watch::channel(None);
    let token = WriterToken::new(deadline);
    let broker = broker_settings(&config.broker, &timings, &registry);
    let events = Events::new(metrics.clone());
    let context = Arc::new(Context {
        stores: Arc::new(Stores::new(
            config.namespaces.as_deref(),
            config.document_cache.0,
            &metrics,
        )),
        relists: Relists::new(history.clone()),
        queue: Queue::new(dispatch::RECONCILES),
        cluster: Cluster::new(client.clone(), metrics.clone()),
        writer: Writer::new(client.clone(), token.clone(), metrics.clone(), history.clone()),
        reader: Reader::new(config.audiences, registry.clone()),
        broker: Broker::new(broker),
        large: LargeDocuments::default(),
        events: events.clone(),
        schema: Arc::new(Schema::new()),
        metrics: metrics.clone(),
        timings,
        cures: Mutex::default(),
        reached: ReachedKeys::default(),
        states: Mutex::new(HashMap::new()),
    });

    queue_news(&context);

    // Every task runs until `shutdown`. One that exits earlier makes the liveness probe fail.
    let mut tasks = JoinSet::new();
    let mut streams = Vec::new();
    for cache in context.stores.caches() {
        streams.extend(start_streams(
            &mut tasks, &client, cache, &context, &activity, &history,
        ));
    }
    health.set(Parts {
        stores: context.stores.clone(),
        schema: context.schema.clone(),
        streams: streams.clone(),
        unpolled: timings.unpolled,
        task_exited: AtomicBool::new(false),
    });
    let work = work_gauges(&context);
    refresh_on_scrape(&metrics, &context.stores, work, streams, registry.clone());
    let (host, keys, stop) = (context.clone(), registry.clone(), shutdown.clone());
    tasks.spawn(async move { host.broker.run(host.clone(), keys, stop).await });
    let (checking, checked_with) = (context.clone(), client.clone());
    tasks.spawn(async move {
        let repaired = || checking.queue_all();
        schema_check::run(&checking.schema, &checking.timings, &checked_with, repaired).await;
    });
    let rate = (timings.event_interval, timings.event_burst);
    // Ends only during the shutdown, when all events are sent.
    let events_sent = CancellationToken::new();
    let sending = send_events(client, token, events.clone(), rate, shutdown.clone());
    let sent = events_sent.clone().drop_guard();
    tasks.spawn(async move {
        sending.await;
        drop(sent);
    });
    tasks.spawn(forget_on_restore(context.clone(), history));
    tasks.spawn(queue_overdue(context.clone()));
    tasks.spawn(providers::follow_breakers(context.clone()));
    for (scheme, kms) in registry.iter() {
        tasks.spawn(providers::follow(scheme, kms.clone(), context.clone()));
    }
    let reconciles = dispatch::Reconciles::default();
    tasks.spawn(dispatch::run(context, reconciles.clone(), shutdown.clone()));

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
    let deadline = tokio::time::Instant::now() + timings.shutdown;
    reconciles.finish(deadline).await;
    finish_events(&events, &events_sent, deadline).await;
    tasks.shutdown().await;
    Ok(())
}

/// Queues the objects of the events that the stores receive.
fn queue_news(context: &Arc<Context>) {
    let queueing = Arc::downgrade(context);
    let queue: Arc<dyn Fn(ObjectKey) + Send + Sync> = Arc::new(move |key| {
        if let Some(context) = queueing.upgrade() {
            context.queue.add(key);
        }
    });
    context.stores.on_news(&queue);
}

/// Creates the client in a thread of its own: the plug-in for credentials that a kubeconfig names may block.
async fn connect_blocking(
    kubeconfig: Option<PathBuf>,
    deadline: Duration,
    activity: WatchActivity,
) -> Result<Client, ConnectError> {
    let runtime = tokio::runtime::Handle::current();
    let connecting = move || runtime.block_on(connect(kubeconfig.as_deref(), deadline, activity));
    match tokio::task::spawn_blocking(connecting).await {
        Ok(connected) => connected,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            // The runtime shuts down.
            Err(_) => std::future::pending().await,
        },
    }
}

/// Sends the queued events until `deadline`, and drops the rest.
async fn finish_events(events: &Events, sent: &CancellationToken, deadline: tokio::time::Instant) {
    events.close();
    if tokio::time::timeout_at(deadline, sent.cancelled()).await.is_err() {
        let dropped = events.drop_rest();
        tracing::warn!(dropped, "events could not be sent in time");
    }
}

fn log_start(config: &ControllerConfig, registry: &Registry) {
    let namespaces = config.namespaces.as_ref();
    tracing::info!(
        version = env!("CARGO_PKG_VERSION"),
        namespaces = namespaces.map_or("all".to_owned(), |names| names.join(",")),
        keys = providers::usable_keys(registry),
        "starting the controller"
    );
}

/// Returns what sets the gauges of the objects that wait, and of the broker.
fn work_gauges(context: &Arc<Context>) -> impl Fn(&Metrics) + Send + Sync + 'static {
    let context = Arc::downgrade(context);
    move |metrics| {
        let Some(context) = context.upgrade() else { return };
        let broker = context.broker.gauges();
        metrics.set_queue(context.queue.waiting() + broker.pending);
        metrics.set_broker(broker.cached_data_keys, broker.open_breakers);
    }
}

/// Completes the limits of the configuration.
fn broker_settings(configured: &BrokerSettings, timings: &Timings, registry: &Registry) -> BrokerSettings {
    BrokerSettings {
        breaker: (timings.breaker_min, timings.breaker_max),
        fault: (timings.retry_min, timings.retry_max),
        object_failures: timings.integrity_object,
        namespace_failures: timings.integrity_namespace,
        unlimited: providers::on_this_host(registry),
        ..*configured
    }
}

/// Drops what is remembered about the cluster whenever its storage was restored; the streams list everything again.
async fn forget_on_restore(context: Arc<Context>, history: History) {
    let mut restores = history.restores();
    // `history` owns the sender: it does not end.
    while restores.changed().await.is_ok() {
        context.stores.forget_expectations();
        context.broker.clear();
        context.states().clear();
        // An object whose lists are not current again is queued when they are, and skipped until then. This is for the
        // others: the lists may have completed before this task ran, and then a reconcile that they queued may have used
        // what is only dropped here.
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

/// Returns what `event` says about the list of its stream.
fn listing<K>(event: &Event<K>) -> Option<Listing> {
    match event {
        Event::Init => Some(Listing::Begins),
        Event::InitDone => Some(Listing::Completes),
        _ => None,
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
        let list = listing(&event);
        let keys = store.object_event(event);
        queueing.ingested(&store, Kind::Objects, list, keys);
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
        let list = listing(&event);
        let keys = store.secret_event(event);
        queueing.ingested(&store, Kind::Secrets, list, keys);
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
