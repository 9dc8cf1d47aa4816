//! What whoever runs the binary decides about this provider. Filled by the command line; holds no flag names.

use std::path::PathBuf;
use std::time::Duration;

use super::credentials::{AssumedRole, Environment};
use super::endpoint::{Endpoint, Site};
use crate::kms::AllowedKeys;

/// Everything that [`super::TencentKms`] is made of.
#[derive(Clone, Default)]
pub struct TencentSettings {
    /// The keys that documents may be opened with. Sealing uses the keys that it is given.
    pub allowed: AllowedKeys,
    /// The hosts of the service.
    pub site: Site,
    /// Instead of the site's KMS, for every region.
    pub endpoint: Option<Endpoint>,
    /// Instead of the site's STS.
    pub sts_endpoint: Option<Endpoint>,
    /// Instead of the metadata service of Tencent Cloud's machines.
    pub metadata_endpoint: Option<Endpoint>,
    /// More certificate authorities than the system's: a file in PEM.
    pub ca_file: Option<PathBuf>,
    /// Time and size limits of calls.
    pub limits: Limits,
    /// Credentials before all others: a profile file, or a folder with `secretId`, `secretKey` and perhaps `token`.
    pub credentials: Option<PathBuf>,
    /// A role to take with whatever credentials there are.
    pub role: Option<AssumedRole>,
    /// The variables that credentials may come from.
    pub environment: Environment,
}

/// Time and size limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// To connect, TLS included.
    pub connect: Duration,
    /// For one request, from connecting to the end of the answer.
    pub request: Duration,
    /// For a call with all its attempts and pauses, and the credentials that it waits for; STS has half of it.
    pub call: Duration,
    /// Attempts of a call. At least one is made.
    pub attempts: u32,
    /// The longest first pause between two attempts; each further one may be twice as long. Pauses are drawn from
    /// nothing to that length.
    pub pause: Duration,
    /// Of an answer's body, in bytes.
    pub answer: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            connect: Duration::from_secs(3),
            request: Duration::from_secs(10),
            call: Duration::from_secs(20),
            attempts: 4,
            pause: Duration::from_millis(100),
            answer: 1 << 20, // a page of 200 keys with their descriptions
        }
    }
}

impl Limits {
    /// The longest pause, however often a call failed.
    const LONGEST_PAUSE: Duration = Duration::from_secs(5);

    /// The pause before the attempt after `failed` ones: full jitter, `draw` being any number.
    pub(super) fn pause(&self, failed: u32, draw: u64) -> Duration {
        let doubled = self.pause.saturating_mul(1 << failed.saturating_sub(1).min(16));
        let longest = doubled.min(Self::LONGEST_PAUSE);
        let micros = u64::try_from(longest.as_micros()).unwrap_or(u64::MAX);
        Duration::from_micros(draw % micros.saturating_add(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_are_drawn_up_to_a_length_that_doubles_to_a_limit() {
        let limits = Limits::default();
        for (failed, longest) in [(1, 100), (2, 200), (3, 400), (7, 5000), (99, 5000)] {
            let micros = longest * 1000;
            assert_eq!(limits.pause(failed, micros), Duration::from_millis(longest));
            assert_eq!(limits.pause(failed, micros + 1), Duration::ZERO);
        }
        let none = Limits {
            pause: Duration::ZERO,
            ..limits
        };
        assert_eq!(none.pause(3, 12345), Duration::ZERO);
    }
}
