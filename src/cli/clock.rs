//! The warning about clock skew.

use crate::kms::{MAX_CLOCK_SKEW, clock_difference};

use super::printer::Printer;

/// Warns if the clock of one of these KMSs differs. Calls still succeed, so nothing else would reveal it.
pub(super) fn warn(clocks: impl IntoIterator<Item = (&'static str, i64)>, printer: Printer) {
    let mut clocks = clocks.into_iter();
    let far = clocks.find(|(_, ahead)| ahead.unsigned_abs() > MAX_CLOCK_SKEW);
    if let Some((provider, ahead)) = far {
        printer.warning(&format!(
            "this host's clock {} ({provider}); synchronize it (NTP): documents sealed here carry its time, and requests \
             that are minutes off may be refused",
            clock_difference(ahead)
        ));
    }
}
