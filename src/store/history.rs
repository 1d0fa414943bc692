//! A rule's past, read for a back-test: the rows that it counts, with the columns that it looks at.
//!
//! The part of a rule's filter that SQL decides exactly as the engine does is decided by the database;
//! the text in a message is not, because the two disagree about the case of some letters.

use std::time::Duration;

use chrono::{DateTime, Utc};
use futures_util::TryStreamExt;
use sqlx::{Row, postgres::PgRow};
use uuid::Uuid;

use super::{Db, StoreError, pool::within};
use crate::model::{
    ErrorEvent, Filter, GroupField, ParseEnumError, Rule, Severity, Source, Timestamp, TypePattern,
};

/// Sorting a million rows takes some 60 MB; without them the server writes to its disk. And the server
/// has sent everything long before the last row is evaluated, while the transaction, which locks
/// nothing, seems idle.
const LONG_READ: &str =
    "set local work_mem = '96MB'; set local idle_in_transaction_session_timeout = '5min'";

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
    mut each: impl FnMut(&ErrorEvent) + Send,
) -> Result<u64, StoreError> {
    let (mut exact, mut classes) = (Vec::new(), Vec::new());
    for pattern in &scope.filter.error_types {
        match pattern {
            TypePattern::Exact(text) => exact.push(text.to_string()),
            TypePattern::Class(text) => classes.push(text.to_string()),
        }
    }
    let any_type = exact.is_empty() && classes.is_empty();
    let words = |list: Vec<String>| (!list.is_empty()).then_some(list);
    let sources = scope.filter.sources.iter().map(ToString::to_string).collect();
    let severities = scope.filter.severities.iter().map(ToString::to_string).collect();
    let workflows = &scope.filter.workflow_ids;
    within("read a rule's history", limit, async {
        let mut link = db.transaction().await?;
        sqlx::raw_sql(LONG_READ).execute(link.connection()).await?;
        let columns = scope.columns;
        let query = link
            .query(include_str!("../../sql/backtest_events.sql"))
            .bind(scope.from.to_chrono())
            .bind(scope.to.to_chrono())
            .bind(scope.project)
            .bind(words(sources))
            .bind((!any_type).then_some(exact))
            .bind((!any_type).then_some(classes))
            .bind(words(severities))
            .bind((!workflows.is_empty()).then(|| workflows.clone()))
            .bind(columns.source)
            .bind(columns.error_type)
            .bind(columns.severity)
            .bind(columns.project)
            .bind(columns.workflow)
            .bind(columns.fingerprint)
            .bind(columns.message)
            // A plan of its own each time: what is asked for differs too much.
            .persistent(false);
        let mut event = blank();
        let mut count = 0;
        let mut rows = query.fetch(link.connection());
        while let Some(row) = rows.try_next().await? {
            count += 1;
            if fill(&mut event, &row).is_ok() {
                each(&event);
            }
        }
        drop(rows);
        link.commit().await?;
        Ok(count)
    })
    .await
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

fn fill(event: &mut ErrorEvent, row: &PgRow) -> Result<(), sqlx::Error> {
    let time = |index| row.try_get::<DateTime<Utc>, _>(index).map(Timestamp::from);
    let word = |error: ParseEnumError| sqlx::Error::Decode(error.into());
    event.seq += 1;
    event.timestamp = time(0)?;
    event.received_at = time(1)?;
    if let Some(source) = row.try_get::<Option<&str>, _>(2)? {
        event.source = source.parse().map_err(word)?;
    }
    if let Some(error_type) = row.try_get::<Option<&str>, _>(3)? {
        event.error_type = error_type.into();
    }
    if let Some(severity) = row.try_get::<Option<&str>, _>(4)? {
        event.severity = severity.parse().map_err(word)?;
    }
    event.project_id = row.try_get(5)?;
    event.workflow_id = row.try_get(6)?;
    event.fingerprint = row.try_get::<Option<Uuid>, _>(7)?.unwrap_or_default();
    if let Some(message) = row.try_get::<Option<&str>, _>(8)? {
        event.message = message.into();
    }
    Ok(())
}
