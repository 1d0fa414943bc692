//! The outbox: messages that wait to be sent, and what came of each attempt.

mod given;

use std::time::Duration;

use serde::Serialize;
use serde_json::Value;
use sqlx::{FromRow as _, Row as _};
use uuid::Uuid;

use self::given::Given;
use super::{
    Db, Fence, Link, StoreError,
    channels::ChannelRow,
    lease,
    pool::{Failure, within},
    slack_threads::SlackThreads,
    templates::TemplateBook,
};
use crate::model::Span;

/// How long the database may take to answer.
const TIME_LIMIT: Duration = Duration::from_secs(5);

/// At most this many messages go out as one.
pub const MERGED_MAX: usize = 500;

/// The table of messages.
#[derive(Clone, Debug)]
pub struct Outbox {
    db: Db,
}

/// A message that this instance has taken in order to send it.
#[derive(Debug, sqlx::FromRow)]
pub struct Claimed {
    /// Primary key.
    pub notification_id: Uuid,
    /// Its place in the order of decisions.
    pub number: i64,
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
    /// Its rule, where that still exists.
    pub rule_id: Option<Uuid>,
    /// The rule's template of a title.
    pub title_template: Option<String>,
    /// The rule's template of a body.
    pub body_template: Option<String>,
    /// When it was decided, in seconds since 1970.
    pub created_seconds: f64,
    /// How long ago it was decided, in seconds.
    pub age_seconds: f64,
    /// Whether the receiver got an earlier message of the same incident (true without an incident).
    pub receiver_knows: bool,
    /// Where it goes.
    #[sqlx(flatten)]
    pub channel: ChannelRow,
}

/// What may be taken now.
#[derive(Clone, Copy, Debug, Default)]
pub struct Wanted<'a> {
    /// Channels to which nothing may be sent now.
    pub busy: &'a [Uuid],
    /// Channels that get everything that is due at once (at most [`MERGED_MAX`]), to be told as one
    /// message. Of the others those that people read get what one rule has to tell of one kind, and
    /// the rest one message at a time.
    pub merging: &'a [Uuid],
    /// At most this many channels.
    pub channels: usize,
}

/// A claim on a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Claim {
    /// Primary key of the message.
    pub notification_id: Uuid,
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
    /// The claim it was made under.
    pub claim: Claim,
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
#[derive(Clone, Debug, Serialize)]
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

impl Claimed {
    /// The claim under which it was taken.
    #[must_use]
    pub const fn claim(&self) -> Claim {
        Claim { notification_id: self.notification_id, attempt: self.attempts }
    }
}

impl Outbox {
    /// The outbox in `db`.
    pub fn new(db: impl Into<Db>) -> Self {
        Self { db: db.into() }
    }

    /// The Slack messages that tell incidents, in the same database.
    #[must_use]
    pub fn slack_threads(&self) -> SlackThreads {
        SlackThreads::new(self.db.clone())
    }

    /// The rules' templates, in the same database.
    #[must_use]
    pub fn templates(&self) -> TemplateBook {
        TemplateBook::new(self.db.clone())
    }

    /// Takes due messages, in the order of their decisions.
    ///
    /// Takes nothing unless `fence` leads now. What this instance had taken before for a channel
    /// that is not busy is taken again: nobody is sending it any more.
    ///
    /// # Errors
    /// Where the database cannot be asked; what it took unheard is taken again by the next call.
    pub async fn claim(
        &self,
        fence: &Fence,
        wanted: Wanted<'_>,
    ) -> Result<Vec<Claimed>, StoreError> {
        let mut claimed = within("take messages", TIME_LIMIT, async {
            let mut link = self.db.link().await?;
            let rows = link
                .query(include_str!("../../sql/outbox_claim.sql"))
                .bind(fence.holder)
                .bind(fence.number)
                .bind(wanted.busy.to_vec())
                .bind(wanted.merging.to_vec())
                .bind(i64::try_from(wanted.channels).unwrap_or(i64::MAX))
                .bind(i64::try_from(MERGED_MAX).unwrap_or(i64::MAX))
                .fetch_all(link.connection())
                .await?;
            link.commit().await?;
            Ok(rows.iter().map(Claimed::from_row).collect::<Result<Vec<_>, _>>()?)
        })
        .await?;
        claimed.sort_by_key(|message| message.number);
        Ok(claimed)
    }

    /// Records what came of one attempt for all messages it told, with its effect on the channel;
    /// returns for how many. A claim that has passed to another instance is left to that one.
    ///
    /// What was sent is recorded whoever leads by now, so that it is not sent again. That a channel is
    /// broken, of which others are told, is a decision, and only the leader's: where `fence` leads no
    /// more nothing is recorded, and whoever leads finds out by itself.
    ///
    /// # Errors
    /// Where the database cannot be asked. Unless it failed to answer the commit, nothing is
    /// recorded then; and a second record of the same attempt has no effect.
    pub async fn complete(
        &self,
        fence: &Fence,
        channel_id: Uuid,
        completions: &[Completion],
    ) -> Result<usize, StoreError> {
        let given: Vec<_> = completions.iter().map(Given::of).collect();
        within("record what came of messages", TIME_LIMIT, async {
            let given = serde_json::to_value(&given).map_err(encode)?;
            let mut link = self.db.transaction().await?;
            let recorded = link
                .query(include_str!("../../sql/outbox_complete.sql"))
                .bind(fence.holder)
                .bind(given)
                .execute(link.connection())
                .await?
                .rows_affected();
            if recorded == 0 {
                link.rollback().await?;
                return Ok(0);
            }
            if completions.iter().any(|completion| completion.fate == Fate::Sent) {
                delivered(&mut link, channel_id).await?;
            }
            let broken: Vec<_> = completions.iter().filter_map(|c| c.broken.as_ref()).collect();
            if let Some(first) = broken.first() {
                breaks(&mut link, channel_id, &first.reason, &broken).await?;
                if !lease::check_fence(&mut link, fence).await? {
                    link.rollback().await?;
                    return Ok(0);
                }
            }
            link.commit().await?;
            Ok(usize::try_from(recorded).unwrap_or(usize::MAX))
        })
        .await
    }

    /// Gives back messages that were taken but not sent.
    ///
    /// # Errors
    /// Where the database cannot be asked; the claims then end by themselves.
    pub async fn release(&self, holder: Uuid, claims: &[Claim]) -> Result<(), StoreError> {
        let ids: Vec<Uuid> = claims.iter().map(|claim| claim.notification_id).collect();
        let attempts: Vec<i32> = claims.iter().map(|claim| claim.attempt).collect();
        within("give messages back", TIME_LIMIT, async {
            let mut link = self.db.link().await?;
            link.query(include_str!("../../sql/outbox_release.sql"))
                .bind(holder)
                .bind(ids)
                .bind(attempts)
                .execute(link.connection())
                .await?;
            Ok(link.commit().await?)
        })
        .await
    }

    /// How many messages are unfinished.
    ///
    /// # Errors
    /// Where the database cannot be asked.
    pub async fn depth(&self) -> Result<u64, StoreError> {
        self.count("look at the outbox", include_str!("../../sql/outbox_depth.sql")).await
    }

    /// Time until the next message of a channel outside `busy` becomes due, where one will.
    ///
    /// # Errors
    /// Where the database cannot be asked.
    pub async fn next_due(&self, busy: &[Uuid]) -> Result<Option<Span>, StoreError> {
        let seconds = within("look at the outbox", TIME_LIMIT, async {
            let mut link = self.db.link().await?;
            let query = link.query(include_str!("../../sql/outbox_next_due.sql"));
            let row = query.bind(busy.to_vec()).fetch_one(link.connection()).await?;
            link.commit().await?;
            Ok(row.try_get::<Option<f64>, _>(0)?)
        });
        #[expect(clippy::cast_possible_truncation, reason = "saturates; a wait is hours at most")]
        let micros = seconds.await?.map(|seconds| (seconds * 1e6).ceil().max(0.0) as i64);
        Ok(micros.map(Span::from_micros))
    }

    /// How many messages of the last two days were given up.
    ///
    /// # Errors
    /// Where the database cannot be asked.
    pub async fn given_up(&self) -> Result<u64, StoreError> {
        self.count("count what was given up", include_str!("../../sql/outbox_given_up.sql")).await
    }

    async fn count(&self, what: &'static str, sql: &'static str) -> Result<u64, StoreError> {
        within(what, TIME_LIMIT, async {
            let mut link = self.db.link().await?;
            let row = link.query(sql).fetch_one(link.connection()).await?;
            link.commit().await?;
            Ok(row.try_get::<i64, _>(0)?.unsigned_abs())
        })
        .await
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
    ) -> Result<Option<Uuid>, StoreError> {
        within("enqueue a test message", TIME_LIMIT, async {
            let mut link = self.db.link().await?;
            let row = link
                .query(include_str!("../../sql/outbox_enqueue_test.sql"))
                .bind(channel_id)
                .bind(payload.clone())
                .fetch_optional(link.connection())
                .await?;
            link.commit().await?;
            Ok(row.map(|row| row.try_get(0)).transpose()?)
        })
        .await
    }
}

/// The channel works; where it did not until now, what waits for it need not wait longer.
async fn delivered(link: &mut Link, channel_id: Uuid) -> Result<(), Failure> {
    let was_broken = link
        .query(include_str!("../../sql/channel_delivered.sql"))
        .bind(channel_id)
        .fetch_optional(link.connection())
        .await?
        .map(|row| row.try_get::<bool, _>("was_broken"))
        .transpose()?;
    if was_broken == Some(true) {
        link.query(include_str!("../../sql/outbox_hasten.sql"))
            .bind(channel_id)
            .execute(link.connection())
            .await?;
    }
    Ok(())
}

/// The channel is broken; where it was not until now, the other channels of the rules are told.
async fn breaks(
    link: &mut Link,
    channel_id: Uuid,
    reason: &str,
    lost: &[&Broken],
) -> Result<(), Failure> {
    let newly = link
        .query(include_str!("../../sql/channel_broken.sql"))
        .bind(channel_id)
        .bind(reason.to_owned())
        .fetch_optional(link.connection())
        .await?;
    if newly.is_some() {
        link.query(include_str!("../../sql/outbox_tell_others.sql"))
            .bind(channel_id)
            .bind(serde_json::to_value(lost).map_err(encode)?)
            .execute(link.connection())
            .await?;
    }
    Ok(())
}

fn encode(error: serde_json::Error) -> sqlx::Error {
    sqlx::Error::Encode(error.into())
}
