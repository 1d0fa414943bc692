//! The checkpoint: loading it, counting into rollups as leader, and starting a new epoch.

use std::time::Duration;

use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

use super::{
    Feed,
    jobs::{Done, Tried, pause},
};
use crate::{
    batch_size::BatchSize,
    store::{
        Fence, StoreError,
        feed::{self as query, Checkpoint},
        rollup::{self, Portion, Saved},
    },
};

/// How often an instance that does not lead learns what the leader has counted, so that its own
/// list of what is not counted stays short.
const FOLLOW_EVERY: Duration = Duration::from_secs(10);
/// A rollup never tries fewer rows than this.
const LEAST_ROWS: u64 = 200;
/// A difference must show this often before it is accepted.
const LEAST_TRIES: u32 = 5;

/// When to save next, and as whom.
#[derive(Debug)]
pub(super) struct Saves {
    /// The checkpoint was read at least once, so there is a ledger.
    pub loaded: bool,
    saving: bool,
    next: Instant,
    failures: u32,
    /// How many rows go into one transaction.
    rows: BatchSize,
    loading: bool,
    load_at: Instant,
    follow_at: Instant,
    /// The tenure for which the checkpoint was read: what the leader before us counted is known.
    known_to: Option<Fence>,
    /// The table disagrees with the ledger about the numbers up to some number.
    differing: Option<Differing>,
}

#[derive(Clone, Copy, Debug)]
struct Differing {
    since: Instant,
    tries: u32,
    upto: i64,
}

impl Saves {
    pub fn new(now: Instant, most_rows: u64) -> Self {
        Self {
            loaded: false,
            saving: false,
            next: now,
            failures: 0,
            rows: BatchSize::new(most_rows).at_least(LEAST_ROWS),
            loading: false,
            load_at: now,
            follow_at: now,
            known_to: None,
            differing: None,
        }
    }
}

impl Feed {
    pub(super) fn start_checkpoint(&mut self, now: Instant) {
        let fence = self.leadership.fence();
        let wanted = !self.saves.loaded
            || self.reads.behind.is_some()
            || (fence.is_some() && fence != self.saves.known_to)
            || (fence.is_none() && now >= self.saves.follow_at);
        if !wanted || self.saves.loading || self.saves.saving || now < self.saves.load_at {
            return;
        }
        self.saves.loading = true;
        let (db, limit) = (self.db.clone(), self.options.query_limit);
        self.jobs.spawn(async move {
            Done::Checkpoint { fence, result: query::read_checkpoint(&db, limit).await }
        });
    }

    pub(super) async fn finish_checkpoint(
        &mut self,
        fence: Option<Fence>,
        result: Result<Checkpoint, StoreError>,
        cancel: &CancellationToken,
    ) {
        self.saves.loading = false;
        let now = Instant::now();
        let checkpoint = match result {
            Ok(checkpoint) => checkpoint,
            Err(error) => {
                self.saves.failures = self.saves.failures.saturating_add(1);
                self.saves.load_at = now + pause(self.saves.failures);
                self.fails("checkpoint", &error);
                return;
            }
        };
        self.saves.failures = 0;
        self.succeeds("checkpoint");
        self.reads.checkpointed = checkpoint.accounted.end().map_or(0, |end| end - 1);
        self.saves.follow_at = now + FOLLOW_EVERY;
        if let Some(last_drawn) = self.reads.behind {
            self.settle_behind(&checkpoint, last_drawn, cancel).await;
        } else if !self.saves.loaded || checkpoint.epoch != self.status.epoch {
            self.reset(checkpoint.epoch, &checkpoint.accounted, cancel).await;
        } else if !checkpoint.accounted.covers(1..self.ledger.saved_through() + 1) {
            tracing::error!("the checkpoint went back; was a backup restored?");
            self.reset(checkpoint.epoch, &checkpoint.accounted, cancel).await;
        } else {
            self.ledger.saved(&checkpoint.accounted);
        }
        if self.reads.behind.is_none() {
            self.saves.known_to = fence;
        }
    }

    pub(super) fn next_save(&self) -> Option<Instant> {
        let leads = self.leadership.fence().is_some_and(|f| self.saves.known_to == Some(f));
        let due = self.is_live()
            && leads
            && !self.saves.saving
            && !self.saves.loading
            && self.reads.behind.is_none()
            && self.ledger.unsaved_count() > 0;
        due.then_some(self.saves.next)
    }

    pub(super) fn start_save(&mut self, now: Instant) {
        if self.next_save().is_none_or(|due| due > now) {
            return;
        }
        let Some(fence) = self.leadership.fence() else { return };
        let (db, limit, generation) = (self.db.clone(), self.options.query_limit, self.generation);
        let (epoch, known) = (self.status.epoch, self.ledger.saved_through());
        let tried = self.portion(now);
        if tried.ranges.is_empty() {
            self.saves.next = now + self.options.save_every;
            return;
        }
        self.saves.saving = true;
        self.jobs.spawn(async move {
            let portion = portion_of(epoch, known, &tried);
            let result = rollup::roll_up(&db, &fence, &portion, limit).await;
            Done::Saved { generation, tried, result }
        });
    }

    /// What to save now. While the table disagrees, always the same numbers and no newer ones: a
    /// newer row may only be invisible for the moment, and must not be given up with the others.
    fn portion(&mut self, now: Instant) -> Tried {
        let upto = self.saves.differing.map_or(i64::MAX, |differing| differing.upto);
        let mut batch = self.ledger.unsaved(self.saves.rows.size(), upto);
        if batch.ranges.is_empty() {
            // What differed was counted by somebody else meanwhile.
            self.saves.differing = None;
            batch = self.ledger.unsaved(self.saves.rows.size(), i64::MAX);
        }
        let accept_difference = self.saves.differing.is_some_and(|differing| {
            differing.tries >= LEAST_TRIES
                && now.duration_since(differing.since) > self.options.save_patience
        });
        Tried { ranges: batch.ranges, rows: batch.rows, accept_difference }
    }

    pub(super) fn finish_save(
        &mut self,
        generation: u64,
        tried: &Tried,
        result: Result<Saved, StoreError>,
    ) {
        self.saves.saving = false;
        let now = Instant::now();
        self.saves.next = now + self.options.save_every;
        let saved = match result {
            Ok(saved) => saved,
            Err(StoreError::FenceLost) => {
                self.saves.known_to = None;
                return;
            }
            Err(error) => {
                self.saves.failures = self.saves.failures.saturating_add(1);
                self.saves.next = now + pause(self.saves.failures);
                self.saves.rows.failed(tried.rows);
                self.fails("rollup", &error);
                return;
            }
        };
        self.saves.failures = 0;
        self.succeeds("rollup");
        if generation != self.generation {
            return;
        }
        match saved {
            Saved::Yes { rows } => self.portion_is_saved(tried, rows, now),
            Saved::RowsDiffer { rows } => {
                let upto = tried.ranges.end().map_or(i64::MAX, |end| end - 1);
                let first = Differing { since: now, tries: 0, upto };
                let differing = self.saves.differing.get_or_insert(first);
                differing.tries = differing.tries.saturating_add(1);
                let (tries, expected) = (differing.tries, tried.rows);
                tracing::debug!(rows, expected, tries, "rows are not visible to the rollup yet");
            }
            // Reading the checkpoint will show the same, and settle it.
            Saved::Overlap | Saved::OtherEpoch | Saved::SetBack => {
                // Our last commit did take place, or somebody else counted: look and go on.
                self.saves.known_to = None;
                self.saves.load_at = now;
            }
        }
    }

    fn portion_is_saved(&mut self, tried: &Tried, rows: u64, now: Instant) {
        self.ledger.saved(&tried.ranges);
        self.saves.differing = None;
        self.status.rows_saved += rows;
        if rows != tried.rows {
            self.status.rows_differing += rows.abs_diff(tried.rows);
            let expected = tried.rows;
            tracing::warn!(rows, expected, "rollups count what the table still holds");
        }
        if tried.rows >= self.saves.rows.size() {
            self.saves.next = now;
        }
        self.saves.rows.done();
    }

    /// The sequence is behind the ledger: the database was set back.
    pub(super) fn found_behind(&mut self, last_drawn: i64) {
        let observed = self.ledger.observed();
        tracing::error!(last_drawn, observed, "the sequence went back; was a backup restored?");
        self.reads.behind = Some(last_drawn);
        self.saves.load_at = Instant::now();
    }

    /// A whole database that was restored brought its checkpoint along, which is then right. Where
    /// the checkpoint is ahead too, the leader starts to count anew, and others wait for it.
    async fn settle_behind(
        &mut self,
        checkpoint: &Checkpoint,
        last_drawn: i64,
        cancel: &CancellationToken,
    ) {
        let ahead = checkpoint.accounted.end().is_some_and(|end| end - 1 > last_drawn);
        if !ahead {
            self.reads.behind = None;
            self.reset(checkpoint.epoch, &checkpoint.accounted, cancel).await;
            return;
        }
        self.saves.load_at = Instant::now() + self.options.save_every;
        if let Some(fence) = self.leadership.fence()
            && !self.saves.saving
        {
            self.saves.saving = true;
            let (db, epoch) = (self.db.clone(), checkpoint.epoch);
            // Zeroing rollups takes as long as it takes, once.
            let limit = self.options.query_limit * 6;
            self.jobs.spawn(async move {
                Done::Epoch { result: rollup::begin_epoch(&db, &fence, epoch, limit).await }
            });
        }
    }

    pub(super) fn finish_epoch(&mut self, result: Result<Option<i32>, StoreError>) {
        self.saves.saving = false;
        self.saves.load_at = Instant::now();
        match result {
            Ok(Some(epoch)) => tracing::error!(epoch, "counting starts anew"),
            Ok(None) => {}
            Err(error) => self.fails("rollup", &error),
        }
    }

    /// At shutdown: waits for the rollup that is under way, then saves the rest while there is time.
    pub(super) async fn save_the_rest(&mut self) {
        let deadline = Instant::now() + self.options.stop_within;
        while self.saves.saving {
            let left = deadline.saturating_duration_since(Instant::now());
            match timeout(left, self.jobs.join_next()).await {
                Ok(Some(Ok(Done::Saved { generation, tried, result }))) => {
                    self.finish_save(generation, &tried, result);
                }
                Ok(Some(Ok(Done::Epoch { result }))) => self.finish_epoch(result),
                Ok(Some(_)) => {}
                Ok(None) | Err(_) => break,
            }
        }
        self.jobs.abort_all();
        self.saves.loading = false;
        self.release_decided();
        while self.next_save().is_some() && Instant::now() < deadline {
            let Some(fence) = self.leadership.fence() else { return };
            let tried = self.portion(Instant::now());
            let portion = portion_of(self.status.epoch, self.ledger.saved_through(), &tried);
            let left = deadline.saturating_duration_since(Instant::now());
            match rollup::roll_up(&self.db, &fence, &portion, left).await {
                Ok(Saved::Yes { rows }) => self.portion_is_saved(&tried, rows, Instant::now()),
                // A row may become visible in a moment; the next start counts what does not.
                Ok(Saved::RowsDiffer { .. }) => {
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
                Ok(Saved::Overlap | Saved::OtherEpoch | Saved::SetBack) => return,
                Err(error) => {
                    tracing::warn!(%error, "the last rollup failed; the next start makes up for it");
                    return;
                }
            }
        }
    }
}

fn portion_of(epoch: i32, known: i64, tried: &Tried) -> Portion {
    Portion {
        epoch,
        ranges: tried.ranges.clone(),
        rows: tried.rows,
        known,
        accept_difference: tried.accept_difference,
    }
}
