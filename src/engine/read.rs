//! What can be asked of the engine between two steps.

use uuid::Uuid;

use super::{
    Engine, Stats,
    group::{Group, Parts},
    kinds::{Reading, Scene},
};
use crate::model::{Detail, GroupKey, OpenIncident, Span, Timestamp};

/// What one group of a rule says at an instant, and what stands behind it.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Look {
    /// The value; none where it cannot be told.
    pub value: Option<f64>,
    /// Errors in the longest window.
    pub errors: u64,
    /// Runs in the longest window, for kinds that are taken of runs.
    pub runs: Option<u64>,
    /// Whether it would fire.
    pub fires: bool,
    /// The threshold that decides, where it is not the rule's own.
    pub threshold: Option<f64>,
    /// What some kinds have to add.
    pub detail: Option<Detail>,
    /// Since when the value has been below the resolve threshold while an incident is open.
    pub below_since: Option<Timestamp>,
    /// How long it must stay there for the incident to be over.
    pub keep: Span,
    /// Whether the incident comes and goes.
    pub flapping: bool,
}

impl Engine {
    /// What one group says at the engine's time, or without a key the one with the highest value. None
    /// if there is no such rule or group.
    #[must_use]
    pub fn look(&self, rule_id: Uuid, key: Option<&GroupKey>) -> Option<Look> {
        let slot = self.by_id.get(&rule_id).copied()?;
        let rule = self.rule(slot)?;
        let look = |group: &Group| {
            let reading = self.reading_at(group)?;
            let incident = group.incident.as_deref();
            Some(Look {
                value: reading.value,
                errors: reading.errors,
                runs: reading.runs,
                fires: reading.level.is_some(),
                threshold: reading.threshold,
                detail: reading.detail,
                below_since: incident.and(group.below_since),
                keep: incident.map_or(Span::ZERO, |incident| incident.keep(rule)),
                flapping: incident.is_some_and(|incident| incident.flapping),
            })
        };
        if let Some(key) = key {
            return look(self.groups.get(self.place_of(slot, key)?)?);
        }
        let of_rule = self.groups.all().filter(|(_, group)| group.rule() == slot);
        let looks = of_rule.filter_map(|(_, group)| look(group));
        let height = |look: &Look| look.value.unwrap_or(f64::NEG_INFINITY);
        looks.reduce(|best, next| if height(&next) > height(&best) { next } else { best })
    }

    /// When an error group was last seen, to the second, as far as that is known.
    #[must_use]
    pub fn group_last_seen(
        &self,
        project_id: Option<Uuid>,
        fingerprint: Uuid,
    ) -> Option<Timestamp> {
        self.known.last_seen(project_id, fingerprint)
    }

    fn place_of(&self, slot: u32, key: &GroupKey) -> Option<u32> {
        let rule = self.rule(slot)?;
        if key.is_empty() && !rule.fields.is_empty() {
            return Some(rule.overflow);
        }
        self.groups.lookup(slot, &Parts::parse(key, &rule.fields)?, &self.interns)
    }

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
        self.reading_at(self.groups.get(self.place_of(slot, key)?)?)?.value
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
