//! Deletes what is older than its retention, gently: in small batches, with pauses, as leader only.
//!
//! What is kept how long stands in the table `error_tracking.retention`; the rules of deletion (never an
//! error that is not counted yet, never one that a rule's window needs) are the database's.

use std::time::Duration;

use tokio::time::{self, Instant};
use tokio_util::sync::CancellationToken;

use crate::{
    lease::Leadership,
    store::{
        Db, StoreError,
        retention::{Kept, Pruned, prune, read},
    },
    telemetry::Metrics,
};

/// How often the leader looks.
pub const EVERY: Duration = Duration::from_secs(600);
/// No statement should hold its locks for longer.
const STATEMENT: Duration = Duration::from_millis(250);
/// A statement that takes longer is given up, and the next is smaller.
const TIME_LIMIT: Duration = Duration::from_secs(10);
const SMALLEST: u32 = 100;
const LARGEST: u32 = 20_000;

/// How many rows the next statement deletes, so that it takes about [`STATEMENT`].
#[derive(Clone, Copy, Debug)]
struct Pace(u32);

impl Default for Pace {
    fn default() -> Self {
        Self(1_000)
    }
}

impl Pace {
    /// Halves after a slow statement and doubles after a fast one.
    fn learn(&mut self, took: Duration) {
        if took > STATEMENT {
            self.0 = (self.0 / 2).max(SMALLEST);
        } else if took < STATEMENT / 2 {
            self.0 = self.0.saturating_mul(2).min(LARGEST);
        }
    }
}

/// What one round deleted.
#[derive(Debug, Default)]
pub struct Round {
    /// Kinds with the number of rows deleted of each.
    pub rows: Vec<(String, u64)>,
    /// Kinds that could not be pruned to their end, and why; what was deleted of them stays deleted.
    pub failed: Vec<(String, StoreError)>,
}

/// Deletes everything that is too old, kind by kind, and calls `seen` after each batch with the kind and
/// the number of rows. Between statements it waits as long as the last one took, so that at most half of
/// one connection's time goes into it. A kind that fails does not keep the others from being pruned.
///
/// # Errors
/// When the database does not say how long things are kept; nothing is deleted then.
pub async fn round(
    db: &Db,
    cancel: &CancellationToken,
    mut seen: impl FnMut(&str, u64),
) -> Result<Round, StoreError> {
    let mut round = Round::default();
    for Kept { kind, .. } in read(db, TIME_LIMIT).await? {
        let mut rows = 0;
        let pruned = one_kind(db, &kind, cancel, |batch| {
            rows += batch;
            seen(&kind, batch);
        });
        let outcome = pruned.await;
        round.rows.push((kind.clone(), rows));
        if let Err(error) = outcome {
            round.failed.push((kind, error));
        }
        if cancel.is_cancelled() {
            break;
        }
    }
    Ok(round)
}

/// Deletes what is too old of one kind, batch by batch, and calls `seen` with the rows of each.
async fn one_kind(
    db: &Db,
    kind: &str,
    cancel: &CancellationToken,
    mut seen: impl FnMut(u64),
) -> Result<(), StoreError> {
    let mut pace = Pace::default();
    loop {
        let began = Instant::now();
        let outcome = prune(db, kind, pace.0, TIME_LIMIT).await;
        let took = began.elapsed();
        match outcome {
            Ok(Pruned { rows, finished }) => {
                seen(rows);
                if finished {
                    return Ok(());
                }
            }
            // A batch that was too large deleted nothing; half of it may be done in time.
            Err(StoreError::TimedOut { .. }) if pace.0 > SMALLEST => {}
            Err(error) => return Err(error),
        }
        pace.learn(took);
        tokio::select! {
            () = cancel.cancelled() => return Ok(()),
            () = time::sleep(took) => {}
        }
    }
}

/// Deletes now and then, while this instance leads, until `cancel`.
pub async fn run(
    db: Db,
    mut leadership: Leadership,
    metrics: Metrics,
    every: Duration,
    cancel: CancellationToken,
) {
    loop {
        tokio::select! {
            () = cancel.cancelled() => return,
            () = time::sleep(every) => {}
        }
        if !leadership.is_leader() {
            continue;
        }
        // Whoever ceases to lead stops: the new leader would only wait for the same rows.
        let round_cancel = cancel.child_token();
        let deleting = round(&db, &round_cancel, |kind, rows| {
            let kind = kind.to_owned();
            metrics.record(|| {
                metrics::counter!("meshhook_errors_rows_pruned_total", "kind" => kind)
                    .increment(rows);
            });
        });
        tokio::pin!(deleting);
        let outcome = loop {
            tokio::select! {
                outcome = &mut deleting => break outcome,
                changed = leadership.changed(), if !round_cancel.is_cancelled() => {
                    if !changed || !leadership.is_leader() {
                        round_cancel.cancel();
                    }
                }
            }
        };
        match outcome {
            Ok(round) => {
                for (kind, rows) in round.rows.iter().filter(|(_, rows)| *rows > 0) {
                    tracing::info!(kind, rows, "deleted what was older than its retention");
                }
                for (kind, error) in &round.failed {
                    tracing::warn!(kind, %error, "rows older than their retention were not all deleted; the next round tries again");
                }
            }
            Err(error) => {
                tracing::warn!(%error, "old rows were not deleted; the next round tries again")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batches_grow_and_shrink_with_the_time_they_take() {
        for (took_ms, before, after) in [
            (10, 1_000, 2_000),
            (10, 20_000, 20_000),
            (200, 1_000, 1_000),
            (900, 1_000, 500),
            (9_000, 150, 100),
        ] {
            let mut pace = Pace(before);
            pace.learn(Duration::from_millis(took_ms));
            assert_eq!(pace.0, after, "{took_ms} ms");
        }
    }
}
