//! Rules of every kind with thresholds that a few events often cross.

use proptest::prelude::*;

use super::support::{BASE, any_fields, id, rule};
use crate::model::{
    AbsenceOf, Burn, BurnWindow, Filter, Flap, GroupField, Level, Metric, NoData, Rule, Severity,
    Span,
};

/// A rule with thresholds that the few events of a history often cross.
fn lively_rule() -> impl Strategy<Value = Rule> {
    let seconds =
        |most: i64| prop_oneof![2 => Just(Span::ZERO), 3 => (1..most).prop_map(Span::from_secs)];
    (
        (0_u8..12, 1_i64..4, 0_u8..6, prop::option::of(1_u8..4), any_fields()),
        (prop::option::of(1_u8..4), seconds(50), seconds(90), seconds(70), 0_u8..4),
        (prop::sample::select(NoData::ALL), prop::option::weighted(0.4, (3_u32..6, 30_i64..200))),
    )
        .prop_map(
            |(
                (metric, window, warning, gap, group_by),
                (resolve, pending, keep, reminder, severity),
                (no_data, flap),
            )| {
                let (metric, scale) = kind(metric);
                let warning = (warning > 0).then(|| f64::from(warning) * scale);
                let critical = match gap {
                    Some(gap) => Some(warning.unwrap_or(0.0) + f64::from(gap) * scale),
                    None => warning.is_none().then_some(2.0 * scale),
                };
                let lowest = warning.or(critical).unwrap_or(1.0);
                let rule = Rule {
                    metric,
                    window: Span::from_secs(60 * window),
                    group_by,
                    warning,
                    critical,
                    resolve: resolve.map(|part| lowest * f64::from(part) / 4.0),
                    pending,
                    keep_firing: keep,
                    reminder,
                    filter: Filter {
                        severities: Severity::ALL
                            .get(usize::from(severity))
                            .copied()
                            .into_iter()
                            .collect(),
                        ..Filter::default()
                    },
                    no_data,
                    flap: flap
                        .map(|(count, period)| Flap { count, period: Span::from_secs(period) }),
                    ..rule(1)
                };
                sensible(rule)
            },
        )
}

/// A kind of rule and the scale of its thresholds.
fn kind(n: u8) -> (Metric, f64) {
    let pair = |long, short, factor, level| {
        let (long, short) = (Span::from_secs(long), Span::from_secs(short));
        Some(BurnWindow { long, short, factor, level })
    };
    match n {
        0..3 => (Metric::Count, 1.0),
        3 => (Metric::Rate, 1.0),
        4 | 5 => (Metric::Ratio { min_runs: 3 }, 0.1),
        6 => (Metric::NewGroup { quiet: Span::ZERO, since: None }, 1.0),
        7 => (Metric::NewGroup { quiet: Span::from_secs(200), since: None }, 1.0),
        8 => (Metric::Change { compare: Span::from_secs(120), min_count: 2 }, 40.0),
        9 => {
            let windows = [
                pair(120, 60, 3.0, Level::Critical),
                pair(240, 120, 1.0, Level::Warning),
                None,
                None,
            ];
            (Metric::BurnRate(Burn { objective: 0.8, min_runs: 3, windows }), 1.0)
        }
        n => {
            let of = if n == 10 { AbsenceOf::Errors } else { AbsenceOf::Runs };
            (Metric::Absence { of, since: Some(BASE) }, 1.0)
        }
    }
}

/// The rule as its kind allows it.
fn sensible(mut rule: Rule) -> Rule {
    match rule.metric {
        // With a higher threshold a restart within a group's first minutes would need to know when
        // it was last quiet.
        Metric::NewGroup { .. } => {
            (rule.warning, rule.critical, rule.resolve) = (Some(1.0), rule.critical, None);
            rule.critical = rule.critical.filter(|critical| *critical > 1.0);
            rule.group_by.clear();
        }
        Metric::Change { .. } => {
            rule.group_by.retain(|field| *field != GroupField::Fingerprint);
        }
        Metric::BurnRate(_) => (rule.warning, rule.critical, rule.resolve) = (None, None, None),
        Metric::Absence { .. } => {
            (rule.group_by, rule.resolve) = (Vec::new(), None);
            rule.warning = rule.warning.map(|value| value.min(2.0));
        }
        _ => {}
    }
    let ratio = matches!(rule.metric, Metric::Ratio { .. } | Metric::BurnRate(_));
    if ratio {
        let allowed = [GroupField::Project, GroupField::Workflow];
        rule.group_by.retain(|field| allowed.contains(field));
    }
    if rule.no_data == NoData::Alert && ratio {
        rule.group_by.clear();
    }
    rule
}

/// Rules whose value follows from the errors in their window.
pub(crate) fn counting_rules() -> impl Strategy<Value = Vec<Rule>> {
    lively_rules().prop_map(|rules| {
        let counts = |rule: &Rule| matches!(rule.metric, Metric::Count | Metric::Rate);
        rules.into_iter().filter(counts).collect()
    })
}

pub(crate) fn lively_rules() -> impl Strategy<Value = Vec<Rule>> {
    prop::collection::vec(lively_rule(), 1..6)
        .prop_map(|rules| (1..).zip(rules).map(|(n, rule)| Rule { id: id(n), ..rule }).collect())
}
