//! Every time that the controller waits or measures by, in one value, so that tests run the real thing without
//! sleeping.

use std::time::Duration;

/// The controller's times and rates. [`Timings::default`] is what a cluster gets.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Timings {
    /// The first ceiling of the retries of one object; it doubles with each failure.
    pub retry_min: Duration,
    /// The last ceiling of the retries of one object.
    pub retry_max: Duration,
    /// The first ceiling of the retries of one stream.
    pub stream_retry_min: Duration,
    /// The last ceiling of the retries of one stream.
    pub stream_retry_max: Duration,
    /// How long the API server keeps one watch open, in whole seconds.
    pub watch: Duration,
    /// How long one request may take: the head of a watch's answer, the whole answer of anything else.
    pub request: Duration,
    /// The first pause between two looks at a Secret that is not ours.
    pub foreign_min: Duration,
    /// The last pause between two looks at a Secret that is not ours.
    pub foreign_max: Duration,
    /// How long a write of our own that the watch has not delivered is believed.
    pub expectation: Duration,
    /// The pause between two looks at the keyring file, and for credentials that are missing.
    pub keyring: Duration,
    /// The pause between two looks at the CRD's schema.
    pub schema: Duration,
    /// How long a CRD that was applied while the controller runs may take until all of the API server heeds it.
    pub schema_settle: Duration,
    /// How long the task of a stream may do nothing at all before the process counts as dead.
    pub unpolled: Duration,
    /// How long running reconciles and queued events may take after the signal to stop.
    pub shutdown: Duration,
    /// The pause between two events of the recorder, once its burst is used up.
    pub event_interval: Duration,
    /// How many events may be sent without a pause.
    pub event_burst: u32,
}

impl Default for Timings {
    fn default() -> Self {
        Timings {
            retry_min: Duration::from_secs(1),
            retry_max: Duration::from_mins(5),
            stream_retry_min: Duration::from_secs(1),
            stream_retry_max: Duration::from_secs(30),
            watch: Duration::from_secs(290),
            request: Duration::from_secs(15),
            foreign_min: Duration::from_secs(30),
            foreign_max: Duration::from_mins(5),
            expectation: Duration::from_secs(30),
            keyring: Duration::from_secs(10),
            schema: Duration::from_mins(10),
            schema_settle: Duration::from_secs(5),
            unpolled: Duration::from_mins(5),
            shutdown: Duration::from_secs(20),
            event_interval: Duration::from_millis(200),
            event_burst: 25,
        }
    }
}
