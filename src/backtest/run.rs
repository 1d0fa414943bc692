//! A back-test over the database.

use std::time::Duration;

use tokio::time::Instant;

use super::{
    evaluation::{Acknowledgement, Evaluation, Outcome},
    messages::{Restraints, count, deliver},
    past,
    report::{ChannelRef, Report, Thresholds},
    suggestion::suggest,
};
use crate::{
    model::{Filter, Metric, Rule, Timestamp},
    store::{
        Db, StoreError,
        history::{self, Columns, Scope},
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
    /// What a change is measured against has too many minutes and groups to be kept in memory.
    #[error(
        "the rule has too many groups in this time; choose a shorter time, or group by fewer fields"
    )]
    TooManyGroups,
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
    let begins = Evaluation::begins(rule, from);
    let past = past::read(db, rule, (begins, to), limit).await?;
    let acknowledgements = history::acknowledgements(db, rule.id, begins, to, limit).await?;
    // An error that such a rule does not count makes its group known all the same.
    let whole = matches!(rule.metric, Metric::NewGroup { .. });
    let scope = Scope {
        from: begins,
        to,
        project: rule.project_id,
        filter: if whole { Filter::default() } else { rule.filter.clone() },
        columns: if whole { Columns::filtered(rule) } else { Columns::of(rule) },
    };
    let evaluated = if whole { rule.clone() } else { undecided(rule) };
    let acknowledgements = acknowledgements
        .into_iter()
        .map(|(at, incident_id, acknowledged)| Acknowledgement { at, incident_id, acknowledged });
    let mut evaluation = Evaluation::new(&evaluated, past, from, to)
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
