//! This machine's clock beside the KMS's: what is said of the difference.

use crate::kms::clock_difference;

use super::printer::Printer;

/// The most that this machine's clock may be off, in seconds: far below the 5 minutes at which requests are refused.
pub(super) const MOST_SKEW: u64 = 60;

/// A warning where one of these KMSs has told another time. Calls get through all the same, so nothing else would tell.
pub(super) fn warn(clocks: impl IntoIterator<Item = (&'static str, i64)>, printer: Printer) {
    let mut clocks = clocks.into_iter();
    let far = clocks.find(|(_, ahead)| ahead.unsigned_abs() > MOST_SKEW);
    if let Some((provider, ahead)) = far {
        printer.warning(&format!(
            "this machine's clock {} ({provider}); set it (NTP): what is sealed here carries its time, and requests that \
             are minutes off may be refused",
            clock_difference(ahead)
        ));
    }
}
