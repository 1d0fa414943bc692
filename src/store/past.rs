//! What rules knew at a time in the past: known error groups, the errors of earlier minutes, and which
//! other rules fired.

use std::time::Duration;

use chrono::{DateTime, Utc};
use futures_util::TryStreamExt;
use serde::Deserialize;
use serde_json::Value;
use sqlx::{Row, postgres::PgRow};
use uuid::Uuid;

use super::{
    Db, StoreError,
    groups::text,
    pool::{Link, within},
};
use crate::{
    engine::{GroupStatus, KnownGroup, MAX_KNOWN},
    model::{
        Evidence, GroupKey, IncidentState, Level, Rule, Span, Timestamp, Transition,
        TransitionKind, TypePattern,
    },
    telling::Inhibition,
};

/// Just before.
const MOMENT: Span = Span::from_micros(1);

/// A transaction for an answer that takes long to read: it does not compile, and while we read the server
/// does not take it for left alone.
pub(super) async fn long_read(db: &Db) -> Result<Link, sqlx::Error> {
    let mut link = db.transaction().await?;
    sqlx::raw_sql("set local idle_in_transaction_session_timeout = '5min'")
        .execute(link.connection())
        .await?;
    Ok(link)
}

/// The error groups of a stretch of time, as far as anything was known of them.
#[derive(Clone, Debug, Default)]
pub struct PastGroups {
    /// Those that were known when it began, with what people had said of them.
    pub known: Vec<KnownGroup>,
    /// What people said of groups meanwhile, in order of time.
    pub said: Vec<(Timestamp, KnownGroup)>,
}

/// What was known at `from` of the groups that have errors from then until `to`, and what people said
/// of them. The table keeps only the last thing that people said of a group; of a resolution that was
/// undone by an error it keeps when that was.
///
/// # Errors
/// When the database does not answer within `limit`.
pub async fn groups(
    db: &Db,
    project: Option<Uuid>,
    (from, to): (Timestamp, Timestamp),
    limit: Duration,
) -> Result<PastGroups, StoreError> {
    let most = i64::try_from(MAX_KNOWN).unwrap_or(i64::MAX);
    within("read the error groups of the past", limit, async {
        let mut link = long_read(db).await?;
        let query = link.query(include_str!("../../sql/counted_through.sql"));
        let counted = query.fetch_optional(link.connection()).await?;
        let (first, after): (i64, i64) = match counted {
            Some(row) => (row.try_get(0)?, row.try_get::<Option<i64>, _>(1)?.unwrap_or(i64::MAX)),
            None => (0, 0),
        };
        let query = link
            .query(include_str!("../../sql/groups_known_before.sql"))
            .bind(from.to_chrono())
            .bind(to.to_chrono())
            .bind(project)
            .bind(most)
            .bind(first)
            .bind(after)
            // Planned for these numbers: nearly always, no error lies outside of them.
            .persistent(false);
        let mut past = PastGroups::default();
        let mut rows = query.fetch(link.connection());
        while let Some(row) = rows.try_next().await? {
            note(&mut past, &row, (from, to))?;
        }
        drop(rows);
        link.commit().await?;
        past.said.sort_by_key(|(at, group)| (*at, group.fingerprint));
        Ok(past)
    })
    .await
}

fn note(
    past: &mut PastGroups,
    row: &PgRow,
    (from, to): (Timestamp, Timestamp),
) -> Result<(), sqlx::Error> {
    let time = |column: &str| -> Result<Option<Timestamp>, sqlx::Error> {
        Ok(row.try_get::<Option<DateTime<Utc>>, _>(column)?.map(Timestamp::from))
    };
    let (known_at, changed_at) = (time("known_at")?, time("status_changed_at")?);
    let status = |at: Option<Timestamp>| -> Result<GroupStatus, sqlx::Error> {
        Ok(match (row.try_get("status")?, at) {
            ("resolved", Some(at)) => GroupStatus::Resolved(at),
            ("ignored", _) => GroupStatus::Ignored,
            _ => GroupStatus::Open,
        })
    };
    let group = KnownGroup {
        project_id: row.try_get("project_id")?,
        fingerprint: row.try_get("fingerprint")?,
        last_seen: known_at.unwrap_or(from),
        status: GroupStatus::Open,
    };
    let meanwhile = |at: &Timestamp| *at > from && *at <= to;
    let before = changed_at.filter(|at| *at <= from);
    let unchanging = changed_at.is_none() || before.is_some();
    let then = if unchanging { status(before)? } else { GroupStatus::Open };
    if known_at.is_some() || then == GroupStatus::Ignored {
        past.known.push(KnownGroup { status: then, ..group }.settled());
    }
    if let Some(at) = time("regressed_at")?.filter(meanwhile) {
        let at = at - MOMENT;
        past.said.push((at, KnownGroup { status: GroupStatus::Resolved(at), ..group }));
    }
    if let Some(at) = changed_at.filter(meanwhile) {
        let status = status(Some(at))?;
        if status != GroupStatus::Open {
            past.said.push((at, KnownGroup { status, ..group }));
        }
    }
    Ok(())
}

/// Gives to `each` the errors that `rule` counts in each minute from `from` to before `to`, by group, and
/// returns how many rows these were, `most` at most.
///
/// # Errors
/// When the database has not given everything within `limit`.
pub async fn minutes(
    db: &Db,
    rule: &Rule,
    (from, to): (Timestamp, Timestamp),
    most: i64,
    limit: Duration,
    mut each: impl FnMut(Timestamp, GroupKey, u64) + Send,
) -> Result<i64, StoreError> {
    let filter = &rule.filter;
    let words = |words: Vec<&str>| words.into_iter().map(str::to_owned).collect::<Vec<_>>();
    let sources = words(filter.sources.iter().map(|source| source.as_str()).collect());
    let severities = words(filter.severities.iter().map(|one| one.as_str()).collect());
    let (mut classes, mut types) = (Vec::new(), Vec::new());
    for pattern in &filter.error_types {
        match pattern {
            TypePattern::Class(class) => classes.push(class.to_string()),
            TypePattern::Exact(exact) => types.push(exact.to_string()),
        }
    }
    let fields = rule.grouping();
    let by = words(fields.iter().map(|field| field.as_str()).collect());
    within("read the errors of earlier minutes", limit, async {
        let mut link = long_read(db).await?;
        let query = link
            .query(include_str!("../../sql/earlier_minutes.sql"))
            .bind(from.to_chrono())
            .bind(to.to_chrono())
            .bind(rule.project_id)
            .bind(sources)
            .bind(severities)
            .bind(classes)
            .bind(types)
            .bind(filter.workflow_ids.clone())
            .bind(by)
            .bind(most);
        let mut count = 0;
        let mut rows = query.fetch(link.connection());
        while let Some(row) = rows.try_next().await? {
            let minute: DateTime<Utc> = row.try_get("bucket")?;
            let key = fields.iter().map(|field| Ok((*field, text(&row, *field)?)));
            let key = key.collect::<Result<GroupKey, sqlx::Error>>()?;
            each(minute.into(), key, row.try_get::<i64, _>("count")?.unsigned_abs());
            count += 1;
        }
        drop(rows);
        link.commit().await?;
        Ok(count)
    })
    .await
}

/// A change of another rule's incident, and the project it belongs to.
#[derive(Clone, Debug, PartialEq)]
pub struct SourceChange {
    /// What became of it; without values.
    pub transition: Transition,
    /// The incident's project.
    pub project_id: Option<Uuid>,
}

#[derive(Deserialize)]
struct ChangeRow {
    incident_id: Uuid,
    rule_id: Uuid,
    project_id: Option<Uuid>,
    group_key: String,
    started_at: Timestamp,
    kind: TransitionKind,
    at: Timestamp,
    level: Level,
}

impl ChangeRow {
    /// A key that cannot be read keeps nobody quiet.
    fn read(self) -> Option<SourceChange> {
        let over = self.kind == TransitionKind::Resolved;
        let transition = Transition {
            kind: self.kind,
            incident_id: self.incident_id,
            rule_id: self.rule_id,
            group_key: self.group_key.parse().ok()?,
            state: if over { IncidentState::Resolved } else { IncidentState::Firing },
            level: self.level,
            started_at: self.started_at,
            at: self.at,
            value: 0.0,
            threshold: 0.0,
            peak: 0.0,
            reminder: 0,
            evidence: Evidence::default(),
        };
        Some(SourceChange { transition, project_id: self.project_id })
    }
}

/// Which rules keep `rule` quiet while they fire, and the incidents of these that fired at some time
/// between `from` and `to`, as changes in order of time.
///
/// # Errors
/// When the database does not answer within `limit`.
pub async fn inhibiting(
    db: &Db,
    rule: &Rule,
    (from, to): (Timestamp, Timestamp),
    limit: Duration,
) -> Result<(Vec<Inhibition>, Vec<SourceChange>), StoreError> {
    let (inhibitions, changes) = within("read which rules keep a rule quiet", limit, async {
        let mut link = db.transaction().await?;
        let query = link
            .query(include_str!("../../sql/inhibiting_between.sql"))
            .bind(rule.id)
            .bind(rule.project_id)
            .bind(from.to_chrono())
            .bind(to.to_chrono());
        let row = query.fetch_one(link.connection()).await?;
        link.commit().await?;
        Ok((row.try_get::<Value, _>("inhibitions")?, row.try_get::<Value, _>("changes")?))
    })
    .await?;
    let list = |value| match value {
        Value::Array(elements) => elements,
        _ => Vec::new(),
    };
    let inhibitions = list(inhibitions).into_iter();
    let changes = list(changes).into_iter();
    let change = |row| serde_json::from_value::<ChangeRow>(row).ok()?.read();
    Ok((
        inhibitions.filter_map(|row| serde_json::from_value(row).ok()).collect(),
        changes.filter_map(change).collect(),
    ))
}
