//! How long rows are kept, and the deletion of what is older, batch by batch.

use std::time::Duration;

use chrono::{DateTime, Utc};
use sqlx::Row;

use super::{Db, StoreError, pool::within};
use crate::model::{Span, Timestamp};

/// One kind of row, as `error_tracking.retention` says.
#[derive(Clone, Debug, PartialEq)]
pub struct Kept {
    /// events, minutes, hours, groups, notifications, incidents or silences.
    pub kind: String,
    /// Older rows are deleted.
    pub keep: Span,
    /// Rows before this may be missing.
    pub pruned_before: Option<Timestamp>,
    /// Number of rows deleted so far.
    pub pruned_rows: i64,
}

/// What one batch did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pruned {
    /// Number of rows deleted.
    pub rows: u64,
    /// There were no more.
    pub finished: bool,
}

/// All kinds, in the order in which they are pruned.
///
/// # Errors
/// When the database does not answer within `limit`.
pub async fn read(db: &Db, limit: Duration) -> Result<Vec<Kept>, StoreError> {
    within("read how long rows are kept", limit, async {
        let mut link = db.link().await?;
        let rows = link
            .query(include_str!("../../sql/read_retention.sql"))
            .fetch_all(link.connection())
            .await?;
        link.commit().await?;
        let kept = rows.iter().map(|row| {
            Ok(Kept {
                kind: row.try_get(0)?,
                keep: Span::from_secs(row.try_get(1)?),
                pruned_before: row.try_get::<Option<DateTime<Utc>>, _>(2)?.map(Timestamp::from),
                pruned_rows: row.try_get(3)?,
            })
        });
        Ok(kept.collect::<Result<_, sqlx::Error>>()?)
    })
    .await
}

/// Before when errors may be missing from the table; none where none was ever deleted.
///
/// # Errors
/// When the database does not answer within `limit`.
pub async fn events_pruned_before(
    db: &Db,
    limit: Duration,
) -> Result<Option<Timestamp>, StoreError> {
    let kinds = read(db, limit).await?;
    Ok(kinds.into_iter().find(|kept| kept.kind == "events").and_then(|kept| kept.pruned_before))
}

/// Deletes at most `at_most` rows of `kind` that are too old.
///
/// # Errors
/// When the database does not answer within `limit`; nothing is deleted then.
pub async fn prune(
    db: &Db,
    kind: &str,
    at_most: u32,
    limit: Duration,
) -> Result<Pruned, StoreError> {
    within("delete what is older than its retention", limit, async {
        let mut link = db.link().await?;
        let row = link
            .query(include_str!("../../sql/prune.sql"))
            .bind(kind)
            .bind(i32::try_from(at_most).unwrap_or(i32::MAX))
            .fetch_one(link.connection())
            .await?;
        link.commit().await?;
        let rows: i64 = row.try_get(0)?;
        Ok(Pruned { rows: rows.unsigned_abs(), finished: row.try_get(1)? })
    })
    .await
}
