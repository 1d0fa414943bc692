//! The outbox: messages that wait to be sent, and what came of each attempt.
//!
//! Every statement runs inside an explicit transaction: a pooler in transaction mode may otherwise
//! hand the parts of one prepared statement to different servers.

use serde_json::Value;
use sqlx::{PgPool, Row as _};
use uuid::Uuid;

use super::channels::ChannelRow;
use crate::model::Span;

/// The table of messages.
#[derive(Clone, Debug)]
pub struct Outbox {
    pool: PgPool,
}

/// A message that this instance has taken in order to send it.
#[derive(Debug, sqlx::FromRow)]
pub struct Claimed {
    /// Primary key.
    pub notification_id: Uuid,
    /// Its incident, where it belongs to the order of one.
    pub incident_id: Option<Uuid>,
    /// The incident's project.
    pub notification_project_id: Option<Uuid>,
    /// What it tells, as a word.
    pub transition: String,
    /// The facts.
    pub payload: Value,
    /// Which attempt this is; 1 for the first.
    pub attempts: i32,
    /// Earlier attempts.
    pub attempt_log: Value,
    /// How long ago it was decided, in seconds.
    pub age_seconds: f64,
    /// Whether the receiver got an earlier message of the same incident (true without an incident).
    pub receiver_knows: bool,
    /// Where it goes.
    #[sqlx(flatten)]
    pub channel: ChannelRow,
}

/// Which claim an answer belongs to.
#[derive(Clone, Copy, Debug)]
pub struct ClaimRef {
    /// Primary key of the message.
    pub notification_id: Uuid,
    /// The instance that took it.
    pub holder: Uuid,
    /// The attempt it was taken for.
    pub attempt: i32,
}

/// Where a message stands after an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// The receiver has it.
    Sent,
    /// It is tried again after this wait.
    Waiting(Span),
    /// It is given up.
    Dead,
    /// Nobody wants it any more.
    Dropped,
}

/// What is recorded of an attempt.
#[derive(Clone, Debug)]
pub struct Completion {
    /// Where the message stands now.
    pub fate: Fate,
    /// The attempt's entry in the log.
    pub entry: Value,
    /// What went wrong, without secrets.
    pub last_error: Option<String>,
    /// What the receiver gave to find the message again.
    pub receipt: Option<String>,
    /// Set where the channel counts as broken from now on.
    pub broken: Option<Broken>,
}

/// A channel that broke, and what its rule's other channels are told.
#[derive(Clone, Debug)]
pub struct Broken {
    /// What the receiver answered, without secrets.
    pub reason: String,
    /// The rule whose other channels are told; none tells nobody.
    pub rule_id: Option<Uuid>,
    /// The project of the message that was lost.
    pub project_id: Option<Uuid>,
    /// The facts of the message to them.
    pub payload: Value,
}

/// How full the outbox is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Depth {
    /// Messages that wait or are being sent.
    pub depth: i64,
    /// Time until the next one becomes due, where one will.
    pub next_due: Option<Span>,
}

impl Outbox {
    /// The outbox behind `pool`.
    #[must_use]
    pub const fn new(pool: PgPool) -> Self {
        Self { pool }
    }

    /// Takes due messages, at most one for each channel that is not in `busy`, at most `limit`.
    ///
    /// Takes nothing unless `holder` has the lease with this `fence` now.
    ///
    /// # Errors
    /// Where the database cannot be asked.
    pub async fn claim(
        &self,
        holder: Uuid,
        fence: i64,
        busy: &[Uuid],
        limit: usize,
    ) -> Result<Vec<Claimed>, sqlx::Error> {
        let mut tx = self.pool.begin().await?;
        let claimed = sqlx::query_as(include_str!("../../sql/outbox_claim.sql"))
            .bind(holder)
            .bind(fence)
            .bind(busy)
            .bind(i64::try_from(limit).unwrap_or(i64::MAX))
            .fetch_all(&mut *tx)
            .await?;
        tx.commit().await?;
        Ok(claimed)
    }

    /// Records what came of an attempt, with its effect on the channel; false where the claim has
    /// passed to another instance, in which case nothing is recorded.
    ///
    /// # Errors
    /// Where the database cannot be asked; nothing is recorded then.
    pub async fn complete(
        &self,
        claim: ClaimRef,
        channel_id: Uuid,
        completion: &Completion,
    ) -> Result<bool, sqlx::Error> {
        let (state, wait) = match completion.fate {
            Fate::Sent => ("sent", 0),
            Fate::Waiting(wait) => ("waiting", wait.micros()),
            Fate::Dead => ("dead", 0),
            Fate::Dropped => ("dropped", 0),
        };
        let mut tx = self.pool.begin().await?;
        let recorded = sqlx::query(include_str!("../../sql/outbox_complete.sql"))
            .bind(claim.notification_id)
            .bind(claim.holder)
            .bind(claim.attempt)
            .bind(state)
            .bind(&completion.entry)
            .bind(&completion.last_error)
            .bind(&completion.receipt)
            .bind(wait)
            .execute(&mut *tx)
            .await?;
        if recorded.rows_affected() == 0 {
            return Ok(false);
        }
        if completion.fate == Fate::Sent {
            let was_broken = sqlx::query(include_str!("../../sql/channel_delivered.sql"))
                .bind(channel_id)
                .fetch_optional(&mut *tx)
                .await?
                .map(|row| row.try_get::<bool, _>("was_broken"))
                .transpose()?;
            if was_broken == Some(true) {
                sqlx::query(include_str!("../../sql/outbox_hasten.sql"))
                    .bind(channel_id)
                    .execute(&mut *tx)
                    .await?;
            }
        }
        if let Some(broken) = &completion.broken {
            let newly = sqlx::query(include_str!("../../sql/channel_broken.sql"))
                .bind(channel_id)
                .bind(&broken.reason)
                .fetch_optional(&mut *tx)
                .await?;
            if let (Some(_), Some(rule_id)) = (newly, broken.rule_id) {
                sqlx::query(include_str!("../../sql/outbox_tell_others.sql"))
                    .bind(rule_id)
                    .bind(channel_id)
                    .bind(&broken.payload)
                    .bind(broken.project_id)
                    .execute(&mut *tx)
                    .await?;
            }
        }
        tx.commit().await?;
        Ok(true)
    }

    /// Gives back a message that was taken but not sent.
    ///
    /// # Errors
    /// Where the database cannot be asked; the claim then ends by itself.
    pub async fn release(&self, claim: ClaimRef) -> Result<(), sqlx::Error> {
        let mut tx = self.pool.begin().await?;
        sqlx::query(include_str!("../../sql/outbox_release.sql"))
            .bind(claim.notification_id)
            .bind(claim.holder)
            .bind(claim.attempt)
            .execute(&mut *tx)
            .await?;
        tx.commit().await
    }

    /// How many messages are unfinished, and when the next one of a channel outside `busy` is due.
    ///
    /// # Errors
    /// Where the database cannot be asked.
    pub async fn depth(&self, busy: &[Uuid]) -> Result<Depth, sqlx::Error> {
        let mut tx = self.pool.begin().await?;
        let row = sqlx::query(include_str!("../../sql/outbox_depth.sql"))
            .bind(busy)
            .fetch_one(&mut *tx)
            .await?;
        tx.commit().await?;
        let seconds: Option<f64> = row.try_get("next_due_seconds")?;
        #[expect(clippy::cast_possible_truncation, reason = "saturates; a wait is hours at most")]
        let next_due = seconds.map(|seconds| Span::from_micros((seconds * 1e6).ceil() as i64));
        Ok(Depth { depth: row.try_get("depth")?, next_due })
    }

    /// Puts a test message for a channel into the outbox and returns its id; none where there is no
    /// such channel.
    ///
    /// # Errors
    /// Where the database cannot be asked.
    pub async fn enqueue_test(
        &self,
        channel_id: Uuid,
        payload: &Value,
    ) -> Result<Option<Uuid>, sqlx::Error> {
        let mut tx = self.pool.begin().await?;
        let row = sqlx::query(include_str!("../../sql/outbox_enqueue_test.sql"))
            .bind(channel_id)
            .bind(payload)
            .fetch_optional(&mut *tx)
            .await?;
        tx.commit().await?;
        row.map(|row| row.try_get(0)).transpose()
    }
}
