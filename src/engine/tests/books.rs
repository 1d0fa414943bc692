//! Whatever comes in, in whatever order: the engine's books stay in order, and in the end nothing of what
//! was held is left behind.

use std::collections::{HashMap, HashSet};

use proptest::prelude::*;

use super::support::{BASE, any_event, any_rule, id};
use crate::{
    engine::{Engine, Input, Limits, RunCount, batch::open_after as stored},
    model::{ErrorEvent, IncidentState, Metric, Rule, Span, Timestamp, Transition},
};

#[derive(Clone, Debug)]
enum Step {
    Event(ErrorEvent),
    Replay(ErrorEvent),
    ReplayFor(u128, ErrorEvent),
    Runs(ErrorEvent, u32),
    ReplayRuns(ErrorEvent, u32),
    ReplayRunsFor(u128, ErrorEvent, u32),
    HistoryComplete(Option<u128>),
    Tick,
    Rules(Vec<Rule>),
    Restore,
    Acknowledge(bool),
}

fn rules() -> impl Strategy<Value = Vec<Rule>> {
    let rule = (any_rule(), 1_u128..6, 0_u8..4, 1_i64..3, 0_i64..3, 1_u8..5).prop_map(
        |(rule, n, metric, window, wait, threshold)| Rule {
            id: id(n),
            metric: match metric {
                0 => Metric::Rate,
                1 => Metric::Ratio { min_runs: 2 },
                _ => Metric::Count,
            },
            window: Span::from_secs(60 * window),
            warning: Some(f64::from(threshold)),
            critical: Some(f64::from(threshold) * 2.0),
            pending: Span::from_secs(wait * 7),
            keep_firing: Span::from_secs((2 - wait) * 20),
            reminder: Span::from_secs(wait * 30),
            ..rule
        },
    );
    prop::collection::vec(rule, 0..5)
}

fn step() -> impl Strategy<Value = Step> {
    let which = || 1_u128..6;
    prop_oneof![
        30 => any_event().prop_map(Step::Event),
        4 => any_event().prop_map(Step::Replay),
        4 => (which(), any_event()).prop_map(|(n, event)| Step::ReplayFor(n, event)),
        8 => (any_event(), 1_u32..9).prop_map(|(event, n)| Step::Runs(event, n)),
        1 => (any_event(), 1_u32..9).prop_map(|(event, n)| Step::ReplayRuns(event, n)),
        2 => (which(), any_event(), 1_u32..9).prop_map(|(r, e, n)| Step::ReplayRunsFor(r, e, n)),
        1 => prop::option::of(which()).prop_map(Step::HistoryComplete),
        3 => Just(Step::Tick),
        3 => rules().prop_map(Step::Rules),
        1 => Just(Step::Restore),
        2 => any::<bool>().prop_map(Step::Acknowledge),
    ]
}

fn run_of(event: &ErrorEvent, now: Timestamp, count: u32) -> [RunCount; 1] {
    let ErrorEvent { project_id, workflow_id, .. } = *event;
    [RunCount { project_id, workflow_id, started_at: now, count }]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]
    #[test]
    fn the_books_stay_in_order(
        first in rules(),
        steps in prop::collection::vec((step(), -3_000_i64..20_000, 0_i64..90_000), 1..120),
        groups in prop_oneof![Just(2_u32), Just(1_000)],
    ) {
        let mut engine =
            Engine::with_limits(Limits { groups_per_rule: groups, ..Limits::default() });
        let mut told: Vec<Transition> = Vec::new();
        let mut now = BASE;
        let mut standing_by = false;
        engine.step(now, Input::Rules(first), &mut told);
        for (n, (step, later, age)) in (1..).zip(steps) {
            // A step back is allowed; the odd microsecond keeps instants apart.
            let at = now + Span::from_micros(later * 1_000 + 1);
            let age = Span::from_millis(age);
            let dated = |event: ErrorEvent| ErrorEvent {
                error_id: id(n),
                timestamp: at - age,
                received_at: at,
                ..event
            };
            // Who has stood by learns what is open before deciding again.
            if standing_by && matches!(step, Step::Event(_) | Step::Runs(..) | Step::Tick) {
                let open = stored(&told);
engine.step(at, Input::Restore(open), &mut told);
            }
            standing_by = match step {
                Step::Event(_) | Step::Runs(..) | Step::Tick | Step::Restore => false,
                Step::Replay(_) | Step::ReplayRuns(..) => true,
                _ => standing_by,
            };
            match step {
                Step::Event(event) => engine.step(at, Input::Event(&dated(event)), &mut told),
                Step::Replay(event) => engine.step(at, Input::Replay(&dated(event)), &mut told),
                Step::ReplayFor(rule, event) => {
                    let (rule_id, event) = (id(rule), &dated(event));
                    engine.step(at, Input::ReplayFor { rule_id, event }, &mut told);
                }
                Step::Runs(event, n) => {
                    engine.step(at, Input::Runs(&run_of(&event, at - age, n)), &mut told);
                }
                Step::ReplayRuns(event, n) => {
                    engine.step(at, Input::ReplayRuns(&run_of(&event, at - age, n)), &mut told);
                }
                Step::ReplayRunsFor(rule, event, n) => {
                    let (rule_id, runs) = (id(rule), &run_of(&event, at - age, n));
                    engine.step(at, Input::ReplayRunsFor { rule_id, runs }, &mut told);
                }
                Step::HistoryComplete(rule) => {
                    engine.step(at, Input::HistoryComplete { rule_id: rule.map(id) }, &mut told);
                }
                Step::Tick => engine.step(at, Input::Tick, &mut told),
                Step::Rules(rules) => engine.step(at, Input::Rules(rules), &mut told),
                Step::Restore => {
                    let open = stored(&told);
engine.step(at, Input::Restore(open), &mut told);
                }
                Step::Acknowledge(acknowledged) => {
                    let open = engine.open_incidents();
                    let known = open.into_iter().map(|(open, _)| open.incident_id);
                    for incident_id in known.chain([id(n)]) {
                        engine.step(at, Input::Acknowledged { incident_id, acknowledged }, &mut told);
                    }
                }
            }
            now = now.max(at);
            prop_assert_eq!(engine.now(), now);
            let (stats, open) = (engine.stats(), engine.open_incidents());
            prop_assert_eq!(stats.incidents, open.len());
            prop_assert!(stats.groups >= stats.incidents);
            let keys: HashSet<_> =
                open.iter().map(|(open, _)| (open.rule_id, open.group_key.clone())).collect();
            prop_assert_eq!(keys.len(), open.len(), "one open incident per rule and key");
        }
        prop_assert!(told.is_sorted_by_key(|told| told.at));
        let mut ended: HashMap<_, usize> = HashMap::new();
        for told in &told {
            prop_assert!(!ended.contains_key(&told.incident_id), "told after its end: {told:?}");
            if told.state == IncidentState::Resolved {
                ended.insert(told.incident_id, 1);
            }
        }
        // A leader again, with what the database holds; then all rules go.
        let open = stored(&told);
engine.step(now, Input::Restore(open), &mut told);
        engine.step(now + Span::from_micros(1), Input::Rules(Vec::new()), &mut told);
        prop_assert_eq!(stored(&told), []);
        let stats = engine.stats();
        let left = (stats.rules, stats.groups, stats.incidents, stats.run_windows, stats.interned);
        prop_assert_eq!(left, (0, 0, 0, 0, 0));
    }
}
