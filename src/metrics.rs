//! Metrics in the Prometheus text format. Names and labels are an interface; no label grows with
//! the number of objects.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use prometheus_client::encoding::{EncodeLabelSet, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::{Family, MetricConstructor};
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::Registry;

/// The content type of [`Metrics::encode`].
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

const PREFIX: &str = "envelope_secrets";

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReconcileLabels {
    outcome: &'static str,
    reason: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OutcomeLabels {
    outcome: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct KmsLabels {
    provider: String,
    action: &'static str,
    outcome: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct KmsCallLabels {
    provider: String,
    action: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StateLabels {
    state: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StreamLabels {
    stream: &'static str,
    state: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StreamOnly {
    stream: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct SourceLabels {
    provider: &'static str,
    source: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ProviderOnly {
    provider: &'static str,
}

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
/// From 10 ms to about 45 min: a Secret may wait for an outage to end.
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
    objects: Family<StateLabels, Gauge>,
    queue: Gauge,
    apply_to_secret: Histogram,
    events_dropped: Counter,
    streams: Family<StreamLabels, Gauge>,
    stream_errors: Family<StreamLabels, Counter>,
    stream_age: Family<StreamOnly, Gauge>,
    credential_source: Family<SourceLabels, Gauge>,
    credential_expiry: Family<ProviderOnly, Gauge>,
}

impl Metrics {
    /// A registry with everything at zero.
    pub fn new() -> Arc<Self> {
        let mut registry = Registry::with_prefix(PREFIX);
        let reconciles = Family::default();
        registry.register(
            "reconcile",
            "Reconciles by what they did and the reason in the status",
            reconciles.clone(),
        );
        let reconcile_duration = CALLS.new_metric();
        registry.register(
            "reconcile_duration_seconds",
            "Seconds of one reconcile, without the wait for the KMS",
            reconcile_duration.clone(),
        );
        let opens = Family::default();
        registry.register(
            "opens",
            "Documents opened with the KMS, by outcome",
            opens.clone(),
        );
        let kms_requests = Family::default();
        registry.register(
            "kms_requests",
            "Calls of a KMS by provider, action and outcome",
            kms_requests.clone(),
        );
        let kms_duration = Family::new_with_constructor(CALLS);
        registry.register(
            "kms_request_duration_seconds",
            "Seconds of one call of a KMS",
            kms_duration.clone(),
        );
        let objects = Family::default();
        registry.register("objects", "EnvelopeSecrets by state", objects.clone());
        let queue = Gauge::default();
        registry.register("queue_length", "Objects that wait for a reconcile", queue.clone());
        let apply_to_secret = DELIVERY.new_metric();
        registry.register(
            "apply_to_secret_seconds",
            "Seconds from seeing a generation of an object to its Secret",
            apply_to_secret.clone(),
        );
        let events_dropped = Counter::default();
        registry.register(
            "events_dropped",
            "Events that were dropped by their bounded queue",
            events_dropped.clone(),
        );
        let streams = Family::default();
        registry.register(
            "streams",
            "Watch streams by what they watch and their state",
            streams.clone(),
        );
        let stream_errors = Family::default();
        registry.register(
            "stream_errors",
            "Errors of watch streams by the state they led to",
            stream_errors.clone(),
        );
        let stream_age = Family::default();
        registry.register(
            "stream_age_seconds",
            "Seconds since the API server last sent anything on the stalest watch stream",
            stream_age.clone(),
        );
        let credential_source = Family::default();
        registry.register(
            "credential_source",
            "1 for the source that the credentials of a KMS came from",
            credential_source.clone(),
        );
        let credential_expiry = Family::default();
        registry.register(
            "credential_expiry_timestamp_seconds",
            "When the credentials that are held for a KMS end, in Unix seconds; absent where they do not",
            credential_expiry.clone(),
        );
        let build = Info::new([("version", env!("CARGO_PKG_VERSION"))]);
        registry.register("build", "The version of this binary", build);
        Arc::new(Metrics {
            registry,
            on_scrape: OnceLock::new(),
            reconciles,
            reconcile_duration,
            opens,
            kms_requests,
            kms_duration,
            objects,
            queue,
            apply_to_secret,
            events_dropped,
            streams,
            stream_errors,
            stream_age,
            credential_source,
            credential_expiry,
        })
    }

    /// Sets what brings the gauges up to date before each scrape. Only the first call counts.
    pub fn on_scrape(&self, refresh: impl Fn(&Metrics) + Send + Sync + 'static) {
        let _ = self.on_scrape.set(Box::new(refresh));
    }

    /// Everything in the text format of `OpenMetrics`.
    pub fn encode(&self) -> String {
        if let Some(refresh) = self.on_scrape.get() {
            refresh(self);
        }
        let mut out = String::new();
        // Writing to a String cannot fail.
        let _ = text::encode(&mut out, &self.registry);
        out
    }

    /// One reconcile: what it did, the word of the reason in the status, and how long it took.
    pub fn reconciled(&self, outcome: &'static str, reason: &'static str, took: Duration) {
        self.reconciles
            .get_or_create(&ReconcileLabels { outcome, reason })
            .inc();
        self.reconcile_duration.observe(took.as_secs_f64());
    }

    /// One document that was opened, or was tried to be, with the KMS.
    pub fn opened(&self, outcome: &'static str) {
        self.opens.get_or_create(&OutcomeLabels { outcome }).inc();
    }

    /// One call of a KMS.
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

    /// How many objects are in `state`.
    pub fn set_objects(&self, state: &'static str, count: usize) {
        self.objects
            .get_or_create(&StateLabels { state })
            .set(to_gauge(count));
    }

    /// How many objects wait for a reconcile.
    pub fn set_queue(&self, waiting: usize) {
        self.queue.set(to_gauge(waiting));
    }

    /// A Secret holds a generation that was first seen so long ago.
    pub fn secret_written(&self, after: Duration) {
        self.apply_to_secret.observe(after.as_secs_f64());
    }

    /// An event did not fit into the queue.
    pub fn event_dropped(&self) {
        self.events_dropped.inc();
    }

    /// How many streams of this kind are in `state`.
    pub fn set_streams(&self, stream: &'static str, state: &'static str, count: usize) {
        self.streams
            .get_or_create(&StreamLabels { stream, state })
            .set(to_gauge(count));
    }

    /// An error of a stream.
    pub fn stream_failed(&self, stream: &'static str, state: &'static str) {
        self.stream_errors
            .get_or_create(&StreamLabels { stream, state })
            .inc();
    }

    /// How long the stalest stream of this kind has heard nothing.
    pub fn set_stream_age(&self, stream: &'static str, age: Duration) {
        let seconds = i64::try_from(age.as_secs()).unwrap_or(i64::MAX);
        self.stream_age.get_or_create(&StreamOnly { stream }).set(seconds);
    }

    /// Which source the credentials of a KMS came from, and when they end in Unix seconds, if they do.
    pub fn set_credentials(&self, provider: &'static str, source: &'static str, expires: Option<i64>) {
        self.credential_source.clear();
        self.credential_source
            .get_or_create(&SourceLabels { provider, source })
            .set(1);
        self.credential_expiry.clear();
        if let Some(expires) = expires {
            self.credential_expiry
                .get_or_create(&ProviderOnly { provider })
                .set(expires);
        }
    }
}

fn to_gauge(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_the_documentation() {
        let metrics = Metrics::new();
        metrics.on_scrape(|metrics| metrics.set_queue(7));
        metrics.reconciled("written", "Synced", Duration::from_millis(3));
        metrics.opened("opened");
        metrics.kms_called("local", "Decrypt", "ok", Duration::from_millis(1));
        metrics.set_objects("ready", 3);
        metrics.secret_written(Duration::from_secs(1));
        metrics.event_dropped();
        metrics.set_streams("secrets", "synced", 1);
        metrics.stream_failed("secrets", "forbidden");
        metrics.set_stream_age("secrets", Duration::from_secs(9));
        metrics.set_credentials("tencent-kms", "environment", Some(1));
        metrics.set_credentials("tencent-kms", "tke-oidc", Some(1_700_000_000));
        let text = metrics.encode();
        assert!(!text.contains("environment"), "the source before:\n{text}");
        for line in [
            "envelope_secrets_reconcile_total{outcome=\"written\",reason=\"Synced\"} 1",
            "envelope_secrets_reconcile_duration_seconds_count 1",
            "envelope_secrets_opens_total{outcome=\"opened\"} 1",
            "envelope_secrets_kms_requests_total{provider=\"local\",action=\"Decrypt\",outcome=\"ok\"} 1",
            "envelope_secrets_kms_request_duration_seconds_count{provider=\"local\",action=\"Decrypt\"} 1",
            "envelope_secrets_objects{state=\"ready\"} 3",
            "envelope_secrets_queue_length 7",
            "envelope_secrets_apply_to_secret_seconds_count 1",
            "envelope_secrets_events_dropped_total 1",
            "envelope_secrets_streams{stream=\"secrets\",state=\"synced\"} 1",
            "envelope_secrets_stream_errors_total{stream=\"secrets\",state=\"forbidden\"} 1",
            "envelope_secrets_stream_age_seconds{stream=\"secrets\"} 9",
            "envelope_secrets_credential_source{provider=\"tencent-kms\",source=\"tke-oidc\"} 1",
            "envelope_secrets_credential_expiry_timestamp_seconds{provider=\"tencent-kms\"} 1700000000",
            concat!(
                "envelope_secrets_build_info{version=\"",
                env!("CARGO_PKG_VERSION"),
                "\"} 1"
            ),
            "# EOF",
        ] {
            assert!(text.lines().any(|l| l == line), "{line} in\n{text}");
        }
    }
}
