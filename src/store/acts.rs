//! What somebody does to an incident by a link in a mail or a button in Slack: each once.

use std::time::Duration;

use sqlx::Row as _;
use uuid::Uuid;

use super::{Db, StoreError, pool::within};
use crate::model::{IncidentState, Level, Span, Timestamp};

/// What is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    /// Taken in hand.
    Acknowledge,
    /// Its rule and group are silenced for this long.
    Silence(Span),
}

/// What came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Acted {
    /// It is done.
    Done,
    /// It had been done by the same link or press before.
    Already,
    /// It cannot be done; a sentence for people.
    Refused(String),
}

/// What people are shown of an incident before they act.
#[derive(Clone, Debug)]
pub struct Summary {
    /// The rule's name.
    pub rule_name: String,
    /// The group as canonical JSON.
    pub group_key: String,
    /// Where it stands.
    pub state: IncidentState,
    /// Its level.
    pub level: Level,
    /// When it began.
    pub started_at: Timestamp,
    /// Whether somebody takes care of it.
    pub acknowledged: bool,
}

/// Does `act` to an incident in the name of `actor`, once for each `digest` (32 bytes).
///
/// # Errors
/// When the database does not answer within `limit`; whether it was done is then unknown, and asking
/// again with the same digest does no harm.
pub async fn act(
    db: &Db,
    digest: &[u8],
    incident: Uuid,
    act: Act,
    actor: &str,
    limit: Duration,
) -> Result<Acted, StoreError> {
    let done = within("do what a link or button says", limit, async {
        let mut link = db.transaction().await?;
        let fresh = link
            .query(include_str!("../../sql/link_use.sql"))
            .bind(digest.to_vec())
            .fetch_optional(link.connection())
            .await?
            .is_some();
        if !fresh {
            link.rollback().await?;
            return Ok(Acted::Already);
        }
        let query = match act {
            Act::Acknowledge => link
                .query(include_str!("../../sql/incident_acknowledge.sql"))
                .bind(incident)
                .bind(actor.to_owned()),
            Act::Silence(span) => link
                .query(include_str!("../../sql/incident_silence.sql"))
                .bind(incident)
                .bind(actor.to_owned())
                .bind(span.micros() / 1_000_000),
        };
        query.execute(link.connection()).await?;
        link.commit().await?;
        Ok(Acted::Done)
    })
    .await;
    match done {
        Err(error) => refusal(&error).map(Acted::Refused).ok_or(error),
        done => done,
    }
}

/// What the database's functions say to people, without the name of the argument.
fn refusal(error: &StoreError) -> Option<String> {
    let StoreError::Database { source, .. } = error else { return None };
    let database = source.as_database_error()?;
    let said = matches!(database.code().as_deref(), Some("23514" | "P0002"));
    let text = database.message();
    said.then(|| text.split_once(": ").map_or(text, |(_, rest)| rest).to_owned())
}

/// What people are shown of an incident; none where there is no such incident.
///
/// # Errors
/// When the database does not answer within `limit`.
pub async fn summary(
    db: &Db,
    incident: Uuid,
    limit: Duration,
) -> Result<Option<Summary>, StoreError> {
    within("read an incident", limit, async {
        let mut link = db.link().await?;
        let row = link
            .query(include_str!("../../sql/incident_summary.sql"))
            .bind(incident)
            .fetch_optional(link.connection())
            .await?;
        link.commit().await?;
        let Some(row) = row else { return Ok(None) };
        let word = |name| row.try_get::<String, _>(name);
        let started_at: chrono::DateTime<chrono::Utc> = row.try_get("started_at")?;
        Ok(Some(Summary {
            rule_name: word("rule_name")?,
            group_key: word("group_key")?,
            state: word("state")?.parse().unwrap_or(IncidentState::Resolved),
            level: word("level")?.parse().unwrap_or(Level::Warning),
            started_at: started_at.into(),
            acknowledged: row.try_get("acknowledged")?,
        }))
    })
    .await
}
