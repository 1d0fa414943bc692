//! Which events are decided about for good: what was decided because of them is written, or refused.
//! Only then may they become history, of which nothing is decided any more.

use std::collections::VecDeque;

use tokio::sync::watch;

/// Counts batches of new events on one side, and batches of decisions on the other.
#[derive(Debug, Default)]
pub(super) struct Settled {
    /// Batches of new events that were counted.
    taken: u64,
    /// Batches of decisions that were given to the writer.
    sent: u64,
    /// Batches of decisions that the writer is done with.
    written: u64,
    /// Up to which batch of events is settled once how many batches of decisions are written.
    waiting: VecDeque<(u64, u64)>,
    /// Up to which batch of events is settled.
    through: u64,
}

impl Settled {
    /// A batch of new events was counted.
    pub const fn taken(&mut self) {
        self.taken += 1;
    }

    /// A batch of decisions was given to the writer.
    pub const fn sent(&mut self) {
        self.sent += 1;
    }

    /// Everything that was taken is decided about, by what was sent so far.
    pub fn decided(&mut self) {
        match self.waiting.back_mut() {
            Some((taken, sent)) if *sent == self.sent => *taken = self.taken,
            _ => self.waiting.push_back((self.taken, self.sent)),
        }
        self.settle();
    }

    /// The writer is done with this many batches.
    pub fn written(&mut self, batches: u64) {
        self.written = batches;
        self.settle();
    }

    /// Tells whoever turns events into history.
    pub fn publish(&self, to: &watch::Sender<u64>) {
        to.send_if_modified(|through| std::mem::replace(through, self.through) != self.through);
    }

    fn settle(&mut self) {
        while let Some((taken, _)) = self.waiting.pop_front_if(|(_, sent)| *sent <= self.written) {
            self.through = taken;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_settled_with_the_decisions_that_came_of_them() {
        let mut settled = Settled::default();
        settled.taken();
        settled.decided();
        assert_eq!(settled.through, 1, "nothing came of it");
        settled.taken();
        settled.sent();
        settled.sent();
        settled.decided();
        settled.taken();
        settled.decided();
        assert_eq!(settled.through, 1, "what came of the second is not written");
        settled.written(1);
        assert_eq!(settled.through, 1, "not all of it");
        settled.taken();
        settled.sent();
        settled.decided();
        settled.written(2);
        assert_eq!(settled.through, 3, "nothing came of the third");
        settled.written(3);
        assert_eq!(settled.through, 4);
        assert!(settled.waiting.is_empty());
    }
}
