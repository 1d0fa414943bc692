//! The lease's row: who leads, and by which fence. All times are the database's own.

use std::time::Duration;

use chrono::{DateTime, Utc};
use sqlx::{Row, postgres::PgRow};
use uuid::Uuid;

use super::{Db, Link, StoreError, pool::within};
use crate::model::Timestamp;

/// The right to write as leader: one tenure of one instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Fence {
    /// The instance.
    pub holder: Uuid,
    /// Grows with every tenure; a write with an older one is refused.
    pub number: i64,
}

/// What the database said when the lease was taken or renewed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Taken {
    /// The right to write.
    pub fence: Fence,
    /// The database's time.
    pub now: Timestamp,
    /// Until when the lease had lasted before: the former leader has known nothing later. For a
    /// lease that is taken for the first time, long ago.
    pub former_until: Timestamp,
    /// Whether the former leader did not give its lease back, but let it end.
    pub lost: bool,
}

/// Takes or renews the lease for `ttl` in one statement; none when another instance holds it.
///
/// # Errors
/// When the database does not answer within `limit`.
pub async fn acquire(
    db: &Db,
    holder: Uuid,
    ttl: Duration,
    limit: Duration,
) -> Result<Option<Taken>, StoreError> {
    within("take the lease", limit, async {
        let mut link = db.link().await?;
        let row = link
            .query(include_str!("../../sql/acquire_lease.sql"))
            .bind(holder)
            .bind(ttl.as_secs_f64())
            .fetch_optional(link.connection())
            .await?;
        link.commit().await?;
        let taken = |row: PgRow| -> Result<_, sqlx::Error> {
            let time = |index| row.try_get::<DateTime<Utc>, _>(index).map(Timestamp::from);
            let fence = Fence { holder, number: row.try_get(0)? };
            Ok(Taken { fence, now: time(1)?, former_until: time(2)?, lost: row.try_get(3)? })
        };
        Ok(row.map(taken).transpose()?)
    })
    .await
}

/// Gives the lease back; harmless when it is held by another instance.
///
/// # Errors
/// When the database does not answer within `limit`: the lease then ends by itself.
pub async fn release(db: &Db, fence: &Fence, limit: Duration) -> Result<(), StoreError> {
    within("release the lease", limit, async {
        let mut link = db.link().await?;
        link.query(include_str!("../../sql/release_lease.sql"))
            .bind(fence.holder)
            .bind(fence.number)
            .execute(link.connection())
            .await?;
        Ok(link.commit().await?)
    })
    .await
}

/// Whether `fence` leads at this moment.
///
/// # Errors
/// When the database does not answer within `limit`.
pub async fn holds(db: &Db, fence: &Fence, limit: Duration) -> Result<bool, StoreError> {
    within("look at the lease", limit, async {
        let mut link = db.link().await?;
        let holds = check_fence(&mut link, fence).await?;
        link.commit().await?;
        Ok(holds)
    })
    .await
}

/// Whether `fence` leads, as the last statement before the commit of a leader's transaction.
///
/// It locks the lease's row until that commit, so nobody can begin to lead in between; and where
/// somebody just did, it waits for them and says no. A transaction that checked first and wrote
/// afterwards would lack both.
///
/// # Errors
/// When the query failed.
pub async fn check_fence(link: &mut Link, fence: &Fence) -> Result<bool, sqlx::Error> {
    let row = link
        .query(include_str!("../../sql/check_fence.sql"))
        .bind(fence.holder)
        .bind(fence.number)
        .fetch_optional(link.connection())
        .await?;
    Ok(row.is_some())
}
