//! What decides who is told, read in the transaction that writes it.

use std::collections::HashMap;

use chrono::NaiveTime;
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::Value;
use sqlx::Row as _;
use uuid::Uuid;

use super::Link;
use crate::{
    model::{Filter, GroupKey, Level, Timestamp, TransitionKind, TypePattern},
    telling::{Binding, Desk, Inhibition, Owed, Policy, QuietHours, QuietKind, Silence, Standing},
};

/// What a decision needs to know, as of one instant.
#[derive(Debug)]
pub struct Facts {
    /// The database's clock.
    pub now: Timestamp,
    /// The number of changes of the configuration so far.
    pub version: i64,
    /// The configuration.
    pub policy: Policy,
    /// Who knows what of the incidents.
    pub desk: Desk,
}

/// About whom.
#[derive(Debug, Default)]
pub struct Concerned {
    /// Rules whose transitions are to be told.
    pub rules: Vec<Uuid>,
    /// Their incidents.
    pub incidents: Vec<Uuid>,
    /// Whether to take in every incident of which something is held back.
    pub held: bool,
}

/// Reads what a decision about these needs to know. A row that cannot be read costs only itself.
///
/// # Errors
/// The database's own.
pub async fn facts(link: &mut Link, concerned: Concerned) -> Result<Facts, sqlx::Error> {
    let row = link
        .query(include_str!("../../sql/telling_facts.sql"))
        .bind(concerned.rules)
        .bind(concerned.incidents)
        .bind(concerned.held)
        .fetch_one(link.connection())
        .await?;
    let now: chrono::DateTime<chrono::Utc> = row.try_get("now")?;
    let policy = Policy {
        bindings: rows::<Binding, _>(row.try_get("bindings")?, Some),
        silences: rows::<Silence, _>(row.try_get("silences")?, Some),
        quiet_hours: rows(row.try_get("quiet_hours")?, QuietRow::into_quiet_hours),
        inhibitions: rows::<Inhibition, _>(row.try_get("inhibitions")?, Some),
        filters: rows(row.try_get("filters")?, FilterRow::into_filter).into_iter().collect(),
    };
    let mut desk = Desk::default();
    for (id, standing) in rows(row.try_get("standings")?, StandingRow::into_standing) {
        desk.learn(id, standing);
    }
    Ok(Facts { now: now.into(), version: row.try_get("version")?, policy, desk })
}

/// The elements of a JSON array that can be read.
fn rows<R: DeserializeOwned, T>(array: Value, read: impl Fn(R) -> Option<T>) -> Vec<T> {
    let Value::Array(elements) = array else { return Vec::new() };
    let one = |element: Value| {
        let id = ["silence_id", "quiet_hours_id", "inhibition_id", "incident_id", "rule_id"]
            .into_iter()
            .find_map(|name| Some(element.get(name)?.to_string()));
        let read = serde_json::from_value(element).ok().and_then(&read);
        if read.is_none() {
            // It may keep nobody quiet: being told too much is the lesser harm.
            tracing::warn!(
                row = id,
                "a row that decides who is told cannot be read and is left out"
            );
        }
        read
    };
    elements.into_iter().filter_map(one).collect()
}

#[derive(Deserialize)]
struct QuietRow {
    quiet_hours_id: Uuid,
    project_id: Option<Uuid>,
    rule_id: Option<Uuid>,
    name: String,
    kind: String,
    days: Vec<u32>,
    starts: NaiveTime,
    ends: NaiveTime,
    time_zone: String,
    allow_critical: bool,
}

impl QuietRow {
    fn into_quiet_hours(self) -> Option<QuietHours> {
        Some(QuietHours {
            quiet_hours_id: self.quiet_hours_id,
            project_id: self.project_id,
            rule_id: self.rule_id,
            name: self.name,
            kind: match &*self.kind {
                "maintenance" => QuietKind::Maintenance,
                _ => QuietKind::Quiet,
            },
            days: self.days,
            starts: self.starts,
            ends: self.ends,
            // The database may know zones that this version does not.
            time_zone: self.time_zone.parse().ok()?,
            allow_critical: self.allow_critical,
        })
    }
}

#[derive(Deserialize)]
struct FilterRow {
    rule_id: Uuid,
    sources: Vec<crate::model::Source>,
    error_types: Vec<String>,
    severities: Vec<crate::model::Severity>,
    workflow_ids: Vec<Uuid>,
}

impl FilterRow {
    fn into_filter(self) -> Option<(Uuid, Filter)> {
        let filter = Filter {
            sources: self.sources,
            error_types: self.error_types.iter().map(|text| TypePattern::parse(text)).collect(),
            severities: self.severities,
            workflow_ids: self.workflow_ids,
            message_contains: None,
        };
        Some((self.rule_id, filter))
    }
}

#[derive(Deserialize)]
struct StandingRow {
    incident_id: Uuid,
    rule_id: Option<Uuid>,
    project_id: Option<Uuid>,
    group_key: String,
    level: Level,
    firing: bool,
    told: Vec<Uuid>,
    owed: Vec<OwedRow>,
}

#[derive(Deserialize)]
struct OwedRow {
    channel_id: Uuid,
    kind: TransitionKind,
    until: Option<Timestamp>,
}

impl StandingRow {
    fn into_standing(self) -> Option<(Uuid, Standing)> {
        let group_key: GroupKey = self.group_key.parse().ok()?;
        let owed: HashMap<Uuid, Owed> = self
            .owed
            .into_iter()
            .map(|row| (row.channel_id, Owed { kind: row.kind, until: row.until, holds: vec![] }))
            .collect();
        let standing = Standing {
            rule_id: self.rule_id.unwrap_or_default(),
            project_id: self.project_id,
            group_key,
            level: self.level,
            firing: self.firing,
            told: self.told.into_iter().collect(),
            owed: owed.into_iter().collect(),
        };
        Some((self.incident_id, standing))
    }
}
