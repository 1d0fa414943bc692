//! Taking over: from counting along to deciding, with the incidents that the database knows.

use std::collections::HashMap;

use super::{
    Engine, HOLD,
    compiled::Compiled,
    decide::attention,
    group::{Group, Parts},
    incident::Incident,
    kinds::{Reading, Scene},
};
use crate::model::{
    GroupField, GroupKey, IncidentState, OpenIncident, Timestamp, Transition, TransitionKind,
};

impl Engine {
    /// From now on somebody else decides.
    #[inline]
    pub(super) fn stand_by(&mut self) {
        if !self.passive {
            self.become_passive();
        }
    }

    #[cold]
    fn become_passive(&mut self) {
        self.passive = true;
        self.recheck.clear();
        for place in self.places() {
            if let Some((group, rule)) = self.group_and_rule(place) {
                group.recheck = false;
                group.attention = attention(rule, group, true);
                if group.incident.is_none() {
                    // Nobody has watched since when it is below; from now on is the safe answer.
                    group.below_since = None;
                }
            }
            self.judge(place, self.now, false, &mut Vec::new());
            self.schedule(place);
        }
    }

    /// Decides from now on without having been told of open incidents: there are none.
    #[cold]
    pub(super) fn go_live(&mut self) {
        if self.rules_known {
            self.restore(Vec::new(), &mut Vec::new());
        }
    }

    /// Leaves open incidents alone until then.
    pub(super) fn hold(&mut self, until: Timestamp) {
        for rule in self.rules.iter_mut().flatten() {
            rule.held_until = rule.held_until.max(Some(until));
        }
    }

    /// Before a replay: the groups with these incidents were new when they began.
    pub(super) fn expect(&mut self, incidents: &[OpenIncident]) {
        for open in incidents {
            let rule =
                self.by_id.get(&open.rule_id).and_then(|slot| self.rules.get_mut(*slot as usize));
            let print = open.group_key.get(GroupField::Fingerprint).and_then(|id| id.parse().ok());
            if let (Some(Some(rule)), Some(print)) = (rule, print) {
                let project = open.group_key.get(GroupField::Project);
                let project = project.and_then(|id| id.parse().ok());
                rule.awaited.insert((project, print), open.started_at);
            }
        }
    }

    /// Puts `incidents` in place of those known here and decides from now on.
    pub(super) fn restore(&mut self, incidents: Vec<OpenIncident>, out: &mut Vec<Transition>) {
        if !self.rules_known {
            self.waiting = Some(incidents);
            return;
        }
        self.passive = false;
        for rule in self.rules.iter_mut().flatten() {
            rule.awaited.clear();
        }
        let mut shadows = HashMap::new();
        for place in self.places() {
            let group = self.groups.get_mut(place);
            if let Some(shadow) = group.and_then(|group| group.incident.take()) {
                shadows.insert(place, shadow);
            }
        }
        self.open.clear();
        for open in incidents {
            let slot = self.by_id.get(&open.rule_id).copied();
            let Some((place, fresh)) = slot.and_then(|slot| self.group_of(slot, &open.group_key))
            else {
                out.push(orphan(&open, self.now));
                continue;
            };
            let shadow = shadows.remove(&place);
            self.take_over(place, &open, shadow.as_deref(), fresh);
        }
        for place in self.places() {
            let fires = self.reading(place).is_some_and(|(_, reading)| reading.level.is_some());
            if let Some((group, rule)) = self.group_and_rule(place) {
                group.attention = attention(rule, group, false);
                if (fires || group.incident.is_some() || rule.standing) && !group.recheck {
                    group.recheck = true;
                    self.recheck.push(place);
                }
            }
            self.schedule(place);
        }
    }

    /// Gives a group the incident that the database knows, completed by what was seen here: `shadow`
    /// is the incident that this engine had for the group.
    fn take_over(
        &mut self,
        place: u32,
        open: &OpenIncident,
        shadow: Option<&Incident>,
        fresh: bool,
    ) {
        let now = self.now;
        let Some((_, reading)) = self.reading(place) else { return };
        let Some((group, rule)) = self.group_and_rule(place) else { return };
        if group.incident.is_some() {
            return;
        }
        let mut incident = Incident::restore(open);
        match shadow.filter(|shadow| shadow.started_at >= open.started_at) {
            Some(shadow) => incident.peak = incident.peak.max(shadow.peak),
            None => group.evidence.set_most(reading.errors),
        }
        let since = group.below_since;
        let held = rule.held_until.is_some_and(|until| now < until);
        group.below_since = match reading.below {
            _ if incident.state == IncidentState::Pending || rule.needs_history => None,
            // What it lacks is yet to come.
            Some(true) if fresh && held => None,
            // It has been empty for longer than any group is kept for its keep-firing period.
            Some(true) if fresh => Some(now - rule.watch),
            // Runs lower a ratio between boundaries, where it does not count yet.
            Some(true) if !rule.is_counted() || held => since,
            Some(true) => Some(since.unwrap_or(now)),
            Some(false) => None,
            None if rule.is_absence() => None,
            None => since,
        };
        group.evidence.restore(&open.evidence);
        let (slot, needs_history) = (group.rule(), rule.needs_history);
        if needs_history && let Some(rule) = self.rule_mut(slot) {
            rule.held_until = rule.held_until.max(Some(now + HOLD));
        }
        self.install(place, Box::new(incident));
    }

    /// Puts an incident into a group that has none.
    pub(super) fn install(&mut self, place: u32, incident: Box<Incident>) {
        let Some(group) = self.groups.get_mut(place) else { return };
        self.open.insert(incident.id, place);
        group.incident = Some(incident);
        group.attention = 0;
        self.schedule(place);
    }

    /// The group with this key under the rule in `slot`, and whether it had to be made; none if the
    /// rule does not group like that. `{}` of a rule that groups by something is its overflow group.
    pub(super) fn group_of(&mut self, slot: u32, key: &GroupKey) -> Option<(u32, bool)> {
        let fields = &self.rule(slot)?.fields;
        let before = self.groups.len();
        let place = if key.is_empty() && !fields.is_empty() {
            self.create(slot, None)
        } else {
            let parts = Parts::parse(key, fields)?;
            self.create(slot, Some(&parts))
        };
        Some((place, self.groups.len() > before))
    }

    /// What a group's window says now.
    pub(super) fn reading(&mut self, place: u32) -> Option<(&Compiled, Reading)> {
        let (now, complete) = (self.now, self.complete());
        let group = self.groups.get_mut(place)?;
        let rule = self.rules.get(group.rule() as usize)?.as_ref()?;
        group.advance(now);
        self.runs.advance(group.scope(), now);
        let scene = Scene { rule, group, runs: &self.runs, complete, at: now };
        Some((rule, scene.read()))
    }

    fn group_and_rule(&mut self, place: u32) -> Option<(&mut Group, &Compiled)> {
        let group = self.groups.get_mut(place)?;
        let rule = self.rules.get(group.rule() as usize)?.as_ref()?;
        Some((group, rule))
    }

    fn places(&self) -> Vec<u32> {
        self.groups.all().map(|(place, _)| place).collect()
    }
}

/// The end of an incident whose rule or group is no more.
fn orphan(open: &OpenIncident, now: Timestamp) -> Transition {
    Transition {
        kind: match open.state {
            IncidentState::Pending => TransitionKind::Dropped,
            _ => TransitionKind::Resolved,
        },
        incident_id: open.incident_id,
        rule_id: open.rule_id,
        group_key: open.group_key.clone(),
        state: IncidentState::Resolved,
        level: open.level,
        started_at: open.started_at,
        // Before anything was counted the engine's time may lie behind.
        at: now.max(open.fired_at.unwrap_or(open.started_at)),
        value: 0.0,
        threshold: 0.0,
        peak: open.peak,
        reminder: 0,
        evidence: open.evidence.clone(),
    }
}
