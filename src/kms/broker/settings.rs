//! The limits of a broker.

use std::collections::BTreeSet;
use std::time::Duration;

/// The longest lifetime of a cached data key: a KMS permission that is revoked may still be in effect that long.
pub const MAX_DATA_KEY_LIFETIME: Duration = Duration::from_hours(1);

/// The limits of a [`Broker`](super::Broker).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BrokerSettings {
    /// KMS calls per second, for each key and for each region of a service.
    pub calls_per_second: u32,
    /// KMS calls that may be made at once, before the rate applies.
    pub burst: u32,
    /// KMS calls per second of one namespace while others wait.
    pub namespace_calls_per_second: u32,
    /// The number of data keys that are cached; 0 for none.
    pub cached_data_keys: usize,
    /// How long a data key is cached; zero for not at all.
    pub data_key_lifetime: Duration,
    /// How long a circuit breaker stays open before its first probe, and at most.
    pub breaker: (Duration, Duration),
    /// How long an edited document waits after the first service fault on its ciphertext, and at most.
    pub fault: (Duration, Duration),
    /// The interval between permanent failures of an object, after the first 5.
    pub object_failures: Duration,
    /// The interval between permanent failures of a namespace, after the first 20.
    pub namespace_failures: Duration,
    /// Schemes of providers whose keys are on this host: neither budgets nor cache apply.
    pub unlimited: BTreeSet<&'static str>,
}

impl Default for BrokerSettings {
    /// Limits below the default quota of a cloud KMS, 300 calls per second and region (Tencent Cloud KMS, page 1030/32188).
    fn default() -> Self {
        BrokerSettings {
            calls_per_second: 290,
            burst: 10,
            namespace_calls_per_second: 145,
            cached_data_keys: 1024,
            data_key_lifetime: Duration::from_mins(10),
            breaker: (Duration::from_secs(2), Duration::from_mins(1)),
            fault: (Duration::from_secs(1), Duration::from_mins(5)),
            object_failures: Duration::from_mins(15),
            namespace_failures: Duration::from_mins(6),
            unlimited: BTreeSet::new(),
        }
    }
}
