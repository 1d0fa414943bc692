//! What a rule knows when a scenario begins: error groups of long ago, and the errors of earlier minutes.

use std::collections::BTreeMap;

use meshhook_errors::{
    backtest::{Evaluation, Past},
    engine::{
        GroupStatus, KnownGroup,
        batch::{Earlier, Table},
    },
    model::{ErrorEvent, GroupKey, Metric, Span, Timestamp},
};

use super::script::{BASE, Scenario, Step};

const MINUTE: Span = Span::from_secs(60);

/// From when on a scenario's rows are evaluated; what came before is history.
pub fn begins(scenario: &Scenario) -> Timestamp {
    Evaluation::begins(&scenario.rule, BASE)
}

fn events(scenario: &Scenario) -> impl Iterator<Item = &ErrorEvent> {
    scenario.steps.iter().filter_map(|(_, step)| match step {
        Step::Event(event) => Some(event),
        _ => None,
    })
}

/// The groups that were known when the scenario begins, and what had been said of them.
pub fn known(scenario: &Scenario) -> Vec<KnownGroup> {
    let mut known = BTreeMap::new();
    for (at, step) in scenario.steps.iter().filter(|(at, _)| *at < begins(scenario)) {
        match step {
            Step::Event(event) => {
                let (project_id, fingerprint) = (event.project_id, event.fingerprint);
                let status = GroupStatus::Open;
                let group = KnownGroup { project_id, fingerprint, last_seen: *at, status };
                known.insert((project_id, fingerprint), group);
            }
            Step::Says(said) => {
                let group = known.get_mut(&(said.project_id, said.fingerprint));
                group.expect("a group that was seen").status = said.status;
            }
            _ => {}
        }
    }
    known.into_values().collect()
}

/// What the in-memory back-test is evaluated against.
pub fn past(scenario: &Scenario) -> Past {
    let begins = begins(scenario);
    let all: Vec<ErrorEvent> = events(scenario).cloned().collect();
    let table = Table { events: &all, ..Table::default() };
    let rules = std::slice::from_ref(&scenario.rule);
    let runs = scenario.steps.iter().filter_map(|(_, step)| match step {
        Step::Runs(runs) => Some(*runs),
        _ => None,
    });
    let said = scenario.steps.iter().filter_map(|(at, step)| match step {
        Step::Says(group) if *at >= begins => Some((*at, *group)),
        _ => None,
    });
    Past {
        runs: runs.collect(),
        known: known(scenario),
        said: said.collect(),
        earlier: Some(Earlier::of(rules, table, begins)),
    }
}

/// What the earlier window of `minute` held, counted row by row; none for a rule that compares nothing.
pub fn baseline(scenario: &Scenario, minute: Timestamp) -> Option<Vec<(GroupKey, u64)>> {
    let Metric::Change { compare, .. } = scenario.rule.metric else { return None };
    let until = minute - compare;
    let window = until - scenario.rule.window..until;
    let fields = scenario.rule.grouping();
    let mut counts: BTreeMap<GroupKey, u64> = BTreeMap::new();
    for event in events(scenario) {
        if scenario.rule.matches(event) && window.contains(&whole_minute(event.timestamp)) {
            *counts.entry(GroupKey::of(event, &fields)).or_default() += 1;
        }
    }
    Some(counts.into_iter().collect())
}

/// The beginning of the minute that holds `at`.
pub fn whole_minute(at: Timestamp) -> Timestamp {
    Timestamp::from_micros(at.micros() - at.micros().rem_euclid(MINUTE.micros()))
}
