//! What `explain` asks besides the replay of a rule.

use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;
use sqlx::Row;
use uuid::Uuid;

use super::{Db, StoreError, pool::within};
use crate::model::Timestamp;

/// Who decides.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, serde::Serialize)]
pub struct Leader {
    /// The instance.
    pub name: String,
    /// When it last said so.
    pub heartbeat_at: Timestamp,
    /// Everything committed before then is counted.
    pub complete_through: Option<Timestamp>,
}

/// The incident that was open at `at`, as a row with its `messages`; `group` is its key's text.
///
/// # Errors
/// When the database does not answer within `limit`.
pub async fn incident(
    db: &Db,
    rule_id: Uuid,
    at: Timestamp,
    group: Option<String>,
    limit: Duration,
) -> Result<Option<Value>, StoreError> {
    within("look for an incident", limit, async {
        let mut link = db.link().await?;
        let query = link
            .query(include_str!("../../sql/explain_incident.sql"))
            .bind(rule_id)
            .bind(at.to_chrono())
            .bind(group);
        let row = query.fetch_optional(link.connection()).await?;
        link.commit().await?;
        Ok(row.map(|row| row.try_get(0)).transpose()?)
    })
    .await
}

/// How many errors of any kind happened between two times (100,000 at most), and who leads now.
///
/// # Errors
/// When the database does not answer within `limit`.
pub async fn background(
    db: &Db,
    (from, to): (Timestamp, Timestamp),
    project: Option<Uuid>,
    limit: Duration,
) -> Result<(u64, Option<Leader>), StoreError> {
    within("look around a rule", limit, async {
        let mut link = db.link().await?;
        let query = link
            .query(include_str!("../../sql/explain_background.sql"))
            .bind(from.to_chrono())
            .bind(to.to_chrono())
            .bind(project);
        let row = query.fetch_one(link.connection()).await?;
        link.commit().await?;
        let errors: i64 = row.try_get(0)?;
        let leader = row.try_get::<Option<Value>, _>(1)?;
        let leader = leader.and_then(|leader| serde_json::from_value(leader).ok());
        Ok((errors.unsigned_abs(), leader))
    })
    .await
}
