//! Watches the configuration: rules, acknowledgements, the workflow runs and the history that rules need.

use std::time::Duration;

use tokio::{
    sync::{mpsc, watch},
    time,
};
use tokio_util::sync::CancellationToken;

use super::{
    history::History,
    message::{DeciderHandle, Message},
};
use crate::{
    clock::Clock,
    engine::RunCount,
    feed::{FeedInput, Hydrate},
    model::{Rule, RuleError, Span},
    store::{
        Db, StoreError, incidents,
        rules::{self, RuleBook},
        runs::{self, RunTally, Runs},
    },
};

/// Between looks at the configuration; a change must take effect within 2 s.
const EVERY: Duration = Duration::from_millis(500);
/// How long one look may take.
const TIME_LIMIT: Duration = Duration::from_secs(5);
/// Looks between polls of the workflow runs: every 2 s.
const LOOKS_PER_RUN_POLL: u32 = 4;

/// Why a look at the configuration failed.
#[derive(Debug, thiserror::Error)]
pub enum WatchError {
    /// The database did not answer, or not well.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The daemon is stopping.
    #[error("the decider has ended")]
    Ended,
}

/// The task that watches.
pub struct Configuration {
    db: Db,
    clock: Clock,
    decider: DeciderHandle,
    feed: mpsc::Sender<FeedInput>,
    version: i64,
    rules: Vec<Rule>,
    tally: RunTally,
    history: History,
    /// The last replay that was asked for; 0 is the one at the start.
    replay: u64,
    invalid: watch::Sender<Vec<RuleError>>,
}

impl Configuration {
    /// A watcher that knows `book` as of `version`, and the runs in `tally`.
    #[must_use]
    pub fn new(
        db: Db,
        clock: Clock,
        (decider, feed): (DeciderHandle, mpsc::Sender<FeedInput>),
        (version, book): (i64, &RuleBook),
        tally: RunTally,
    ) -> (Self, watch::Receiver<Vec<RuleError>>) {
        let (invalid, receiver) = watch::channel(book.invalid.clone());
        let rules = book.rules.clone();
        let history = History::new(db.clone(), clock.database_now());
        let this =
            Self { db, clock, decider, feed, version, rules, tally, history, replay: 0, invalid };
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
                looked = self.look(look) => looked,
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
        let version = rules::config_version(&self.db, TIME_LIMIT).await?;
        if version != self.version {
            self.take(version).await?;
        } else if look.is_multiple_of(LOOKS_PER_RUN_POLL) && longest_of_runs(&self.rules).is_some()
        {
            self.poll_runs(Span::ZERO).await?;
        }
        let baselines = self.history.baselines(&self.rules, self.clock.database_now()).await?;
        if !baselines.is_empty() {
            self.send(Message::Baselines(baselines)).await?;
        }
        Ok(())
    }

    async fn take(&mut self, version: i64) -> Result<(), WatchError> {
        let book = rules::load(&self.db, TIME_LIMIT).await?;
        let acknowledged = incidents::acknowledgements(&self.db, TIME_LIMIT).await?;
        self.send(Message::Acknowledged(acknowledged)).await?;
        let groups = self.history.changed_groups(&self.rules, self.clock.database_now()).await?;
        if !groups.is_empty() {
            self.send(Message::Groups(groups)).await?;
        }
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

    /// New rules are taken where a replay begins in the feed's stream, so that each row reaches them
    /// either as history or as news, and none as both.
    async fn change_rules(&mut self, book: RuleBook) -> Result<(), WatchError> {
        let rules = book.rules.clone();
        let known =
            self.history.known_to_new(&rules, &self.rules, self.clock.database_now()).await?;
        self.history.forget_baselines();
        let baselines = self.history.baselines(&rules, self.clock.database_now()).await?;
        let runs = match longest_of_runs(&rules) {
            Some(span) => self.poll_runs(span).await?,
            None => Vec::new(),
        };
        // Which of them start with empty windows is the engine's to say; asking for too much only
        // costs the reading.
        let differing = rules.iter().filter(|rule| !self.rules.contains(rule));
        let window = differing.map(Rule::longest_window).max().unwrap_or_default();
        self.replay += 1;
        let replay = self.replay;
        self.send(Message::Rules { book, runs, known, baselines, replay }).await?;
        let wish = Hydrate { id: self.replay, window: with_slack(window), project: None };
        self.feed.send(FeedInput::Hydrate(wish)).await.map_err(|_| WatchError::Ended)?;
        self.rules = rules;
        Ok(())
    }

    /// Tells the decider of runs that were not counted yet, and returns all of the last `span`.
    async fn poll_runs(&mut self, span: Span) -> Result<Vec<RunCount>, WatchError> {
        let until = self.clock.database_now();
        let since = self.tally.since().min(until - span);
        let all = runs::count(&self.db, since, until, TIME_LIMIT).await?;
        let overlap = self.tally.since();
        let recent: Vec<Runs> = all.iter().copied().filter(|runs| runs.at >= overlap).collect();
        let fresh: Vec<RunCount> =
            self.tally.apply(&recent, until).into_iter().map(RunCount::from).collect();
        if !fresh.is_empty() {
            self.send(Message::Runs(fresh)).await?;
        }
        self.send(Message::RunsComplete(until)).await?;
        Ok(all.into_iter().map(RunCount::from).collect())
    }

    async fn send(&self, message: Message) -> Result<(), WatchError> {
        if self.decider.send(message).await { Ok(()) } else { Err(WatchError::Ended) }
    }
}

impl From<Runs> for RunCount {
    fn from(runs: Runs) -> Self {
        Self {
            project_id: runs.project_id,
            workflow_id: runs.workflow_id,
            started_at: runs.at,
            count: u32::try_from(runs.count).unwrap_or(u32::MAX),
        }
    }
}

/// A window covers up to one bucket, a sixtieth, more than its length.
fn with_slack(window: Span) -> Span {
    Span::from_micros(window.micros() + window.micros() / 60)
}

/// The longest window in which some rule counts runs; none where there is no such rule.
#[must_use]
pub fn longest_of_runs(rules: &[Rule]) -> Option<Span> {
    rules.iter().filter(|rule| rule.metric.needs_runs()).map(Rule::longest_window).max()
}
