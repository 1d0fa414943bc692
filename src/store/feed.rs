//! Reading error events by number, stamping, history, and the checkpoint.

use std::{ops::Range, time::Duration};

use chrono::{DateTime, Utc};
use futures_util::TryStreamExt;
use sqlx::{Row, postgres::PgRow};
use uuid::Uuid;

use super::{Db, StoreError, pool::within};
use crate::model::{ErrorEvent, ParseEnumError, ParseRangesError, RangeSet, Timestamp};

/// What one numbered read brought: everything in it belongs to one snapshot.
#[derive(Clone, Debug, Default)]
pub struct Page {
    /// The rows found, in ascending order of `seq`.
    pub events: Vec<ErrorEvent>,
    /// Numbers of rows that exist and could not be understood, with the reason.
    pub unreadable: Vec<(i64, String)>,
    /// The ranges whose every visible row is among the above.
    pub read: RangeSet,
    /// Whether there may be more: the page was filled, or the sequence is beyond the tail.
    pub full: bool,
    /// The highest number drawn from the sequence; 0 for a fresh one.
    pub last_drawn: i64,
    /// `pg_snapshot_xmin` of the snapshot.
    pub xmin: u64,
    /// When the server was started; another time means that it is another life of it.
    pub server_started: Timestamp,
    /// A time before the snapshot: what was committed before it was visible.
    pub began_at: Timestamp,
    /// The database's clock when the statement ran.
    pub database_now: Timestamp,
}

/// The saved ledger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// Grows when the sequence was found behind the checkpoint.
    pub epoch: i32,
    /// The numbers counted in minutes, hours and groups.
    pub accounted: RangeSet,
}

/// Reads the rows with the wanted numbers, and those of `tail` where the sequence has drawn them, at
/// most `most_rows`.
///
/// No range should be much wider than `most_rows`: before the table's first analyze the planner
/// sorts the whole range for each page.
///
/// # Errors
/// When the database does not answer within `limit`.
pub async fn read_missing(
    db: &Db,
    wanted: &[Range<i64>],
    tail: Range<i64>,
    most_rows: u32,
    limit: Duration,
) -> Result<Page, StoreError> {
    let mut low: Vec<i64> = wanted.iter().map(|range| range.start).collect();
    let mut high: Vec<i64> = wanted.iter().map(|range| range.end).collect();
    low.push(tail.start);
    high.push(tail.end);
    let mut page = within("read new errors", limit, async {
        let mut link = db.link().await?;
        let query = link
            .query(include_str!("../../sql/read_missing.sql"))
            .bind(low)
            .bind(high)
            .bind(i64::from(most_rows));
        let mut page = Page::default();
        let mut rows = query.fetch(link.connection());
        while let Some(row) = rows.try_next().await? {
            page.last_drawn = row.try_get(0)?;
            page.xmin = row.try_get::<i64, _>(1)?.unsigned_abs();
            page.server_started = row.try_get::<DateTime<Utc>, _>(2)?.into();
            page.began_at = row.try_get::<DateTime<Utc>, _>(3)?.into();
            page.database_now = row.try_get::<DateTime<Utc>, _>(4)?.into();
            if let Some(seq) = row.try_get::<Option<i64>, _>(5)? {
                match event_of(&row, 5) {
                    Ok(event) => page.events.push(event),
                    Err(error) => page.unreadable.push((seq, error.to_string())),
                }
            }
        }
        drop(rows);
        link.commit().await?;
        Ok(page)
    })
    .await?;
    page.read = wanted.iter().cloned().collect();
    page.read.insert(tail.start..page.last_drawn.saturating_add(1).min(tail.end));
    let rows = page.events.len() + page.unreadable.len();
    let cut = rows >= usize::try_from(most_rows).unwrap_or(usize::MAX);
    page.full = cut || page.last_drawn >= tail.end;
    if cut {
        // The rows come range by range in ascending order; were they not, nothing would be proven.
        let last = if page.events.is_sorted_by_key(|event| event.seq) {
            let unreadable = page.unreadable.iter().map(|(seq, _)| *seq);
            page.events.iter().map(|event| event.seq).chain(unreadable).max().unwrap_or(0)
        } else {
            0
        };
        page.read.remove(last.saturating_add(1)..i64::MAX);
    }
    Ok(page)
}

/// A transaction id to stamp holes with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// The id.
    pub xid: u64,
    /// The highest number that was drawn before it: only holes up to there may be stamped.
    pub last_drawn: i64,
    /// When the server was started; see [`Page::server_started`].
    pub server_started: Timestamp,
}

/// Draws a transaction id in a transaction that has ended, and is on the disk, when this returns.
///
/// # Errors
/// When the database does not answer within `limit`.
pub async fn draw_stamp(db: &Db, limit: Duration) -> Result<Stamp, StoreError> {
    within("draw a stamp", limit, async {
        let mut link = db.transaction().await?;
        let drawn = link
            .query(include_str!("../../sql/last_drawn.sql"))
            .fetch_one(link.connection())
            .await?;
        let stamp = link
            .query(include_str!("../../sql/draw_stamp.sql"))
            .fetch_one(link.connection())
            .await?;
        link.commit().await?;
        Ok(Stamp {
            xid: stamp.try_get::<i64, _>(0)?.unsigned_abs(),
            last_drawn: drawn.try_get(0)?,
            server_started: drawn.try_get::<DateTime<Utc>, _>(1)?.into(),
        })
    })
    .await
}

/// The saved ledger.
///
/// # Errors
/// When the database does not answer within `limit`, or the migrations are missing.
pub async fn read_checkpoint(db: &Db, limit: Duration) -> Result<Checkpoint, StoreError> {
    const WHAT: &str = "read the checkpoint";
    let (epoch, text) = within(WHAT, limit, async {
        let mut link = db.link().await?;
        let row = link
            .query(include_str!("../../sql/read_checkpoint.sql"))
            .fetch_one(link.connection())
            .await?;
        link.commit().await?;
        Ok((row.try_get(0)?, row.try_get::<String, _>(1)?))
    })
    .await?;
    let accounted = text.parse().map_err(|error: ParseRangesError| StoreError::Unreadable {
        what: WHAT,
        problem: error.to_string(),
    })?;
    Ok(Checkpoint { epoch, accounted })
}

/// The lowest and highest number of the errors that happened since some time; none without errors.
///
/// # Errors
/// When the database does not answer within `limit`.
pub async fn find_history(
    db: &Db,
    since: Timestamp,
    limit: Duration,
) -> Result<Option<(i64, i64)>, StoreError> {
    within("look for history", limit, async {
        let mut link = db.link().await?;
        let row = link
            .query(include_str!("../../sql/find_history.sql"))
            .bind(since.to_chrono())
            .fetch_one(link.connection())
            .await?;
        link.commit().await?;
        let (low, high): (Option<i64>, Option<i64>) = (row.try_get(0)?, row.try_get(1)?);
        Ok(low.zip(high))
    })
    .await
}

/// Which part of history to read; see [`read_history`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HistoryPage {
    /// Only rows with at least this number.
    pub from: i64,
    /// Only rows with at most this number.
    pub to: i64,
    /// Only errors that happened since then.
    pub since: Timestamp,
    /// Only errors of this project.
    pub project: Option<Uuid>,
    /// At most this many rows.
    pub most_rows: u32,
}

/// Reads a page of history in ascending order of `seq`; rows that cannot be understood are left out.
///
/// # Errors
/// When the database does not answer within `limit`.
pub async fn read_history(
    db: &Db,
    page: &HistoryPage,
    limit: Duration,
) -> Result<(Vec<ErrorEvent>, Option<i64>), StoreError> {
    within("read history", limit, async {
        let mut link = db.link().await?;
        let query = link
            .query(include_str!("../../sql/read_history.sql"))
            .bind(page.from)
            .bind(page.to)
            .bind(page.since.to_chrono())
            .bind(page.project)
            .bind(i64::from(page.most_rows));
        let (mut events, mut read, mut last) = (Vec::new(), 0_u32, None);
        let mut rows = query.fetch(link.connection());
        while let Some(row) = rows.try_next().await? {
            read += 1;
            last = Some(row.try_get::<i64, _>(0)?);
            events.extend(event_of(&row, 0).ok());
        }
        drop(rows);
        link.commit().await?;
        let more = last.filter(|_| read >= page.most_rows);
        Ok((events, more))
    })
    .await
}

/// The event in the columns from `first` on.
fn event_of(row: &PgRow, first: usize) -> Result<ErrorEvent, sqlx::Error> {
    let time = |index| row.try_get::<DateTime<Utc>, _>(index).map(Timestamp::from);
    let word = |error: ParseEnumError| sqlx::Error::Decode(error.into());
    Ok(ErrorEvent {
        seq: row.try_get(first)?,
        error_id: row.try_get(first + 1)?,
        timestamp: time(first + 2)?,
        received_at: time(first + 3)?,
        source: row.try_get::<&str, _>(first + 4)?.parse().map_err(word)?,
        error_type: row.try_get::<&str, _>(first + 5)?.into(),
        severity: row.try_get::<&str, _>(first + 6)?.parse().map_err(word)?,
        project_id: row.try_get(first + 7)?,
        workflow_id: row.try_get(first + 8)?,
        fingerprint: row.try_get(first + 9)?,
        message: row.try_get::<&str, _>(first + 10)?.into(),
    })
}
