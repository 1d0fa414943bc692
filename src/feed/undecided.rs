//! Rows that were given out and are not decided about for good. Until they are, they must not become
//! history: after a crash nothing would be decided about them any more.

use std::collections::VecDeque;

use tokio::sync::watch;

use super::Feed;
use crate::model::{ErrorEvent, RangeSet, Timestamp};

/// The batches that wait, in the order in which they were given out.
#[derive(Debug, Default)]
pub(super) struct Undecided {
    /// How many batches are decided about; without it every one is as soon as it is given out.
    settled: Option<watch::Receiver<u64>>,
    /// How many batches were given out.
    given: u64,
    waiting: VecDeque<Waiting>,
}

#[derive(Debug)]
struct Waiting {
    /// Which batch, beginning with 1.
    batch: u64,
    numbers: RangeSet,
    /// When it was given out, by the database's clock.
    since: Timestamp,
}

impl Undecided {
    /// Since when the oldest batch waits.
    pub fn since(&self) -> Option<Timestamp> {
        self.waiting.front().map(|waiting| waiting.since)
    }

    /// The ledger was replaced, and rows are given out anew.
    pub fn forget(&mut self) {
        self.waiting.clear();
    }
}

impl Feed {
    /// Saves rows only once they are decided about for good: `settled` is the number of batches of
    /// new rows for which that is so.
    #[must_use]
    pub fn deciding(mut self, settled: watch::Receiver<u64>) -> Self {
        self.undecided.settled = Some(settled);
        self
    }

    /// Notes that these rows are given out.
    pub(super) fn withhold(&mut self, events: &[ErrorEvent]) {
        if self.undecided.settled.is_none() {
            return;
        }
        self.undecided.given += 1;
        let numbers: RangeSet = events.iter().map(|event| event.seq..event.seq + 1).collect();
        self.ledger.withhold(&numbers);
        let (batch, since) = (self.undecided.given, self.clock.database_now());
        self.undecided.waiting.push_back(Waiting { batch, numbers, since });
    }

    /// Lets what is decided about be saved.
    pub(super) fn release_decided(&mut self) {
        let Some(settled) = &self.undecided.settled else { return };
        let through = *settled.borrow();
        while let Some(decided) =
            self.undecided.waiting.pop_front_if(|waiting| waiting.batch <= through)
        {
            self.ledger.release(&decided.numbers);
        }
    }
}
