//! The engine: error events in, decisions about incidents out.
//! No clock, no waiting, no I/O, no logging and no randomness may appear here; one task owns the
//! [`Engine`] and calls [`Engine::step`].
//! Events, run counts, rules and restored incidents come in as [`Input`]; what is to be written and
//! told goes out as [`Transition`]s.
//!
//! # Time
//! Engine time never goes back: an input given with an earlier `now` happens at the latest time known.
//! For an event the caller passes its `received_at`, for a tick the database's clock. Before an input is
//! handled, everything that fell due up to `now` (bucket boundaries, ends of pending and keep-firing
//! periods, reminders) is decided at its own instant and in order, so a catch-up over an hour of rows
//! gives the same transitions as having run live. The order of transitions of *different* incidents at
//! one instant is not specified.
//!
//! # Windows
//! 60 buckets plus the current one on a fixed grid. A value covers at least the window and at most 1/60
//! more. A row counts by its `timestamp`; a late one is added to its own bucket, one older than the
//! window counts nowhere. Values rise on the event and fall at bucket boundaries, and are judged there.
//!
//! # Values
//! Each kind of rule has its own, in `kinds/`. A value of 0 never fires. A value may be unknown: of a
//! ratio or burn rate over too few runs (what follows is the rule's `no_data`), of a change whose
//! earlier window nobody has told ([`Input::Baseline`]), of an absence while it is not certain that
//! everything was counted ([`Input::Tick`], [`Input::RunsComplete`]). It then neither fires nor resolves.
//! What is new to a new-group rule follows from [`Input::Groups`] and the events themselves.
//!
//! # Incidents
//! One open incident per rule and group key; its id is UUIDv5 of rule, key and beginning, so a repeated
//! decision has the same id and whoever writes it may skip what is there.
//! - At the first value at or above a threshold: `firing`, or with a pending period `pending`.
//! - Pending ends with `firing` once the period is over and the value is at or above a threshold at that
//!   moment or later; it ends with `dropped` as soon as the value is below the resolve threshold. A
//!   value between the two neither fires nor drops (hysteresis). The level is taken when it fires.
//! - While firing, the level is critical while the critical threshold is reached, else warning if the
//!   rule has one. Critical for the first time in an incident is `escalated` (told), and so is critical
//!   again once people have heard nothing for a window (or an hour, if that is shorter); every other
//!   change of level is one `deescalated` entry with the new level (never told), so that the stored
//!   level is right, also after a restart. Escalation happens at once, de-escalation at bucket boundaries.
//! - `reminder` each time the reminder interval has passed since people were last told (fired, escalated
//!   or reminded), unless acknowledged. The first escalation takes an
//!   acknowledgement back; taking one back makes an overdue reminder due at once.
//! - `resolved` when the value has been below the resolve threshold for the keep-firing period; or, if
//!   that would be one end too many in the flap period, `flapping` once, and `resolved` when it has been
//!   below for the flap period.
//!
//! # Starting and taking over
//! [`Input::Replay`] counts and follows the same rules silently, so a standby that replays what the
//! leader counts stands where the leader stands. Starting is: `Rules`, `Replay` of the rows (and
//! `ReplayRuns`) of [`Engine::rules_needing_history`], `HistoryComplete`, `Restore`, and then events and
//! ticks. After stepping down, simply replay again; before deciding again, `Restore`. A `Restore` is believed about which incidents are
//! open, hydration about what the windows hold; a group above its threshold without an incident fires
//! at the next event or tick. Its `now` is the instant up to which rows were replayed: what falls due
//! between then and the next input is decided at its own instants, what was overdue before is decided
//! then, once.
//!
//! # Changed rules
//! Changing only thresholds, periods or the name keeps windows and judges at once. Another project,
//! filter or window starts with empty windows: open incidents are left alone until `HistoryComplete`
//! for that rule (60 seconds at most) and judged then. Another metric or grouping, and removal, end
//! them.

pub mod batch;
mod change;
mod compiled;
mod count;
mod count_runs;
mod decide;
mod evidence;
mod flaps;
mod group;
mod incident;
mod index;
mod input;
mod intern;
mod kinds;
mod known;
pub mod rates;
mod read;
mod restore;
mod runs;
mod stats;
mod timers;
mod window;

#[cfg(test)]
mod tests;

use std::collections::HashMap;

use uuid::Uuid;

use self::{
    compiled::Compiled,
    flaps::Flaps,
    group::Groups,
    index::{Entry, Index},
    intern::{Interns, Needs},
    kinds::Complete,
    known::{Known, Meeting},
    runs::RunWindows,
    timers::Timers,
};
pub use self::{
    flaps::PastChange,
    incident::{INCIDENT_NAMESPACE, incident_id},
    input::Input,
    known::{GroupStatus, KnownGroup, MAX_KNOWN},
    rates::{ProjectRates, Rates},
    runs::RunCount,
    stats::{Limits, Stats},
};
use crate::model::{OpenIncident, Span, Timestamp, Transition};

/// How long incidents of a changed rule wait for its history at most.
pub const HOLD: Span = Span::from_secs(60);

/// Whether counting an event leads to a decision.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    Decide,
    /// Only fill windows; judge at the next deciding input.
    Fill,
}

/// A rule that an event concerns, and the group in it, if there is one yet.
#[derive(Clone, Copy, Debug)]
struct Hit {
    entry: Entry,
    group: Option<u32>,
}

/// All rules, their windows and their incidents. See the [module](self) for what it does.
#[derive(Debug)]
pub struct Engine {
    now: Timestamp,
    limits: Limits,
    rules: Vec<Option<Compiled>>,
    free_rules: Vec<u32>,
    by_id: HashMap<Uuid, u32>,
    groups: Groups,
    interns: Interns,
    events_index: Index,
    runs_index: Index,
    needs: Needs,
    runs: RunWindows,
    timers: Timers,
    /// Open incidents and their groups.
    open: HashMap<Uuid, u32>,
    /// Groups to judge at the next deciding input.
    recheck: Vec<u32>,
    /// Groups to judge once more is known to be counted.
    deferred: Vec<u32>,
    complete: Complete,
    /// Rules that ask for new groups.
    news: usize,
    known: Known,
    /// What was known of the group of the event that is being counted.
    meeting: Meeting,
    flaps: Flaps,
    /// Whether somebody else decides.
    passive: bool,
    /// Incidents that were restored before there were rules.
    waiting: Option<Vec<OpenIncident>>,
    rules_known: bool,
    counters: Stats,
    /// Scratch, kept for its capacity.
    hits: Vec<Hit>,
}

impl Default for Engine {
    fn default() -> Self {
        Self::new()
    }
}

impl Engine {
    /// An engine without rules, with the default limits.
    #[must_use]
    pub fn new() -> Self {
        Self::with_limits(Limits::default())
    }

    /// An engine without rules.
    #[must_use]
    pub fn with_limits(limits: Limits) -> Self {
        Self {
            now: Timestamp::from_micros(i64::MIN),
            limits,
            rules: Vec::new(),
            free_rules: Vec::new(),
            by_id: HashMap::new(),
            groups: Groups::default(),
            interns: Interns::default(),
            events_index: Index::default(),
            runs_index: Index::default(),
            needs: Needs::default(),
            runs: RunWindows::default(),
            timers: Timers::default(),
            open: HashMap::new(),
            recheck: Vec::new(),
            deferred: Vec::new(),
            complete: Complete::default(),
            news: 0,
            known: Known::default(),
            meeting: Meeting::NOTHING,
            flaps: Flaps::default(),
            passive: false,
            waiting: None,
            rules_known: false,
            counters: Stats::default(),
            hits: Vec::new(),
        }
    }

    /// An engine that has forgotten everything but which error groups are known.
    #[must_use]
    pub fn renewed(&mut self) -> Self {
        Self { known: std::mem::take(&mut self.known), ..Self::with_limits(self.limits) }
    }

    /// Takes one input at `now` and appends what was decided, in order of time, to `out`.
    pub fn step(&mut self, now: Timestamp, input: Input<'_>, out: &mut Vec<Transition>) {
        let before = out.len();
        match input {
            Input::Event(_) | Input::Runs(_) => self.take_charge(out),
            Input::Tick => {
                self.complete.errors = self.complete.errors.max(Some(now));
                self.take_charge(out);
            }
            // What is restored was true before anything that falls due only now.
            Input::Replay(_) | Input::ReplayRuns(_) | Input::Restore(_) => self.stand_by(),
            _ => {}
        }
        self.run_timers(now, out);
        match input {
            Input::Event(event) => {
                self.counters.events += 1;
                self.count(event, out);
            }
            Input::Replay(event) => {
                self.counters.replayed += 1;
                self.count(event, out);
            }
            Input::ReplayFor { rule_id, event } => {
                self.counters.replayed += 1;
                self.fill(rule_id, event, out);
            }
            Input::Runs(runs) | Input::ReplayRuns(runs) => {
                self.count_runs(runs, None, Mode::Decide, out);
            }
            Input::ReplayRunsFor { rule_id, runs } => {
                if let Some(slot) = self.by_id.get(&rule_id).copied() {
                    self.count_runs(runs, Some(slot), Mode::Fill, out);
                }
            }
            Input::HistoryComplete { rule_id } => self.history_complete(rule_id, out),
            Input::Tick => self.run_deferred(out),
            Input::RunsComplete { through } => {
                self.complete.runs = self.complete.runs.max(Some(through));
                self.run_deferred(out);
            }
            Input::Baseline { rule_id, minute, counts } => {
                self.take_baseline(rule_id, minute, counts, out);
            }
            Input::Groups(groups) => self.known.learn(groups),
            Input::Expect(incidents) => self.expect(incidents),
            Input::PastChanges(past) => self.flaps.replace(past),
            Input::Rules(rules) => self.set_rules(rules, out),
            Input::Restore(incidents) => self.restore(incidents, out),
            Input::Hold { until } => self.hold(until),
            Input::Acknowledged { incident_id, acknowledged } => {
                self.acknowledge(incident_id, acknowledged);
            }
        }
        self.counters.transitions += (out.len() - before) as u64;
    }

    /// The next instant at which time alone may change something: tick then at the latest. It may be
    /// too early, never too late.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Timestamp> {
        if self.recheck.is_empty() { self.timers.next() } else { Some(self.now) }
    }

    /// What is known to be counted; what is replayed is history, of which nothing more will come.
    fn complete(&self) -> Complete {
        let replayed = Some(self.now);
        if self.passive { Complete { errors: replayed, runs: replayed } } else { self.complete }
    }

    fn rule(&self, slot: u32) -> Option<&Compiled> {
        self.rules.get(slot as usize)?.as_ref()
    }
}
