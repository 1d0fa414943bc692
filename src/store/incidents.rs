//! Incidents, their time line and the messages that go with them, written under the fence.

use std::collections::{HashMap, HashSet};

use serde::Serialize;
use serde_json::Value;
use sqlx::{FromRow, PgConnection, PgPool};
use uuid::Uuid;

use crate::model::{Evidence, OpenIncident, Timestamp, Transition};

/// A transition with what only the writer knows.
#[derive(Clone, Debug)]
pub struct Decision {
    /// What the engine decided.
    pub transition: Transition,
    /// The rule's name.
    pub rule_name: String,
    /// The rule's project, or the group's.
    pub project_id: Option<Uuid>,
    /// What a message says.
    pub facts: Value,
}

/// What became of a batch of decisions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recorded {
    /// Written; this many messages now wait in the outbox.
    Written {
        /// New rows of the outbox.
        messages: u64,
    },
    /// Another instance leads; nothing was written.
    Fenced,
}

/// The incidents that are open; a row that cannot be read costs only itself and is logged.
///
/// # Errors
/// Whatever the database answers.
pub async fn load_open(pool: &PgPool) -> Result<Vec<OpenIncident>, sqlx::Error> {
    let rows: Vec<Row> =
        sqlx::query_as(include_str!("../../sql/incidents_open.sql")).fetch_all(pool).await?;
    let read = |row: Row| {
        let id = row.incident_id;
        let incident = row.into_open();
        if incident.is_none() {
            tracing::warn!(incident = %id, "an open incident cannot be read; it will be opened anew");
        }
        incident
    };
    Ok(rows.into_iter().filter_map(read).collect())
}

/// Open incidents and whether somebody has acknowledged them.
///
/// # Errors
/// Whatever the database answers.
pub async fn acknowledgements(pool: &PgPool) -> Result<HashMap<Uuid, bool>, sqlx::Error> {
    let rows: Vec<(Uuid, bool)> =
        sqlx::query_as(include_str!("../../sql/incidents_acknowledged.sql"))
            .fetch_all(pool)
            .await?;
    Ok(rows.into_iter().collect())
}

/// Closes incidents whose rule was deleted; returns how many there were.
///
/// # Errors
/// Whatever the database answers.
pub async fn close_orphans(pool: &PgPool, instance: Uuid, fence: i64) -> Result<u64, sqlx::Error> {
    let done = sqlx::query(include_str!("../../sql/incidents_orphaned.sql"))
        .bind(instance)
        .bind(fence)
        .execute(pool)
        .await?;
    Ok(done.rows_affected())
}

/// What people call these projects and workflows.
///
/// # Errors
/// Whatever the database answers.
pub async fn display_names(
    pool: &PgPool,
    ids: &[Uuid],
) -> Result<HashMap<Uuid, String>, sqlx::Error> {
    let rows: Vec<(Uuid, String)> = sqlx::query_as(include_str!("../../sql/display_names.sql"))
        .bind(ids)
        .fetch_all(pool)
        .await?;
    Ok(rows.into_iter().collect())
}

/// Messages of these errors.
///
/// # Errors
/// Whatever the database answers.
pub async fn sample_messages(
    pool: &PgPool,
    ids: &[Uuid],
) -> Result<HashMap<Uuid, String>, sqlx::Error> {
    let rows: Vec<(Uuid, String)> = sqlx::query_as(include_str!("../../sql/sample_messages.sql"))
        .bind(ids)
        .fetch_all(pool)
        .await?;
    Ok(rows.into_iter().collect())
}

/// Writes decisions in their order, all or nothing, if `instance` leads with `fence`.
///
/// # Errors
/// Whatever the database answers; nothing was written then.
pub async fn record(
    pool: &PgPool,
    instance: Uuid,
    fence: i64,
    decisions: &[Decision],
) -> Result<Recorded, sqlx::Error> {
    let mut transaction = pool.begin().await?;
    let mut messages = 0;
    for round in rounds(decisions) {
        match record_round(&mut transaction, instance, fence, &round).await? {
            Recorded::Written { messages: more } => messages += more,
            Recorded::Fenced => return Ok(Recorded::Fenced),
        }
    }
    transaction.commit().await?;
    Ok(Recorded::Written { messages })
}

/// One statement can touch an incident only once, so its transitions go into successive rounds.
fn rounds(decisions: &[Decision]) -> Vec<Vec<&Decision>> {
    let mut rounds: Vec<Vec<&Decision>> = Vec::new();
    let mut seen: Vec<HashSet<Uuid>> = Vec::new();
    for decision in decisions {
        let id = decision.transition.incident_id;
        let free = seen.iter().rposition(|ids| ids.contains(&id)).map_or(0, |last| last + 1);
        if free == rounds.len() {
            rounds.push(Vec::new());
            seen.push(HashSet::new());
        }
        rounds[free].push(decision);
        seen[free].insert(id);
    }
    rounds
}

async fn record_round(
    connection: &mut PgConnection,
    instance: Uuid,
    fence: i64,
    round: &[&Decision],
) -> Result<Recorded, sqlx::Error> {
    let given: Vec<Given<'_>> = round.iter().map(|decision| Given::of(decision)).collect();
    let (leads, messages): (bool, i64) =
        sqlx::query_as(include_str!("../../sql/transitions_record.sql"))
            .bind(instance)
            .bind(fence)
            .bind(sqlx::types::Json(given))
            .fetch_one(connection)
            .await?;
    Ok(if leads {
        Recorded::Written { messages: u64::try_from(messages).unwrap_or(0) }
    } else {
        Recorded::Fenced
    })
}

/// One element of the statement's `$3`.
#[derive(Serialize)]
struct Given<'a> {
    kind: &'static str,
    incident_id: Uuid,
    rule_id: Uuid,
    rule_name: &'a str,
    project_id: Option<Uuid>,
    group_key: String,
    state: &'static str,
    level: &'static str,
    started_at: Timestamp,
    at: Timestamp,
    value: f64,
    threshold: f64,
    peak: f64,
    reminder: u32,
    evidence: &'a Evidence,
    facts: &'a Value,
}

impl<'a> Given<'a> {
    fn of(decision: &'a Decision) -> Self {
        let transition = &decision.transition;
        Self {
            kind: transition.kind.as_str(),
            incident_id: transition.incident_id,
            rule_id: transition.rule_id,
            rule_name: &decision.rule_name,
            project_id: decision.project_id,
            group_key: transition.group_key.to_string(),
            state: transition.state.as_str(),
            level: transition.level.as_str(),
            started_at: transition.started_at,
            at: transition.at,
            value: transition.value,
            threshold: transition.threshold,
            peak: transition.peak,
            reminder: transition.reminder,
            evidence: &transition.evidence,
            facts: &decision.facts,
        }
    }
}

#[derive(FromRow)]
struct Row {
    incident_id: Uuid,
    rule_id: Uuid,
    group_key: String,
    state: String,
    level: String,
    peak_level: String,
    started_at: chrono::DateTime<chrono::Utc>,
    fired_at: Option<chrono::DateTime<chrono::Utc>>,
    notified_at: Option<chrono::DateTime<chrono::Utc>>,
    reminders: i32,
    acknowledged: bool,
    peak: f64,
    evidence: Value,
}

impl Row {
    fn into_open(self) -> Option<OpenIncident> {
        Some(OpenIncident {
            incident_id: self.incident_id,
            rule_id: self.rule_id,
            group_key: self.group_key.parse().ok()?,
            state: self.state.parse().ok()?,
            level: self.level.parse().ok()?,
            peak_level: self.peak_level.parse().ok()?,
            started_at: self.started_at.into(),
            fired_at: self.fired_at.map(Into::into),
            notified_at: self.notified_at.map(Into::into),
            reminders: u32::try_from(self.reminders).unwrap_or(0),
            acknowledged: self.acknowledged,
            peak: self.peak,
            evidence: serde_json::from_value(self.evidence).unwrap_or_default(),
        })
    }
}
