//! The engine over a finished table: what would have happened, for back-tests and comparisons.

use std::collections::BTreeMap;

use uuid::Uuid;

use super::{Engine, Input, RunCount};
use crate::model::{
    ErrorEvent, IncidentState, OpenIncident, Rule, Timestamp, Transition, TransitionKind,
};

/// All transitions that `rules` would have decided over `events` (in order of `received_at` and `seq`)
/// and `runs` (in order of `started_at`), had they run live from the first of these until `until`.
///
/// Runs are taken as known from the instant they started, events from the instant they were received;
/// at one instant runs come first. What lies after `until` is not looked at. The order of transitions
/// is that of time, then rule and group key.
#[must_use]
pub fn evaluate(
    rules: Vec<Rule>,
    events: &[ErrorEvent],
    runs: &[RunCount],
    until: Timestamp,
) -> Vec<Transition> {
    let first = [events.first().map(|e| e.received_at), runs.first().map(|r| r.started_at)];
    let start = first.into_iter().flatten().min().unwrap_or(until).min(until);
    let mut out = Vec::new();
    let mut engine = Engine::new();
    engine.step(start, Input::Rules(rules), &mut out);
    let mut runs = runs.iter().take_while(|run| run.started_at <= until).peekable();
    for event in events.iter().take_while(|event| event.received_at <= until) {
        while let Some(run) = runs.next_if(|run| run.started_at <= event.received_at) {
            engine.step(run.started_at, Input::Runs(&[*run]), &mut out);
        }
        engine.step(event.received_at, Input::Event(event), &mut out);
    }
    for run in runs {
        engine.step(run.started_at, Input::Runs(&[*run]), &mut out);
    }
    engine.step(until, Input::Tick, &mut out);
    sort(&mut out);
    out
}

/// Puts transitions in order of time, then rule and group key; those of one incident stay as they are.
pub fn sort(transitions: &mut [Transition]) {
    transitions
        .sort_by(|a, b| (a.at, a.rule_id, &a.group_key).cmp(&(b.at, b.rule_id, &b.group_key)));
}

/// The incidents that `transitions`, in order, leave open: what a database that has written them
/// holds. Nobody has acknowledged any of them.
#[must_use]
pub fn open_after(transitions: &[Transition]) -> Vec<OpenIncident> {
    let mut open: BTreeMap<Uuid, OpenIncident> = BTreeMap::new();
    for told in transitions {
        if told.state == IncidentState::Resolved {
            open.remove(&told.incident_id);
            continue;
        }
        let incident = open.entry(told.incident_id).or_insert_with(|| OpenIncident {
            incident_id: told.incident_id,
            rule_id: told.rule_id,
            group_key: told.group_key.clone(),
            state: told.state,
            level: told.level,
            peak_level: told.level,
            started_at: told.started_at,
            fired_at: None,
            notified_at: None,
            reminders: 0,
            flapping: false,
            acknowledged: false,
            peak: told.peak,
            evidence: told.evidence.clone(),
        });
        (incident.state, incident.level, incident.peak) = (told.state, told.level, told.peak);
        incident.evidence = told.evidence.clone();
        match told.kind {
            TransitionKind::Firing => {
                incident.peak_level = told.level;
                (incident.fired_at, incident.notified_at) = (Some(told.at), Some(told.at));
            }
            TransitionKind::Escalated => {
                incident.peak_level = told.level;
                incident.notified_at = Some(told.at);
            }
            TransitionKind::Reminder => {
                incident.reminders = told.reminder;
                incident.notified_at = Some(told.at);
            }
            _ => {}
        }
    }
    open.into_values().collect()
}
