//! Counting into minutes, hours and groups, exactly once: rollups and checkpoint move together.

use std::time::Duration;

use sqlx::Row;

use super::{Db, Fence, StoreError, pool::within};
use crate::{
    crash::{self, Point},
    model::RangeSet,
};

/// Numbers to count, and how many rows the ledger saw among them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Portion {
    /// The epoch in which the ledger counts.
    pub epoch: i32,
    /// The numbers.
    pub ranges: RangeSet,
    /// Rows among them.
    pub rows: u64,
    /// Every number up to this is known to be in the checkpoint.
    pub known: i64,
    /// Save although the table holds another number of rows: it was tried for long enough, and
    /// rows can vanish with their project.
    pub accept_difference: bool,
}

/// What became of a [`Portion`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Saved {
    /// It is counted; the table held this many rows.
    Yes {
        /// Rows found under these numbers.
        rows: u64,
    },
    /// Nothing was written: the table shows another number of rows than the ledger. A row that the
    /// socket brought may be invisible to our snapshot for another moment.
    RowsDiffer {
        /// Rows found under these numbers.
        rows: u64,
    },
    /// Nothing was written: some of the numbers are counted already.
    Overlap,
    /// Nothing was written: the checkpoint belongs to another epoch.
    OtherEpoch,
    /// Nothing was written: the checkpoint lacks what we know to be in it, so it is an older one.
    SetBack,
}

/// Counts a portion, in one transaction that only the leader can commit.
///
/// # Errors
/// [`StoreError::FenceLost`] when this instance does not lead; the database's failures. After a
/// failed commit it is unknown whether the portion was counted: trying again then gives
/// [`Saved::Overlap`] if it was, so nothing is ever counted twice.
pub async fn roll_up(
    db: &Db,
    fence: &Fence,
    portion: &Portion,
    limit: Duration,
) -> Result<Saved, StoreError> {
    const WHAT: &str = "count into rollups";
    within(WHAT, limit, async {
        let ranges = portion.ranges.to_string();
        let mut link = db.transaction().await?;
        let checkpoint = link
            .query(include_str!("../../sql/lock_checkpoint.sql"))
            .bind(ranges.as_str())
            .bind(portion.known)
            .fetch_one(link.connection())
            .await?;
        let epoch: i32 = checkpoint.try_get(0)?;
        let (overlaps, complete): (bool, bool) = (checkpoint.try_get(1)?, checkpoint.try_get(2)?);
        let refused = match (epoch == portion.epoch, complete, overlaps) {
            (false, ..) => Some(Saved::OtherEpoch),
            (true, false, _) => Some(Saved::SetBack),
            (true, true, true) => Some(Saved::Overlap),
            (true, true, false) => None,
        };
        if let Some(refused) = refused {
            link.rollback().await?;
            return Ok(refused);
        }
        let counted = link
            .query(include_str!("../../sql/roll_up.sql"))
            .bind(ranges.as_str())
            .fetch_one(link.connection())
            .await?;
        let rows = counted.try_get::<i64, _>(0)?.unsigned_abs();
        if rows != portion.rows && !portion.accept_difference {
            link.rollback().await?;
            return Ok(Saved::RowsDiffer { rows });
        }
        link.commit_past(fence, Some(Point::RollingUp)).await?;
        crash::point(Point::RolledUp);
        Ok(Saved::Yes { rows })
    })
    .await
}

/// Starts a new epoch: nothing is accounted for, and what the table holds is to be counted again.
///
/// Returns the new epoch, or none when the checkpoint is not in epoch `old` any more.
///
/// # Errors
/// [`StoreError::FenceLost`] when this instance does not lead; the database's failures.
pub async fn begin_epoch(
    db: &Db,
    fence: &Fence,
    old: i32,
    limit: Duration,
) -> Result<Option<i32>, StoreError> {
    const WHAT: &str = "begin a new epoch";
    within(WHAT, limit, async {
        let mut link = db.transaction().await?;
        let row = link
            .query(include_str!("../../sql/begin_epoch.sql"))
            .bind(old)
            .fetch_optional(link.connection())
            .await?;
        let epoch = row.map(|row| row.try_get(0)).transpose()?;
        link.commit_past(fence, Some(Point::BeginningEpoch)).await?;
        Ok(epoch)
    })
    .await
}
