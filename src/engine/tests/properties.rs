//! What holds for any events: well-formed life cycles, windows that equal brute force, and the same
//! incidents whether the engine ran through, was restarted, or saw rows of one instant in another order.

use std::collections::{BTreeMap, HashMap, HashSet};

use proptest::prelude::*;
use uuid::Uuid;

use super::{
    lively::{counting_rules, lively_rules},
    support::{BASE, any_event, id},
};
use crate::{
    engine::{
        Engine, GroupStatus, Input, KnownGroup, RunCount,
        batch::{Earlier, Table, advance, evaluate, open_after, past_changes, sort},
    },
    model::{
        Detail, ErrorEvent, GroupKey, IncidentState, Level, Metric, Rule, Span, Timestamp,
        Transition, TransitionKind,
    },
};

/// Up to ten minutes of events, some of them late, several at one instant, bursts and pauses.
fn history() -> impl Strategy<Value = Vec<ErrorEvent>> {
    let step =
        prop_oneof![4 => Just(0_i64), 6 => 0_i64..3_000, 2 => 0_i64..40_000, 1 => Just(130_000)];
    let age = prop_oneof![6 => Just(0_i64), 2 => 0_i64..5_000, 1 => 0_i64..400_000];
    prop::collection::vec((step, age, any_event()), 1..70).prop_map(|steps| {
        let mut now = BASE + Span::from_millis(123);
        (1_i64..)
            .zip(steps)
            .map(|(seq, (step, age, event))| {
                now = now + Span::from_millis(step);
                let timestamp = now - Span::from_millis(age);
                let error_id = id(u128::try_from(seq).unwrap_or_default());
                ErrorEvent { seq, error_id, timestamp, received_at: now, ..event }
            })
            .collect()
    })
}

fn runs() -> impl Strategy<Value = Vec<RunCount>> {
    prop::collection::vec((0_i64..20_000, any_event(), 1_u32..9), 0..40).prop_map(|steps| {
        let mut now = BASE;
        let mut run = |(step, event, count): (i64, ErrorEvent, u32)| {
            now = now + Span::from_millis(step);
            let ErrorEvent { project_id, workflow_id, .. } = event;
            RunCount { project_id, workflow_id, started_at: now, count }
        };
        steps.into_iter().map(&mut run).collect()
    })
}

fn end(events: &[ErrorEvent]) -> Timestamp {
    events.last().map_or(BASE, |event| event.received_at) + Span::from_secs(700)
}

/// What must be equal whatever way the engine came to its decision. Top groups and samples may differ:
/// after a restart they cover what was replayed.
type Core = (
    Timestamp,
    Uuid,
    String,
    TransitionKind,
    Uuid,
    Level,
    Timestamp,
    u64,
    u64,
    u32,
    u64,
    Option<u64>,
);

fn core(told: &Transition) -> Core {
    (
        told.at,
        told.rule_id,
        told.group_key.to_string(),
        told.kind,
        told.incident_id,
        told.level,
        told.started_at,
        told.value.to_bits(),
        told.threshold.to_bits(),
        told.reminder,
        told.evidence.errors,
        told.evidence.runs,
    )
}

/// Whether the value reaches its threshold, or fires because there is none.
fn reaches(told: &Transition) -> bool {
    told.value >= told.threshold || matches!(told.evidence.detail, Some(Detail::NoData { .. }))
}

/// What the table of error groups says of the rows before `since`.
fn known_before(events: &[&ErrorEvent], since: Timestamp) -> Vec<KnownGroup> {
    let mut known: BTreeMap<(Option<Uuid>, Uuid), (Timestamp, Timestamp)> = BTreeMap::new();
    for event in events {
        let key = (event.project_id, event.fingerprint);
        let (first, last) = known.entry(key).or_insert((event.timestamp, event.received_at));
        (*first, *last) = (event.timestamp.min(*first), event.received_at.max(*last));
    }
    let old = known.into_iter().filter(|(_, (first, _))| *first < since);
    old.map(|((project_id, fingerprint), (_, last_seen))| KnownGroup {
        project_id,
        fingerprint,
        last_seen,
        status: GroupStatus::Open,
    })
    .collect()
}

/// One thing that happens: a row or some runs.
#[derive(Clone, Copy)]
enum Happening<'a> {
    Event(&'a ErrorEvent),
    Runs(&'a RunCount),
}

impl Happening<'_> {
    fn at(&self) -> Timestamp {
        match self {
            Self::Event(event) => event.received_at,
            Self::Runs(run) => run.started_at,
        }
    }
}

/// Events and runs in the order in which [`evaluate`] feeds them.
fn merged<'a>(events: &'a [ErrorEvent], runs: &'a [RunCount]) -> Vec<Happening<'a>> {
    let mut all: Vec<_> = runs.iter().map(Happening::Runs).collect();
    all.extend(events.iter().map(Happening::Event));
    all.sort_by_key(Happening::at);
    all
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// Fires once, resolves after firing, says nothing after the end, one open incident per key, times
    /// in order, values on the right side of their thresholds.
    #[test]
    fn life_cycles_are_well_formed(rules in lively_rules(), events in history(), runs in runs()) {
        let told = evaluate(rules, &events, &runs, end(&events));
        let mut lives: HashMap<Uuid, (IncidentState, Level, u32)> = HashMap::new();
        let mut open: BTreeMap<(Uuid, GroupKey), Uuid> = BTreeMap::new();
        let mut flapping = HashSet::new();
        prop_assert!(told.is_sorted_by_key(|told| told.at));
        for told in &told {
            let key = (told.rule_id, told.group_key.clone());
            let before = lives.get(&told.incident_id).copied();
            let Transition { kind, level, .. } = *told;
            prop_assert!(before.is_none_or(|(state, ..)| state != IncidentState::Resolved), "{told:?}");
            prop_assert_eq!(
                crate::engine::incident_id(told.rule_id, &told.group_key, told.started_at),
                told.incident_id
            );
            match (kind, before) {
                (TransitionKind::Pending, None) | (TransitionKind::Firing, None) => {
                    prop_assert!(open.insert(key, told.incident_id).is_none(), "two at once: {told:?}");
                    prop_assert!(reaches(told) && told.at == told.started_at, "{told:?}");
                }
                (TransitionKind::Firing, Some((IncidentState::Pending, ..))) => {
                    prop_assert!(reaches(told), "{told:?}");
                }
                (TransitionKind::Escalated, Some((IncidentState::Firing, Level::Warning, _))) => {
                    prop_assert!(level == Level::Critical && told.value >= told.threshold);
                }
                (TransitionKind::Deescalated, Some((IncidentState::Firing, was, _))) => {
                    prop_assert!(was != level);
                }
                (TransitionKind::Reminder, Some((IncidentState::Firing, was, count))) => {
                    prop_assert!(was == level && told.reminder == count + 1);
                }
                (TransitionKind::Flapping, Some((IncidentState::Firing, ..))) => {
                    prop_assert!(flapping.insert(told.incident_id), "said twice: {told:?}");
                }
                (TransitionKind::Resolved, Some((IncidentState::Firing, ..)))
                | (TransitionKind::Dropped, Some((IncidentState::Pending, ..))) => {
                    prop_assert_eq!(open.remove(&key), Some(told.incident_id));
                    prop_assert!(told.value < told.threshold || told.evidence.errors == 0
                        || told.evidence.runs.is_some() || told.evidence.detail.is_some(), "{told:?}");
                }
                _ => prop_assert!(false, "{kind} after {before:?}"),
            }
            prop_assert!(told.peak >= told.value || told.evidence.runs.is_some());
            let reminders = before.map_or(0, |(.., n)| n).max(told.reminder);
            lives.insert(told.incident_id, (told.state, told.level, reminders));
        }
        let stored: Vec<Uuid> = open_after(&told).into_iter().map(|i| i.incident_id).collect();
        let mut expected: Vec<Uuid> = open.into_values().collect();
        expected.sort_unstable();
        prop_assert_eq!(stored, expected);
    }

    /// After every event the sum over all windows of a rule is what counting the rows gives.
    #[test]
    fn windows_equal_the_table(rules in counting_rules(), events in history()) {
        let mut engine = Engine::new();
        let mut out = Vec::new();
        engine.step(BASE, Input::Rules(rules.clone()), &mut out);
        for (n, event) in events.iter().enumerate() {
            engine.step(event.received_at, Input::Event(event), &mut out);
            for rule in &rules {
                let width = rule.window.micros() / 60;
                let bucket = |at: Timestamp| at.micros().div_euclid(width);
                let oldest = bucket(event.received_at) - 60;
                let rows = events[..=n].iter().filter(|row| rule.matches(row) && bucket(row.timestamp) >= oldest);
                prop_assert_eq!(engine.total_of(rule.id), rows.count() as u64);
            }
        }
        let stats = engine.stats();
        engine.step(end(&events) + Span::from_secs(9_999), Input::Tick, &mut out);
        let after = engine.stats();
        prop_assert!(stats.timers <= 4 * stats.groups + 8, "{stats:?}");
        prop_assert_eq!((after.groups, after.timers, after.incidents), (0, 0, 0));
    }

    /// A restart at any point, with what the transitions left in the database and the rows of the
    /// windows replayed, makes no difference.
    #[test]
    fn a_restart_makes_no_difference(
        rules in lively_rules(),
        events in history(),
        runs in runs(),
        cut in any::<prop::sample::Index>(),
        whole in any::<bool>(),
    ) {
        let until = end(&events);
        let flaps: Vec<_> = rules.iter().map(|rule| rule.flap).collect();
        let through = evaluate(rules.clone(), &events, &runs, until);
        let all = merged(&events, &runs);
        let cut = cut.index(all.len() + 1);
        let (past, future) = all.split_at(cut);
        let split = past.last().map_or(BASE, Happening::at);
        let until = until.max(split);

        let table = Table { events: &events, runs: &runs, ..Table::default() };
        let start = all.first().map_or(until, Happening::at);
        let mut earlier = Earlier::of(&rules, table, start);
        let feed = |engine: &mut Engine, earlier: &mut Earlier, what: &Happening<'_>,
                    out: &mut Vec<Transition>| {
            advance(engine, earlier, what.at(), out);
            match what {
                Happening::Event(event) => engine.step(what.at(), Input::Event(event), out),
                Happening::Runs(run) => engine.step(what.at(), Input::Runs(&[**run]), out),
            }
        };
        let mut told = Vec::new();
        let mut first = Engine::new();
        // From where the evaluation begins, for that is when silence begins to count.
        first.step(start, Input::Rules(rules.clone()), &mut told);
        past.iter().for_each(|what| feed(&mut first, &mut earlier, what, &mut told));

        let mut second = Engine::new();
        second.step(start, Input::Rules(rules.clone()), &mut told);
        let back = second.rules_needing_history().iter().map(|(_, span)| *span).max();
        let since = if whole { BASE - Span::from_secs(9_999) } else { split - back.unwrap_or_default() };
        let before = told.len();
        let rows: Vec<&ErrorEvent> = past.iter().filter_map(|what| match what {
            Happening::Event(event) => Some(*event),
            Happening::Runs(_) => None,
        }).collect();
        second.step(start, Input::Groups(&known_before(&rows, since)), &mut told);
        second.step(start, Input::Expect(&open_after(&told)), &mut told);
        let mut earlier = Earlier::of(&rules, table, start);
        for what in past {
            earlier.give(&mut second, what.at(), true, &mut told);
            match what {
                Happening::Event(event) if event.timestamp >= since => {
                    second.step(what.at(), Input::Replay(event), &mut told);
                }
                Happening::Runs(run) if run.started_at >= since => {
                    second.step(what.at(), Input::ReplayRuns(&[**run]), &mut told);
                }
                _ => {}
            }
        }
        second.step(split, Input::HistoryComplete { rule_id: None }, &mut told);
        prop_assert_eq!(told.len(), before, "a replay tells nothing");
        second.step(split, Input::PastChanges(past_changes(&told)), &mut told);
        second.step(split, Input::Restore(open_after(&told)), &mut told);
        future.iter().for_each(|what| feed(&mut second, &mut earlier, what, &mut told));
        advance(&mut second, &mut earlier, until, &mut told);
        sort(&mut told);

        let until_end: Vec<_> = through.iter().map(core).collect();
        let restarted: Vec<_> = told.iter().map(core).filter(|told| told.0 <= end(&events)).collect();
        prop_assert_eq!(restarted, until_end);
        // A standby does not hold incidents open that flap, so it may miss a peak between two messages.
        if whole && flaps.iter().all(Option::is_none) {
            let peaks = |told: &[Transition]| {
                told.iter().map(|told| told.peak.to_bits()).collect::<Vec<_>>()
            };
            let told: Vec<_> = told.into_iter().filter(|told| told.at <= end(&events)).collect();
            prop_assert_eq!(peaks(&told), peaks(&through));
        }
    }

    /// Rows of one instant may come in any order.
    #[test]
    fn order_within_an_instant_makes_no_difference(
        rules in lively_rules(),
        events in history(),
        runs in runs(),
        seed in prop::collection::vec(any::<u32>(), 70),
    ) {
        // A late row moves only the longer window of a burn rate, and the rate at which that fires is told.
        let burns = |rule: &Rule| matches!(rule.metric, Metric::BurnRate(_));
        let rules: Vec<Rule> = rules.into_iter().filter(|rule| !burns(rule)).collect();
        let mut shuffled: Vec<_> = events.iter().cloned().zip(seed).collect();
        shuffled.sort_by_key(|(event, random)| (event.received_at, *random));
        let shuffled: Vec<_> = shuffled.into_iter().map(|(event, _)| event).collect();
        let one: Vec<_> = evaluate(rules.clone(), &events, &runs, end(&events)).iter().map(core).collect();
        let two: Vec<_> = evaluate(rules, &shuffled, &runs, end(&events)).iter().map(core).collect();
        prop_assert_eq!(one, two);
    }
}
