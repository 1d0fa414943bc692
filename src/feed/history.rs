//! Replays: rows counted earlier, read again to fill windows.

use std::sync::Arc;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{
    Feed, FeedOutput, Hydrate,
    jobs::{Done, HistoryResult, pause},
};
use crate::{
    model::{RangeSet, Timestamp},
    store::{
        StoreError,
        feed::{self as query, HistoryPage},
    },
};

/// Under what name its failures are reported.
const QUERY: &str = "history";

/// A replay that is under way or waits for its turn.
#[derive(Debug)]
pub(super) struct Replay {
    id: u64,
    since: Timestamp,
    project: Option<Uuid>,
    /// What had been counted when it began; everything else comes as new.
    counted: Arc<RangeSet>,
    /// The numbers still to be read; none before they were looked for.
    bounds: Option<(i64, i64)>,
    failures: u32,
}

impl Replay {
    /// Whether it is the history at the start, before which nothing is given out.
    pub fn is_initial(&self) -> bool {
        self.id == 0
    }
}

impl Feed {
    /// The history at the start, or after a reset.
    pub(super) async fn begin_initial_replay(&mut self, cancel: &CancellationToken) {
        let window = self.options.initial_window;
        self.begin_replay(Hydrate { id: 0, window, project: None }, cancel).await;
    }

    /// Begins a replay, or remembers the wish until the history at the start has ended: that one
    /// fills every rule's windows, also those of a rule taken meanwhile.
    pub(super) async fn wish_for_replay(&mut self, wish: Hydrate, cancel: &CancellationToken) {
        if self.is_live() {
            self.begin_replay(wish, cancel).await;
        } else {
            self.wishes.push(wish);
        }
    }

    /// Marks what was counted so far as this replay's, and queues it.
    async fn begin_replay(&mut self, wish: Hydrate, cancel: &CancellationToken) {
        self.emit(FeedOutput::ReplayBegin { id: wish.id }, cancel).await;
        let now = self.clock.database_now();
        // What nobody has counted yet is decided as of when it came, and then the windows held what
        // had come before: a long stop must not empty them. Where nobody has ever led, nobody has left
        // anything undecided, and a window back from the beginning of time would be all there is.
        let former = self.leadership.tenure().filter(|tenure| {
            wish.id == 0 && self.generation == 1 && tenure.former_until > Timestamp::default()
        });
        let until = former.map_or(now, |tenure| tenure.former_until.min(now));
        self.replays.push_back(Replay {
            id: wish.id,
            since: until - wish.window,
            project: wish.project,
            counted: Arc::new(self.ledger.accounted()),
            bounds: None,
            failures: 0,
        });
    }

    pub(super) fn next_replay(&self) -> Option<Instant> {
        (!self.replaying && !self.replays.is_empty()).then_some(self.replay_after)
    }

    pub(super) fn start_replay(&mut self, now: Instant) {
        if self.next_replay().is_none_or(|due| due > now) {
            return;
        }
        let Some(replay) = self.replays.front() else { return };
        self.replaying = true;
        let (db, limit) = (self.db.clone(), self.options.query_limit);
        let (generation, id, since) = (self.generation, replay.id, replay.since);
        let Some((from, to)) = replay.bounds else {
            self.jobs.spawn(async move {
                let result = query::find_history(&db, since, limit).await;
                Done::Bounds { generation, id, result }
            });
            return;
        };
        let most_rows = self.reads.page_rows();
        let page = HistoryPage { from, to, since, project: replay.project, most_rows };
        self.jobs.spawn(async move {
            let result = query::read_history(&db, &page, limit).await;
            Done::History { generation, id, rows: most_rows, result }
        });
    }

    pub(super) async fn finish_bounds(
        &mut self,
        generation: u64,
        id: u64,
        result: Result<Option<(i64, i64)>, StoreError>,
        cancel: &CancellationToken,
    ) {
        self.replaying = false;
        if generation != self.generation {
            return;
        }
        match result {
            Ok(Some((from, to))) => {
                self.succeeds(QUERY);
                if let Some(replay) = self.current(id) {
                    replay.failures = 0;
                    // What comes after the last number that was counted comes as new.
                    let counted = replay.counted.end().map_or(0, |end| end - 1);
                    replay.bounds = Some((from, to.min(counted)));
                }
            }
            Ok(None) => {
                self.succeeds(QUERY);
                self.end_replay(id, cancel).await;
            }
            Err(error) => self.replay_failed(id, &error),
        }
    }

    pub(super) async fn finish_history(
        &mut self,
        generation: u64,
        id: u64,
        rows: u32,
        result: HistoryResult,
        cancel: &CancellationToken,
    ) {
        self.replaying = false;
        self.reads.page_ended(rows, result.is_ok());
        if generation != self.generation {
            return;
        }
        let (mut events, more_after) = match result {
            Ok(page) => page,
            Err(error) => return self.replay_failed(id, &error),
        };
        self.succeeds(QUERY);
        let Some(replay) = self.current(id) else { return };
        replay.failures = 0;
        if let (Some(last), Some((_, to))) = (more_after, replay.bounds) {
            replay.bounds = Some((last + 1, to));
        }
        events.retain(|event| replay.counted.contains(event.seq));
        if !events.is_empty() {
            self.emit(FeedOutput::Replay { id, events }, cancel).await;
        }
        if more_after.is_none() {
            self.end_replay(id, cancel).await;
        }
    }

    /// The replay in front, unless a reset has replaced it.
    fn current(&mut self, id: u64) -> Option<&mut Replay> {
        self.replays.front_mut().filter(|replay| replay.id == id)
    }

    async fn end_replay(&mut self, id: u64, cancel: &CancellationToken) {
        if self.current(id).is_some() {
            self.replays.pop_front();
            self.emit(FeedOutput::ReplayEnd { id }, cancel).await;
            for wish in std::mem::take(&mut self.wishes) {
                self.begin_replay(wish, cancel).await;
            }
        }
    }

    fn replay_failed(&mut self, id: u64, error: &StoreError) {
        self.fails(QUERY, error);
        let mut failures = 1;
        if let Some(replay) = self.current(id) {
            replay.failures = replay.failures.saturating_add(1);
            failures = replay.failures;
        }
        self.replay_after = Instant::now() + pause(failures);
    }
}
