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
    model::{Rule, RuleError, Span, Timestamp},
    store::{
        Db, ErrorKind, StoreError, incidents,
        rules::{self, RuleBook},
        runs::{self, RunTally, Runs, Wanted},
        status::Problem,
    },
};

/// Between looks at the configuration; a change must take effect within 2 s.
const EVERY: Duration = Duration::from_millis(500);
/// How long one look may take.
const TIME_LIMIT: Duration = Duration::from_secs(5);
/// How long it may take to read the runs, of up to a month, that a new rule starts with.
const FILL_LIMIT: Duration = Duration::from_secs(60);
/// So many looks in a row that fail are a problem that people should know of.
const FAILURES_TOLD: u32 = 2;
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

impl WatchError {
    /// Whether people should look at it: that the database is away the feed says by itself.
    fn is_ours(&self) -> bool {
        match self {
            Self::Store(error @ StoreError::Database { .. }) => error.kind() == ErrorKind::Operator,
            Self::Store(_) => true,
            Self::Ended => false,
        }
    }
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
    seen: watch::Sender<Seen>,
}

/// What there is to say of the configuration.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Seen {
    /// Rules that cannot be used.
    pub invalid: Vec<RuleError>,
    /// Why changes of the configuration do not take effect.
    pub failing: Option<String>,
}

impl Seen {
    /// The same for an operator.
    pub fn problems(&self) -> impl Iterator<Item = Problem> {
        let problem = |what: &str, detail| Problem { what: what.to_owned(), detail };
        let invalid = self.invalid.iter().map(move |error| problem("rule", error.to_string()));
        let failing = self.failing.iter().map(move |why| {
            problem("configuration", format!("changes of rules take no effect: {why}"))
        });
        invalid.chain(failing)
    }
}

/// Runs that were started, read in two parts.
#[derive(Clone, Debug, Default)]
pub struct RunsSince {
    /// What a tally has not seen yet, or only in part: per second, project and workflow.
    pub recent: Vec<Runs>,
    /// What came before, as coarsely as long windows allow.
    pub older: Vec<Runs>,
}

impl RunsSince {
    /// All of them, as the engine takes them.
    #[must_use]
    pub fn into_all(self) -> Vec<RunCount> {
        self.older.into_iter().chain(self.recent).map(RunCount::from).collect()
    }
}

/// Reads the runs that `rules` count and that `tally` has not seen yet, or must look at again.
async fn runs_unseen(
    db: &Db,
    rules: &[Rule],
    tally: &RunTally,
    until: Timestamp,
    limit: Duration,
) -> Result<RunsSince, StoreError> {
    let (wanted, second) = (Wanted::of_all(rules), Span::from_secs(1));
    let recent = runs::count(db, &wanted, (tally.since(), until), second, limit).await?;
    Ok(RunsSince { recent, older: Vec::new() })
}

/// Reads the runs that `rules` count in windows that end between the two times, and at least what `tally`
/// must look at again.
///
/// # Errors
/// When the database does not answer within `limit`, or there are more runs than can be told apart.
pub async fn runs_since(
    db: &Db,
    rules: &[Rule],
    tally: &RunTally,
    (ends, until): (Timestamp, Timestamp),
    limit: Duration,
) -> Result<RunsSince, StoreError> {
    let RunsSince { recent, .. } = runs_unseen(db, rules, tally, until, limit).await?;
    let (wanted, seen) = (Wanted::of_all(rules), tally.since());
    let (windows, ends) = (runs::windows(rules), ends.min(seen));
    let since = ends - with_slack(longest_of_runs(rules).unwrap_or_default());
    let windows = (&*windows, ends);
    let older = runs::count_windows(db, &wanted, windows, (since, seen), limit).await?;
    Ok(RunsSince { recent, older })
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
    ) -> (Self, watch::Receiver<Seen>) {
        let (seen, receiver) =
            watch::channel(Seen { invalid: book.invalid.clone(), failing: None });
        let rules = book.rules.clone();
        let history = History::new(db.clone(), clock.database_now());
        let this =
            Self { db, clock, decider, feed, version, rules, tally, history, replay: 0, seen };
        (this, receiver)
    }

    /// Watches until `cancel` is cancelled.
    pub async fn run(mut self, cancel: CancellationToken) {
        let mut every = time::interval(EVERY);
        every.set_missed_tick_behavior(time::MissedTickBehavior::Delay);
        let mut failures = 0_u32;
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
                Ok(()) => {
                    failures = 0;
                    self.seen.send_if_modified(|seen| seen.failing.take().is_some());
                }
                Err(WatchError::Ended) => return,
                Err(error) => {
                    failures = failures.saturating_add(1);
                    if failures == 1 {
                        tracing::warn!(%error, "still using the former rules");
                    } else if failures >= FAILURES_TOLD && error.is_ours() {
                        self.seen.send_modify(|seen| seen.failing = Some(error.to_string()));
                    }
                }
            }
        }
    }

    async fn look(&mut self, look: u32) -> Result<(), WatchError> {
        let version = rules::config_version(&self.db, TIME_LIMIT).await?;
        if version != self.version {
            self.take(version).await?;
        } else if look.is_multiple_of(LOOKS_PER_RUN_POLL) && longest_of_runs(&self.rules).is_some()
        {
            let rules = std::mem::take(&mut self.rules);
            let polled = self.poll_runs(&rules, false).await;
            self.rules = rules;
            polled?;
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
        if book.rules != self.rules || book.invalid != self.seen.borrow().invalid {
            for error in &book.invalid {
                tracing::warn!(%error, "a rule cannot be used and is left out");
            }
            self.seen.send_modify(|seen| seen.invalid.clone_from(&book.invalid));
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
            Some(_) => {
                if longest_of_runs(&self.rules).is_none() {
                    // Nobody has asked for runs so far, perhaps for days.
                    self.tally.restart(self.clock.database_now());
                }
                self.poll_runs(&rules, true).await?
            }
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

    /// Tells the decider of runs that `rules` count and that were not counted yet. Where `fill` says so,
    /// it returns all that windows that end now hold.
    async fn poll_runs(&mut self, rules: &[Rule], fill: bool) -> Result<Vec<RunCount>, WatchError> {
        let until = self.clock.database_now();
        let all = if fill {
            runs_since(&self.db, rules, &self.tally, (until, until), FILL_LIMIT).await?
        } else {
            runs_unseen(&self.db, rules, &self.tally, until, TIME_LIMIT).await?
        };
        let fresh: Vec<RunCount> =
            self.tally.apply(&all.recent, until).into_iter().map(RunCount::from).collect();
        if !fresh.is_empty() {
            self.send(Message::Runs(fresh)).await?;
        }
        self.send(Message::RunsComplete(until)).await?;
        Ok(all.into_all())
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_keeps_the_configuration_from_being_taken_is_a_problem() {
        assert_eq!(Seen::default().problems().count(), 0);
        let invalid = RuleError {
            name: "r".to_owned(),
            field: "window_seconds",
            problem: "must be whole minutes".to_owned(),
        };
        let seen = Seen { invalid: vec![invalid], failing: Some("no answer".to_owned()) };
        let problems: Vec<_> = seen.problems().collect();
        let what: Vec<_> = problems.iter().map(|problem| &*problem.what).collect();
        assert_eq!(what, ["rule", "configuration"]);
        assert_eq!(problems[1].detail, "changes of rules take no effect: no answer");
    }
}
