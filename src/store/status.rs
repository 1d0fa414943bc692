//! The instance's own row in `error_tracker_status`, which is the canary as well.

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use sqlx::Row;
use uuid::Uuid;

use super::{Db, StoreError, pool::within};
use crate::model::{Span, Timestamp};

/// How often an instance writes its row.
pub const WRITE_EVERY: Duration = Duration::from_secs(5);
/// Rows of instances that have been silent for this long are removed.
pub const FORGET_AFTER: Duration = Duration::from_secs(3_600);

/// One row of `error_tracker_status`, but for the time of writing, which is the database's.
#[derive(Clone, Debug, PartialEq)]
pub struct StatusRow {
    /// Drawn at start.
    pub instance_id: Uuid,
    /// The instance's name.
    pub name: String,
    /// Version of the daemon.
    pub version: String,
    /// Whether it decides and notifies.
    pub leader: bool,
    /// connecting, joining, subscribed, backoff, stopped or none.
    pub socket: String,
    /// When it started.
    pub started_at: Timestamp,
    /// Every error with a number up to this is accounted for.
    pub low_water: i64,
    /// The highest number drawn.
    pub last_number: i64,
    /// Holes between the two.
    pub open_holes: u64,
    /// How long the oldest has been open; zero without holes.
    pub oldest_hole: Span,
    /// Everything committed before then has been counted, but for the holes.
    pub complete_through: Option<Timestamp>,
    /// Errors counted since the start.
    pub rows_counted: u64,
    /// Of these, errors that the subscribed socket did not bring.
    pub rows_repaired: u64,
    /// How long the last write took to come back through Realtime.
    pub canary: Option<Span>,
    /// Messages that are waiting to be sent.
    pub outbox_depth: u64,
    /// What is wrong; empty when all is well.
    pub problems: Vec<Problem>,
}

/// Something an operator should know of.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Problem {
    /// A short, constant name, such as `database` or `deaf`.
    pub what: String,
    /// What exactly, for a person; without secrets.
    pub detail: String,
}

/// Writes the row, and returns when, by the database's clock: the canary to wait for.
///
/// # Errors
/// When the database does not answer within `limit`.
pub async fn write(db: &Db, status: &StatusRow, limit: Duration) -> Result<Timestamp, StoreError> {
    let count = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
    let small = |number: u64| i32::try_from(number).unwrap_or(i32::MAX);
    within("write the status", limit, async {
        let mut link = db.link().await?;
        let row = link
            .query(include_str!("../../sql/write_status.sql"))
            .bind(status.instance_id)
            .bind(status.name.as_str())
            .bind(status.version.as_str())
            .bind(status.leader)
            .bind(status.socket.as_str())
            .bind(status.started_at.to_chrono())
            .bind(status.low_water)
            .bind(status.last_number)
            .bind(small(status.open_holes))
            .bind(status.oldest_hole.as_secs_f64())
            .bind(status.complete_through.map(Timestamp::to_chrono))
            .bind(count(status.rows_counted))
            .bind(count(status.rows_repaired))
            .bind(status.canary.map(|canary| canary.as_secs_f64() * 1e3))
            .bind(small(status.outbox_depth))
            .bind(sqlx::types::Json(&status.problems))
            .fetch_one(link.connection())
            .await?;
        link.commit().await?;
        Ok(row.try_get::<DateTime<Utc>, _>(0)?.into())
    })
    .await
}

/// Removes the rows of instances that have been silent for [`FORGET_AFTER`], but never our own.
///
/// # Errors
/// When the database does not answer within `limit`.
pub async fn forget_silent(db: &Db, own: Uuid, limit: Duration) -> Result<u64, StoreError> {
    within("forget silent instances", limit, async {
        let mut link = db.link().await?;
        let done = link
            .query(include_str!("../../sql/forget_instances.sql"))
            .bind(FORGET_AFTER.as_secs_f64())
            .bind(own)
            .execute(link.connection())
            .await?;
        link.commit().await?;
        Ok(done.rows_affected())
    })
    .await
}
