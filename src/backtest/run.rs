//! A back-test over the database.

use std::time::Duration;

use tokio::time::Instant;

use super::{
    evaluation::{Acknowledgement, Evaluation, Outcome},
    messages::{Restraints, count, deliver},
    report::{ChannelRef, Report, Thresholds},
    suggestion::suggest,
};
use crate::{
    engine::RunCount,
    model::{Filter, Metric, Rule, Timestamp},
    store::{
        Db, StoreError,
        history::{self, Columns, Scope},
        runs,
    },
};

/// What to test.
#[derive(Clone, Debug)]
pub struct Request {
    /// The rule, whether it is enabled or not.
    pub rule: Rule,
    /// Its channels.
    pub channels: Vec<ChannelRef>,
    /// What may keep people from being told.
    pub restraints: Restraints,
    /// From when on.
    pub from: Timestamp,
    /// Until when; the present where this lies in the future.
    pub to: Timestamp,
    /// Whether to take thresholds from history.
    pub suggest: bool,
}

/// Why a back-test has no result.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// Nothing lies between the two times.
    #[error("to must be later than from, and from must lie in the past")]
    Empty,
    /// The rule is of a kind whose past is not stored: what groups were known, or what an earlier
    /// window held, at the beginning of the stretch.
    #[error(
        "a rule of kind {0} cannot be tested over history; explain and back-test do not know what it knew"
    )]
    Kind(&'static str),
    /// The database failed or was too slow.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Evaluates a rule over what is stored, within `limit`. Dropping the future ends its queries.
///
/// # Errors
/// See [`RunError`].
pub async fn run(db: &Db, request: &Request, limit: Duration) -> Result<Report, RunError> {
    let began = Instant::now();
    let to = request.to.min(history::database_now(db, limit).await?);
    let Request { rule, channels, restraints, from, suggest: wanted, .. } = request;
    let (outcome, events_read) = replay(db, rule, *from, to, limit).await?;
    let Outcome { transitions, incidents, dropped, series, samples, too_late, .. } = outcome;
    let suggestion = wanted.then(|| suggest(&rule.metric, &samples));
    let incidents_total = incidents.len();
    let mail = deliver(rule, &transitions, channels, restraints, to);
    Ok(Report {
        messages: count(&mail, channels, *from),
        incidents: incidents.into_iter().take(Report::MOST_INCIDENTS).collect(),
        incidents_total,
        dropped,
        series,
        thresholds: Thresholds::of(rule),
        suggestion,
        from: *from,
        complete_through: to,
        events_read,
        events_too_late: too_late,
        took_ms: u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX),
    })
}

/// The rule over the rows from `from` to `to`, and how many rows were read.
///
/// # Errors
/// See [`RunError`].
pub async fn replay(
    db: &Db,
    rule: &Rule,
    from: Timestamp,
    to: Timestamp,
    limit: Duration,
) -> Result<(Outcome, u64), RunError> {
    if to <= from {
        return Err(RunError::Empty);
    }
    if matches!(rule.metric, Metric::NewGroup { .. } | Metric::Change { .. }) {
        return Err(RunError::Kind(rule.metric.as_str()));
    }
    let begins = Evaluation::begins(rule, from);
    let mut runs: Vec<RunCount> = if rule.metric.needs_runs() {
        runs::count(db, begins, to, limit).await?
    } else {
        Vec::new()
    }
    .into_iter()
    .map(RunCount::from)
    .collect();
    runs.sort_by_key(|run| run.started_at);
    let acknowledgements = history::acknowledgements(db, rule.id, begins, to, limit).await?;
    let scope = Scope {
        from: begins,
        to,
        project: rule.project_id,
        filter: rule.filter.clone(),
        columns: Columns::of(rule),
    };
    let acknowledgements = acknowledgements
        .into_iter()
        .map(|(at, incident_id, acknowledged)| Acknowledgement { at, incident_id, acknowledged });
    let mut evaluation = Evaluation::new(&undecided(rule), runs, from, to)
        .with_acknowledgements(acknowledgements.collect());
    let read = history::stream(db, &scope, limit, |event| evaluation.event(event)).await?;
    Ok((evaluation.finish(), read))
}

/// The rule with the part of its filter that the database has not applied.
fn undecided(rule: &Rule) -> Rule {
    let filter = Filter {
        sources: Vec::new(),
        error_types: Vec::new(),
        severities: Vec::new(),
        ..rule.filter.clone()
    };
    Rule { filter, ..rule.clone() }
}
