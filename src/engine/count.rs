//! Counting error events in the windows of the rules that they concern.

use uuid::Uuid;

use super::{Engine, Hit, Mode, compiled::Compiled, group::Parts, known::Meeting, window};
use crate::model::{ErrorEvent, GroupField, Metric, Transition};

impl Engine {
    /// Counts an event under all rules.
    pub(super) fn count(&mut self, event: &ErrorEvent, out: &mut Vec<Transition>) {
        if self.news > 0 {
            self.meeting = self.known.meet(event, self.now);
        }
        let atoms = self.interns.atoms(event, self.needs);
        let mut hits = std::mem::take(&mut self.hits);
        hits.clear();
        self.events_index.matching(&atoms, |entry| hits.push(Hit { entry, group: None }));
        let mut lowered = None;
        // All groups are asked for before the first is counted in, so that fetching them overlaps.
        for hit in &mut hits {
            hit.group = self.groups.find(hit.entry.slot, &atoms);
            if let Some(group) = hit.group.and_then(|group| self.groups.get(group)) {
                std::hint::black_box((group.attention, group.evidence.recorded()));
            }
        }
        for Hit { entry, group } in &hits {
            if entry.check {
                let rule = self.rules.get(entry.slot as usize).and_then(Option::as_ref);
                if !rule.is_some_and(|rule| rule.accepts(event, &mut lowered)) {
                    continue;
                }
            }
            match *group {
                Some(group) => self.count_in(group, event, Mode::Decide, out),
                None => self.count_new(entry.slot, event, Mode::Decide, out),
            }
        }
        self.hits = hits;
    }

    /// Counts an event of the past under one rule.
    pub(super) fn fill(&mut self, rule_id: Uuid, event: &ErrorEvent, out: &mut Vec<Transition>) {
        let Some(slot) = self.by_id.get(&rule_id).copied() else { return };
        if self.rule(slot).is_some_and(Compiled::is_new_group) {
            // History knew these groups when the rule was made.
            self.known.meet(event, self.now);
            self.meeting = Meeting::NOTHING;
        }
        if self.rule(slot).is_some_and(|rule| rule.rule.matches(event)) {
            let mode = if self.passive { Mode::Decide } else { Mode::Fill };
            self.count_new(slot, event, mode, out);
        }
    }

    /// Whether an event may begin a group under this rule: always, but for new groups, if it is new.
    fn is_news(&self, rule: &Compiled, event: &ErrorEvent) -> bool {
        let Metric::NewGroup { quiet, since } = rule.rule.metric else { return true };
        if since.is_some_and(|since| self.now < since) {
            return false;
        }
        let awaited = || {
            let by_project = rule.fields.contains(&GroupField::Project);
            let project = event.project_id.filter(|_| by_project);
            rule.awaited.get(&(project, event.fingerprint)).is_some_and(|since| {
                // With a threshold of one the incident began with the first error of the group.
                rule.fire > 1.0 || self.now >= *since
            })
        };
        self.meeting.is_new(event, self.now, quiet) || (self.passive && awaited())
    }

    fn count_in(&mut self, group: u32, event: &ErrorEvent, mode: Mode, out: &mut Vec<Transition>) {
        let now = self.now;
        let Some(found) = self.groups.get_mut(group) else { return };
        found.ring.advance(now);
        if !found.ring.add(event.timestamp, 1) {
            self.counters.too_old += 1;
            return;
        }
        found.evidence.record(event, found.ring.total());
        self.counters.matched += 1;
        if found.ring.total() >= found.attention {
            // Whoever has further windows must be looked at with every event.
            let special = found.special.as_mut();
            for ring in special.into_iter().flat_map(|special| &mut special.further) {
                ring.advance(now);
                ring.add(event.timestamp, 1);
            }
            self.noticed(group, mode, out);
        }
    }

    /// Counts an event in a group that may not exist yet.
    #[cold]
    fn count_new(&mut self, slot: u32, event: &ErrorEvent, mode: Mode, out: &mut Vec<Transition>) {
        let Some(rule) = self.rule(slot) else { return };
        if !window::covers(rule.width, self.now, event.timestamp) {
            self.counters.too_old += 1;
            return;
        }
        let full =
            rule.groups >= self.limits.groups_per_rule || self.groups.len() >= self.limits.groups;
        let parts = Parts::of(event);
        let group = match self.groups.lookup(slot, &parts, &self.interns) {
            Some(group) => group,
            None if !self.is_news(rule, event) => return,
            None if full => {
                self.counters.overflowed += 1;
                self.create(slot, None)
            }
            None => self.create(slot, Some(&parts)),
        };
        self.count_in(group, event, mode, out);
        self.schedule(group);
    }
}
