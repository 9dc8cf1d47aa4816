//! The server's clock. The API rejects a signature whose timestamp is more than 5 minutes off, so a call follows the time
//! in the server's responses when the local clock is wrong.

use std::sync::Mutex;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use crate::kms::clock_difference;
use crate::kms::tencent::error::TencentError;
use crate::sync::lock;

/// From this difference on, in seconds, an active correction follows the server's time. Less may be the latency of a
/// response.
const MIN_ADJUSTMENT: u64 = 30;

/// What the client knows of the server's clock.
#[derive(Default)]
pub(in crate::kms::tencent) struct ServerClock {
    /// Seconds to add to the local clock, since the server rejected a timestamp.
    correction: AtomicI64,
    /// The server's clock minus the local one in seconds, from the last response with a `Date` header.
    skew: Mutex<Option<i64>>,
}

/// What one attempt shows about the clocks.
#[derive(Clone, Copy, Default)]
pub(super) struct ClockReading {
    /// The server's clock minus the local one in seconds, if the response has a `Date` header.
    pub(super) skew: Option<i64>,
    /// The correction that the request was signed with, in seconds.
    pub(super) applied: i64,
}

impl ServerClock {
    /// Returns the time to sign with, in Unix seconds.
    pub(in crate::kms::tencent) fn now(&self) -> i64 {
        unix_now() + self.correction()
    }

    /// Returns the seconds that are added to the local clock.
    pub(in crate::kms::tencent) fn correction(&self) -> i64 {
        self.correction.load(Ordering::Relaxed)
    }

    /// Returns the server's clock minus the local one in seconds, from the last response with a `Date` header.
    pub(in crate::kms::tencent) fn skew(&self) -> Option<i64> {
        *lock(&self.skew)
    }

    /// Remembers the skew, if the response shows one.
    pub(super) fn record_skew(&self, reading: ClockReading) {
        if reading.skew.is_some() {
            *lock(&self.skew) = reading.skew;
        }
    }

    #[cfg(test)]
    pub(in crate::kms::tencent) fn set_correction(&self, seconds: i64) {
        self.correction.store(seconds, Ordering::Relaxed);
    }

    /// Adopts the server's time after it rejected a timestamp, replacing any earlier correction: the local clock may have
    /// been set since. Adds the difference to `error`. Returns whether another attempt would be signed differently.
    pub(super) fn set_correction_after_rejection(
        &self,
        error: &mut TencentError,
        reading: ClockReading,
    ) -> bool {
        let Some(skew) = reading.skew else {
            error.message = format!(
                "{}; the response has no Date to correct the clock by",
                error.message
            )
            .into();
            return false;
        };
        self.correction.store(skew, Ordering::Relaxed);
        let mut difference = format!("this host's clock {}", clock_difference(skew));
        if reading.applied != 0 {
            difference = format!(
                "{difference}; the request was signed with a correction of {} s",
                reading.applied
            );
        }
        tracing::warn!(
            action = error.action,
            request_id = error.request_id.as_deref(),
            "timestamp rejected: {difference}"
        );
        error.message = format!("{}; {difference}", error.message).into();
        skew.abs_diff(reading.applied) > 1
    }

    /// Adjusts or ends a correction when a response shows that the local clock has been set.
    pub(super) fn adjust_correction(&self, reading: ClockReading) {
        let ClockReading {
            skew: Some(skew),
            applied,
        } = reading
        else {
            return;
        };
        if applied == 0 || skew.abs_diff(applied) < MIN_ADJUSTMENT {
            return;
        }
        // Unless another call has changed it meanwhile.
        let adjusted = self
            .correction
            .compare_exchange(applied, skew, Ordering::Relaxed, Ordering::Relaxed);
        if adjusted.is_ok() {
            tracing::info!(
                "this host's clock {} now; the previous correction was {applied} s",
                clock_difference(skew)
            );
        }
    }
}

/// The local clock, in Unix seconds.
pub(super) fn unix_now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}
