//! What new-group, change and flapping rules are measured against: known error groups, the counts of
//! earlier windows, and how often incidents came and went.

use std::time::Duration;

use chrono::{DateTime, Utc};
use futures_util::TryStreamExt;
use sqlx::{Row, postgres::PgRow};

use super::{Db, StoreError, pool::within};
use crate::{
    engine::{GroupStatus, KnownGroup, MAX_KNOWN, PastChange},
    model::{GroupField, GroupKey, Metric, Rule, Timestamp, TypePattern},
};

/// The groups that were first seen before `before`, the ones seen last first.
///
/// # Errors
/// When the database does not answer within `limit`.
pub async fn known(
    db: &Db,
    before: Timestamp,
    limit: Duration,
) -> Result<Vec<KnownGroup>, StoreError> {
    let most = i64::try_from(MAX_KNOWN).unwrap_or(i64::MAX);
    within("read the known error groups", limit, async {
        let mut link = db.link().await?;
        let query = link
            .query(include_str!("../../sql/groups_known.sql"))
            .bind(before.to_chrono())
            .bind(most);
        let mut found = Vec::new();
        let mut rows = query.fetch(link.connection());
        while let Some(row) = rows.try_next().await? {
            found.push(group(&row)?.settled());
        }
        drop(rows);
        link.commit().await?;
        Ok(found)
    })
    .await
}

/// The groups whose status somebody has changed since `since`, with the time of the change.
///
/// # Errors
/// When the database does not answer within `limit`.
pub async fn changed(
    db: &Db,
    since: Timestamp,
    limit: Duration,
) -> Result<Vec<(KnownGroup, Timestamp)>, StoreError> {
    within("read the changed error groups", limit, async {
        let mut link = db.link().await?;
        let query =
            link.query(include_str!("../../sql/groups_changed.sql")).bind(since.to_chrono());
        let rows = query.fetch_all(link.connection()).await?;
        link.commit().await?;
        let changed = |row: &PgRow| {
            let at: DateTime<Utc> = row.try_get("status_changed_at")?;
            Ok((group(row)?, at.into()))
        };
        Ok(rows.iter().map(changed).collect::<Result<_, sqlx::Error>>()?)
    })
    .await
}

fn group(row: &PgRow) -> Result<KnownGroup, sqlx::Error> {
    let changed_at: Option<DateTime<Utc>> = row.try_get("status_changed_at")?;
    let status: String = row.try_get("status")?;
    Ok(KnownGroup {
        project_id: row.try_get("project_id")?,
        fingerprint: row.try_get("fingerprint")?,
        last_seen: row.try_get::<DateTime<Utc>, _>("last_seen")?.into(),
        status: match (status.as_str(), changed_at) {
            ("resolved", Some(at)) => GroupStatus::Resolved(Timestamp::from(at)),
            ("ignored", _) => GroupStatus::Ignored,
            _ => GroupStatus::Open,
        },
    })
}

/// What the earlier window of `rule` holds in the minute that begins at `minute`, by group; nothing for
/// a rule that compares nothing.
///
/// # Errors
/// When the database does not answer within `limit`.
pub async fn baseline(
    db: &Db,
    rule: &Rule,
    minute: Timestamp,
    limit: Duration,
) -> Result<Vec<(GroupKey, u64)>, StoreError> {
    let Metric::Change { compare, .. } = rule.metric else { return Ok(Vec::new()) };
    let until = minute - compare;
    let filter = &rule.filter;
    let sources: Vec<&str> = filter.sources.iter().map(|source| source.as_str()).collect();
    let severities: Vec<&str> = filter.severities.iter().map(|one| one.as_str()).collect();
    let (mut classes, mut types) = (Vec::new(), Vec::new());
    for pattern in &filter.error_types {
        match pattern {
            TypePattern::Class(class) => classes.push(class.to_string()),
            TypePattern::Exact(exact) => types.push(exact.to_string()),
        }
    }
    let fields = rule.grouping();
    let by: Vec<&str> = fields.iter().map(|field| field.as_str()).collect();
    within("count the earlier window of a rule", limit, async {
        let mut link = db.link().await?;
        let query = link
            .query(include_str!("../../sql/count_earlier_window.sql"))
            .bind((until - rule.window).to_chrono())
            .bind(until.to_chrono())
            .bind(rule.project_id)
            .bind(sources)
            .bind(severities)
            .bind(classes)
            .bind(types)
            .bind(filter.workflow_ids.clone())
            .bind(by);
        let rows = query.fetch_all(link.connection()).await?;
        link.commit().await?;
        let count = |row: &PgRow| {
            let key = fields.iter().map(|field| Ok((*field, text(row, *field)?)));
            let key = key.collect::<Result<GroupKey, sqlx::Error>>()?;
            Ok((key, row.try_get::<i64, _>("count")?.unsigned_abs()))
        };
        Ok(rows.iter().map(count).collect::<Result<_, sqlx::Error>>()?)
    })
    .await
}

pub(super) fn text(row: &PgRow, field: GroupField) -> Result<Option<Box<str>>, sqlx::Error> {
    let column = match field {
        GroupField::Fingerprint => return Ok(None),
        field => field.as_str(),
    };
    Ok(row.try_get::<Option<String>, _>(column)?.map(String::into_boxed_str))
}

/// Beginnings and ends of incidents since the longest flap period of their rule began.
///
/// # Errors
/// When the database does not answer within `limit`.
pub async fn past_changes(db: &Db, limit: Duration) -> Result<Vec<PastChange>, StoreError> {
    let rows = within("read how often incidents came and went", limit, async {
        let mut link = db.link().await?;
        let query = link.query(include_str!("../../sql/incidents_lately.sql"));
        let rows = query.fetch_all(link.connection()).await?;
        link.commit().await?;
        let read = |row: &PgRow| {
            let key: String = row.try_get("group_key")?;
            let at: DateTime<Utc> = row.try_get("at")?;
            Ok((row.try_get("rule_id")?, key, at))
        };
        Ok(rows.iter().map(read).collect::<Result<Vec<_>, sqlx::Error>>()?)
    })
    .await?;
    // A key that cannot be read is of no group that could come again.
    let change = |(rule_id, key, at): (_, String, DateTime<Utc>)| {
        Some(PastChange { rule_id, group_key: key.parse().ok()?, at: at.into() })
    };
    Ok(rows.into_iter().filter_map(change).collect())
}
