//! How many decisions are written in one transaction. Pure.
//!
//! A transaction has a limit on its time, so what is written together must have one on its size: a storm
//! of any size is written in portions, and where even a portion takes too long, in smaller ones. A size
//! that never shrank would fail again and again, and the storm's alerts would never be told.

use crate::model::{Transition, TransitionKind};

/// At most so many decisions in one transaction: some milliseconds of a healthy database's time, and
/// a thousandth of the time limit for each.
const MOST: usize = 250;

/// So many successes after a failure until a larger size is tried again: where the next size is too
/// large, its time limit is waited for in vain.
const CAUTION: u32 = 8;

/// The size of the next transactions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Portion {
    size: usize,
    /// Up to here it grows at once …
    ceiling: usize,
    /// … and beyond after so many successes.
    successes: u32,
}

impl Default for Portion {
    fn default() -> Self {
        Self { size: MOST, ceiling: MOST, successes: 0 }
    }
}

impl Portion {
    /// How many of so many.
    pub fn of(self, decisions: usize) -> usize {
        self.size.min(decisions)
    }

    /// A portion was stored.
    pub fn stored(&mut self) {
        self.successes += 1;
        if self.successes >= CAUTION {
            (self.ceiling, self.successes) = ((self.ceiling * 2).min(MOST), 0);
        }
        self.size = (self.size * 2).min(self.ceiling);
    }

    /// So many could not be stored in time, or for another reason that may pass.
    pub fn failed(&mut self, decisions: usize) {
        let size = (decisions / 2).max(1);
        *self = Self { size, ceiling: size, successes: 0 };
    }

    /// One of them will never be stored: the next are tried one by one.
    pub const fn refused(&mut self) {
        self.size = 1;
    }
}

/// How many of the first of `transitions`, which are in order of time, are prepared together: about
/// [`MOST`].
///
/// A restart takes everything up to the last written end for decided. So an end is not written before
/// what else was decided at its very instant, unless all of that are ends, which are found open and
/// decided again.
pub(super) fn seam(transitions: &[Transition]) -> usize {
    let Some(next) = transitions.get(MOST) else { return transitions.len() };
    let at = next.at;
    let first = transitions[..MOST].iter().rposition(|one| one.at != at).map_or(0, |i| i + 1);
    let instant: Vec<bool> = transitions[first..]
        .iter()
        .take_while(|one| one.at == at)
        .map(|one| one.kind == TransitionKind::Resolved)
        .collect();
    let first_end = instant.iter().position(|end| *end).map_or(usize::MAX, |i| first + i);
    let ends_only = instant.iter().rposition(|end| !end).map_or(first, |i| first + i + 1);
    if MOST <= first_end || MOST >= ends_only {
        MOST
    } else if first_end > 0 {
        first_end
    } else {
        ends_only
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use uuid::Uuid;

    use super::*;
    use crate::model::{Evidence, IncidentState, Level, Timestamp};

    fn transition(at: i64, end: bool) -> Transition {
        let at = Timestamp::from_secs(at);
        Transition {
            kind: if end { TransitionKind::Resolved } else { TransitionKind::Firing },
            incident_id: Uuid::nil(),
            rule_id: Uuid::nil(),
            group_key: "{}".parse().expect("a key"),
            state: IncidentState::Firing,
            level: Level::Warning,
            started_at: at,
            at,
            value: 1.0,
            threshold: 1.0,
            peak: 1.0,
            reminder: 0,
            evidence: Evidence::default(),
        }
    }

    /// Stretches of one instant each: how many decisions, and whether they are ends.
    fn of(stretches: &[(i64, usize, bool)]) -> Vec<Transition> {
        let one = |(at, count, end): &(i64, usize, bool)| vec![transition(*at, *end); *count];
        stretches.iter().flat_map(one).collect()
    }

    #[test]
    fn an_end_waits_for_what_else_was_decided_at_its_instant() {
        let check = |stretches: &[(i64, usize, bool)], expected: usize| {
            assert_eq!(seam(&of(stretches)), expected, "{stretches:?}");
        };
        check(&[], 0);
        check(&[(1, 10, true)], 10);
        check(&[(1, 1_000, false)], MOST);
        check(&[(1, 1_000, true)], MOST);
        check(&[(1, 200, true), (2, 300, false)], MOST);
        // Everything of the instant before its first end …
        check(&[(1, 200, false), (1, 100, true), (1, 1, false)], 200);
        check(&[(1, 30, false), (2, 170, false), (2, 100, true), (2, 1, false)], 200);
        // … or all of it, where it begins with one.
        check(&[(1, 1, true), (1, 400, false), (1, 9, true)], 401);
        check(&[(1, 100, false), (1, 100, true), (2, 900, false)], MOST);
    }

    proptest! {
        #[test]
        fn portions_are_not_empty_and_part_no_end_from_its_instant(
            stretches in proptest::collection::vec((0_i64..2, 1_usize..200, any::<bool>()), 1..12)
        ) {
            let mut at = 0;
            let sorted: Vec<_> = stretches.into_iter().map(|(step, count, end)| {
                at += step;
                (at, count, end)
            }).collect();
            let all = of(&sorted);
            let mut rest = &all[..];
            while !rest.is_empty() {
                let count = seam(rest);
                prop_assert!(count > 0);
                let (now, later) = rest.split_at(count);
                if let Some(last) = now.last() {
                    let ends = |one: &&Transition| one.kind == TransitionKind::Resolved;
                    let here = |one: &&Transition| one.at == last.at;
                    let ended = now.iter().filter(here).any(|one| ends(&one));
                    prop_assert!(!ended || later.iter().filter(here).all(|one| ends(&one)));
                }
                rest = later;
            }
        }
    }

    #[test]
    fn a_size_shrinks_to_one_and_grows_with_care() {
        let mut portion = Portion::default();
        let mut sizes = vec![portion.of(1_000)];
        for _ in 0..9 {
            portion.failed(portion.of(1_000));
            sizes.push(portion.of(1_000));
        }
        assert_eq!(sizes, [250, 125, 62, 31, 15, 7, 3, 1, 1, 1]);
        let mut successes = Vec::new();
        for _ in 0..8 {
            let size = portion.of(1_000);
            successes.push(
                (0..)
                    .take_while(|_| {
                        portion.stored();
                        portion.of(1_000) == size
                    })
                    .count(),
            );
        }
        assert_eq!(successes, [7; 8], "the next size comes with the eighth success");
        assert_eq!((portion.of(1_000), portion.of(3)), (MOST, 3));
    }

    #[test]
    fn after_one_that_is_refused_it_grows_at_once() {
        let mut portion = Portion::default();
        portion.refused();
        let mut sizes = Vec::new();
        for _ in 0..9 {
            sizes.push(portion.of(1_000));
            portion.stored();
        }
        assert_eq!(sizes, [1, 2, 4, 8, 16, 32, 64, 128, 250]);
    }
}
