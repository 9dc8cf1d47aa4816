//! `seal.time`: UTC with a resolution of one second, compared as text (section 2 of docs/format-es1.md).

use jiff::SignedDuration;
use jiff::civil::{Date, DateTime};

const DAY: i64 = 24 * 60 * 60;
const LATEST: &str = "9999-12-31T23:59:59Z";

/// A time of the form `YYYY-MM-DDTHH:MM:SSZ`: a valid Gregorian date in the years 1970 to 9999.
///
/// The order of two times is the order of their texts.
///
/// ```
/// use envelope_secrets::envelope::SealTime;
///
/// let sealed = SealTime::parse("2026-02-28T17:00:00Z").expect("a valid time");
/// assert_eq!(sealed.plus_one_day().as_str(), "2026-03-01T17:00:00Z");
/// assert!(sealed < sealed.plus_one_day());
///
/// assert_eq!(SealTime::parse("2026-02-29T17:00:00Z"), None); // no such day
/// assert_eq!(SealTime::parse("2026-02-28T17:00:00+00:00"), None); // only `Z`
/// ```
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SealTime(String);

impl SealTime {
    /// Parses exactly this form; returns `None` for anything else.
    pub fn parse(text: &str) -> Option<Self> {
        let bytes = text.as_bytes();
        if bytes.len() != 20 {
            return None;
        }
        for (index, byte) in bytes.iter().enumerate() {
            let expected = match index {
                4 | 7 => *byte == b'-',
                10 => *byte == b'T',
                13 | 16 => *byte == b':',
                19 => *byte == b'Z',
                _ => byte.is_ascii_digit(),
            };
            if !expected {
                return None;
            }
        }
        let two = |at: usize| text[at..at + 2].parse::<i8>().ok();
        let year = text[..4].parse::<i16>().ok().filter(|year| *year >= 1970)?;
        Date::new(year, two(5)?, two(8)?).ok()?;
        let in_range = two(11)? <= 23 && two(14)? <= 59 && two(17)? <= 59;
        in_range.then(|| SealTime(text.to_owned()))
    }

    /// Converts seconds since 1970-01-01T00:00:00Z; returns `None` outside the years 1970 to 9999.
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

    /// Reads the system clock; returns `None` if it is outside the years 1970 to 9999.
    pub fn now() -> Option<Self> {
        let since_epoch = std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .ok()?;
        SealTime::from_unix(i64::try_from(since_epoch.as_secs()).ok()?)
    }

    /// Returns the text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the time 24 hours later, or the latest time of the form if that would be after the year 9999.
    #[must_use]
    pub fn plus_one_day(&self) -> SealTime {
        self.unix()
            .and_then(|seconds| SealTime::from_unix(seconds + DAY))
            .unwrap_or_else(|| SealTime(LATEST.to_owned()))
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
    fn only_valid_dates_in_the_canonical_form_parse() {
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
    fn plus_one_day_saturates_at_the_end_of_year_9999() {
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
