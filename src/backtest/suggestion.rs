//! Thresholds from history: percentiles of the window's values over time.

use super::report::Suggestion;
use crate::{
    model::Metric,
    notify::{MetricKind, amount},
};

/// What the ascending `samples` of a rule's value suggest.
pub(super) fn suggest(metric: &Metric, samples: &[f64]) -> Suggestion {
    let at = |permille| percentile(samples, permille);
    let (p50, p90, p99, p999, max) = (at(500), at(900), at(990), at(999), at(1_000));
    let kind = MetricKind::from(*metric);
    let said = |value| amount(kind, value);
    let spread = format!(
        "In 99 % of the time the value was at most {}, in 99.9 % at most {}, and never above {}",
        said(p99),
        said(p999),
        said(max)
    );
    let (warning, critical, text) = if let Metric::BurnRate(_) = metric {
        // It has factors, which follow from how much of the budget may be used up how fast.
        (None, None, format!("{spread}. A burn rate is compared with the factors of its windows."))
    } else if max > 0.0 {
        let warning = above(metric, p99);
        let critical = above(metric, p999.max(warning));
        let text =
            format!("{spread}: warn from {}, critical from {}.", said(warning), said(critical));
        (Some(warning), Some(critical), text)
    } else {
        let text = "Nothing happened in this time, so it suggests no threshold.".to_owned();
        (None, None, text)
    };
    Suggestion { warning, critical, p50, p90, p99, p999, max, samples: samples.len(), text }
}

/// The value that `permille` of the samples do not exceed (nearest rank); 0 without samples.
fn percentile(samples: &[f64], permille: usize) -> f64 {
    let rank = (samples.len() * permille).div_ceil(1_000);
    samples.get(rank.saturating_sub(1)).copied().unwrap_or(0.0)
}

/// The next number above `value` that people would write: two digits, and whole where errors are
/// counted.
fn above(metric: &Metric, value: f64) -> f64 {
    let whole = matches!(metric, Metric::Count);
    if value <= 0.0 {
        return if whole { 1.0 } else { 0.01 };
    }
    let exponent = value.log10().floor() - 1.0;
    // Powers of ten below one are not exact, and would turn 0.05 into 0.05000000000000001.
    let scaled =
        if exponent < 0.0 { value * 10_f64.powf(-exponent) } else { value / 10_f64.powf(exponent) };
    let next = (scaled + 1e-9).floor() + 1.0;
    let nice =
        if exponent < 0.0 { next / 10_f64.powf(-exponent) } else { next * 10_f64.powf(exponent) };
    if whole { nice.floor().max(value.floor() + 1.0) } else { nice }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Burn, MAX_BURN_WINDOWS};

    #[test]
    fn suggested_numbers_are_round_and_above() {
        for (metric, value, expected) in [
            (Metric::Count, 0.0, 1.0),
            (Metric::Count, 3.0, 4.0),
            (Metric::Count, 42.0, 43.0),
            (Metric::Count, 423.0, 430.0),
            (Metric::Count, 1_200.0, 1_300.0),
            (Metric::Rate, 0.25, 0.26),
            (Metric::Ratio { min_runs: 20 }, 0.0, 0.01),
            (Metric::Ratio { min_runs: 20 }, 0.049, 0.05),
            (Metric::Ratio { min_runs: 20 }, 0.05, 0.051),
        ] {
            assert_eq!(above(&metric, value), expected, "{metric:?} {value}");
        }
    }

    #[test]
    fn percentiles_are_of_the_nearest_rank() {
        let samples: Vec<f64> = (1..=1_000).map(f64::from).collect();
        let found = suggest(&Metric::Count, &samples);
        assert_eq!((found.p50, found.p90, found.p99), (500.0, 900.0, 990.0));
        assert_eq!((found.p999, found.max), (999.0, 1_000.0));
        assert_eq!((found.warning, found.critical), (Some(1_000.0), Some(1_100.0)));
        for samples in [&[][..], &[0.0; 5][..]] {
            let nothing = suggest(&Metric::Count, samples);
            assert_eq!((nothing.warning, nothing.critical, nothing.max), (None, None, 0.0));
        }
        let burn = Burn { objective: 0.99, min_runs: 1, windows: [None; MAX_BURN_WINDOWS] };
        let burning = suggest(&Metric::BurnRate(burn), &[0.0, 0.5, 20.0]);
        assert_eq!((burning.warning, burning.critical, burning.max), (None, None, 20.0));
        assert!(burning.text.ends_with("compared with the factors of its windows."));
        let ratio = Metric::Ratio { min_runs: 20 };
        let failing = suggest(&ratio, &[0.0, 1.0 / 30.0, 0.123_456_789]);
        assert_eq!(
            failing.text,
            "In 99 % of the time the value was at most 12.3 %, in 99.9 % at most 12.3 %, and never above \
             12.3 %: warn from 13 %, critical from 14 %."
        );
        let one = suggest(&Metric::Count, &[0.0, 0.0, 3.0]);
        assert_eq!((one.p50, one.warning, one.critical), (0.0, Some(4.0), Some(5.0)));
    }
}
