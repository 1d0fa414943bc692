//! The ledger's single steps, and what holds for any order of the same rows.

use proptest::prelude::*;

use super::*;
use crate::model::Span;

const NOW: Timestamp = Timestamp::from_secs(1_000);

fn set(text: &str) -> RangeSet {
    text.parse().expect("ranges")
}

fn missing(ledger: &Ledger) -> String {
    ledger.missing().collect::<RangeSet>().to_string()
}

#[test]
fn a_hole_closes_only_by_proof() {
    let mut ledger = Ledger::default();
    for seq in [1, 2, 5, 9] {
        assert!(ledger.insert(seq, NOW));
    }
    assert!(!ledger.insert(5, NOW) && !ledger.insert(0, NOW) && !ledger.insert(-3, NOW));
    assert_eq!((ledger.low_water(), missing(&ledger).as_str()), (2, "{[3,5),[6,9)}"));

    // Without a stamp nothing is proven, whatever the snapshot.
    assert_eq!(ledger.prove(u64::MAX, &set("{[1,100)}")), 0);
    // Numbers above 6 became known only after the id was asked for.
    ledger.stamp(50, 6);
    assert!(ledger.needs_stamp(7) && !ledger.needs_stamp(6));
    // A snapshot in which transaction 50 may still run proves nothing.
    assert_eq!(ledger.prove(50, &set("{[1,100)}")), 0);
    // Only what was read is proven.
    assert_eq!(ledger.prove(51, &set("{[1,4)}")), 1);
    assert_eq!((ledger.low_water(), missing(&ledger).as_str()), (3, "{[4,5),[6,9)}"));
    assert_eq!(ledger.prove(51, &set("{[1,100)}")), 2);
    assert_eq!((ledger.low_water(), missing(&ledger).as_str()), (6, "{[7,9)}"));
    // A row that comes after all is counted; the rest of its hole keeps the stamp.
    ledger.stamp(60, 9);
    assert!(ledger.insert(8, NOW));
    assert_eq!(ledger.prove(61, &set("{[1,100)}")), 1);
    assert_eq!((ledger.low_water(), ledger.missing_count(), ledger.hole_count()), (9, 0, 0));

    let batch = ledger.unsaved(100, i64::MAX);
    assert_eq!((batch.ranges.to_string().as_str(), batch.rows), ("{[1,10)}", 5));
    let batch = ledger.unsaved(100, 4);
    assert_eq!((batch.ranges.to_string().as_str(), batch.rows), ("{[1,5)}", 2));
    let batch = ledger.unsaved(3, i64::MAX);
    assert_eq!((batch.ranges.to_string().as_str(), batch.rows), ("{[1,8)}", 3));
    ledger.saved(&batch.ranges);
    let batch = ledger.unsaved(3, i64::MAX);
    assert_eq!((batch.ranges.to_string().as_str(), batch.rows), ("{[8,10)}", 2));
    ledger.saved(&set("{[1,10)}"));
    assert_eq!((ledger.unsaved(3, i64::MAX), ledger.unsaved_count()), (Batch::default(), 0));
}

#[test]
fn holes_have_an_age_and_neighbours_merge_while_unstamped() {
    let mut ledger = Ledger::default();
    let later = NOW + Span::from_secs(3);
    ledger.observe(0, NOW);
    assert_eq!((ledger.observed(), ledger.oldest_hole()), (0, None));
    ledger.observe(3, NOW);
    ledger.observe(5, later);
    assert_eq!((ledger.hole_count(), missing(&ledger).as_str()), (1, "{[1,6)}"));
    assert_eq!(ledger.oldest_hole(), Some(NOW));
    ledger.stamp(7, 5);
    ledger.observe(8, later);
    assert_eq!((ledger.hole_count(), missing(&ledger).as_str()), (2, "{[1,9)}"));
    for seq in 1..=5 {
        assert!(ledger.insert(seq, later));
    }
    assert_eq!(ledger.oldest_hole(), Some(later));
    assert_eq!(ledger.missing_count(), 3);
    ledger.observe(i64::MAX, later);
    assert_eq!(ledger.observed(), i64::MAX - 1);
    assert!(ledger.insert(i64::MAX - 1, later) && !ledger.insert(i64::MAX, later));
}

#[test]
fn a_checkpoint_is_restored_with_its_holes() {
    for (accounted, low_water, observed, open) in [
        ("{}", 0, 0, "{}"),
        ("{[1,10)}", 9, 9, "{}"),
        ("{[1,4),[6,10)}", 3, 9, "{[4,6)}"),
        ("{[3,5)}", 0, 4, "{[1,3)}"),
        ("{[-5,2)}", 1, 1, "{}"),
    ] {
        let ledger = Ledger::restore(&set(accounted), NOW);
        assert_eq!(
            (ledger.low_water(), ledger.observed(), missing(&ledger).as_str()),
            (low_water, observed, open),
            "{accounted}"
        );
        assert_eq!(ledger.unsaved_count(), 0);
    }
}

#[test]
fn a_crash_takes_back_what_nobody_committed() {
    // Rows 1 to 3 and 6 came, 9 was drawn; what is left after the sequence went back to some number.
    for (last, observed, open, count) in [
        (9, 9, "{[4,6),[7,10)}", 5),
        (20, 9, "{[4,6),[7,10)}", 5),
        (7, 7, "{[4,6),[7,8)}", 3),
        (6, 6, "{[4,6)}", 2),
        // A row that was seen stays, whatever the sequence says.
        (2, 6, "{[4,6)}", 2),
    ] {
        let mut ledger = Ledger::default();
        [1, 2, 3, 6].iter().for_each(|seq| assert!(ledger.insert(*seq, NOW)));
        ledger.stamp(7, 6);
        ledger.observe(9, NOW);
        assert_eq!(ledger.highest_accounted(), 6);
        ledger.retract(last);
        assert_eq!((ledger.observed(), missing(&ledger).as_str()), (observed, open), "{last}");
        assert_eq!((ledger.missing_count(), ledger.highest_accounted()), (count, 6), "{last}");
    }
    let mut ledger = Ledger::restore(&set("{[1,4)}"), NOW);
    assert_eq!((ledger.highest_accounted(), ledger.saved_through()), (3, 3));
    ledger.observe(6, NOW);
    ledger.stamp(7, 6);
    ledger.forget_stamps();
    assert_eq!(ledger.prove(9, &set("{[1,9)}")), 0);
    ledger.insert(6, NOW);
    ledger.stamp(10, 6);
    assert_eq!((ledger.prove(11, &set("{[1,9)}")), ledger.saved_through()), (2, 3));
    ledger.saved(&set("{[4,6)}"));
    assert_eq!(ledger.saved_through(), 5);
}

#[test]
fn what_is_withheld_is_saved_only_when_it_is_released() {
    let mut ledger = Ledger::default();
    (1..=5).for_each(|seq| assert!(ledger.insert(seq, NOW)));
    ledger.withhold(&set("{[2,4)}"));
    assert_eq!((ledger.unsaved_count(), ledger.withheld_count()), (3, 2));
    let batch = ledger.unsaved(100, i64::MAX);
    assert_eq!((batch.ranges.to_string().as_str(), batch.rows), ("{[1,2),[4,6)}", 3));
    ledger.saved(&batch.ranges);
    assert_eq!((ledger.unsaved_count(), ledger.saved_through(), ledger.low_water()), (0, 1, 5));
    // Somebody else saved one of them meanwhile.
    ledger.saved(&set("{[2,3)}"));
    ledger.release(&set("{[2,4)}"));
    assert_eq!((ledger.withheld_count(), ledger.saved_through()), (0, 2));
    assert_eq!(ledger.unsaved(100, i64::MAX).ranges.to_string(), "{[3,4)}");
}

proptest! {
    /// Any order, repetition and splitting of the same rows ends in the same ledger.
    #[test]
    fn order_and_repetition_do_not_matter(
        rows in prop::collection::btree_set(1_i64..200, 0..80),
        shuffled in any::<prop::sample::Index>(),
        seed in prop::collection::vec(any::<prop::sample::Index>(), 0..200),
        restart_after in 0_usize..200,
    ) {
        let rows: Vec<i64> = rows.into_iter().collect();
        let mut straight = Ledger::default();
        rows.iter().for_each(|seq| assert!(straight.insert(*seq, NOW)));

        // Random picks with repetition first, then all of them from a random start.
        let mut order: Vec<i64> = Vec::new();
        if !rows.is_empty() {
            order.extend(seed.iter().map(|index| *index.get(&rows)));
            let start = shuffled.index(rows.len());
            order.extend(rows.iter().cycle().skip(start).take(rows.len()));
        }
        let (mut ledger, mut counted, mut saved) = (Ledger::default(), 0, RangeSet::default());
        for (step, seq) in order.iter().enumerate() {
            if step == restart_after {
                // Saved in small portions, lost, and restored.
                while ledger.unsaved_count() > 0 {
                    let batch = ledger.unsaved(7, i64::MAX);
                    prop_assert!(batch.rows <= 7 && !batch.ranges.is_empty());
                    prop_assert_eq!(batch.rows, batch.ranges.len(), "nothing was proven empty");
                    prop_assert!(batch.ranges.iter().flatten().all(|n| !saved.contains(n)));
                    batch.ranges.iter().for_each(|range| saved.insert(range));
                    ledger.saved(&batch.ranges);
                }
                prop_assert_eq!(&saved, &ledger.accounted());
                ledger = Ledger::restore(&saved, NOW);
            }
            counted += usize::from(ledger.insert(*seq, NOW));
        }
        prop_assert_eq!(counted, rows.len());
        prop_assert_eq!(ledger.low_water(), straight.low_water());
        prop_assert_eq!(ledger.accounted(), straight.accounted());
        prop_assert_eq!(missing(&ledger), missing(&straight));
        prop_assert_eq!(ledger.missing_count(), ledger.missing().flatten().count() as u64);
    }
}
