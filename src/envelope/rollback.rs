//! Rollback detection: an older document replaces a newer one (docs/format-es1.md#9-opening).
//!
//! This is a pure comparison. The reader stores the mark and decides whether a rollback is refused or only reported.

use super::encoding::{from_base64url_32, to_base64url};
use super::time::SealTime;

/// What a reader remembers of the newest document of an object that it opened. Not secret.
///
/// ```
/// use envelope_secrets::envelope::{Rollback, SealMark, SealTime};
///
/// let mark = |time, mac| SealMark {
///     time: SealTime::parse(time).expect("a valid time"),
///     mac: [mac; 32],
/// };
/// let newest = mark("2026-11-23T17:00:00Z", 1);
///
/// assert_eq!(newest.judge(&newest), Rollback::None);
/// assert_eq!(newest.judge(&mark("2026-11-24T09:30:00Z", 2)), Rollback::None);
/// assert_eq!(newest.judge(&mark("2026-11-22T08:00:00Z", 3)), Rollback::Older);
/// assert_eq!(newest.judge(&mark("2026-11-23T17:00:00Z", 4)), Rollback::SameTime);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SealMark {
    /// `seal.time`.
    pub time: SealTime,
    /// `seal.mac`.
    pub mac: [u8; 32],
}

/// Result of comparing a verified document with the newest one seen before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rollback {
    /// No rollback: the document is newer, or the same.
    None,
    /// The document was sealed before the newest one.
    Older,
    /// Another document, sealed in the same second as the newest one.
    SameTime,
}

impl SealMark {
    /// Parses time and mac as a status stores them; returns `None` if either is malformed.
    pub fn parse(time: &str, mac: &str) -> Option<Self> {
        Some(SealMark {
            time: SealTime::parse(time)?,
            mac: from_base64url_32(mac)?,
        })
    }

    /// Returns `mac` as base64url.
    pub fn mac_text(&self) -> String {
        to_base64url(&self.mac)
    }

    /// Compares `seen`, the mark of a verified document, with this mark, the newest one so far.
    pub fn judge(&self, seen: &SealMark) -> Rollback {
        match seen.time.cmp(&self.time) {
            std::cmp::Ordering::Greater => Rollback::None,
            std::cmp::Ordering::Less => Rollback::Older,
            std::cmp::Ordering::Equal if seen.mac == self.mac => Rollback::None,
            std::cmp::Ordering::Equal => Rollback::SameTime,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mark(time: &str, mac: u8) -> SealMark {
        SealMark {
            time: SealTime::parse(time).expect("a valid time"),
            mac: [mac; 32],
        }
    }

    #[test]
    fn older_time_or_same_time_with_another_mac_is_a_rollback() {
        let newest = mark("2026-11-23T17:00:00Z", 1);
        for (time, mac, expected) in [
            ("2026-11-23T17:00:01Z", 1, Rollback::None),
            ("2026-11-23T17:00:01Z", 2, Rollback::None),
            ("2026-11-23T17:00:00Z", 1, Rollback::None),
            ("2026-11-23T17:00:00Z", 2, Rollback::SameTime),
            ("2026-11-23T16:59:59Z", 1, Rollback::Older),
            ("2025-12-31T23:59:59Z", 2, Rollback::Older),
        ] {
            assert_eq!(newest.judge(&mark(time, mac)), expected, "{time} {mac}");
        }
    }

    #[test]
    fn mark_round_trips_through_its_text() {
        let stored = mark("2026-11-23T17:00:00Z", 0xfb);
        assert_eq!(
            SealMark::parse(stored.time.as_str(), &stored.mac_text()),
            Some(stored.clone())
        );
        assert_eq!(SealMark::parse("2026-11-23", &stored.mac_text()), None);
        assert_eq!(SealMark::parse(stored.time.as_str(), ""), None);
    }
}
