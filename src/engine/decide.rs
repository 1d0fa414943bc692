//! When a group is looked at, and what follows: the engine's side of [`judge`].

use super::{
    Engine, Mode,
    compiled::{Compiled, NONE},
    count_runs::scope_key,
    group::{Group, NEVER, Parts, render},
    incident::{Moment, Subject, judge, watch},
    kinds::{Scene, change_hash},
    timers::Timer,
};
use crate::model::{IncidentState, Level, Timestamp, Transition};

impl Engine {
    /// Decides, in order, everything that is due up to `now`, and moves on to `now`.
    #[inline]
    pub(super) fn run_timers(&mut self, now: Timestamp, out: &mut Vec<Transition>) {
        while let Some(timer) = self.timers.due(now) {
            self.on_timer(timer, out);
        }
        self.now = self.now.max(now);
    }

    fn on_timer(&mut self, timer: Timer, out: &mut Vec<Transition>) {
        let Some(group) = self.groups.get_mut(timer.group) else { return };
        if group.generation != timer.generation || group.timer_at != timer.at {
            return;
        }
        group.timer_at = NEVER;
        self.now = self.now.max(timer.at);
        let at = self.now;
        // The earlier window of a change moves on with each whole minute.
        let falling = group.is_boundary(at) || at.micros().rem_euclid(60_000_000) == 0;
        let slot = group.rule();
        self.judge(timer.group, at, falling, out);
        let Some(rule) = self.rules.get(slot as usize).and_then(Option::as_ref) else { return };
        let Some(group) = self.groups.get_mut(timer.group) else { return };
        if group.incident.is_none() {
            group.evidence.age(at, rule.rule.window.micros(), group.ring.oldest());
            let watched = watches(rule, self.passive)
                && group.below_since.is_some_and(|since| at < since + rule.watch);
            if group.ring.total() == 0 && !watched && !rule.standing {
                self.drop_group(timer.group);
                return;
            }
        }
        self.schedule(timer.group);
    }

    /// A group's value may have risen.
    pub(super) fn noticed(&mut self, group: u32, mode: Mode, out: &mut Vec<Transition>) {
        if mode == Mode::Decide {
            self.judge(group, self.now, false, out);
        } else if let Some(found) = self.groups.get_mut(group)
            && !found.recheck
        {
            found.recheck = true;
            self.recheck.push(group);
        }
        self.schedule(group);
    }

    /// Judges one group at `at`, which is not before its last judgement.
    pub(super) fn judge(
        &mut self,
        place: u32,
        at: Timestamp,
        falling: bool,
        out: &mut Vec<Transition>,
    ) {
        let complete = self.complete();
        let Some(group) = self.groups.get_mut(place) else { return };
        let Some(rule) = self.rules.get(group.rule() as usize).and_then(Option::as_ref) else {
            return;
        };
        group.advance(at);
        if rule.needs_runs() {
            self.runs.advance(group.scope(), at);
        }
        let runs = &self.runs;
        if rule.standing {
            let silent = Scene { rule, group, runs, complete, at }.is_silent();
            if let Some(special) = &mut group.special {
                special.silent_since = silent.then(|| special.silent_since.unwrap_or(at));
            }
        }
        let reading = Scene { rule, group, runs, complete, at }.read();
        if group.incident.is_some() && rule.held_until.is_some_and(|until| at < until) {
            // Its end is not decided yet, but its keep-firing period may have begun.
            if !rule.needs_history {
                let (evidence, ring) = (&group.evidence, &group.ring);
                let moment = Moment { rule, at, reading, falling, evidence, ring };
                watch(&mut group.below_since, moment);
            }
            return;
        }
        let before = group.incident.as_ref().map(|incident| incident.id);
        if before.is_none() && reading.level.is_some() {
            group.evidence.begin(reading.errors, group.ring.oldest());
        }
        let interns = &self.interns;
        let key = &group.key;
        judge(
            Subject {
                incident: &mut group.incident,
                below_since: &mut group.below_since,
                flaps: &mut self.flaps,
            },
            Moment { rule, at, reading, falling, evidence: &group.evidence, ring: &group.ring },
            || render(key, &rule.fields, interns),
            (!self.passive).then_some(out),
        );
        let after = group.incident.as_ref().map(|incident| incident.id);
        group.attention = attention(rule, group, self.passive);
        if before != after {
            if let Some(id) = before {
                self.open.remove(&id);
            }
            if let Some(id) = after {
                self.open.insert(id, place);
            }
        }
    }

    /// Makes the group's next appointment.
    pub(super) fn schedule(&mut self, place: u32) {
        let complete = self.complete();
        let Some(group) = self.groups.get_mut(place) else { return };
        let Some(rule) = self.rules.get(group.rule() as usize).and_then(Option::as_ref) else {
            return;
        };
        // A later appointment is left to the earlier one, which makes it when its time comes; this keeps
        // the heap at about one entry per group.
        let (runs, now) = (&self.runs, self.now);
        let look = match rule.standing {
            true => Scene { rule, group, runs, complete, at: now }.next_look().unwrap_or(NEVER),
            false => NEVER,
        };
        let waits = rule.standing && group.silent_since().is_some() && group.incident.is_none();
        if waits && !group.deferred {
            group.deferred = true;
            self.deferred.push(place);
        }
        let at = deadline(rule, group, now, self.passive).min(look).max(now);
        if at < group.timer_at {
            group.timer_at = at;
            self.timers.push(Timer { at, group: place, generation: group.generation });
            // Void appointments of long windows wait for long; many of them are not worth keeping.
            if self.timers.len() > 4 * self.groups.len() + 1_024 {
                let groups = &self.groups;
                self.timers.retain(|timer| {
                    groups.get(timer.group).is_some_and(|group| {
                        group.generation == timer.generation && group.timer_at == timer.at
                    })
                });
            }
        }
    }

    /// Somebody else decided until now, or there are groups whose windows were refilled: from here on
    /// this engine decides.
    #[inline]
    pub(super) fn take_charge(&mut self, out: &mut Vec<Transition>) {
        if self.passive {
            self.go_live();
        }
        if !self.recheck.is_empty() {
            self.run_recheck(out);
        }
    }

    #[cold]
    fn run_recheck(&mut self, out: &mut Vec<Transition>) {
        for place in std::mem::take(&mut self.recheck) {
            if let Some(group) = self.groups.get_mut(place)
                && group.recheck
            {
                group.recheck = false;
                self.judge(place, self.now, false, out);
                self.schedule(place);
            }
        }
    }

    /// Looks at what was silent when not everything was known to be counted.
    pub(super) fn run_deferred(&mut self, out: &mut Vec<Transition>) {
        for place in std::mem::take(&mut self.deferred) {
            let Some(group) = self.groups.get_mut(place).filter(|group| group.deferred) else {
                continue;
            };
            group.deferred = false;
            self.judge(place, self.now, false, out);
            self.schedule(place);
        }
    }

    /// Makes a group, or finds it, and ties it to its window of runs.
    pub(super) fn create(&mut self, slot: u32, parts: Option<&Parts<'_>>) -> u32 {
        let now = self.now;
        let Some(rule) = self.rules.get_mut(slot as usize).and_then(Option::as_mut) else {
            return NONE;
        };
        let place = self.groups.create(slot, parts, rule, &mut self.interns, now);
        let Some(group) = self.groups.get_mut(place) else { return NONE };
        group.attention = attention(rule, group, self.passive);
        if let Some(special) = group.special.as_mut().filter(|special| special.hash == 0)
            && rule.is_change()
        {
            special.hash = change_hash(&render(&group.key, &rule.fields, &self.interns));
        }
        if rule.needs_runs() && group.scope() == NONE && parts.is_some() {
            let [_, project, workflow, ..] = group.key;
            let key = scope_key(slot, rule, project, workflow);
            if let Some(scope) = self.scope(slot, key)
                && let Some(special) =
                    self.groups.get_mut(place).and_then(|group| group.special.as_mut())
            {
                special.scope = scope;
                self.runs.attach(scope, place);
            }
        }
        place
    }

    pub(super) fn drop_group(&mut self, place: u32) {
        let Some(slot) = self.groups.get(place).map(|group| group.rule()) else { return };
        let Some(rule) = self.rules.get_mut(slot as usize).and_then(Option::as_mut) else { return };
        if let Some(group) = self.groups.get_mut(place) {
            (group.recheck, group.deferred) = (false, false);
            if let Some(incident) = &group.incident {
                self.open.remove(&incident.id);
            }
        }
        let scope = self.groups.drop_group(place, rule, &mut self.interns);
        self.runs.detach(scope, place);
    }
}

/// From how many errors on an event of this group must be judged.
pub(super) fn attention(rule: &Compiled, group: &Group, passive: bool) -> u64 {
    if rule.is_absence() {
        return if group.incident.is_some() || passive { 0 } else { u64::MAX };
    }
    if !rule.is_counted() || watches(rule, passive) {
        return 0;
    }
    match &group.incident {
        None => rule.attention,
        Some(incident) if incident.state == IncidentState::Pending => 0,
        Some(_) if group.below_since.is_some() => 0,
        Some(incident) if incident.level == Level::Warning => rule.critical_attention,
        Some(_) => u64::MAX,
    }
}

/// Whether groups without an incident must know since when they are below the resolve threshold: while
/// somebody else decides, so that keep-firing periods go on where they were when we take over.
fn watches(rule: &Compiled, passive: bool) -> bool {
    // A new group without errors and without an incident is an old one: nothing may keep it.
    passive && rule.watch.micros() > 0 && !rule.is_new_group()
}

/// When the group must be looked at next if nothing happens to it.
fn deadline(rule: &Compiled, group: &Group, now: Timestamp, passive: bool) -> Timestamp {
    let empty = group.ring.total() == 0;
    let next_minute =
        now.micros().div_euclid(60_000_000).saturating_add(1).saturating_mul(60_000_000);
    let boundary = match group.boundary() {
        None => NEVER,
        Some(at) if rule.is_change() => at.min(Timestamp::from_micros(next_minute)),
        Some(at) => at,
    };
    let Some(incident) = &group.incident else {
        let kept = group.below_since.map_or(NEVER, |since| since + rule.watch);
        let watches = watches(rule, passive);
        return match (empty, group.ring.drained_at()) {
            (true, _) if rule.standing => NEVER,
            (true, _) if watches && group.below_since.is_some() => kept,
            (true, _) => now,
            (false, Some(drained)) if rule.is_counted() && !watches => drained,
            _ if rule.is_absence() => NEVER,
            _ => boundary,
        };
    };
    let kept = group.below_since.map_or(NEVER, |since| since + incident.keep(rule));
    if let Some(until) = rule.held_until.filter(|until| now < *until) {
        return if rule.needs_history { until } else { boundary.min(until) };
    }
    let critical = rule.critical_at(incident.state, incident.started_at);
    let critical = critical.filter(|at| *at > now).unwrap_or(NEVER);
    match incident.state {
        // An empty window drops a pending incident and starts the keep-firing period of another.
        IncidentState::Pending if empty && rule.empty_is_below() => now,
        IncidentState::Pending => {
            let until = incident.pending_until(rule);
            if until > now { boundary.min(until) } else { boundary }
        }
        _ if empty && group.below_since.is_none() && rule.empty_is_below() => now,
        _ => boundary.min(kept).min(critical).min(incident.reminder_at(rule).unwrap_or(NEVER)),
    }
}
