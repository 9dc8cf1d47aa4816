//! Prometheus metrics. Dashboards depend on their names and labels. No label's cardinality grows with the number of objects.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use prometheus_client::encoding::text;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::{Family, MetricConstructor};
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Metric, Registry};

use self::labels::{
    KmsCallLabels, KmsLabels, OutcomeLabels, ProviderOnly, PurposeLabels, QueueLabels, ReconcileLabels,
    ResourceLabels, ResultLabels, SourceLabels, StateLabels, StreamLabels, StreamOnly,
};
use crate::sync::lock;

mod labels;

/// The content type of [`Metrics::encode`].
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

const PREFIX: &str = "envelope_secrets";

#[derive(Clone)]
struct Seconds {
    start: f64,
    factor: f64,
    count: u16,
}

impl MetricConstructor<Histogram> for Seconds {
    fn new_metric(&self) -> Histogram {
        Histogram::new(exponential_buckets(self.start, self.factor, self.count))
    }
}

/// From 1 ms to about 65 s.
const CALLS: Seconds = Seconds {
    start: 0.001,
    factor: 4.0,
    count: 9,
};
/// From 10 ms to about 45 min: delivery of a Secret may be delayed by an outage.
const DELIVERY: Seconds = Seconds {
    start: 0.01,
    factor: 4.0,
    count: 10,
};

type OnScrape = Box<dyn Fn(&Metrics) + Send + Sync>;

/// All metrics of one controller.
pub struct Metrics {
    registry: Registry,
    on_scrape: OnceLock<OnScrape>,
    reconciles: Family<ReconcileLabels, Counter>,
    reconcile_duration: Histogram,
    opens: Family<OutcomeLabels, Counter>,
    kms_requests: Family<KmsLabels, Counter>,
    kms_duration: Family<KmsCallLabels, Histogram, Seconds>,
    data_key_lookups: Family<ResultLabels, Counter>,
    data_keys_cached: Gauge,
    breakers_open: Gauge,
    integrity_budget_used: Counter,
    objects: Family<StateLabels, Gauge>,
    queue: Gauge,
    lane_wait: Family<QueueLabels, Histogram, Seconds>,
    apply_to_secret: Histogram,
    events_dropped: Counter,
    heals_damped: Counter,
    undecodable: Family<ResourceLabels, Counter>,
    parses: Family<PurposeLabels, Counter>,
    document_cache: Gauge,
    streams: Family<StreamLabels, Gauge>,
    stream_errors: Family<StreamLabels, Counter>,
    stream_age: Family<StreamOnly, Gauge>,
    credential_source: Family<SourceLabels, Gauge>,
    /// The source last set for each provider.
    credential_sources: Mutex<BTreeMap<&'static str, &'static str>>,
    credential_expiry: Family<ProviderOnly, Gauge>,
    reload_failed: Family<ProviderOnly, Gauge>,
}

/// Registers a metric and returns it.
fn register<M: Metric + Clone>(registry: &mut Registry, name: &str, help: &str, metric: M) -> M {
    registry.register(name, help, metric.clone());
    metric
}

impl Metrics {
    /// Creates all metrics, with value zero.
    #[expect(clippy::too_many_lines, reason = "one entry per metric")]
    pub fn new() -> Arc<Self> {
        let mut registry = Registry::with_prefix(PREFIX);
        let r = &mut registry;
        let build = Info::new([("version", env!("CARGO_PKG_VERSION"))]);
        r.register("build", "Build information", build);
        Arc::new(Metrics {
            reconciles: register(
                r,
                "reconcile",
                "Reconciles, by what they did (outcome) and the reason that they reported, empty if none",
                Family::default(),
            ),
            reconcile_duration: register(
                r,
                "reconcile_duration_seconds",
                "Duration of a reconcile in seconds, without waiting for the KMS",
                CALLS.new_metric(),
            ),
            opens: register(
                r,
                "opens",
                "Attempts to open a document, by outcome",
                Family::default(),
            ),
            kms_requests: register(
                r,
                "kms_requests",
                "KMS calls, by provider, action and outcome",
                Family::default(),
            ),
            kms_duration: register(
                r,
                "kms_request_duration_seconds",
                "Duration of a KMS call in seconds",
                Family::new_with_constructor(CALLS),
            ),
            data_key_lookups: register(
                r,
                "data_key_lookups",
                "Look-ups in the data key cache, by result",
                Family::default(),
            ),
            data_keys_cached: register(r, "data_keys_cached", "Data keys in the cache", Gauge::default()),
            breakers_open: register(
                r,
                "kms_breakers_open",
                "KMS keys that are not called because calls with them keep failing",
                Gauge::default(),
            ),
            integrity_budget_used: register(
                r,
                "integrity_budget_used",
                "Permanent failures of ciphertexts that were charged to an integrity budget",
                Counter::default(),
            ),
            objects: register(
                r,
                "objects",
                "EnvelopeSecrets, by state: the reason of Ready, or New without a status",
                Family::default(),
            ),
            queue: register(
                r,
                "queue_length",
                "Objects waiting for a reconcile, or for their document to be opened",
                Gauge::default(),
            ),
            lane_wait: register(
                r,
                "lane_wait_seconds",
                "Time in the lane of a namespace, in seconds, by queue: for a reconcile, for the opening of a document, for a write",
                Family::new_with_constructor(DELIVERY),
            ),
            apply_to_secret: register(
                r,
                "apply_to_secret_seconds",
                "Time from the event of a new generation of an EnvelopeSecret to writing its Secret, in seconds",
                DELIVERY.new_metric(),
            ),
            undecodable: register(
                r,
                "undecodable_objects",
                "Objects that were ignored because they cannot be decoded",
                Family::default(),
            ),
            parses: register(
                r,
                "document_parses",
                "Documents parsed, by purpose: summary (once per generation), opening, or probe (a dry run)",
                Family::default(),
            ),
            document_cache: register(
                r,
                "document_cache_bytes",
                "Size of the documents that are kept in memory, in bytes",
                Gauge::default(),
            ),
            events_dropped: register(
                r,
                "events_dropped",
                "Events that were dropped because the queue was full or sending failed",
                Counter::default(),
            ),
            heals_damped: register(
                r,
                "heals_damped",
                "Corrections of a Secret that were delayed, because another client changes or deletes it again each time",
                Counter::default(),
            ),
            streams: register(
                r,
                "streams",
                "Watch streams, by resource and state",
                Family::default(),
            ),
            stream_errors: register(
                r,
                "stream_errors",
                "Watch stream errors, by resource and resulting state",
                Family::default(),
            ),
            stream_age: register(
                r,
                "stream_age_seconds",
                "Time since the API server last sent anything on the watch stream that has been idle longest, in seconds",
                Family::default(),
            ),
            credential_source: register(
                r,
                "credential_source",
                "1 for the source of a KMS provider's current credentials",
                Family::default(),
            ),
            credential_expiry: register(
                r,
                "credential_expiry_timestamp_seconds",
                "Expiry of a KMS provider's current credentials as a Unix timestamp; absent if they do not expire",
                Family::default(),
            ),
            reload_failed: register(
                r,
                "reload_failed",
                "1 while a changed file of a KMS provider, or the certificate of the metrics, cannot be used; the previous content stays in use",
                Family::default(),
            ),
            credential_sources: Mutex::default(),
            on_scrape: OnceLock::new(),
            registry,
        })
    }

    /// Sets the function that updates the gauges before each scrape. Later calls are ignored.
    pub fn on_scrape(&self, refresh: impl Fn(&Metrics) + Send + Sync + 'static) {
        let _ = self.on_scrape.set(Box::new(refresh));
    }

    /// Returns all metrics in the `OpenMetrics` text format.
    pub fn encode(&self) -> String {
        if let Some(refresh) = self.on_scrape.get() {
            refresh(self);
        }
        let mut out = String::new();
        // Writing to a String cannot fail.
        let _ = text::encode(&mut out, &self.registry);
        out
    }

    /// Records how long something waited in the lane of its namespace: a `reconcile`, the opening of a document (`open`)
    /// or a `write`.
    pub fn lane_waited(&self, queue: &'static str, waited: Duration) {
        self.lane_wait
            .get_or_create(&QueueLabels { queue })
            .observe(waited.as_secs_f64());
    }

    /// Counts a reconcile: what it did, the reason that it reported (empty if none), and its duration.
    pub fn reconciled(&self, outcome: &'static str, reason: &'static str, took: Duration) {
        self.reconciles
            .get_or_create(&ReconcileLabels { outcome, reason })
            .inc();
        self.reconcile_duration.observe(took.as_secs_f64());
    }

    /// Counts an attempt to open a document.
    pub fn opened(&self, outcome: &'static str) {
        self.opens.get_or_create(&OutcomeLabels { outcome }).inc();
    }

    /// Counts a KMS call.
    pub fn kms_called(&self, provider: &str, action: &'static str, outcome: &'static str, took: Duration) {
        let provider = provider.to_owned();
        let call = KmsCallLabels {
            provider: provider.clone(),
            action,
        };
        self.kms_duration.get_or_create(&call).observe(took.as_secs_f64());
        self.kms_requests
            .get_or_create(&KmsLabels {
                provider,
                action,
                outcome,
            })
            .inc();
    }

    /// Counts a look-up in the data key cache: `hit` or `miss`.
    pub fn data_key_looked_up(&self, result: &'static str) {
        self.data_key_lookups
            .get_or_create(&ResultLabels { result })
            .inc();
    }

    /// Sets the number of cached data keys and of open circuit breakers.
    pub fn set_broker(&self, cached_data_keys: usize, open_breakers: usize) {
        self.data_keys_cached.set(to_gauge(cached_data_keys));
        self.breakers_open.set(to_gauge(open_breakers));
    }

    /// Counts a permanent failure that was charged to an integrity budget.
    pub fn integrity_budget_used(&self) {
        self.integrity_budget_used.inc();
    }

    /// Sets the number of objects in `state`: the reason of `Ready`, or `New` for objects without a status.
    pub fn set_objects(&self, state: &'static str, count: usize) {
        self.objects
            .get_or_create(&StateLabels { state })
            .set(to_gauge(count));
    }

    /// Sets the number of queued objects.
    pub fn set_queue(&self, waiting: usize) {
        self.queue.set(to_gauge(waiting));
    }

    /// Records the time from first seeing a generation to writing its Secret.
    pub fn secret_written(&self, after: Duration) {
        self.apply_to_secret.observe(after.as_secs_f64());
    }

    /// Sets whether a changed file of this provider cannot be used.
    pub fn set_reload_failed(&self, provider: &'static str, failed: bool) {
        let provider = ProviderOnly { provider };
        self.reload_failed.get_or_create(&provider).set(failed.into());
    }

    /// Counts a delayed correction of a Secret.
    pub fn heal_damped(&self) {
        self.heals_damped.inc();
    }

    /// Counts a dropped event.
    pub fn event_dropped(&self) {
        self.events_dropped.inc();
    }

    /// Counts an object that was ignored because it cannot be decoded.
    pub fn undecodable(&self, resource: &'static str) {
        self.undecodable.get_or_create(&ResourceLabels { resource }).inc();
    }

    /// Counts a parsed document.
    pub fn document_parsed(&self, purpose: &'static str) {
        self.parses.get_or_create(&PurposeLabels { purpose }).inc();
    }

    /// Sets the size of the documents that are kept.
    pub fn set_document_cache(&self, bytes: usize) {
        self.document_cache.set(to_gauge(bytes));
    }

    /// Sets the number of streams of this kind in `state`.
    pub fn set_streams(&self, stream: &'static str, state: &'static str, count: usize) {
        self.streams
            .get_or_create(&StreamLabels { stream, state })
            .set(to_gauge(count));
    }

    /// Counts a stream error.
    pub fn stream_failed(&self, stream: &'static str, state: &'static str) {
        self.stream_errors
            .get_or_create(&StreamLabels { stream, state })
            .inc();
    }

    /// Sets the time since the API server last sent anything on the stream of this kind that has been idle longest.
    pub fn set_stream_age(&self, stream: &'static str, age: Duration) {
        let seconds = i64::try_from(age.as_secs()).unwrap_or(i64::MAX);
        self.stream_age.get_or_create(&StreamOnly { stream }).set(seconds);
    }

    /// Sets the source of a provider's current credentials, and their expiry in Unix seconds, if they expire.
    pub fn set_credentials(&self, provider: &'static str, source: &'static str, expires: Option<i64>) {
        if let Some(before) = lock(&self.credential_sources).insert(provider, source)
            && before != source
        {
            self.credential_source.remove(&SourceLabels {
                provider,
                source: before,
            });
        }
        self.credential_source
            .get_or_create(&SourceLabels { provider, source })
            .set(1);
        let provider = ProviderOnly { provider };
        if let Some(expires) = expires {
            self.credential_expiry.get_or_create(&provider).set(expires);
        } else {
            self.credential_expiry.remove(&provider);
        }
    }
}

fn to_gauge(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests;
