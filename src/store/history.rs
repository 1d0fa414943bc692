//! A rule's past, read for a back-test: the rows that it counts, with the columns that it looks at.
//!
//! The part of a rule's filter that SQL decides exactly as the engine does is decided by the database;
//! the text in a message is not, because the two disagree about the case of some letters.

use std::time::Duration;

use chrono::{DateTime, Utc};
use futures_util::TryStreamExt;
use sqlx::{Row, postgres::PgRow};
use uuid::Uuid;

use self::rows::{Decoder, Garbled, Rows};
use super::{
    Db, StoreError,
    past::long_read,
    pool::{Link, within},
};
use crate::model::{ErrorEvent, Filter, GroupField, Rule, Severity, Source, Timestamp};

mod rows;
mod statement;

/// Sorting a million rows takes some 60 MB; without them the server writes to its disk.
const SORTED_READ: &str = "set local work_mem = '96MB'";

/// Rows that are put in order here; more come sorted from the server, which is slower but needs no memory
/// of ours.
const MOST_ROWS: usize = 4_000_000;
/// Bytes of different texts that are kept with them.
const MOST_TEXT: usize = 128 << 20;
/// Rows that come sorted are evaluated in pieces of so many.
const PIECE: usize = 10_000;
/// Events between two pauses, in which the process does other things.
const BREATH: usize = 2_048;

/// Which rows to read, and how much of each.
#[derive(Clone, Debug)]
pub struct Scope {
    /// Errors that happened from then on.
    pub from: Timestamp,
    /// Errors that were received until then.
    pub to: Timestamp,
    /// Only this project's.
    pub project: Option<Uuid>,
    /// Only what this filter accepts, apart from its text.
    pub filter: Filter,
    /// The columns to fill in; all others hold a default.
    pub columns: Columns,
}

/// Which columns of an event are wanted besides its times.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is one column of a table")]
pub struct Columns {
    /// `source`.
    pub source: bool,
    /// `error_type`.
    pub error_type: bool,
    /// `severity`.
    pub severity: bool,
    /// `project_id`.
    pub project: bool,
    /// `workflow_id`.
    pub workflow: bool,
    /// `fingerprint`.
    pub fingerprint: bool,
    /// `message`.
    pub message: bool,
}

impl Columns {
    /// What the engine looks at in an event that has passed the database's part of the filter.
    #[must_use]
    pub fn of(rule: &Rule) -> Self {
        let fields = rule.grouping();
        let groups = |field| fields.contains(&field);
        Self {
            source: groups(GroupField::Source),
            error_type: groups(GroupField::ErrorType),
            severity: groups(GroupField::Severity),
            // The engine looks for the runs of the same project and workflows.
            project: rule.project_id.is_some() || groups(GroupField::Project),
            workflow: !rule.filter.workflow_ids.is_empty() || groups(GroupField::Workflow),
            fingerprint: groups(GroupField::Fingerprint),
            message: rule.filter.message_contains.is_some(),
        }
    }

    /// What the engine looks at in an event of which the database has decided nothing.
    #[must_use]
    pub fn filtered(rule: &Rule) -> Self {
        let (filter, of) = (&rule.filter, Self::of(rule));
        Self {
            source: of.source || !filter.sources.is_empty(),
            error_type: of.error_type || !filter.error_types.is_empty(),
            severity: of.severity || !filter.severities.is_empty(),
            ..of
        }
    }
}

/// The database's clock, from which a back-test knows where the past ends.
///
/// # Errors
/// When the database does not answer within `limit`.
pub async fn database_now(db: &Db, limit: Duration) -> Result<Timestamp, StoreError> {
    within("ask for the time", limit, async {
        let mut link = db.link().await?;
        let query = link.query(include_str!("../../sql/database_now.sql"));
        let now: DateTime<Utc> = query.fetch_one(link.connection()).await?.try_get(0)?;
        link.commit().await?;
        Ok(now.into())
    })
    .await
}

/// Who acknowledged incidents of a rule, or took that back (false), and when, in order of time.
///
/// # Errors
/// When the database does not answer within `limit`.
pub async fn acknowledgements(
    db: &Db,
    rule_id: Uuid,
    from: Timestamp,
    to: Timestamp,
    limit: Duration,
) -> Result<Vec<(Timestamp, Uuid, bool)>, StoreError> {
    within("read acknowledgements", limit, async {
        let mut link = db.link().await?;
        let query = link
            .query(include_str!("../../sql/acknowledgements_of_rule.sql"))
            .bind(rule_id)
            .bind(from.to_chrono())
            .bind(to.to_chrono());
        let rows = query.fetch_all(link.connection()).await?;
        link.commit().await?;
        let entry = |row: &PgRow| -> Result<_, sqlx::Error> {
            let at: DateTime<Utc> = row.try_get(0)?;
            Ok((at.into(), row.try_get(1)?, row.try_get(2)?))
        };
        Ok(rows.iter().map(entry).collect::<Result<_, _>>()?)
    })
    .await
}

/// Gives every event of `scope` to `each`, in ascending order of `received_at` and `seq`, and returns how many there
/// were. Rows that cannot be understood are left out. Dropping the future ends the query.
///
/// # Errors
/// When the database has not given everything within `limit`.
pub async fn stream(
    db: &Db,
    scope: &Scope,
    limit: Duration,
    each: impl FnMut(&ErrorEvent) + Send,
) -> Result<u64, StoreError> {
    stream_keeping(db, scope, limit, MOST_ROWS, each).await
}

/// The same, keeping no more than `most` rows in memory: of more the server is asked again, in order.
///
/// # Errors
/// As [`stream`].
pub async fn stream_keeping(
    db: &Db,
    scope: &Scope,
    limit: Duration,
    most: usize,
    mut each: impl FnMut(&ErrorEvent) + Send,
) -> Result<u64, StoreError> {
    let what = "read a rule's history";
    within(what, limit, async {
        let mut link = long_read(db).await?;
        let mut event = blank();
        if let Some(mut rows) = unsorted(&mut link, scope, most).await? {
            rows.sort();
            evaluate(&rows, &mut event, &mut each).await;
            link.commit().await?;
            return Ok(rows.take_count());
        }
        // The answer was left in the middle, so this needs a connection of its own.
        drop(link);
        let mut link = long_read(db).await?;
        sqlx::raw_sql(SORTED_READ).execute(link.connection()).await?;
        let (mut rows, mut decoder) = (Rows::new(scope.columns), Decoder::default());
        let mut count = 0;
        let mut pieces = link.connection().copy_out_raw(&statement::copy(scope, true)).await?;
        while let Some(piece) = pieces.try_next().await? {
            decoder.take(&piece, |fields| rows.add(fields)).map_err(garbled)?;
            if rows.size().0 >= PIECE {
                evaluate(&rows, &mut event, &mut each).await;
                count += rows.take_count();
                rows.forget();
            }
        }
        drop(pieces);
        whole(&decoder)?;
        evaluate(&rows, &mut event, &mut each).await;
        link.commit().await?;
        Ok(count + rows.take_count())
    })
    .await
}

/// All rows of `scope` in no order; none where they are too many to be kept.
async fn unsorted(
    link: &mut Link,
    scope: &Scope,
    most: usize,
) -> Result<Option<Rows>, sqlx::Error> {
    let (mut rows, mut decoder) = (Rows::new(scope.columns), Decoder::default());
    let mut pieces = link.connection().copy_out_raw(&statement::copy(scope, false)).await?;
    while let Some(piece) = pieces.try_next().await? {
        decoder.take(&piece, |fields| rows.add(fields)).map_err(garbled)?;
        let (count, written) = rows.size();
        if count > most || written > MOST_TEXT {
            return Ok(None);
        }
    }
    whole(&decoder)?;
    Ok(Some(rows))
}

async fn evaluate(rows: &Rows, event: &mut ErrorEvent, each: &mut impl FnMut(&ErrorEvent)) {
    let mut place = 0;
    while rows.fill(place, event) {
        each(event);
        place += 1;
        if place.is_multiple_of(BREATH) {
            tokio::task::yield_now().await;
        }
    }
}

fn whole(decoder: &Decoder) -> Result<(), sqlx::Error> {
    if decoder.is_whole() { Ok(()) } else { Err(garbled(Garbled("COPY ended in the middle"))) }
}

fn garbled(Garbled(problem): Garbled) -> sqlx::Error {
    sqlx::Error::Protocol(problem.to_owned())
}

fn blank() -> ErrorEvent {
    ErrorEvent {
        seq: 0,
        error_id: Uuid::nil(),
        timestamp: Timestamp::default(),
        received_at: Timestamp::default(),
        source: Source::System,
        error_type: "system".into(),
        severity: Severity::Low,
        project_id: None,
        workflow_id: None,
        fingerprint: Uuid::nil(),
        message: "".into(),
    }
}
