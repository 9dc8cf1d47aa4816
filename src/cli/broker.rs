//! The flags of the controller's KMS broker.

use std::time::Duration;

use clap::Args;
use clap::builder::RangedU64ValueParser;

use super::env;
use crate::kms::broker::{BrokerSettings, MAX_DATA_KEY_LIFETIME};

/// The highest rate of calls, and the largest cache, that a flag accepts.
const MAX_RATE: u64 = 100_000;
const MAX_CACHED: u64 = 100_000;

/// The limits of KMS calls and of the data key cache.
#[derive(Args)]
pub(super) struct BrokerArgs {
    /// Make at most this many KMS calls per second, for each KMS key and for all keys of a region together. Keep it below
    /// the quota of the KMS, which other clients of the account share. If the KMS throttles calls, the controller slows
    /// down by itself
    #[arg(long, value_name = "CALLS", default_value_t = BrokerSettings::default().calls_per_second,
        value_parser = RangedU64ValueParser::<u32>::new().range(1..=MAX_RATE), env = env::KMS_QPS, hide_env_values = true)]
    kms_qps: u32,
    /// Make at most this many KMS calls per second for one namespace while others wait; defaults to half of --kms-qps
    #[arg(long, value_name = "CALLS", value_parser = RangedU64ValueParser::<u32>::new().range(1..=MAX_RATE),
        env = env::KMS_NAMESPACE_QPS, hide_env_values = true)]
    kms_namespace_qps: Option<u32>,
    /// Keep at most this many data keys in memory, so that a Secret is restored without a KMS call; 0 keeps none
    #[arg(long, value_name = "KEYS", default_value_t = 1024, value_parser = RangedU64ValueParser::<u32>::new().range(0..=MAX_CACHED),
        env = env::DATA_KEY_CACHE_SIZE, hide_env_values = true)]
    data_key_cache_size: u32,
    /// Forget a data key after this time, as in 90s or 10m, at most 1h; 0 keeps none. A permission that is revoked in the
    /// KMS may stay in effect this long
    #[arg(long, value_name = "TIME", default_value = "10m", value_parser = lifetime, env = env::DATA_KEY_CACHE_TTL, hide_env_values = true)]
    data_key_cache_ttl: Duration,
}

impl BrokerArgs {
    /// The settings of the broker.
    pub(super) fn settings(&self) -> BrokerSettings {
        BrokerSettings {
            calls_per_second: self.kms_qps,
            namespace_calls_per_second: self.kms_namespace_qps.unwrap_or(self.kms_qps.div_ceil(2)),
            cached_data_keys: usize::try_from(self.data_key_cache_size).unwrap_or_default(),
            data_key_lifetime: self.data_key_cache_ttl,
            ..BrokerSettings::default()
        }
    }
}

/// Parses the lifetime of a data key.
fn lifetime(text: &str) -> Result<Duration, String> {
    let (number, seconds) = match text.as_bytes() {
        [.., b'h'] => (&text[..text.len() - 1], 3600),
        [.., b'm'] => (&text[..text.len() - 1], 60),
        [.., b's'] => (&text[..text.len() - 1], 1),
        _ if text == "0" => (text, 1),
        _ => ("", 1),
    };
    let digits = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
    let parsed = number.parse::<u64>().ok().filter(|_| digits);
    let lifetime = parsed
        .and_then(|number| number.checked_mul(seconds))
        .map(Duration::from_secs);
    lifetime
        .filter(|lifetime| *lifetime <= MAX_DATA_KEY_LIFETIME)
        .ok_or_else(|| "use a number of seconds, minutes or hours, at most 1h, as in 90s or 10m".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lifetimes_have_a_unit_and_a_limit() {
        for (text, seconds) in [
            ("0", 0),
            ("0s", 0),
            ("90s", 90),
            ("10m", 600),
            ("1h", 3600),
            ("60m", 3600),
        ] {
            assert_eq!(lifetime(text), Ok(Duration::from_secs(seconds)), "{text}");
        }
        for text in [
            "",
            "10",
            "m",
            "-1s",
            "+1s",
            "1.5m",
            "61m",
            "2h",
            "10 m",
            "10M",
            "99999999999999999999s",
            "18446744073709551615h",
        ] {
            assert!(lifetime(text).is_err(), "{text}");
        }
    }
}
