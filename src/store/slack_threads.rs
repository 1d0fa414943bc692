//! Which Slack message tells which incident, so that later news can change it and thread below it.

use std::{collections::HashMap, time::Duration};

use sqlx::Row as _;
use uuid::Uuid;

use super::{Db, StoreError, pool::within};

/// How long the database may take to answer.
const TIME_LIMIT: Duration = Duration::from_secs(5);

/// The table of Slack messages.
#[derive(Clone, Debug)]
pub struct SlackThreads {
    db: Db,
}

/// The Slack message that tells an incident.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SlackThread {
    /// Id of the conversation it stands in.
    pub conversation: String,
    /// What Slack knows it by.
    pub ts: String,
    /// Whether it tells other incidents too, so that it is not changed for one of them.
    pub shared: bool,
    /// The number of the latest news that it shows.
    pub shown: i64,
}

impl SlackThreads {
    /// The messages in `db`.
    pub fn new(db: impl Into<Db>) -> Self {
        Self { db: db.into() }
    }

    /// The messages of a channel that tell these incidents, as far as there are any.
    ///
    /// # Errors
    /// Where the database cannot be asked.
    pub async fn find(
        &self,
        channel: Uuid,
        incidents: &[Uuid],
    ) -> Result<HashMap<Uuid, SlackThread>, StoreError> {
        within("look for Slack messages", TIME_LIMIT, async {
            let mut link = self.db.link().await?;
            let rows = link
                .query(include_str!("../../sql/slack_thread_find.sql"))
                .bind(channel)
                .bind(incidents.to_vec())
                .fetch_all(link.connection())
                .await?;
            link.commit().await?;
            let mut found = HashMap::new();
            for row in rows {
                let thread = SlackThread {
                    conversation: row.try_get("conversation")?,
                    ts: row.try_get("ts")?,
                    shared: row.try_get("shared")?,
                    shown: row.try_get("shown")?,
                };
                found.insert(row.try_get("incident_id")?, thread);
            }
            Ok(found)
        })
        .await
    }

    /// Remembers the message that tells these incidents, in place of an earlier one.
    ///
    /// # Errors
    /// Where the database cannot be asked.
    pub async fn put(
        &self,
        channel: Uuid,
        incidents: &[Uuid],
        thread: &SlackThread,
    ) -> Result<(), StoreError> {
        within("remember a Slack message", TIME_LIMIT, async {
            let mut link = self.db.link().await?;
            link.query(include_str!("../../sql/slack_thread_put.sql"))
                .bind(channel)
                .bind(incidents.to_vec())
                .bind(thread.conversation.clone())
                .bind(thread.ts.clone())
                .bind(thread.shared)
                .bind(thread.shown)
                .execute(link.connection())
                .await?;
            Ok(link.commit().await?)
        })
        .await
    }

    /// The message of an incident shows news up to `number`.
    ///
    /// # Errors
    /// Where the database cannot be asked.
    pub async fn shows(
        &self,
        channel: Uuid,
        incident: Uuid,
        number: i64,
    ) -> Result<(), StoreError> {
        within("note what a Slack message shows", TIME_LIMIT, async {
            let mut link = self.db.link().await?;
            link.query(include_str!("../../sql/slack_thread_shown.sql"))
                .bind(channel)
                .bind(incident)
                .bind(number)
                .execute(link.connection())
                .await?;
            Ok(link.commit().await?)
        })
        .await
    }
}
