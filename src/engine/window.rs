//! A rolling count: 60 buckets plus the current one.
//!
//! A bucket is 1/60 of the window and buckets lie on a fixed grid (`floor(timestamp / width)`), so a
//! value covers at least the window and at most 1/60 more, and everybody who counts the same events
//! gets the same value at the same instant, whenever they began.

use crate::model::{Span, Timestamp};

/// Buckets of a whole window.
pub(super) const BUCKETS: i64 = 60;
/// The whole window and the current bucket.
const SLOTS: usize = 61;

/// The counts of one window, positioned at some instant.
///
/// What counting an event of the present touches stands at the end, next to what the owner keeps hot,
/// and the buckets of the past stand apart: with many thousand windows, fetching lines of memory is what
/// counting costs.
#[derive(Clone, Debug)]
#[repr(C)]
pub(super) struct Ring {
    /// The complete buckets; the place of the current one is 0, and a few places are not used.
    past: [u32; 64],
    /// The place of the current bucket; the one after it is the oldest.
    slot: u32,
    /// The current bucket.
    current: u32,
    /// When the current bucket began, in microseconds.
    start: i64,
    width: i64,
    total: u64,
}

/// The width of one bucket of a window, in microseconds.
pub(super) fn width_of(window: Span) -> i64 {
    (window.micros() / BUCKETS).max(1)
}

impl Ring {
    /// An empty ring with buckets of `width` microseconds, positioned at `at`.
    pub fn new(width: i64, at: Timestamp) -> Self {
        let width = width.max(1);
        let start = grid(at, width);
        Self { past: [0; 64], slot: 0, current: 0, start, width, total: 0 }
    }

    /// Moves on to `at`, forgetting the buckets that have left the window; never moves back.
    #[inline]
    pub fn advance(&mut self, at: Timestamp) {
        if at.micros().saturating_sub(self.start) >= self.width {
            self.move_to(grid(at, self.width));
        }
    }

    #[cold]
    fn move_to(&mut self, start: i64) {
        let steps = start.saturating_sub(self.start) / self.width;
        if let Some(bucket) = self.past.get_mut(self.slot as usize) {
            *bucket = std::mem::take(&mut self.current);
        }
        for _ in 0..steps.min(BUCKETS + 1) {
            self.slot = if self.slot as usize + 1 == SLOTS { 0 } else { self.slot + 1 };
            if let Some(bucket) = self.past.get_mut(self.slot as usize) {
                self.total -= u64::from(std::mem::take(bucket));
            }
        }
        self.start = start;
    }

    /// Adds `count` that happened at `timestamp`; a timestamp ahead of the ring counts as now.
    ///
    /// Returns whether it lay inside the window: what is older counts nowhere.
    #[inline]
    pub fn add(&mut self, timestamp: Timestamp, count: u32) -> bool {
        let behind = self.start.saturating_sub(timestamp.micros());
        let bucket = if behind <= 0 {
            &mut self.current
        } else {
            // A timestamp exactly on a boundary belongs to the bucket that it begins.
            let age = (behind - 1) / self.width + 1;
            if age > BUCKETS {
                return false;
            }
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "1 to 60")]
            let age = age as u32;
            let slot =
                if age <= self.slot { self.slot - age } else { self.slot + SLOTS as u32 - age };
            let Some(bucket) = self.past.get_mut(slot as usize) else { return false };
            bucket
        };
        let added = bucket.saturating_add(count) - *bucket;
        *bucket += added;
        self.total += u64::from(added);
        true
    }

    /// What the window holds at the ring's position.
    #[inline]
    pub fn total(&self) -> u64 {
        self.total
    }

    /// What the window would hold at `at` if nothing else came, without moving.
    pub fn total_at(&self, at: Timestamp) -> u64 {
        let ahead = at.micros().saturating_sub(self.start) / self.width;
        // The k-th oldest slot holds the bucket of age 60 - k.
        let gone = self.oldest_first().take(usize::try_from(ahead).unwrap_or(0));
        self.total - gone.map(|(_, count)| u64::from(count)).sum::<u64>()
    }

    /// When the next bucket begins: the next instant at which the value may fall.
    pub fn boundary(&self) -> Timestamp {
        Timestamp::from_micros(self.start.saturating_add(self.width))
    }

    /// Whether a bucket begins at `at`.
    pub fn is_boundary(&self, at: Timestamp) -> bool {
        at.micros().rem_euclid(self.width) == 0
    }

    /// When the last of what is in the window now will have left it; none when it is empty.
    pub fn drained_at(&self) -> Option<Timestamp> {
        let newest = self.oldest_first().filter(|(_, count)| *count > 0).last()?;
        let life = self.width.saturating_mul(BUCKETS + 1);
        Some(Timestamp::from_micros(newest.0.saturating_add(life)))
    }

    /// When the oldest bucket that holds anything began; none when the window is empty.
    pub fn oldest(&self) -> Option<Timestamp> {
        let oldest = self.oldest_first().find(|(_, count)| *count > 0)?;
        Some(Timestamp::from_micros(oldest.0))
    }

    /// The window's course in thirty steps of two buckets, the oldest first; the last one holds the
    /// current bucket.
    pub fn trend(&self) -> Vec<u32> {
        let counts: Vec<u32> = self.oldest_first().skip(1).map(|(_, count)| count).collect();
        counts
            .chunks(2)
            .map(|pair| pair.iter().fold(0_u32, |sum, n| sum.saturating_add(*n)))
            .collect()
    }

    /// The beginning and the count of every bucket, the oldest first.
    fn oldest_first(&self) -> impl Iterator<Item = (i64, u32)> {
        let (newer, older) = self.past.split_at((self.slot as usize).min(SLOTS));
        let older = older.iter().take(SLOTS - newer.len()).skip(1);
        let counts = older.chain(newer).copied().chain([self.current]);
        (-BUCKETS..=0).map(|age| self.start.saturating_add(age * self.width)).zip(counts)
    }
}

/// When something that happened at `at` will have left a window with buckets of `width`.
pub(super) fn past_life(at: Timestamp, width: i64) -> Timestamp {
    Timestamp::from_micros(grid(at, width).saturating_add(width.saturating_mul(BUCKETS + 1)))
}

/// Whether a row of `timestamp` counts in a window that stands at `now`.
pub(super) fn covers(width: i64, now: Timestamp, timestamp: Timestamp) -> bool {
    let behind = grid(now, width).saturating_sub(timestamp.micros());
    behind <= width.saturating_mul(BUCKETS)
}

fn grid(at: Timestamp, width: i64) -> i64 {
    at.micros().max(i64::MIN / 2)
        - at.max(Timestamp::from_micros(i64::MIN / 2)).micros().rem_euclid(width)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(micros: i64) -> Timestamp {
        Timestamp::from_micros(micros)
    }

    #[test]
    fn covers_the_window_and_at_most_a_sixtieth_more() {
        let mut ring = Ring::new(1_000_000, at(0));
        assert!(ring.add(at(0), 1));
        ring.advance(at(60_999_999));
        assert_eq!(ring.total(), 1, "60.999999 s later it is in the oldest bucket");
        assert_eq!(ring.oldest(), Some(at(0)));
        assert_eq!(ring.drained_at(), Some(at(61_000_000)));
        assert_eq!(ring.total_at(at(61_000_000)), 0);
        ring.advance(at(61_000_000));
        assert_eq!((ring.total(), ring.drained_at(), ring.oldest()), (0, None, None));
        assert!(!ring.add(at(999_999), 1), "older than the oldest bucket");
        assert!(ring.add(at(1_000_000), 1), "the first instant of the oldest bucket");
        assert!(ring.add(at(99_000_000), 1), "the future counts as now");
        assert_eq!(ring.total(), 2);
        ring.advance(at(5));
        assert_eq!(ring.total(), 2, "a ring never moves back");
    }

    #[test]
    fn the_trend_is_the_window_in_thirty_steps() {
        let mut ring = Ring::new(1_000_000, at(0));
        for second in 0..=60 {
            ring.advance(at(second * 1_000_000));
            ring.add(at(second * 1_000_000), if second == 60 { 7 } else { 1 });
        }
        let trend = ring.trend();
        assert_eq!((trend.len(), trend[..29].iter().all(|n| *n == 2), trend[29]), (30, true, 8));
        ring.add(at(60_000_000), u32::MAX);
        assert_eq!(ring.trend()[29], u32::MAX);
    }

    #[test]
    fn a_full_bucket_saturates_without_losing_the_sum() {
        let mut ring = Ring::new(10, at(0));
        ring.add(at(0), u32::MAX);
        ring.add(at(0), 7);
        assert_eq!(ring.total(), u64::from(u32::MAX));
        ring.advance(at(610));
        assert_eq!(ring.total(), 0);
    }

    proptest! {
        /// The ring's total is what a list of all events gives, at every step.
        #[test]
        fn equals_brute_force(
            width in 1_i64..50,
            origin in -10_000_i64..10_000,
            steps in prop::collection::vec((0_i64..400, 0_i64..4_000, 0_u32..4), 1..80),
        ) {
            let mut now = origin;
            let mut ring = Ring::new(width, at(now));
            let mut counted: Vec<(i64, u64)> = Vec::new();
            let sum = |counted: &[(i64, u64)], now: i64| -> u64 {
                let oldest = now.div_euclid(width) - BUCKETS;
                counted.iter().filter(|(t, _)| t.div_euclid(width) >= oldest).map(|(_, n)| n).sum()
            };
            for (step, age, count) in steps {
                now += step;
                prop_assert_eq!(ring.total_at(at(now)), sum(&counted, now));
                ring.advance(at(now));
                prop_assert_eq!(ring.total(), sum(&counted, now));
                let inside = (now - age).div_euclid(width) >= now.div_euclid(width) - BUCKETS;
                prop_assert_eq!(covers(width, at(now), at(now - age)), inside);
                prop_assert_eq!(ring.add(at(now - age), count), inside);
                if inside {
                    counted.push((now - age, u64::from(count)));
                }
                prop_assert_eq!(ring.total(), sum(&counted, now));
                if let Some(drained) = ring.drained_at() {
                    prop_assert!(ring.total_at(drained) == 0);
                    prop_assert!(ring.total_at(at(drained.micros() - 1)) > 0);
                }
                prop_assert!(ring.is_boundary(ring.boundary()) && ring.boundary() > at(now));
            }
        }
    }
}
