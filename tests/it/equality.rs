//! Whatever happens on the way (duplicates, late rows, rolled-back numbers, late commits, ticks, changed
//! rules, saves, crashes, restarts and takeovers, in any order), what is decided in the end is what one
//! batch evaluation decides over the final table.
//!
//! The ledger and the engine are the real ones; around them stands a small world in place of the
//! database and the tasks. It is played again and again with other random numbers until a time budget
//! is used up.
//!
//! | variable | meaning |
//! |---|---|
//! | `EQUALITY_SECONDS` | the budget; 8 by default |
//! | `EQUALITY_SEED` | play this world only |

mod instance;
mod rules;
mod world;

use std::time::Duration;

use meshhook_errors::{
    engine::batch,
    model::{Timestamp, Transition},
};
use rand::{Rng as _, SeedableRng as _, rngs::StdRng};
use tokio::time::Instant;
use uuid::Uuid;

use self::world::World;
use crate::support::db::switch;

/// Actions of one world.
const STEPS: usize = 120;

/// What must be equal; top groups and samples may differ, because after a restart they cover what was
/// replayed.
fn core(told: &Transition) -> impl PartialEq + std::fmt::Debug + use<> {
    (
        (told.at, told.rule_id, told.group_key.to_string(), told.kind, told.incident_id),
        (told.level, told.started_at, told.value.to_bits(), told.threshold.to_bits()),
        (told.reminder, told.evidence.errors),
    )
}

/// Plays the world of `seed` and compares; returns how many rows, restarts and decisions there were.
fn play(seed: u64, changing: bool) -> [usize; 3] {
    let mut world = World::new(StdRng::seed_from_u64(seed), changing);
    for _ in 0..STEPS {
        world.act(changing);
    }
    let until = world.end();
    let mut told = world.told().to_vec();
    let mut expected = if changing {
        world.reference(until)
    } else {
        batch::evaluate(world.rules(), &world.known(), &[], until)
    };
    batch::sort(&mut told);
    batch::sort(&mut expected);
    for (n, (told, expected)) in told.iter().zip(&expected).enumerate() {
        assert_eq!(
            core(told),
            core(expected),
            "decision {n} differs; EQUALITY_SEED={seed} plays this world again\n{}",
            world.history()
        );
    }
    assert_eq!(told.len(), expected.len(), "EQUALITY_SEED={seed}\n{}", world.history());
    [world.known().len(), world.restarts(), told.len()]
}

fn budgeted(name: &str, changing: bool) {
    if let Some(seed) = switch("EQUALITY_SEED").and_then(|seed| seed.parse().ok()) {
        play(seed, changing);
        return;
    }
    let seconds = switch("EQUALITY_SECONDS").and_then(|text| text.parse().ok()).unwrap_or(8);
    let first = Uuid::new_v4().as_u64_pair().0;
    println!("{name}: seeds from {first}");
    let began = Instant::now();
    let mut seeds = StdRng::seed_from_u64(first);
    let (mut worlds, mut sums) = (0_usize, [0; 3]);
    while worlds < 20 || began.elapsed() < Duration::from_secs(seconds) {
        let counts = play(seeds.random(), changing);
        worlds += 1;
        sums.iter_mut().zip(counts).for_each(|(sum, count)| *sum += count);
    }
    let [rows, restarts, decisions] = sums;
    println!(
        "{name}: {worlds} worlds, {rows} rows, {restarts} restarts and takeovers, {decisions} decisions, all equal"
    );
    assert!(restarts > worlds && decisions > worlds * 5, "the worlds are lively");
}

#[test]
fn any_way_to_the_table_decides_what_the_table_decides() {
    budgeted("equality", false);
}

#[test]
fn rules_may_change_on_the_way() {
    budgeted("equality with changing rules", true);
}

/// Second 0 of every world; a boundary of every window.
const BASE: Timestamp = Timestamp::from_secs(1_728_000_000);
