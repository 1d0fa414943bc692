//! What can be asked of the engine between two steps.

use uuid::Uuid;

use super::{
    Engine, Stats,
    group::{Group, Parts},
    kinds::{Reading, Scene},
};
use crate::model::{GroupKey, OpenIncident, Timestamp};

impl Engine {
    /// The instant the engine stands at: the latest `now` it was given.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.now
    }

    /// The value of one group at the engine's time. None if there is no such rule or group (a group
    /// whose window is empty is soon forgotten), or a ratio has too few runs to tell.
    #[must_use]
    pub fn value(&self, rule_id: Uuid, key: &GroupKey) -> Option<f64> {
        let slot = self.by_id.get(&rule_id).copied()?;
        let rule = self.rule(slot)?;
        let place = if key.is_empty() && !rule.fields.is_empty() {
            rule.overflow
        } else {
            self.groups.lookup(slot, &Parts::parse(key, &rule.fields)?, &self.interns)?
        };
        self.reading_at(self.groups.get(place)?)?.value
    }

    /// The highest value among the groups of one rule at the engine's time: 0 where it has none. None if
    /// there is no such rule, or too few runs to tell in every group.
    #[must_use]
    pub fn highest(&self, rule_id: Uuid) -> Option<f64> {
        let slot = self.by_id.get(&rule_id).copied()?;
        let mut groups = self.groups.all().filter(|(_, group)| group.rule() == slot).peekable();
        if groups.peek().is_none() {
            return Some(0.0);
        }
        groups.filter_map(|(_, group)| self.reading_at(group)?.value).reduce(f64::max)
    }

    /// The sum of all windows of one rule at the engine's time, in errors.
    #[must_use]
    pub fn total_of(&self, rule_id: Uuid) -> u64 {
        let Some(slot) = self.by_id.get(&rule_id).copied() else { return 0 };
        let groups = self.groups.all().filter(|(_, group)| group.rule() == slot);
        groups.map(|(_, group)| group.ring.total_at(self.now)).sum()
    }

    /// The sum of all windows of all rules at the engine's time, in errors.
    #[must_use]
    pub fn total_in_windows(&self) -> u64 {
        self.groups.all().map(|(_, group)| group.ring.total_at(self.now)).sum()
    }

    /// All open incidents as they stand now, with the present value of each, in order of their
    /// beginning. Between transitions only the value, the peak and the evidence move.
    #[must_use]
    pub fn open_incidents(&self) -> Vec<(OpenIncident, f64)> {
        let mut open: Vec<_> =
            self.open.values().filter_map(|place| self.open_incident(*place)).collect();
        open.sort_by_key(|(incident, _)| (incident.started_at, incident.incident_id));
        open
    }

    /// Counters and gauges.
    #[must_use]
    pub fn stats(&self) -> Stats {
        Stats {
            rules: self.by_id.len(),
            groups: self.groups.len(),
            run_windows: self.runs.len(),
            incidents: self.open.len(),
            timers: self.timers.len(),
            known_groups: self.known.len(),
            interned: self.interns.uuids.len() + self.interns.texts.len(),
            ..self.counters
        }
    }

    fn open_incident(&self, place: u32) -> Option<(OpenIncident, f64)> {
        let group = self.groups.get(place)?;
        let incident = group.incident.as_deref()?;
        let reading = self.reading_at(group)?;
        // As in judging: between judgements the evidence knows the most errors there were.
        let rule = self.rule(group.rule())?;
        let highest = match rule.is_counted() {
            true => rule.value_of(group.evidence.most()),
            false => incident.peak,
        };
        let open = OpenIncident {
            incident_id: incident.id,
            rule_id: rule.rule.id,
            group_key: incident.key.clone(),
            state: incident.state,
            level: incident.level,
            peak_level: incident.peak_level,
            started_at: incident.started_at,
            fired_at: incident.fired_at,
            notified_at: incident.notified_at,
            reminders: incident.reminders,
            flapping: incident.flapping,
            acknowledged: incident.acknowledged,
            peak: incident.peak.max(highest),
            evidence: group.evidence.render(reading.errors, reading.runs, reading.detail),
        };
        Some((open, reading.shown()))
    }

    fn reading_at(&self, group: &Group) -> Option<Reading> {
        let rule = self.rule(group.rule())?;
        let (runs, complete, at) = (&self.runs, self.complete(), self.now);
        Some(Scene { rule, group, runs, complete, at }.read())
    }
}
