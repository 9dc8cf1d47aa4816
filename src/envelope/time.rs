//! `seal.time`: UTC to the second, compared as text.

use jiff::SignedDuration;
use jiff::civil::{Date, DateTime};

const DAY: i64 = 24 * 60 * 60;
const LAST: &str = "9999-12-31T23:59:59Z";

/// `YYYY-MM-DDTHH:MM:SSZ`, a real Gregorian date of the years 1970 to 9999. Its order is that of its text.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SealTime(String);

impl SealTime {
    /// `None` for anything that is not exactly of that form.
    pub fn parse(text: &str) -> Option<Self> {
        let bytes = text.as_bytes();
        if bytes.len() != 20 {
            return None;
        }
        for (index, byte) in bytes.iter().enumerate() {
            let fits = match index {
                4 | 7 => *byte == b'-',
                10 => *byte == b'T',
                13 | 16 => *byte == b':',
                19 => *byte == b'Z',
                _ => byte.is_ascii_digit(),
            };
            if !fits {
                return None;
            }
        }
        let two = |at: usize| text[at..at + 2].parse::<i8>().ok();
        let year = text[..4].parse::<i16>().ok().filter(|year| *year >= 1970)?;
        Date::new(year, two(5)?, two(8)?).ok()?;
        let in_range = two(11)? <= 23 && two(14)? <= 59 && two(17)? <= 59;
        in_range.then(|| SealTime(text.to_owned()))
    }

    /// The time `seconds` after 1970-01-01T00:00:00Z; `None` outside 1970 to 9999.
    pub fn from_unix(seconds: i64) -> Option<Self> {
        if seconds < 0 {
            return None;
        }
        let at = epoch()?.checked_add(SignedDuration::from_secs(seconds)).ok()?;
        Some(SealTime(format!(
            "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}Z",
            at.year(),
            at.month(),
            at.day(),
            at.hour(),
            at.minute(),
            at.second()
        )))
    }

    /// The machine's clock; `None` if it stands outside 1970 to 9999.
    pub fn now() -> Option<Self> {
        let since = std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .ok()?;
        SealTime::from_unix(i64::try_from(since.as_secs()).ok()?)
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The same time of the next day; on the last day of the year 9999 the last time that there is.
    #[must_use]
    pub fn plus_one_day(&self) -> SealTime {
        self.unix()
            .and_then(|seconds| SealTime::from_unix(seconds + DAY))
            .unwrap_or_else(|| SealTime(LAST.to_owned()))
    }

    fn unix(&self) -> Option<i64> {
        let at: DateTime = self.0.trim_end_matches('Z').parse().ok()?;
        Some(at.duration_since(epoch()?).as_secs())
    }
}

impl std::fmt::Display for SealTime {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

fn epoch() -> Option<DateTime> {
    Date::new(1970, 1, 1).ok().map(DateTime::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_real_dates_in_one_form() {
        for good in [
            "1970-01-01T00:00:00Z",
            "2024-02-29T23:59:59Z",
            "9999-12-31T23:59:59Z",
        ] {
            assert_eq!(
                SealTime::parse(good).map(|t| t.to_string()).as_deref(),
                Some(good)
            );
        }
        for bad in [
            "1969-12-31T23:59:59Z",
            "2023-02-29T00:00:00Z",
            "2026-11-23T24:00:00Z",
            "2026-11-23T17:60:00Z",
            "2026-11-23T17:00:60Z",
            "2026-11-23T17:00:00z",
            "2026-11-23 17:00:00Z",
            "2026-11-23T17:00:00Z\n",
            "2026-11-23T17:00:+1Z",
            "２026-11-23T17:00Z",
        ] {
            assert_eq!(SealTime::parse(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn a_day_later() {
        let after = |text: &str| SealTime::parse(text).map(|t| t.plus_one_day().to_string());
        assert_eq!(
            after("2024-02-28T12:00:00Z").as_deref(),
            Some("2024-02-29T12:00:00Z")
        );
        assert_eq!(
            after("9999-12-30T23:59:59Z").as_deref(),
            Some("9999-12-31T23:59:59Z")
        );
        assert_eq!(
            after("9999-12-31T00:00:00Z").as_deref(),
            Some("9999-12-31T23:59:59Z")
        );
        assert_eq!(
            SealTime::from_unix(0).map(|t| t.to_string()).as_deref(),
            Some("1970-01-01T00:00:00Z")
        );
        assert_eq!(SealTime::from_unix(-1), None);
    }
}
