//! Counting workflow runs, for the kinds of rule that are taken of them.

use super::{
    Engine, Mode,
    compiled::Compiled,
    group::bits,
    index::Index,
    intern::{Atoms, NULL, UNKNOWN},
    runs::{RunCount, ScopeKey},
};
use crate::model::{GroupField, Timestamp, Transition};

/// Which runs a group of `rule` looks at: those of its project and workflow, where it groups by them.
pub(super) fn scope_key(slot: u32, rule: &Compiled, project: u32, workflow: u32) -> ScopeKey {
    let fields = bits(&rule.fields);
    let pick = |field, value| if fields & bits(&[field]) == 0 { NULL } else { value };
    [slot, pick(GroupField::Project, project), pick(GroupField::Workflow, workflow)]
}

impl Engine {
    /// Counts runs under the rules that look at runs (or one of them) and judges what these say now.
    pub(super) fn count_runs(
        &mut self,
        runs: &[RunCount],
        only: Option<u32>,
        mode: Mode,
        out: &mut Vec<Transition>,
    ) {
        let now = self.now;
        self.sweep_runs(now);
        let mut touched = Vec::new();
        for run in runs {
            for slot in self.rules_of(run) {
                if only.is_none_or(|only| only == slot)
                    && let Some(scope) = self.scope_of(slot, run)
                    && self.runs.add(scope, now, run.started_at, run.count)
                {
                    touched.push(scope);
                }
            }
        }
        touched.sort_unstable();
        touched.dedup();
        for scope in touched {
            for group in self.runs.groups(scope).to_vec() {
                self.noticed(group, mode, out);
            }
        }
    }

    /// The window of runs with this key, whose numbers are valid; none where the limit is reached.
    pub(super) fn scope(&mut self, slot: u32, key: ScopeKey) -> Option<u32> {
        if let Some(scope) = self.runs.find(&key) {
            return Some(scope);
        }
        let rule = self.rules.get_mut(slot as usize)?.as_mut()?;
        if rule.scopes >= self.limits.groups_per_rule {
            return None;
        }
        for number in [key[1], key[2]] {
            if let Some(id) = self.interns.uuids.value(number).copied() {
                self.interns.uuids.acquire(&id);
            }
        }
        Some(self.runs.create(key, rule, self.now))
    }

    /// The slots of the rules that look at these runs.
    fn rules_of(&self, run: &RunCount) -> Vec<u32> {
        let number = |id: Option<uuid::Uuid>| id.map_or(NULL, |id| self.interns.uuids.find(&id));
        let atoms = Atoms {
            project: number(run.project_id),
            workflow: number(run.workflow_id),
            class: UNKNOWN,
            error_type: UNKNOWN,
            fingerprint: UNKNOWN,
            kind: NULL,
        };
        let mut slots = Vec::new();
        Index::matching(&self.runs_index, &atoms, |entry| {
            // The index may have left out a long list of workflows.
            let accepted = !entry.check
                || self.rule(entry.slot).is_some_and(|rule| {
                    let listed = &rule.rule.filter.workflow_ids;
                    listed.is_empty() || run.workflow_id.is_some_and(|id| listed.contains(&id))
                });
            if accepted {
                slots.push(entry.slot);
            }
        });
        slots
    }

    /// The window in which a rule counts these runs, made if need be.
    fn scope_of(&mut self, slot: u32, run: &RunCount) -> Option<u32> {
        let fields = bits(&self.rule(slot)?.fields);
        let mut held = [NULL, NULL];
        let values =
            [(GroupField::Project, run.project_id), (GroupField::Workflow, run.workflow_id)];
        for (number, (field, id)) in held.iter_mut().zip(values) {
            if let Some(id) = id.filter(|_| fields & bits(&[field]) != 0) {
                *number = self.interns.uuids.acquire(&id);
            }
        }
        let scope = self.scope(slot, [slot, held[0], held[1]]);
        for number in held {
            self.interns.uuids.release(number);
        }
        if scope.is_none() {
            self.counters.runs_dropped += u64::from(run.count);
        }
        scope
    }

    /// Drops windows of runs that are empty and unused, once a minute.
    fn sweep_runs(&mut self, now: Timestamp) {
        for place in self.runs.droppable(now, None) {
            self.drop_scope(place);
        }
    }

    pub(super) fn drop_scope(&mut self, place: u32) {
        let slot = self.runs.remove(place, &mut self.interns);
        if let Some(rule) = self.rules.get_mut(slot as usize).and_then(Option::as_mut) {
            rule.scopes = rule.scopes.saturating_sub(1);
        }
    }
}
