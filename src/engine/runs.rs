//! How many workflow runs were started in the window: what a ratio is taken of.
//!
//! Runs have a project and a workflow and nothing else, so they are matched to a group by those two
//! only; a filter or a group by source, type, severity or fingerprint does not narrow them.

use rustc_hash::FxHashMap;
use uuid::Uuid;

use super::{
    compiled::{Compiled, NONE},
    intern::{Interns, UNKNOWN},
    window::Ring,
};
use crate::model::{Span, Timestamp};

/// Empty windows are looked for this often.
const SWEEP: Span = Span::from_secs(60);

/// Workflow runs that were started and not yet reported: a difference, never a total.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RunCount {
    /// Their project.
    pub project_id: Option<Uuid>,
    /// Their workflow version.
    pub workflow_id: Option<Uuid>,
    /// When they started; runs of one minute may be reported together under any instant of it.
    pub started_at: Timestamp,
    /// How many.
    pub count: u32,
}

/// Rule slot, project and workflow, the latter two 0 where the rule does not group by them.
pub(super) type ScopeKey = [u32; 3];

#[derive(Debug)]
struct Scope {
    key: ScopeKey,
    ring: Ring,
    /// Further windows, of a burn rate.
    further: Vec<Ring>,
    /// The groups whose ratio is taken of it.
    groups: Vec<u32>,
    live: bool,
}

/// All windows of runs.
#[derive(Debug, Default)]
pub(super) struct RunWindows {
    scopes: Vec<Scope>,
    free: Vec<u32>,
    by_key: FxHashMap<ScopeKey, u32>,
    next_sweep: Timestamp,
}

impl RunWindows {
    /// The window with this key; its numbers must be held by the caller.
    pub fn find(&self, key: &ScopeKey) -> Option<u32> {
        if key.contains(&UNKNOWN) { None } else { self.by_key.get(key).copied() }
    }

    /// Makes the window with this key, which takes over one reference to each of its numbers.
    pub fn create(&mut self, key: ScopeKey, rule: &mut Compiled, now: Timestamp) -> u32 {
        rule.scopes += 1;
        let scope = Scope {
            key,
            ring: Ring::new(rule.width, now),
            further: rule.further.iter().map(|width| Ring::new(*width, now)).collect(),
            groups: Vec::new(),
            live: true,
        };
        let place = match self.free.pop() {
            Some(free) => {
                if let Some(old) = self.scopes.get_mut(free as usize) {
                    *old = scope;
                }
                free
            }
            None => {
                self.scopes.push(scope);
                u32::try_from(self.scopes.len() - 1).unwrap_or(NONE)
            }
        };
        self.by_key.insert(key, place);
        place
    }

    /// Counts runs; returns whether they lay in the window.
    pub fn add(&mut self, scope: u32, now: Timestamp, started_at: Timestamp, count: u32) -> bool {
        self.scopes.get_mut(scope as usize).is_some_and(|scope| {
            for ring in &mut scope.further {
                ring.advance(now);
                ring.add(started_at, count);
            }
            scope.ring.advance(now);
            scope.ring.add(started_at, count)
        })
    }

    /// Moves a window on to `at`.
    pub fn advance(&mut self, scope: u32, at: Timestamp) {
        if let Some(scope) = self.scopes.get_mut(scope as usize) {
            scope.ring.advance(at);
            scope.further.iter_mut().for_each(|ring| ring.advance(at));
        }
    }

    /// Runs at `at` in the main window (0) or in a further one (from 1 on), without moving it.
    pub fn total_of(&self, scope: u32, window: usize, at: Timestamp) -> u64 {
        let Some(scope) = self.scopes.get(scope as usize) else { return 0 };
        let ring = match window {
            0 => Some(&scope.ring),
            _ => scope.further.get(window - 1),
        };
        ring.map_or(0, |ring| ring.total_at(at))
    }

    /// When the last of the runs will have left the window; none when it is empty.
    pub fn drained_at(&self, scope: u32) -> Option<Timestamp> {
        self.scopes.get(scope as usize)?.ring.drained_at()
    }

    /// When the number of runs may next fall; none when there are none.
    pub fn boundary(&self, scope: u32) -> Option<Timestamp> {
        let scope = self.scopes.get(scope as usize)?;
        let rings = scope.further.iter().chain([&scope.ring]);
        rings.filter(|ring| ring.total() > 0).map(Ring::boundary).min()
    }

    /// Runs in the window at `at`, without moving it.
    pub fn total_at(&self, scope: u32, at: Timestamp) -> u64 {
        self.scopes.get(scope as usize).map_or(0, |scope| scope.ring.total_at(at))
    }

    pub fn attach(&mut self, scope: u32, group: u32) {
        if let Some(scope) = self.scopes.get_mut(scope as usize) {
            scope.groups.push(group);
        }
    }

    pub fn detach(&mut self, scope: u32, group: u32) {
        if let Some(scope) = self.scopes.get_mut(scope as usize) {
            scope.groups.retain(|known| *known != group);
        }
    }

    /// The groups whose ratio is taken of this window.
    pub fn groups(&self, scope: u32) -> &[u32] {
        self.scopes.get(scope as usize).map_or(&[], |scope| &scope.groups)
    }

    /// How many windows there are.
    pub fn len(&self) -> usize {
        self.by_key.len()
    }

    /// Windows that can go: once a minute the empty ones that no group uses, or all of one rule.
    pub fn droppable(&mut self, now: Timestamp, rule: Option<u32>) -> Vec<u32> {
        if rule.is_none() {
            if now < self.next_sweep {
                return Vec::new();
            }
            self.next_sweep = now + SWEEP;
        }
        (0_u32..)
            .zip(&self.scopes)
            .filter(|(_, scope)| match rule {
                Some(slot) => scope.live && scope.key[0] == slot,
                None => scope.live && scope.groups.is_empty() && scope.ring.total_at(now) == 0,
            })
            .map(|(place, _)| place)
            .collect()
    }

    /// Drops a window and releases what it named; returns its rule's slot.
    pub fn remove(&mut self, place: u32, interns: &mut Interns) -> u32 {
        let Some(scope) = self.scopes.get_mut(place as usize).filter(|scope| scope.live) else {
            return NONE;
        };
        scope.live = false;
        scope.groups = Vec::new();
        let [slot, project, workflow] = scope.key;
        self.by_key.remove(&scope.key);
        self.free.push(place);
        interns.uuids.release(project);
        interns.uuids.release(workflow);
        slot
    }
}
