//! Watches the configuration: rules, acknowledgements, and the workflow runs that ratio rules need.

use std::time::Duration;

use sqlx::PgPool;
use tokio::{
    sync::{oneshot, watch},
    time,
};
use tokio_util::sync::CancellationToken;

use super::decider::{DeciderHandle, Message, NeedsHistory};
use crate::{
    clock::Clock,
    engine::RunCount,
    feed::{FeedHandle, hydrate},
    model::{Metric, Rule, RuleError, Span},
    store::{
        incidents,
        rules::{self, RuleBook},
        runs::RunTally,
    },
};

/// Between looks at the configuration; a change must take effect within 2 s.
const EVERY: Duration = Duration::from_millis(500);
/// How long one look may take.
const TIME_LIMIT: Duration = Duration::from_secs(30);
/// Looks between polls of the workflow runs: every 2 s.
const LOOKS_PER_RUN_POLL: u32 = 4;

/// Why a look at the configuration failed.
#[derive(Debug, thiserror::Error)]
pub enum WatchError {
    /// The database did not answer, or not well.
    #[error("the configuration cannot be read: {0}")]
    Database(#[from] sqlx::Error),
    /// It took too long.
    #[error("reading the configuration takes longer than {} s", TIME_LIMIT.as_secs())]
    TooSlow,
    /// The daemon is stopping.
    #[error("the decider has ended")]
    Ended,
}

/// The task that watches.
pub struct Configuration {
    pool: PgPool,
    clock: Clock,
    decider: DeciderHandle,
    feed: FeedHandle,
    version: i64,
    rules: Vec<Rule>,
    tally: RunTally,
    marks: u64,
    invalid: watch::Sender<Vec<RuleError>>,
}

impl Configuration {
    /// A watcher that knows `book` as of `version`, and the runs in `tally`.
    #[must_use]
    pub fn new(
        pool: PgPool,
        clock: Clock,
        (decider, feed): (DeciderHandle, FeedHandle),
        (version, book): (i64, &RuleBook),
        tally: RunTally,
    ) -> (Self, watch::Receiver<Vec<RuleError>>) {
        let (invalid, receiver) = watch::channel(book.invalid.clone());
        let rules = book.rules.clone();
        let this = Self { pool, clock, decider, feed, version, rules, tally, marks: 0, invalid };
        (this, receiver)
    }

    /// Watches until `cancel` is cancelled.
    pub async fn run(mut self, cancel: CancellationToken) {
        let mut every = time::interval(EVERY);
        every.set_missed_tick_behavior(time::MissedTickBehavior::Delay);
        let mut failing = false;
        for look in 1_u32.. {
            tokio::select! {
                () = cancel.cancelled() => return,
                _ = every.tick() => {}
            }
            let looked = tokio::select! {
                () = cancel.cancelled() => return,
                looked = time::timeout(TIME_LIMIT, self.look(look)) => {
                    looked.unwrap_or(Err(WatchError::TooSlow))
                }
            };
            match looked {
                Ok(()) => failing = false,
                Err(WatchError::Ended) => return,
                // Said once: the feed reports an outage of the database by itself.
                Err(error) if !failing => {
                    failing = true;
                    tracing::warn!(%error, "still using the former rules");
                }
                Err(_) => {}
            }
        }
    }

    async fn look(&mut self, look: u32) -> Result<(), WatchError> {
        let version = rules::config_version(&self.pool).await?;
        if version != self.version {
            self.take(version).await?;
        } else if look.is_multiple_of(LOOKS_PER_RUN_POLL) && longest_ratio(&self.rules).is_some() {
            let (fresh, _) = self.poll_runs(Span::ZERO).await?;
            self.send_runs(fresh).await?;
        }
        Ok(())
    }

    async fn take(&mut self, version: i64) -> Result<(), WatchError> {
        let book = rules::load(&self.pool).await?;
        let acknowledged = incidents::acknowledgements(&self.pool).await?;
        self.send(Message::Acknowledged(acknowledged)).await?;
        if book.rules != self.rules || book.invalid != *self.invalid.borrow() {
            for error in &book.invalid {
                tracing::warn!(%error, "a rule cannot be used and is left out");
            }
            self.invalid.send_replace(book.invalid.clone());
            self.change_rules(book).await?;
            tracing::info!(rules = self.rules.len(), version, "rules taken");
        }
        self.version = version;
        Ok(())
    }

    /// New rules are taken at a mark of the feed's stream, so that each row reaches them either as
    /// history or as news, and none as both.
    async fn change_rules(&mut self, book: RuleBook) -> Result<(), WatchError> {
        let rules = book.rules.clone();
        let ratio = longest_ratio(&rules);
        let mut all_runs = Vec::new();
        if let Some(span) = ratio {
            let (fresh, all) = self.poll_runs(span).await?;
            self.send_runs(fresh).await?;
            all_runs = all;
        }
        self.marks += 1;
        let (reply, answer) = oneshot::channel();
        self.send(Message::Rules { book, mark: self.marks, reply }).await?;
        if !self.feed.mark(self.marks).await {
            return Err(WatchError::Ended);
        }
        let NeedsHistory { rules: needing, accounted } =
            answer.await.map_err(|_| WatchError::Ended)?;
        if let Some(span) = needing.iter().map(|(_, span)| *span).max() {
            let ids: Vec<_> = needing.iter().map(|(id, _)| *id).collect();
            let since = self.clock.database_now() - span;
            let decider = &self.decider;
            hydrate(&self.pool, since, &accounted, |events| {
                let message = Message::History { rules: ids.clone(), events };
                async move {
                    decider.send(message).await;
                }
            })
            .await?;
            if !all_runs.is_empty() {
                self.send(Message::RunHistory { rules: ids.clone(), runs: all_runs }).await?;
            }
            self.send(Message::HistoryComplete(ids)).await?;
        }
        self.rules = rules;
        Ok(())
    }

    /// Runs that were not counted yet, and all runs of at least the last `span`.
    async fn poll_runs(
        &mut self,
        span: Span,
    ) -> Result<(Vec<RunCount>, Vec<RunCount>), WatchError> {
        Ok(self.tally.poll(&self.pool, self.clock.database_now(), span).await?)
    }

    async fn send_runs(&self, runs: Vec<RunCount>) -> Result<(), WatchError> {
        if runs.is_empty() { Ok(()) } else { self.send(Message::Runs(runs)).await }
    }

    async fn send(&self, message: Message) -> Result<(), WatchError> {
        if self.decider.send(message).await { Ok(()) } else { Err(WatchError::Ended) }
    }
}

/// The longest window of a ratio rule; none where there is no such rule.
#[must_use]
pub fn longest_ratio(rules: &[Rule]) -> Option<Span> {
    let ratio = |rule: &&Rule| matches!(rule.metric, Metric::Ratio { .. });
    rules.iter().filter(ratio).map(|rule| rule.window).max()
}
