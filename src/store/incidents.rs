//! Incidents, their time line and the messages that go with them, written under the fence.

use std::{
    collections::{HashMap, HashSet},
    time::Duration,
};

use serde::Serialize;
use serde_json::{Value, json};
use sqlx::{FromRow, Row as _};
use uuid::Uuid;

use super::{
    Db, Fence, Link, StoreError, lease,
    pool::within,
    telling::{self, Concerned},
};
use crate::{
    crash::Point,
    model::{Evidence, OpenIncident, Timestamp, Transition, TransitionKind},
    telling::{Hold, News, Telling, note, until},
};

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

/// An incident that is open in the database.
#[derive(Clone, Debug)]
pub struct Opened {
    /// What the engine goes on with. Where its rule was deleted, the rule's id is nil.
    pub incident: OpenIncident,
    /// What the last message said of its rule; null where nobody was told.
    pub told_rule: Option<Value>,
}

/// What is open in the database.
#[derive(Clone, Debug, Default)]
pub struct OpenIncidents {
    /// What can be gone on with.
    pub opened: Vec<Opened>,
    /// What cannot be read, as after a change by hand or by a newer version.
    pub unreadable: Vec<Uuid>,
}

/// The incidents that are open, also those of rules that are gone or disabled; a row that cannot be
/// read costs only itself, see [`end_unreadable`].
///
/// # Errors
/// When the database does not answer within `limit`.
pub async fn load_open(db: &Db, limit: Duration) -> Result<OpenIncidents, StoreError> {
    let rows = within("read the open incidents", limit, async {
        let mut link = db.link().await?;
        let query = link.query(include_str!("../../sql/incidents_open.sql"));
        let rows = query.fetch_all(link.connection()).await?;
        link.commit().await?;
        Ok(rows.iter().map(Row::from_row).collect::<Result<Vec<_>, _>>()?)
    })
    .await?;
    let mut found = OpenIncidents::default();
    for row in rows {
        let (id, told_rule) = (row.incident_id, row.rule.clone());
        match row.into_open() {
            Some(incident) => found.opened.push(Opened { incident, told_rule }),
            None => found.unreadable.push(id),
        }
    }
    Ok(found)
}

/// Ends open incidents that cannot be read, and tells those who know of them: nobody could go on with
/// them, and while they are open none of the same group could begin.
///
/// # Errors
/// [`StoreError::FenceLost`] when this instance does not lead; the database's failures.
pub async fn end_unreadable(
    db: &Db,
    fence: &Fence,
    incidents: &[Uuid],
    limit: Duration,
) -> Result<(), StoreError> {
    within("end incidents that cannot be read", limit, async {
        let mut link = db.transaction().await?;
        link.query(include_str!("../../sql/incidents_end_unreadable.sql"))
            .bind(incidents.to_vec())
            .execute(link.connection())
            .await?;
        link.commit_as(fence).await
    })
    .await
}

/// When the last incident of a rule ended; none where none has.
///
/// # Errors
/// When the database does not answer within `limit`.
pub async fn last_end(db: &Db, limit: Duration) -> Result<Option<Timestamp>, StoreError> {
    within("read when the last incident ended", limit, async {
        let mut link = db.link().await?;
        let query = link.query(include_str!("../../sql/last_end.sql"));
        let row = query.fetch_optional(link.connection()).await?;
        link.commit().await?;
        let ended =
            row.map(|row| row.try_get::<chrono::DateTime<chrono::Utc>, _>(0)).transpose()?;
        Ok(ended.map(Into::into))
    })
    .await
}

/// Open incidents and whether somebody has acknowledged them.
///
/// # Errors
/// When the database does not answer within `limit`.
pub async fn acknowledgements(db: &Db, limit: Duration) -> Result<HashMap<Uuid, bool>, StoreError> {
    within("read the acknowledgements", limit, async {
        let mut link = db.link().await?;
        let query = link.query(include_str!("../../sql/incidents_acknowledged.sql"));
        let rows = query.fetch_all(link.connection()).await?;
        link.commit().await?;
        Ok(rows
            .iter()
            .map(|row| Ok((row.try_get(0)?, row.try_get(1)?)))
            .collect::<Result<_, sqlx::Error>>()?)
    })
    .await
}

/// What people call these projects and workflows.
///
/// # Errors
/// When the database does not answer within `limit`.
pub async fn display_names(
    db: &Db,
    ids: &[Uuid],
    limit: Duration,
) -> Result<HashMap<Uuid, String>, StoreError> {
    texts_of(db, include_str!("../../sql/display_names.sql"), ids, limit).await
}

/// Messages of these errors.
///
/// # Errors
/// When the database does not answer within `limit`.
pub async fn sample_messages(
    db: &Db,
    ids: &[Uuid],
    limit: Duration,
) -> Result<HashMap<Uuid, String>, StoreError> {
    texts_of(db, include_str!("../../sql/sample_messages.sql"), ids, limit).await
}

async fn texts_of(
    db: &Db,
    sql: &'static str,
    ids: &[Uuid],
    limit: Duration,
) -> Result<HashMap<Uuid, String>, StoreError> {
    within("look up names for a message", limit, async {
        let mut link = db.link().await?;
        let rows = link.query(sql).bind(ids.to_vec()).fetch_all(link.connection()).await?;
        link.commit().await?;
        Ok(rows
            .iter()
            .map(|row| Ok((row.try_get(0)?, row.try_get(1)?)))
            .collect::<Result<_, sqlx::Error>>()?)
    })
    .await
}

/// What became of decisions that were written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Recorded {
    /// Messages that now wait to be sent.
    pub messages: u64,
    /// Whether somebody is owed a message that is held back.
    pub held: bool,
}

/// Writes decisions in their order, all or nothing: incidents, time lines, and who is told.
///
/// Who is told is decided here, in the same transaction, by what the configuration says now.
///
/// # Errors
/// [`StoreError::FenceLost`] when this instance does not lead; the database's failures. Nothing was
/// written then, except when the commit itself got no answer.
pub async fn record(
    db: &Db,
    fence: &Fence,
    decisions: &[Decision],
    limit: Duration,
) -> Result<Recorded, StoreError> {
    let recorded = within("write decisions", limit, async {
        let mut link = db.transaction().await?;
        let tellings = decide(&mut link, decisions).await?;
        let told: Vec<_> = decisions.iter().zip(&tellings).collect();
        let mut recorded = Recorded::default();
        for round in rounds(&told) {
            recorded.messages += record_round(&mut link, &round).await?;
        }
        link.commit_past(fence, Some(Point::Committing)).await?;
        recorded.held = tellings.iter().any(|telling| !telling.held.is_empty());
        Ok(recorded)
    })
    .await;
    // A former leader meets the incidents of the new one before it comes to the check of the fence.
    if recorded.as_ref().is_err_and(is_conflict) && !lease::holds(db, fence, limit).await? {
        return Err(StoreError::FenceLost);
    }
    recorded
}

/// Whether other rows than ours stand in the way.
fn is_conflict(error: &StoreError) -> bool {
    let StoreError::Database { source, .. } = error else { return false };
    source.as_database_error().is_some_and(sqlx::error::DatabaseError::is_unique_violation)
}

/// Who is told of each decision.
async fn decide(link: &mut Link, decisions: &[Decision]) -> Result<Vec<Telling>, sqlx::Error> {
    let of = |id: fn(&Transition) -> Uuid| {
        let ids: HashSet<Uuid> = decisions.iter().map(|d| id(&d.transition)).collect();
        ids.into_iter().collect::<Vec<Uuid>>()
    };
    let concerned =
        Concerned { rules: of(|t| t.rule_id), incidents: of(|t| t.incident_id), held: false };
    let mut facts = telling::facts(link, concerned).await?;
    let news: Vec<News<'_>> = decisions
        .iter()
        .map(|decision| News { transition: &decision.transition, project_id: decision.project_id })
        .collect();
    Ok(facts.desk.take(&facts.policy, &news, facts.now))
}

/// A decision and who is told of it.
type Told<'a> = (&'a Decision, &'a Telling);

/// One statement can touch an incident only once, so its transitions go into successive rounds.
fn rounds<'a>(decisions: &[Told<'a>]) -> Vec<Vec<Told<'a>>> {
    let mut rounds: Vec<Vec<Told<'a>>> = Vec::new();
    let mut seen: Vec<HashSet<Uuid>> = Vec::new();
    for told in decisions {
        let id = told.0.transition.incident_id;
        let free = seen.iter().rposition(|ids| ids.contains(&id)).map_or(0, |last| last + 1);
        if free == rounds.len() {
            rounds.push(Vec::new());
            seen.push(HashSet::new());
        }
        rounds[free].push(*told);
        seen[free].insert(id);
    }
    rounds
}

async fn record_round(link: &mut Link, round: &[Told<'_>]) -> Result<u64, sqlx::Error> {
    let given: Vec<Given<'_>> = round.iter().map(|told| Given::of(*told)).collect();
    let given = serde_json::to_value(given).map_err(|error| sqlx::Error::Encode(error.into()))?;
    let query = link.query(include_str!("../../sql/transitions_record.sql")).bind(given);
    let messages: i64 = query.fetch_one(link.connection()).await?.try_get(0)?;
    Ok(messages.unsigned_abs())
}

/// One element of the statement's `$1`.
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
    told: &'a [Uuid],
    owed: Vec<Value>,
    /// The entry that says why nobody was told; a reminder says it itself.
    entry: Option<&'static str>,
    why: Option<&'static str>,
    because: Option<Uuid>,
    until: Option<Timestamp>,
    note: Option<String>,
}

impl<'a> Given<'a> {
    fn of((decision, telling): Told<'a>) -> Self {
        let transition = &decision.transition;
        let first = telling.holds.first();
        let is_reminder = transition.kind == TransitionKind::Reminder;
        let owed = telling.held.iter().filter_map(|held| {
            Some(json!({"channel_id": held.channel_id, "kind": held.owed?.as_str()}))
        });
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
            told: &telling.told,
            owed: owed.collect(),
            entry: first.filter(|_| !is_reminder).map(Hold::entry),
            why: first.map(Hold::word),
            because: first.map(Hold::id),
            until: until(&telling.holds),
            note: first.map(|_| note(&telling.holds)),
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
    flapping: bool,
    acknowledged: bool,
    peak: f64,
    evidence: Value,
    rule: Option<Value>,
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
            flapping: self.flapping,
            acknowledged: self.acknowledged,
            peak: self.peak,
            evidence: serde_json::from_value(self.evidence).unwrap_or_default(),
        })
    }
}
