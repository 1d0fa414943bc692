//! What the ledger has newly accounted for, in portions that one transaction can save.

use std::ops::Range;

use super::Ledger;
use crate::model::{RangeSet, width};

/// More ranges than this make a statement's parameter needlessly long.
const MOST_RANGES: usize = 10_000;

/// Numbers to be added to the checkpoint, with the rows among them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Batch {
    /// The numbers, rows and proven holes alike.
    pub ranges: RangeSet,
    /// How many of them are rows.
    pub rows: u64,
}

impl Ledger {
    /// How many numbers are accounted for and may be saved.
    #[must_use]
    pub const fn unsaved_count(&self) -> u64 {
        self.unsaved.len()
    }

    /// How many rows are not to be saved yet.
    #[must_use]
    pub const fn withheld_count(&self) -> u64 {
        self.withheld.len()
    }

    /// Keeps these rows, where they are not saved, from being saved until they are released.
    pub fn withhold(&mut self, rows: &RangeSet) {
        move_between(&mut self.unsaved, &mut self.withheld, rows);
    }

    /// Lets these rows be saved, unless somebody else has saved them meanwhile.
    pub fn release(&mut self, rows: &RangeSet) {
        move_between(&mut self.withheld, &mut self.unsaved, rows);
    }

    /// The lowest unsaved numbers up to `upto`, with at most `most_rows` rows among them.
    ///
    /// They stay unsaved until [`Ledger::saved`] is told of them.
    #[must_use]
    pub fn unsaved(&self, most_rows: u64, upto: i64) -> Batch {
        let mut batch = Batch::default();
        for range in self.unsaved.within(1..upto.saturating_add(1)) {
            let mut next = range.start;
            for empty in self.unsaved_empty.within(range.clone()) {
                if !batch.take_rows(next..empty.start, most_rows) {
                    return batch;
                }
                next = empty.end;
                batch.ranges.insert(empty);
            }
            if !batch.take_rows(next..range.end, most_rows)
                || batch.ranges.count_ranges() >= MOST_RANGES
            {
                break;
            }
        }
        batch
    }

    /// Notes that the checkpoint contains `ranges`, whoever put them there.
    pub fn saved(&mut self, ranges: &RangeSet) {
        self.unsaved.remove_all(ranges);
        self.unsaved_empty.remove_all(ranges);
        self.withheld.remove_all(ranges);
    }
}

fn move_between(from: &mut RangeSet, to: &mut RangeSet, numbers: &RangeSet) {
    for range in numbers.iter() {
        let parts: Vec<Range<i64>> = from.within(range).collect();
        for part in parts {
            from.remove(part.clone());
            to.insert(part);
        }
    }
}

impl Batch {
    /// Takes what fits of a range of rows; false when not all of it did.
    fn take_rows(&mut self, range: Range<i64>, most_rows: u64) -> bool {
        let room = most_rows.saturating_sub(self.rows);
        let rows = width(range.start, range.end).min(room);
        let end = range.start.saturating_add_unsigned(rows);
        self.ranges.insert(range.start..end);
        self.rows += rows;
        end == range.end
    }
}
