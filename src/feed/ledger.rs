//! The ledger: which numbers are accounted for, and which are still open. Pure.
//!
//! Every row has a number from a sequence, and its transaction had its id *before* it drew the
//! number. A number that is known to be drawn and whose row has not been seen is a **hole**. After
//! the read that revealed a hole, somebody draws a transaction id and *stamps* the hole with it, so
//! the hole's writer has a lower id than the stamp. In a later snapshot whose oldest running
//! transaction is above the stamp, that writer has ended: if the row is absent there too, it will
//! never exist, and the hole is proven empty.
//!
//! Rows may arrive in any order and any number of times, from any source.

mod batch;
mod doubt;
#[cfg(test)]
mod model_test;
#[cfg(test)]
mod tests;

pub use batch::Batch;

use std::{collections::BTreeMap, ops::Range};

use crate::model::{RangeSet, Timestamp, width};

/// Which numbers are accounted for. Numbers start at 1.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ledger {
    /// Every number up to this is known to have been drawn.
    observed: i64,
    /// What is neither seen nor proven empty up to `observed`, by first number.
    holes: BTreeMap<i64, Hole>,
    /// How many numbers the holes cover.
    missing: u64,
    /// Accounted for here, and not yet in the checkpoint.
    unsaved: RangeSet,
    /// Rows that would be in `unsaved` if they were decided about.
    withheld: RangeSet,
    /// Those of `unsaved` that were proven empty; the others are rows.
    unsaved_empty: RangeSet,
}

/// A range of open numbers with one history.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Hole {
    /// The number behind its last one.
    end: i64,
    /// A transaction id drawn after the hole was revealed.
    stamp: Option<u64>,
    /// When it was revealed.
    since: Timestamp,
}

impl Ledger {
    /// A ledger in which exactly `accounted` is accounted for, as a checkpoint says.
    ///
    /// What is missing below its highest number is open again; `now` becomes those holes' birth.
    #[must_use]
    pub fn restore(accounted: &RangeSet, now: Timestamp) -> Self {
        let mut ledger = Self::default();
        for range in accounted.iter() {
            let start = range.start.max(1);
            if range.end <= start {
                continue;
            }
            ledger.observe(start - 1, now);
            ledger.observed = range.end - 1;
        }
        ledger
    }

    /// Accounts for the row with number `seq`; false when it was accounted for before.
    ///
    /// A row reveals that every number below its own has been drawn. O(log holes).
    pub fn insert(&mut self, seq: i64, now: Timestamp) -> bool {
        if !(1..i64::MAX).contains(&seq) {
            // No sequence of ours draws such a number.
            return false;
        }
        if seq > self.observed {
            self.observe(seq - 1, now);
            self.observed = seq;
        } else if !self.close(seq..seq + 1) {
            return false;
        }
        self.unsaved.insert(seq..seq + 1);
        true
    }

    /// Notes that the sequence has drawn every number up to `last`.
    ///
    /// A fresh sequence shows 1 without having drawn it: pass 0 then.
    pub fn observe(&mut self, last: i64, now: Timestamp) {
        let last = last.min(i64::MAX - 1);
        if last <= self.observed {
            return;
        }
        let (start, end) = (self.observed + 1, last + 1);
        self.observed = last;
        self.missing += width(start, end);
        // An unstamped hole just below it has learned nothing yet, so the two are one.
        if let Some(mut below) = self.holes.last_entry()
            && below.get().end == start
            && below.get().stamp.is_none()
        {
            below.get_mut().end = end;
            return;
        }
        self.holes.insert(start, Hole { end, stamp: None, since: now });
    }

    /// Stamps every hole up to number `upto` that has no stamp yet.
    ///
    /// `upto` must have been known as drawn before `xid` was asked for: the lower of
    /// [`Ledger::observed`] at that time and what the stamp's own transaction saw drawn. A number
    /// drawn after that may belong to a transaction with a higher id than the stamp. And `xid` must
    /// be one that a crash of the server cannot take back any more.
    pub fn stamp(&mut self, xid: u64, upto: i64) {
        let mut cut = None;
        for (start, hole) in self.holes.range_mut(..=upto) {
            if hole.stamp.is_some() {
                continue;
            }
            if hole.end > upto + 1 {
                cut = Some((upto + 1, Hole { ..*hole }));
                hole.end = upto + 1;
            }
            hole.stamp = Some(xid);
            debug_assert!(*start < hole.end, "a hole is never empty");
        }
        self.holes.extend(cut);
    }

    /// Whether a number up to `upto` waits for a stamp.
    #[must_use]
    pub fn needs_stamp(&self, upto: i64) -> bool {
        // Recent holes stand at the end, and those are the ones without a stamp.
        self.holes.range(..=upto).rev().any(|(_, hole)| hole.stamp.is_none())
    }

    /// Closes what a snapshot proves empty, and returns how many numbers that were.
    ///
    /// `read` are the ranges whose every visible row was read in that snapshot and inserted here;
    /// `snapshot_xmin` is the same snapshot's `pg_snapshot_xmin`.
    pub fn prove(&mut self, snapshot_xmin: u64, read: &RangeSet) -> u64 {
        let mut empty = Vec::new();
        for range in read.iter() {
            let before = self.holes.range(..range.start).next_back();
            let inside = self.holes.range(range.clone());
            for (start, hole) in before.into_iter().chain(inside) {
                let part = (*start).max(range.start)..hole.end.min(range.end);
                if !part.is_empty() && hole.stamp.is_some_and(|stamp| stamp < snapshot_xmin) {
                    empty.push(part);
                }
            }
        }
        let mut closed = 0;
        for range in empty {
            closed += width(range.start, range.end);
            self.close(range.clone());
            self.unsaved.insert(range.clone());
            self.unsaved_empty.insert(range);
        }
        closed
    }

    /// Takes a range that lies within one hole out of it; what remains keeps stamp and age.
    fn close(&mut self, range: Range<i64>) -> bool {
        let Some((&start, &hole)) = self.holes.range(..=range.start).next_back() else {
            return false;
        };
        if hole.end < range.end {
            return false;
        }
        self.missing -= width(range.start, range.end);
        if start == range.start {
            self.holes.remove(&start);
        } else if let Some(left) = self.holes.get_mut(&start) {
            left.end = range.start;
        }
        if range.end < hole.end {
            self.holes.insert(range.end, hole);
        }
        true
    }

    /// Every number up to this is accounted for.
    #[must_use]
    pub fn low_water(&self) -> i64 {
        self.holes.first_key_value().map_or(self.observed, |(start, _)| start - 1)
    }

    /// The highest number known to be drawn.
    #[must_use]
    pub const fn observed(&self) -> i64 {
        self.observed
    }

    /// The open numbers, as ranges in ascending order.
    pub fn missing(&self) -> impl Iterator<Item = Range<i64>> {
        let mut holes = self.holes.iter().map(|(start, hole)| *start..hole.end).peekable();
        std::iter::from_fn(move || {
            let mut range = holes.next()?;
            // Neighbours differ only in their stamps, which do not matter to a reader.
            while let Some(next) = holes.next_if(|next| next.start == range.end) {
                range.end = next.end;
            }
            Some(range)
        })
    }

    /// How many numbers are open.
    #[must_use]
    pub const fn missing_count(&self) -> u64 {
        self.missing
    }

    /// How many holes there are; neighbours with different stamps count as two.
    #[must_use]
    pub fn hole_count(&self) -> usize {
        self.holes.len()
    }

    /// When the oldest hole was revealed; none when there is no hole.
    ///
    /// Holes are revealed in ascending order, so the first is the oldest.
    #[must_use]
    pub fn oldest_hole(&self) -> Option<Timestamp> {
        self.holes.first_key_value().map(|(_, hole)| hole.since)
    }

    /// Everything that is accounted for.
    #[must_use]
    pub fn accounted(&self) -> RangeSet {
        let mut set = RangeSet::default();
        if self.observed > 0 {
            set.insert(1..self.observed + 1);
        }
        self.missing().for_each(|range| set.remove(range));
        set
    }
}
