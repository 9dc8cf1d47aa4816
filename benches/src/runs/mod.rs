//! The benchmarks.

mod cold_start;
mod latency;
mod memory;
mod quota;
mod restart;
mod scaling;
pub(crate) mod seal;

use anyhow::Result;

use crate::args::Name;
use crate::lab::Lab;
use crate::record::{Record, Row};
use crate::stats::{extremes, median};

/// Runs a benchmark.
pub(crate) async fn run(lab: &mut Lab, name: Name) -> Result<Record> {
    match name {
        Name::ColdStart => cold_start::run(lab).await,
        Name::Restart => restart::run(lab).await,
        Name::Scaling => scaling::run(lab).await,
        Name::Memory => memory::run(lab).await,
        Name::Latency => latency::run(lab).await,
        Name::Quota => quota::run(lab).await,
        Name::Seal => seal::run(lab),
    }
}

/// A quantity of a row: its name, unit and decimals.
struct Quantity<'a> {
    metric: String,
    unit: &'a str,
    decimals: usize,
}

/// A target: what the page says, and the largest value that meets it.
struct Target<'a> {
    text: &'a str,
    limit: f64,
    /// Whether the benchmark ran as the target is defined.
    applies: bool,
}

/// A row with the median of the samples.
fn row(quantity: Quantity<'_>, samples: &[f64], target: Option<Target<'_>>, limit: &str) -> Row {
    let Quantity {
        metric,
        unit,
        decimals,
    } = quantity;
    let text = |value: f64| format!("{value:.decimals$}");
    let (low, high) = extremes(samples);
    let middle = median(samples);
    let spread = match samples.len() {
        0 | 1 => "one sample".to_owned(),
        _ => format!("{} - {} ({})", text(low), text(high), samples.len()),
    };
    let met = target
        .as_ref()
        .filter(|target| target.applies)
        .map(|target| middle <= target.limit);
    Row {
        metric,
        median: format!("{}{unit}", text(middle)),
        spread,
        target: target.map(|target| target.text.to_owned()).unwrap_or_default(),
        met,
        limit: limit.to_owned(),
    }
}
