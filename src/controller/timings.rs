//! All times and rates of the controller in one value, so that tests can run the real controller without sleeping.

use std::time::Duration;

use super::decide::damping::DampingTimes;

/// The controller's times and rates. Clusters use [`Timings::default`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Timings {
    /// The maximum delay of an object's first retry; it doubles with each failure.
    pub retry_min: Duration,
    /// The maximum delay of any retry of an object.
    pub retry_max: Duration,
    /// The same for a Secret that was rejected for its values: only a re-sealed document or another policy cures that.
    pub rejected_min: Duration,
    /// The maximum delay of any such retry.
    pub rejected_max: Duration,
    /// The maximum delay of a stream's first retry; it doubles with each failure.
    pub stream_retry_min: Duration,
    /// The maximum delay of any retry of a stream.
    pub stream_retry_max: Duration,
    /// How long the API server keeps a watch open, in whole seconds.
    pub watch: Duration,
    /// The request timeout: until the response head, and then, except for a watch, between any two pieces of the body.
    pub request: Duration,
    /// The maximum delay of the first re-read of a foreign Secret; it doubles each time.
    pub foreign_min: Duration,
    /// The maximum delay of any re-read of a foreign Secret.
    pub foreign_max: Duration,
    /// How long the watch may take to deliver one of our writes, before a live read.
    pub expectation: Duration,
    /// How long an object may wait for capacity to call the KMS before its status reports it.
    pub progressing: Duration,
    /// How long the circuit breaker of a KMS key stays open before its first probe; it doubles with each failed one.
    pub breaker_min: Duration,
    /// The longest time between two probes.
    pub breaker_max: Duration,
    /// The interval between permanent failures of an object, once its integrity budget is used up.
    pub integrity_object: Duration,
    /// The interval between permanent failures of a namespace, once its integrity budget is used up.
    pub integrity_namespace: Duration,
    /// The interval between checks of the keyring file, of missing credentials, and of the certificate of the metrics.
    pub keyring: Duration,
    /// How long a client may read the metrics without another decision of the API server.
    pub access_allowed: Duration,
    /// How long a client is refused without another decision.
    pub access_denied: Duration,
    /// How long the API server may take to decide about a client of the metrics.
    pub access_review: Duration,
    /// Over which time the retries are spread that new keys or credentials cause.
    pub cure_spread: Duration,
    /// The interval between checks of the CRD's schema.
    pub schema: Duration,
    /// How long the API server may take to apply an updated CRD everywhere.
    pub schema_settle: Duration,
    /// How long a stream may go unpolled before the liveness probe fails.
    pub unpolled: Duration,
    /// How long running reconciles may take after the shutdown signal.
    pub shutdown: Duration,
    /// The interval between events once the burst is used up.
    pub event_interval: Duration,
    /// The number of events that may be sent without delay.
    pub event_burst: u32,
    /// How corrections of a Secret or a status that another client keeps changing are delayed.
    pub damping: DampingTimes,
}

impl Default for Timings {
    fn default() -> Self {
        Timings {
            retry_min: Duration::from_secs(1),
            retry_max: Duration::from_mins(5),
            rejected_min: Duration::from_mins(1),
            rejected_max: Duration::from_hours(1),
            stream_retry_min: Duration::from_secs(1),
            stream_retry_max: Duration::from_secs(30),
            watch: Duration::from_secs(290),
            request: Duration::from_secs(15),
            foreign_min: Duration::from_secs(30),
            foreign_max: Duration::from_mins(5),
            expectation: Duration::from_secs(30),
            progressing: Duration::from_secs(30),
            breaker_min: Duration::from_secs(2),
            breaker_max: Duration::from_mins(1),
            integrity_object: Duration::from_mins(15),
            integrity_namespace: Duration::from_mins(6),
            keyring: Duration::from_secs(10),
            access_allowed: Duration::from_mins(1),
            access_denied: Duration::from_secs(10),
            access_review: Duration::from_secs(5),
            cure_spread: Duration::from_secs(10),
            schema: Duration::from_mins(10),
            schema_settle: Duration::from_secs(5),
            unpolled: Duration::from_mins(5),
            shutdown: Duration::from_secs(20),
            event_interval: Duration::from_millis(200),
            event_burst: 25,
            damping: DampingTimes::default(),
        }
    }
}
