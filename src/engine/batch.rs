//! The engine over a finished table: what would have happened, for back-tests and comparisons.

use std::{collections::BTreeMap, iter::Peekable, vec};

use uuid::Uuid;

mod earlier;

pub use self::earlier::Earlier;
use super::{Engine, Input, KnownGroup, PastChange, RunCount};
use crate::model::{
    ErrorEvent, IncidentState, Metric, OpenIncident, Rule, Timestamp, Transition, TransitionKind,
};

/// The engine over a finished table, one row after the other, for histories too long for memory.
///
/// Runs are taken as known from the instant they started, events from the instant they were received;
/// at one instant runs come first. What lies after the end is not looked at.
#[derive(Debug)]
pub struct Playback {
    engine: Engine,
    earlier: Earlier,
    runs: Peekable<vec::IntoIter<RunCount>>,
    until: Timestamp,
    told: Vec<Transition>,
}

impl Playback {
    /// A playback of `rules` from `start` to `until`, over `runs` in order of `started_at`, with the
    /// groups that were `known` at the start and what the `earlier` windows of change rules hold.
    #[must_use]
    pub fn new(
        rules: Vec<Rule>,
        runs: Vec<RunCount>,
        known: &[KnownGroup],
        earlier: Earlier,
        (start, until): (Timestamp, Timestamp),
    ) -> Self {
        let mut told = Vec::new();
        let mut engine = Engine::new();
        let begun = |rule| observed_since(rule, start);
        engine.step(start, Input::Rules(rules.into_iter().map(begun).collect()), &mut told);
        engine.step(start, Input::Groups(known), &mut told);
        Self { engine, earlier, runs: runs.into_iter().peekable(), until, told }
    }

    /// Takes the next event, in order of `received_at` and `seq`.
    pub fn event(&mut self, event: &ErrorEvent) {
        if event.received_at <= self.until {
            self.runs_through(event.received_at);
            advance(&mut self.engine, &mut self.earlier, event.received_at, &mut self.told);
            self.engine.step(event.received_at, Input::Event(event), &mut self.told);
        }
    }

    /// Somebody acknowledged an incident at `now`, or took that back.
    pub fn acknowledge(&mut self, now: Timestamp, incident_id: Uuid, acknowledged: bool) {
        self.advance(now);
        let input = Input::Acknowledged { incident_id, acknowledged };
        self.engine.step(now.min(self.until), input, &mut self.told);
    }

    /// At `now` people said something of error groups.
    pub fn say(&mut self, now: Timestamp, groups: &[KnownGroup]) {
        self.advance(now);
        self.engine.step(now.min(self.until), Input::Groups(groups), &mut self.told);
    }

    /// Moves on to `now` without an event, so that [`Playback::engine`] tells how things stood then.
    /// Changes no decision.
    pub fn advance(&mut self, now: Timestamp) {
        let now = now.min(self.until);
        self.runs_through(now);
        advance(&mut self.engine, &mut self.earlier, now, &mut self.told);
    }

    /// The engine as it stands.
    #[must_use]
    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    /// What was decided since it was last taken.
    #[must_use]
    pub fn told(&self) -> &[Transition] {
        &self.told
    }

    /// The engine, for what is still to be asked of it.
    #[must_use]
    pub fn into_engine(self) -> Engine {
        self.engine
    }

    /// Takes what was decided since it was last taken, in the order of decision.
    pub fn take_told(&mut self) -> Vec<Transition> {
        std::mem::take(&mut self.told)
    }

    /// Goes on to the end.
    pub fn finish(&mut self) {
        self.advance(self.until);
    }

    fn runs_through(&mut self, now: Timestamp) {
        while let Some(run) = self.runs.next_if(|run| run.started_at <= now) {
            advance(&mut self.engine, &mut self.earlier, run.started_at, &mut self.told);
            self.engine.step(run.started_at, Input::Runs(&[run]), &mut self.told);
        }
    }
}

/// What a finished table holds for an evaluation.
#[derive(Clone, Copy, Debug, Default)]
pub struct Table<'a> {
    /// Error events in order of `received_at` and `seq`.
    pub events: &'a [ErrorEvent],
    /// Workflow runs in order of `started_at`.
    pub runs: &'a [RunCount],
    /// Error groups that were known before the first event, and what people said of them by then.
    pub known: &'a [KnownGroup],
    /// Events from before the first one, of which only the earlier windows of changes are taken.
    pub earlier: &'a [ErrorEvent],
}

/// All transitions that `rules` would have decided over `events` and `runs`, as [`evaluate_table`] does
/// of a table that holds nothing else.
#[must_use]
pub fn evaluate(
    rules: Vec<Rule>,
    events: &[ErrorEvent],
    runs: &[RunCount],
    until: Timestamp,
) -> Vec<Transition> {
    evaluate_table(rules, Table { events, runs, ..Table::default() }, until)
}

/// All transitions that `rules` would have decided over `table`, had they run live from the first event
/// or run until `until`.
///
/// Runs are taken as known from the instant they started, events from the instant they were received;
/// at one instant runs come first. What lies after `until` is not looked at. A change is measured
/// against the events that the table holds. The order of transitions is that of time, then rule and
/// group key.
#[must_use]
pub fn evaluate_table(rules: Vec<Rule>, table: Table<'_>, until: Timestamp) -> Vec<Transition> {
    let Table { events, runs, known, .. } = table;
    let first = [events.first().map(|e| e.received_at), runs.first().map(|r| r.started_at)];
    let start = first.into_iter().flatten().min().unwrap_or(until).min(until);
    let earlier = Earlier::of(&rules, table, start);
    let mut playback = Playback::new(rules, runs.to_vec(), known, earlier, (start, until));
    for event in events {
        playback.event(event);
    }
    playback.finish();
    let mut out = playback.take_told();
    sort(&mut out);
    out
}

/// Moves `engine` on to `to`, before which everything is known, minute by minute where a rule compares
/// windows. To be called before each event, before each run, and at the end.
pub fn advance(
    engine: &mut Engine,
    earlier: &mut Earlier,
    to: Timestamp,
    out: &mut Vec<Transition>,
) {
    if to <= engine.now() && earlier.started() {
        return;
    }
    engine.step(engine.now(), Input::RunsComplete { through: to }, out);
    earlier.give(engine, to, false, out);
    engine.step(to, Input::Tick, out);
}

/// A rule that is evaluated over the past waits for nothing longer than that past.
fn observed_since(mut rule: Rule, start: Timestamp) -> Rule {
    match &mut rule.metric {
        Metric::Absence { since, .. } => {
            *since = Some(since.map_or(start, |since| since.min(start)));
        }
        Metric::NewGroup { since, .. } => *since = None,
        _ => {}
    }
    rule
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
            TransitionKind::Flapping => {
                (incident.flapping, incident.notified_at) = (true, Some(told.at));
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

/// The beginnings and ends among `transitions`, as a database that has written them tells them to a
/// successor.
#[must_use]
pub fn past_changes(transitions: &[Transition]) -> Vec<PastChange> {
    let counts = |kind| matches!(kind, TransitionKind::Firing | TransitionKind::Resolved);
    let past = transitions.iter().filter(|told| counts(told.kind));
    past.map(|told| PastChange {
        rule_id: told.rule_id,
        group_key: told.group_key.clone(),
        at: told.at,
    })
    .collect()
}
