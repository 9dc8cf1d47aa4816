//! Rollback (format-es1 section 9): an older document in the place of a newer one. A pure comparison; who keeps
//! the mark, and whether rollback is refused or warned about, is the reader's affair.

use super::encoding::{from_base64url_32, to_base64url};
use super::time::SealTime;

/// What a reader keeps of the newest document of an object that it opened. Nothing in it is secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SealMark {
    /// `seal.time`.
    pub time: SealTime,
    /// `seal.mac`.
    pub mac: [u8; 32],
}

/// How a document that was verified stands to the newest one seen before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rollback {
    /// Newer, or the same document.
    None,
    /// Sealed before the newest one.
    Older,
    /// Sealed in the same second as the newest one, but another document.
    SameTime,
}

impl SealMark {
    /// From the texts of time and mac, as a status keeps them; `None` if they are none.
    pub fn parse(time: &str, mac: &str) -> Option<Self> {
        Some(SealMark {
            time: SealTime::parse(time)?,
            mac: from_base64url_32(mac)?,
        })
    }

    /// `mac` as its text.
    pub fn mac_text(&self) -> String {
        to_base64url(&self.mac)
    }

    /// Whether `seen`, which was verified, brings back something older than this highest mark.
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
            time: SealTime::parse(time).expect("a time"),
            mac: [mac; 32],
        }
    }

    #[test]
    fn older_and_same_time_with_another_mac_are_rollbacks() {
        let highest = mark("2026-11-23T17:00:00Z", 1);
        for (time, mac, expected) in [
            ("2026-11-23T17:00:01Z", 1, Rollback::None),
            ("2026-11-23T17:00:01Z", 2, Rollback::None),
            ("2026-11-23T17:00:00Z", 1, Rollback::None),
            ("2026-11-23T17:00:00Z", 2, Rollback::SameTime),
            ("2026-11-23T16:59:59Z", 1, Rollback::Older),
            ("2025-12-31T23:59:59Z", 2, Rollback::Older),
        ] {
            assert_eq!(highest.judge(&mark(time, mac)), expected, "{time} {mac}");
        }
    }

    #[test]
    fn a_mark_survives_its_text() {
        let kept = mark("2026-11-23T17:00:00Z", 0xfb);
        assert_eq!(
            SealMark::parse(kept.time.as_str(), &kept.mac_text()),
            Some(kept.clone())
        );
        assert_eq!(SealMark::parse("2026-11-23", &kept.mac_text()), None);
        assert_eq!(SealMark::parse(kept.time.as_str(), ""), None);
    }
}
