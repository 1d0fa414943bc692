//! Incidents of the tracker itself, which no rule decided.

use std::time::Duration;

use serde::Serialize;
use serde_json::Value;
use sqlx::Row as _;
use uuid::Uuid;

use super::{Db, Fence, StoreError, pool::within};
use crate::{crash::Point, model::Timestamp};

/// A change as it is written.
#[derive(Clone, Debug, Serialize)]
pub struct SystemChange {
    /// firing or resolved.
    pub kind: &'static str,
    /// Primary key.
    pub incident_id: Uuid,
    /// What stands in place of a rule's name.
    pub title: &'static str,
    /// Names the condition.
    pub group_key: String,
    /// warning or critical.
    pub level: &'static str,
    /// When the condition began to hold.
    pub started_at: Timestamp,
    /// When people are told.
    pub at: Timestamp,
    /// How much of it there is.
    pub value: f64,
    /// From how much on it is one.
    pub threshold: f64,
    /// The most there was.
    pub peak: f64,
    /// What a message says.
    pub facts: Value,
}

/// An open incident of the tracker itself.
#[derive(Clone, Debug, PartialEq, sqlx::FromRow)]
pub struct OpenCondition {
    /// Primary key.
    pub incident_id: Uuid,
    /// The condition's word.
    pub condition: String,
    /// When it began.
    pub started_at: chrono::DateTime<chrono::Utc>,
    /// The most there was.
    pub peak: f64,
}

/// The incidents of the tracker itself that are open.
///
/// # Errors
/// When the database does not answer within `limit`.
pub async fn load_open(db: &Db, limit: Duration) -> Result<Vec<OpenCondition>, StoreError> {
    within("read the open system incidents", limit, async {
        let mut link = db.link().await?;
        let query = link.query(include_str!("../../sql/system_incidents_open.sql"));
        let rows = query.fetch_all(link.connection()).await?;
        link.commit().await?;
        Ok(rows.iter().map(sqlx::FromRow::from_row).collect::<Result<_, sqlx::Error>>()?)
    })
    .await
}

/// Writes changes, all or nothing, and returns how many messages now wait. What is there already is
/// neither written nor told again. `channels` are names or ids; none for all without a project.
///
/// # Errors
/// [`StoreError::FenceLost`] when this instance does not lead; the database's failures.
pub async fn record(
    db: &Db,
    fence: &Fence,
    changes: &[SystemChange],
    channels: Option<&[String]>,
    limit: Duration,
) -> Result<u64, StoreError> {
    within("write system incidents", limit, async {
        let given = serde_json::to_value(changes).map_err(|e| sqlx::Error::Encode(e.into()))?;
        let mut link = db.transaction().await?;
        let query = link.query(include_str!("../../sql/system_incidents_record.sql"));
        let row = query
            .bind(given)
            .bind(channels.map(<[String]>::to_vec))
            .fetch_one(link.connection())
            .await?;
        let messages: i64 = row.try_get(0)?;
        link.commit_past(fence, Some(Point::SystemCommitting)).await?;
        Ok(messages.unsigned_abs())
    })
    .await
}
