//! Random rules and rows of a small world, so that they often meet.

use meshhook_errors::model::{
    ErrorEvent, Filter, GroupField, Metric, NoData, Rule, Severity, Source, Span, Timestamp,
};
use rand::{Rng as _, rngs::StdRng};
use uuid::Uuid;

/// A rule whose thresholds the few rows of a world often cross.
pub fn rule(random: &mut StdRng, id: u128, keeps_firing: bool) -> Rule {
    let mut seconds = |most: i64| {
        Span::from_secs(if random.random_bool(0.4) { 0 } else { random.random_range(1..most) })
    };
    let (pending, keep_firing, reminder) = (seconds(50), seconds(90), seconds(70));
    let warning = random.random_bool(0.8).then(|| f64::from(random.random_range(1..4)));
    let gap = f64::from(random.random_range(1..4));
    let critical = match warning {
        Some(warning) => random.random_bool(0.6).then_some(warning + gap),
        None => Some(gap + 1.0),
    };
    let lowest = warning.or(critical).unwrap_or(1.0);
    let fields = [GroupField::Project, GroupField::Source, GroupField::ErrorType];
    Rule {
        id: Uuid::from_u128(id),
        project_id: None,
        name: format!("rule {id}"),
        metric: if random.random_bool(0.7) { Metric::Count } else { Metric::Rate },
        filter: Filter {
            severities: Severity::ALL.iter().copied().filter(|_| random.random_bool(0.2)).collect(),
            ..Filter::default()
        },
        group_by: fields.into_iter().filter(|_| random.random_bool(0.4)).collect(),
        window: Span::from_secs(60 * random.random_range(1..4)),
        warning,
        critical,
        resolve: random
            .random_bool(0.5)
            .then(|| lowest * f64::from(random.random_range(1..4)) / 4.0),
        pending,
        keep_firing: if keeps_firing { keep_firing } else { Span::ZERO },
        reminder,
        no_data: NoData::Keep,
        flap: None,
    }
}

/// The rules after a person has changed some of them; some go, some come.
pub fn changed(
    random: &mut StdRng,
    rules: &[Rule],
    next: &mut u128,
    keeps_firing: bool,
) -> Vec<Rule> {
    let mut changed = Vec::new();
    for old in rules {
        let new = rule(random, old.id.as_u128(), keeps_firing);
        changed.push(match random.random_range(0..6) {
            0 => continue,
            1 => {
                Rule { warning: new.warning, critical: new.critical, resolve: None, ..old.clone() }
            }
            2 => Rule { filter: new.filter, window: new.window, ..old.clone() },
            3 => new,
            _ => old.clone(),
        });
    }
    if changed.is_empty() || random.random_bool(0.3) {
        *next += 1;
        changed.push(rule(random, *next, keeps_firing));
    }
    changed
}

/// A row that happened at `timestamp` and was received at `received_at`.
pub fn row(
    random: &mut StdRng,
    seq: i64,
    timestamp: Timestamp,
    received_at: Timestamp,
) -> ErrorEvent {
    let mut pick = |most: u128| Uuid::from_u128(random.random_range(1..=most));
    let (project, fingerprint) = (pick(2), pick(2));
    ErrorEvent {
        seq,
        error_id: Uuid::from_u128(seq.unsigned_abs().into()),
        timestamp,
        received_at,
        source: Source::ALL[random.random_range(0..2)],
        error_type: ["system", "execution.timeout"][random.random_range(0..2)].into(),
        severity: Severity::ALL[random.random_range(0..Severity::ALL.len())],
        project_id: random.random_bool(0.7).then_some(project),
        workflow_id: None,
        fingerprint,
        message: "it broke".into(),
    }
}
