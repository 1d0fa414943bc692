//! Where decisions may be parted that are written in several transactions. Pure.

use crate::model::{Transition, TransitionKind};

/// So many decisions in one transaction: some milliseconds of a healthy database's time, and
/// a thousandth of the time limit for each.
pub(super) const MOST: usize = 250;

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
}
