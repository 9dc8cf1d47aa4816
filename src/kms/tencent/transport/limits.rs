//! Time and size limits of calls.

use std::time::Duration;

use crate::backoff::ExponentialBackoff;

/// The longest pause between two attempts of a call.
const MAX_PAUSE: Duration = Duration::from_secs(5);

/// Time and size limits of calls.
///
/// ```
/// use envelope_secrets::kms::tencent::Limits;
///
/// let impatient = Limits { attempts: 1, ..Limits::default() };
/// assert!(impatient.request < impatient.call, "a call leaves time for a second request");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// For establishing a connection, TLS handshake included.
    pub connect: Duration,
    /// For one request, from connecting to the end of the response.
    pub request: Duration,
    /// For a call with all its attempts and pauses, including the wait for credentials. An STS call gets a third of it.
    pub call: Duration,
    /// Attempts per call. At least one is made. With one, a call that credentials or clock have prevented is not repeated
    /// after these were corrected either: the error is marked [`repeat_now`](crate::kms::KmsError::repeat_now).
    pub attempts: u32,
    /// The longest pause before the second attempt; the limit doubles with each further attempt, up to 5 s. The pause
    /// itself is random, from zero to that limit (full jitter).
    pub pause: Duration,
    /// The longest response body, in bytes.
    pub response_size: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            connect: Duration::from_secs(3),
            request: Duration::from_secs(10),
            call: Duration::from_secs(20),
            attempts: 4,
            pause: Duration::from_millis(100),
            response_size: 1 << 20, // fits a page of 200 keys with descriptions
        }
    }
}

impl Limits {
    /// Returns the pause after `failed` attempts, drawn with full jitter from the random number `draw`.
    pub(super) fn pause(&self, failed: u32, draw: u64) -> Duration {
        let backoff = ExponentialBackoff {
            first: self.pause,
            cap: MAX_PAUSE,
        };
        backoff.delay_with_jitter(failed, draw)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_five_seconds() {
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
