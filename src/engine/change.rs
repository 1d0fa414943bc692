//! New, changed and removed rules, and acknowledgements.

use std::collections::HashSet;

use uuid::Uuid;

use super::{
    Engine, HOLD,
    compiled::Compiled,
    decide::attention,
    group::{Groups, Parts, bits},
    incident::{Incident, Moment},
    index::{Index, Subject},
};
use crate::model::{GroupKey, Rule, Timestamp, Transition};

impl Engine {
    /// Puts `rules` in place of the former ones; of several with one id the first counts.
    pub(super) fn set_rules(&mut self, rules: Vec<Rule>, out: &mut Vec<Transition>) {
        let mut wanted = HashSet::new();
        let rules: Vec<Rule> = rules.into_iter().filter(|rule| wanted.insert(rule.id)).collect();
        let mut gone: Vec<u32> = (self.by_id.iter())
            .filter(|(id, _)| !wanted.contains(*id))
            .map(|(_, slot)| *slot)
            .collect();
        // A hash map has no order of its own; decisions must not depend on chance.
        gone.sort_unstable();
        let mut changed = !gone.is_empty();
        for slot in gone {
            self.remove_rule(slot, out);
        }
        for rule in rules {
            match self.by_id.get(&rule.id).copied() {
                None => self.add_rule(Compiled::new(rule)),
                Some(slot) if self.rule(slot).is_some_and(|known| known.rule == rule) => continue,
                Some(slot) => self.change_rule(slot, Compiled::new(rule), out),
            }
            changed = true;
        }
        if changed {
            self.reindex();
        }
        self.rules_known = true;
        if let Some(waiting) = self.waiting.take() {
            self.restore(waiting, out);
        }
    }

    /// The rules whose past should be replayed, and how far back: rows whose `timestamp` is at most
    /// that long ago. Call `HistoryComplete` when that is done.
    #[must_use]
    pub fn rules_needing_history(&self) -> Vec<(Uuid, crate::model::Span)> {
        let compiled = self.rules.iter().flatten().filter(|rule| rule.needs_history);
        compiled.map(|rule| (rule.rule.id, rule.history())).collect()
    }

    pub(super) fn history_complete(&mut self, rule_id: Option<Uuid>, out: &mut Vec<Transition>) {
        let slots: Vec<u32> = match rule_id {
            Some(id) => self.by_id.get(&id).copied().into_iter().collect(),
            None => {
                (0_u32..).zip(&self.rules).filter(|(_, r)| r.is_some()).map(|(s, _)| s).collect()
            }
        };
        for slot in slots {
            let Some(rule) = self.rule_mut(slot) else { continue };
            rule.needs_history = false;
            if let Some(since) = rule.observed_before.take() {
                rule.since = since;
            }
            let held = rule.held_until.take().is_some();
            if held || !self.passive {
                self.judge_rule(slot, out);
            }
        }
    }

    pub(super) fn acknowledge(&mut self, incident_id: Uuid, acknowledged: bool) {
        let Some(place) = self.open.get(&incident_id).copied() else { return };
        if let Some(incident) =
            self.groups.get_mut(place).and_then(|group| group.incident.as_deref_mut())
        {
            incident.acknowledged = acknowledged;
        }
        self.schedule(place);
    }

    fn add_rule(&mut self, mut rule: Compiled) {
        rule.observe_since(self.now);
        if self.rules_known {
            rule.doubt_past(self.now);
        }
        let slot = match self.free_rules.pop() {
            Some(slot) => slot,
            None => {
                self.rules.push(None);
                u32::try_from(self.rules.len() - 1).unwrap_or(u32::MAX)
            }
        };
        self.by_id.insert(rule.rule.id, slot);
        self.groups.set_fields(slot, &rule.fields);
        if let Some(place) = self.rules.get_mut(slot as usize) {
            *place = Some(rule);
        }
        self.make_standing(slot);
    }

    /// Makes the group of a rule that has something to say about silence.
    fn make_standing(&mut self, slot: u32) {
        if self.rule(slot).is_some_and(|rule| rule.standing) {
            let place = self.create(slot, Some(&Parts::default()));
            self.judge(place, self.now, false, &mut Vec::new());
            self.schedule(place);
        }
    }

    fn change_rule(&mut self, slot: u32, mut new: Compiled, out: &mut Vec<Transition>) {
        let Some(old) = self.rule(slot) else { return };
        if new.counts_like(old) {
            new.needs_history = old.needs_history;
            new.held_until = old.held_until;
            (new.groups, new.scopes, new.overflow) = (old.groups, old.scopes, old.overflow);
            (new.since, new.observed_before) = (old.since, old.observed_before);
            new.baselines = old.baselines.clone();
            if let Some(place) = self.rules.get_mut(slot as usize) {
                *place = Some(new);
            }
            self.make_standing(slot);
            self.judge_rule(slot, out);
            return;
        }
        let keep = new.speaks_like(old) && !self.passive;
        let kept = if keep { self.take_incidents(slot) } else { Vec::new() };
        self.clear_rule(slot, out);
        if !kept.is_empty() {
            new.held_until = Some(self.now + HOLD);
        }
        new.observe_since(self.now);
        new.doubt_past(self.now);
        self.groups.set_fields(slot, &new.fields);
        if let Some(place) = self.rules.get_mut(slot as usize) {
            *place = Some(new);
        }
        self.make_standing(slot);
        for incident in kept {
            if let Some((place, _)) = self.group_of(slot, &incident.key) {
                self.install(place, Box::new(incident));
            }
        }
    }

    fn remove_rule(&mut self, slot: u32, out: &mut Vec<Transition>) {
        self.clear_rule(slot, out);
        if let Some(rule) = self.rules.get_mut(slot as usize).and_then(Option::take) {
            self.by_id.remove(&rule.rule.id);
            self.free_rules.push(slot);
        }
    }

    /// Ends all incidents of a rule and drops its groups and windows of runs.
    fn clear_rule(&mut self, slot: u32, out: &mut Vec<Transition>) {
        let now = self.now;
        for place in self.groups_of(slot) {
            if !self.passive
                && let Some((_, reading)) = self.reading(place)
                && let (Some(group), Some(rule)) = (self.groups.get(place), self.rule(slot))
                && let Some(incident) = &group.incident
            {
                let (evidence, ring) = (&group.evidence, &group.ring);
                let moment = Moment { rule, at: now, reading, falling: true, evidence, ring };
                out.push(incident.end(moment));
            }
            self.drop_group(place);
        }
        for place in self.runs.droppable(now, Some(slot)) {
            self.drop_scope(place);
        }
    }

    fn take_incidents(&mut self, slot: u32) -> Vec<Incident> {
        let mut taken = Vec::new();
        for place in self.groups_of(slot) {
            if let Some(incident) = self.groups.get_mut(place).and_then(|g| g.incident.take()) {
                self.open.remove(&incident.id);
                taken.push(*incident);
            }
        }
        taken
    }

    /// Judges all groups of a rule whose thresholds, or whose windows, have changed.
    fn judge_rule(&mut self, slot: u32, out: &mut Vec<Transition>) {
        let (now, passive) = (self.now, self.passive);
        for place in self.groups_of(slot) {
            if let (Some(group), Some(rule)) =
                (self.groups.get_mut(place), self.rules.get(slot as usize).and_then(Option::as_ref))
            {
                group.attention = attention(rule, group, passive);
            }
            self.judge(place, now, true, out);
            self.schedule(place);
        }
    }

    /// Takes what the earlier window of a change rule holds in one minute.
    pub(super) fn take_baseline(
        &mut self,
        rule_id: Uuid,
        minute: Timestamp,
        counts: &[(GroupKey, u64)],
        out: &mut Vec<Transition>,
    ) {
        let most = self.limits.groups_per_rule as usize;
        let Some(slot) = self.by_id.get(&rule_id).copied() else { return };
        let Some(rule) = self.rule_mut(slot).filter(|rule| rule.is_change()) else { return };
        rule.baselines.put(minute, counts, most);
        if minute <= self.now {
            // It comes late; whatever it changes is decided now.
            for place in self.groups_of(slot) {
                self.judge(place, self.now, false, out);
                self.schedule(place);
            }
        }
    }

    fn groups_of(&self, slot: u32) -> Vec<u32> {
        self.groups
            .all()
            .filter(|(_, group)| group.rule() == slot)
            .map(|(place, _)| place)
            .collect()
    }

    pub(super) fn rule_mut(&mut self, slot: u32) -> Option<&mut Compiled> {
        self.rules.get_mut(slot as usize)?.as_mut()
    }

    fn reindex(&mut self) {
        let Self { rules, interns, events_index, runs_index, .. } = self;
        let all = || (0_u32..).zip(rules.iter()).filter_map(|(s, r)| Some((s, r.as_ref()?)));
        let counting = all().filter(|(_, r)| !r.rule.ignores_errors()).map(|(s, r)| (s, &r.rule));
        let events = Index::build(counting, Subject::Events, interns);
        let ratios = all().filter(|(_, rule)| rule.needs_runs()).map(|(s, r)| (s, &r.rule));
        let runs = Index::build(ratios, Subject::Runs, interns);
        let fields = all().fold(0, |fields, (_, rule)| fields | bits(&rule.fields));
        // The new indexes have taken their references; only now may the old ones give theirs back.
        std::mem::replace(events_index, events).release(interns);
        std::mem::replace(runs_index, runs).release(interns);
        self.news = all().filter(|(_, rule)| rule.is_new_group()).count();
        if self.news == 0 {
            self.known.clear();
        }
        self.needs = self.events_index.needs().or(Groups::needs(fields));
    }
}
