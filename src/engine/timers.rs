//! What is due when: a heap of instants, cleaned up lazily.

use std::{cmp::Reverse, collections::BinaryHeap};

use crate::model::Timestamp;

/// One appointment of one group. It is void when the group was dropped since (other generation) or has
/// made an earlier appointment (other instant); whoever takes it out checks that.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Timer {
    pub at: Timestamp,
    pub group: u32,
    pub generation: u32,
}

/// All appointments, the earliest first; of one instant, the lowest group first.
#[derive(Debug, Default)]
pub(super) struct Timers {
    heap: BinaryHeap<Reverse<Timer>>,
}

impl Timers {
    pub fn push(&mut self, timer: Timer) {
        self.heap.push(Reverse(timer));
    }

    /// Forgets the appointments that are void.
    pub fn retain(&mut self, valid: impl Fn(&Timer) -> bool) {
        self.heap.retain(|Reverse(timer)| valid(timer));
    }

    /// Takes out the earliest appointment if it is due at `now`.
    #[inline]
    pub fn due(&mut self, now: Timestamp) -> Option<Timer> {
        if self.heap.peek()?.0.at > now {
            return None;
        }
        self.heap.pop().map(|Reverse(timer)| timer)
    }

    /// The earliest appointment, void or not.
    pub fn next(&self) -> Option<Timestamp> {
        self.heap.peek().map(|Reverse(timer)| timer.at)
    }

    /// How many there are, void ones included.
    pub fn len(&self) -> usize {
        self.heap.len()
    }
}
