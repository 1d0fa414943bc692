//! What must be known before the daemon can count: the first answers of the database.

use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

use tokio::time;
use tokio_util::sync::CancellationToken;

use crate::{
    alerting::{asks_for_news, longest_of_runs, runs_since},
    backoff::Backoff,
    clock::Clock,
    engine::{KnownGroup, RunCount},
    error::Error,
    http::{Probe, Readiness},
    model::{Metric, OpenIncident, Rule, Span, Timestamp},
    store::{
        Db, ErrorKind, StoreError, groups, incidents,
        rules::{self, RuleBook},
        runs::RunTally,
    },
};

/// How long one query may take.
const TIME_LIMIT: Duration = Duration::from_secs(10);
/// How long the reading of all known error groups, and of the runs of long windows, may take.
const HISTORY_LIMIT: Duration = Duration::from_secs(60);
/// How far back each poll of the runs looks again, for transactions that were open meanwhile.
const RUN_OVERLAP: Span = Span::from_secs(120);

/// Runs are read as finely as windows need that ended so long ago: whoever takes up where a former leader
/// ended decides about those.
const CATCH_UP: Span = Span::from_secs(900);

/// The configuration in the database as it stood at the start.
pub struct Start {
    /// Number of configuration changes.
    pub version: i64,
    /// The rules.
    pub book: RuleBook,
    /// Error groups that are known, where a rule asks for new ones.
    pub known: Vec<KnownGroup>,
    /// Incidents that were open then.
    pub open: Vec<OpenIncident>,
    /// Runs within the longest window of a rule that counts them.
    pub runs: Vec<RunCount>,
    /// Knows those runs.
    pub tally: RunTally,
}

/// What `/readyz` tells: that the database has not answered yet, and from then on what the running
/// parts know. Without an answer from the beginning, orchestrators would restart an instance that
/// only waits.
#[derive(Clone, Default)]
pub struct LateProbe(Arc<OnceLock<Probe>>);

impl LateProbe {
    /// The probe to serve.
    pub fn probe(&self) -> Probe {
        let late = Arc::clone(&self.0);
        Arc::new(move || match late.get() {
            Some(probe) => probe(),
            None => Readiness {
                ready: false,
                role: "standby",
                problems: vec!["starting: the database has not answered yet".to_owned()],
            },
        })
    }

    /// Hands over to the running parts.
    pub fn set(&self, probe: Probe) {
        // It is set once; a second one would be the same.
        let _ = self.0.set(probe);
    }
}

/// Reads the start, and tries for as long as the database may still come up.
///
/// # Errors
/// When only an operator can help: wrong password, missing migrations, missing rights.
pub async fn read(db: &Db, clock: &Clock, cancel: &CancellationToken) -> Result<Start, Error> {
    let backoff = Backoff::default();
    for attempt in 0.. {
        let tried = tokio::select! {
            () = cancel.cancelled() => break,
            tried = try_read(db, clock) => tried,
        };
        let error = match tried {
            Ok(start) => return Ok(start),
            Err(error) => error,
        };
        if error.kind() == ErrorKind::Operator {
            return Err(error.into());
        }
        if attempt == 0 {
            tracing::warn!(%error, "the database does not answer yet; trying on");
        }
        tokio::select! {
            () = cancel.cancelled() => break,
            () = time::sleep(backoff.delay(attempt, rand::random())) => {}
        }
    }
    Err(Error::failed("stopped before the database answered"))
}

async fn try_read(db: &Db, clock: &Clock) -> Result<Start, StoreError> {
    let version = rules::config_version(db, TIME_LIMIT).await?;
    let book = rules::load(db, TIME_LIMIT).await?;
    let now = clock.database_now();
    let mut tally = RunTally::new(now, RUN_OVERLAP);
    let mut runs = Vec::new();
    if longest_of_runs(&book.rules).is_some() {
        let ends = now - CATCH_UP;
        match runs_since(db, &book.rules, &tally, (ends, now), HISTORY_LIMIT).await {
            Ok(counts) => {
                tally.apply(&counts.recent, now);
                runs = counts.into_all();
            }
            // Shares of runs can then not be told until their windows have filled; all else can.
            Err(error @ StoreError::Unreadable { .. }) => {
                tracing::warn!(%error, "beginning without the runs of the past");
            }
            Err(error) => return Err(error),
        }
    }
    let (mut known, mut open) = (Vec::new(), Vec::new());
    if asks_for_news(&book.rules) {
        known = groups::known(db, known_before(&book.rules, now), HISTORY_LIMIT).await?;
        let found = incidents::load_open(db, TIME_LIMIT).await?;
        open.extend(found.opened.into_iter().map(|opened| opened.incident));
    }
    Ok(Start { version, book, known, open, runs, tally })
}

/// Groups first seen since then may be new to a rule, and their first errors are replayed; the replay
/// reaches an hour back at least, and further than any window.
fn known_before(rules: &[Rule], now: Timestamp) -> Timestamp {
    let news = rules.iter().filter(|rule| matches!(rule.metric, Metric::NewGroup { .. }));
    now - news.map(|rule| rule.window).max().unwrap_or_default()
}
