//! What the ledger takes back when the database does: a crash may undo numbers that were drawn by
//! transactions of which nothing had reached the disk, and they are drawn again by others.

use super::Ledger;
use crate::model::{RangeSet, width};

impl Ledger {
    /// The highest number that is accounted for; its row, or the proof, was on the database's disk.
    #[must_use]
    pub fn highest_accounted(&self) -> i64 {
        let mut highest = self.observed;
        for (start, hole) in self.holes.iter().rev() {
            if hole.end <= highest {
                break;
            }
            highest = start - 1;
        }
        highest
    }

    /// Notes that no number above `last` has been drawn after all; what is accounted for stays.
    pub fn retract(&mut self, last: i64) {
        let last = last.max(self.highest_accounted());
        while let Some(mut hole) = self.holes.last_entry() {
            let (start, end) = (*hole.key(), hole.get().end);
            if end <= last + 1 {
                break;
            }
            self.missing -= width(start.max(last + 1), end);
            if start <= last {
                hole.get_mut().end = last + 1;
            } else {
                hole.remove();
            }
        }
        self.observed = self.observed.min(last);
    }

    /// Forgets every stamp: another life of the server began, in which transaction ids that were
    /// drawn before may be drawn again.
    pub fn forget_stamps(&mut self) {
        self.holes.values_mut().for_each(|hole| hole.stamp = None);
    }

    /// Every number up to this is in the checkpoint.
    #[must_use]
    pub fn saved_through(&self) -> i64 {
        let before = |set: &RangeSet| set.iter().next().map_or(i64::MAX, |range| range.start - 1);
        self.low_water().min(before(&self.unsaved)).min(before(&self.withheld))
    }
}
