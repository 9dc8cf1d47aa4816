//! Medians, spreads and percentiles.

/// Returns the median; of an even number of values, the mean of the two in the middle. 0 if there are none.
pub(crate) fn median(values: &[f64]) -> f64 {
    let sorted = sorted(values);
    match sorted.len() {
        0 => 0.0,
        n if n % 2 == 1 => sorted[n / 2],
        n => f64::midpoint(sorted[n / 2 - 1], sorted[n / 2]),
    }
}

/// Returns the smallest value that at least this percentage of all values does not exceed (nearest rank).
pub(crate) fn percentile(values: &[f64], percent: usize) -> f64 {
    let sorted = sorted(values);
    let rank = (sorted.len() * percent).div_ceil(100).max(1);
    sorted.get(rank - 1).copied().unwrap_or_default()
}

pub(crate) fn sorted(values: &[f64]) -> Vec<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted
}

/// Returns the smallest and the largest value.
pub(crate) fn extremes(values: &[f64]) -> (f64, f64) {
    let sorted = sorted(values);
    let of = |value: Option<&f64>| value.copied().unwrap_or_default();
    (of(sorted.first()), of(sorted.last()))
}

/// Converts a count. Benchmarks count far below 2^52.
#[expect(clippy::cast_precision_loss, reason = "small numbers")]
pub(crate) fn number(count: usize) -> f64 {
    count as f64
}

/// Formats a count with commas: `10,000`.
pub(crate) fn commas(count: usize) -> String {
    let digits = count.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[expect(clippy::float_cmp, reason = "exact values")]
    fn statistics_of_few_values_are_exact() {
        assert_eq!(median(&[3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), 2.5);
        assert_eq!(median(&[]), 0.0);
        assert_eq!(extremes(&[2.0, 1.0, 3.0]), (1.0, 3.0));
        let hundred: Vec<f64> = (1..=100).map(f64::from).collect();
        assert_eq!(percentile(&hundred, 50), 50.0);
        assert_eq!(percentile(&hundred, 99), 99.0);
        assert_eq!(percentile(&[5.0], 99), 5.0);
    }

    #[test]
    fn counts_are_grouped_by_thousands() {
        let texts: Vec<String> = [1, 120, 1_000, 30_000, 1_234_567].map(commas).into();
        assert_eq!(texts, ["1", "120", "1,000", "30,000", "1,234,567"]);
    }
}
