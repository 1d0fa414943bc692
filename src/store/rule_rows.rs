//! Single rules, their channels and what restrains them, as they stand in the tables.

use std::time::Duration;

use serde_json::Value;
use sqlx::Row;
use uuid::Uuid;

use super::{
    Db, StoreError,
    pool::within,
    telling::{self, Concerned, Facts},
};
use crate::model::{Level, Timestamp};

/// A channel and what a rule wants of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleChannel {
    /// The channel.
    pub channel_id: Uuid,
    /// What people call it.
    pub name: String,
    /// slack, email, webhook, …
    pub kind: String,
    /// Whether it gets anything.
    pub enabled: bool,
    /// The lowest level it is told of.
    pub min_level: Level,
    /// `ok` or `broken`.
    pub state: String,
    /// What its receiver answered when it broke.
    pub broken_reason: Option<String>,
}

/// The rows of all rules with this name or id, in one project or in all; at most 20.
///
/// # Errors
/// When the database does not answer within `limit`.
pub async fn find(
    db: &Db,
    name_or_id: &str,
    project: Option<Uuid>,
    limit: Duration,
) -> Result<Vec<Value>, StoreError> {
    within("look for a rule", limit, async {
        let mut link = db.link().await?;
        let query = link
            .query(include_str!("../../sql/rule_find.sql"))
            .bind(name_or_id.to_owned())
            .bind(project);
        let rows = query.fetch_all(link.connection()).await?;
        link.commit().await?;
        Ok(rows.iter().map(|row| row.try_get(0)).collect::<Result<_, _>>()?)
    })
    .await
}

/// The channels of a rule, in order of their names.
///
/// # Errors
/// When the database does not answer within `limit`.
pub async fn channels_of(
    db: &Db,
    rule_id: Uuid,
    limit: Duration,
) -> Result<Vec<RuleChannel>, StoreError> {
    channels(db, include_str!("../../sql/rule_channels.sql"), Some(rule_id), limit).await
}

/// The channels that rules of a project may tell, its own first.
///
/// # Errors
/// When the database does not answer within `limit`.
pub async fn channels_for(
    db: &Db,
    project: Option<Uuid>,
    limit: Duration,
) -> Result<Vec<RuleChannel>, StoreError> {
    channels(db, include_str!("../../sql/channels_of_project.sql"), project, limit).await
}

async fn channels(
    db: &Db,
    sql: &'static str,
    id: Option<Uuid>,
    limit: Duration,
) -> Result<Vec<RuleChannel>, StoreError> {
    within("look for channels", limit, async {
        let mut link = db.link().await?;
        let rows = link.query(sql).bind(id).fetch_all(link.connection()).await?;
        link.commit().await?;
        let channel = |row: &sqlx::postgres::PgRow| -> Result<RuleChannel, sqlx::Error> {
            let level: &str = row.try_get("min_level")?;
            Ok(RuleChannel {
                channel_id: row.try_get("channel_id")?,
                name: row.try_get("name")?,
                kind: row.try_get("kind")?,
                enabled: row.try_get("enabled")?,
                min_level: level.parse().unwrap_or(Level::Warning),
                state: row.try_get("state")?,
                broken_reason: row.try_get("broken_reason")?,
            })
        };
        Ok(rows.iter().map(channel).collect::<Result<_, _>>()?)
    })
    .await
}

/// The rows of silences that last at some time between `from` and `to`.
///
/// # Errors
/// When the database does not answer within `limit`.
pub async fn silences(
    db: &Db,
    from: Timestamp,
    to: Timestamp,
    limit: Duration,
) -> Result<Vec<Value>, StoreError> {
    within("read silences", limit, async {
        let mut link = db.link().await?;
        let query = link
            .query(include_str!("../../sql/silences_between.sql"))
            .bind(from.to_chrono())
            .bind(to.to_chrono());
        let rows = query.fetch_all(link.connection()).await?;
        link.commit().await?;
        Ok(rows.iter().map(|row| row.try_get(0)).collect::<Result<_, _>>()?)
    })
    .await
}

/// What decides, now, who is told of these rules and incidents.
///
/// # Errors
/// When the database does not answer within `limit`.
pub async fn telling_facts(
    db: &Db,
    concerned: Concerned,
    limit: Duration,
) -> Result<Facts, StoreError> {
    within("read who is told", limit, async {
        let mut link = db.link().await?;
        let facts = telling::facts(&mut link, concerned).await?;
        link.commit().await?;
        Ok(facts)
    })
    .await
}
