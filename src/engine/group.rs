//! The groups of all rules: one window, its evidence and perhaps an incident for each.
//!
//! A group is found by a small array of numbers. Groups are dropped when their window has drained and
//! no incident is open, and what they named is released.

use rustc_hash::FxHashMap;
use uuid::Uuid;

use super::{
    compiled::{Compiled, NONE},
    evidence::Tracker,
    incident::Incident,
    intern::{Atoms, Interns, NULL, Needs, UNKNOWN},
    window::Ring,
};
use crate::model::{ErrorEvent, GroupField, GroupKey, Severity, Source, Timestamp};

/// Rule slot, project, workflow, error type, fingerprint, source and severity; a field by which the
/// rule does not group is [`NULL`]. All of them [`UNKNOWN`]: the overflow group.
pub(super) type Key = [u32; 6];

/// No appointment.
pub(super) const NEVER: Timestamp = Timestamp::from_micros(i64::MAX);

/// One group of one rule.
///
/// The order matters: what counting an event reads are the end of `ring`, `attention` and the beginning
/// of `evidence`, two lines of memory that are fetched as a pair because the first has an even number.
#[derive(Debug)]
#[repr(C, align(128))]
pub(super) struct Group {
    pub ring: Ring,
    /// From how many errors on an event must be judged and not only counted.
    pub attention: u64,
    pub evidence: Tracker,
    pub incident: Option<Box<Incident>>,
    /// The group's earliest appointment, or [`NEVER`].
    pub timer_at: Timestamp,
    pub below_since: Option<Timestamp>,
    pub key: Key,
    /// What only some kinds of rule need.
    pub special: Option<Box<Special>>,
    /// Grows with each use of this place, so that old appointments are recognised.
    pub generation: u32,
    /// Whether it is to be judged at the next deciding input.
    pub recheck: bool,
    /// Whether it is to be judged once more is known to be counted.
    pub deferred: bool,
    live: bool,
}

/// What only some kinds of rule need of a group.
#[derive(Debug)]
pub(super) struct Special {
    /// The window of runs that the value is taken of, or [`NONE`].
    pub scope: u32,
    /// Further windows, of a burn rate.
    pub further: Vec<Ring>,
    /// By which a change finds its earlier window.
    pub hash: u64,
    /// Since when what the rule needs is missing, as far as that was looked at.
    pub silent_since: Option<Timestamp>,
}

impl Group {
    /// The rule's slot.
    pub fn rule(&self) -> u32 {
        let [slot, ..] = self.key;
        slot
    }

    /// The window of runs that the value is taken of, or [`NONE`].
    pub fn scope(&self) -> u32 {
        self.special.as_ref().map_or(NONE, |special| special.scope)
    }

    /// Since when what the rule needs is missing.
    pub fn silent_since(&self) -> Option<Timestamp> {
        self.special.as_ref()?.silent_since
    }

    fn further(&self) -> &[Ring] {
        self.special.as_ref().map_or(&[], |special| &special.further)
    }

    /// Moves all windows on to `at`.
    pub fn advance(&mut self, at: Timestamp) {
        self.ring.advance(at);
        if let Some(special) = &mut self.special {
            special.further.iter_mut().for_each(|ring| ring.advance(at));
        }
    }

    /// Errors at `at` in the main window (0) or in a further one (from 1 on).
    pub fn total_of(&self, window: usize, at: Timestamp) -> u64 {
        let ring = match window {
            0 => Some(&self.ring),
            _ => self.further().get(window - 1),
        };
        ring.map_or(0, |ring| ring.total_at(at))
    }

    /// Whether some bucket begins at `at`.
    pub fn is_boundary(&self, at: Timestamp) -> bool {
        self.ring.is_boundary(at) || self.further().iter().any(|ring| ring.is_boundary(at))
    }

    /// When the number of errors in some window may next fall; none when all are empty.
    pub fn boundary(&self) -> Option<Timestamp> {
        let rings = self.further().iter().chain([&self.ring]);
        rings.filter(|ring| ring.total() > 0).map(Ring::boundary).min()
    }
}

/// By which fields a rule groups, and its only group if by none.
#[derive(Clone, Copy, Debug)]
struct Head {
    fields: u8,
    single: u32,
}

/// All groups.
#[derive(Debug, Default)]
pub(super) struct Groups {
    places: Vec<Group>,
    free: Vec<u32>,
    by_key: FxHashMap<Key, u32>,
    /// One per rule slot.
    heads: Vec<Head>,
}

/// The values of a group key before they are numbers.
#[derive(Clone, Debug, Default)]
pub(super) struct Parts<'a> {
    project: Option<Uuid>,
    workflow: Option<Uuid>,
    source: Option<Source>,
    error_type: Option<&'a str>,
    severity: Option<Severity>,
    fingerprint: Option<Uuid>,
}

/// A set of group-by fields as bits.
pub(super) fn bits(fields: &[GroupField]) -> u8 {
    fields.iter().fold(0, |bits, field| bits | bit(*field))
}

fn bit(field: GroupField) -> u8 {
    1 << field as u8
}

impl<'a> Parts<'a> {
    pub fn of(event: &'a ErrorEvent) -> Self {
        Self {
            project: event.project_id,
            workflow: event.workflow_id,
            source: Some(event.source),
            error_type: Some(&event.error_type),
            severity: Some(event.severity),
            fingerprint: Some(event.fingerprint),
        }
    }

    /// Reads a key of a rule that groups by `fields`; none if it is a key of another rule.
    pub fn parse(key: &'a GroupKey, fields: &[GroupField]) -> Option<Self> {
        let mut parts = Self::default();
        if !key.iter().map(|(field, _)| field).eq(fields.iter().copied()) {
            return None;
        }
        for (field, value) in key.iter() {
            match field {
                GroupField::Project => {
                    parts.project = value.map(Uuid::parse_str).transpose().ok()?
                }
                GroupField::Workflow => {
                    parts.workflow = value.map(Uuid::parse_str).transpose().ok()?;
                }
                GroupField::Source => parts.source = Some(value?.parse().ok()?),
                GroupField::ErrorType => parts.error_type = Some(value?),
                GroupField::Severity => parts.severity = Some(value?.parse().ok()?),
                GroupField::Fingerprint => parts.fingerprint = Some(Uuid::parse_str(value?).ok()?),
            }
        }
        Some(parts)
    }

    fn key(
        &self,
        slot: u32,
        fields: u8,
        mut uuid: impl FnMut(&Uuid) -> u32,
        mut text: impl FnMut(&str) -> u32,
    ) -> Key {
        let mut pick = |field: GroupField, value: &Option<Uuid>| match value {
            Some(id) if fields & bit(field) != 0 => uuid(id),
            _ => NULL,
        };
        let project = pick(GroupField::Project, &self.project);
        let workflow = pick(GroupField::Workflow, &self.workflow);
        let fingerprint = pick(GroupField::Fingerprint, &self.fingerprint);
        let error_type = match self.error_type {
            Some(value) if fields & bit(GroupField::ErrorType) != 0 => text(value),
            _ => NULL,
        };
        let source = self.source.map_or(0, |source| (source as u32 + 1) << 8);
        let severity = self.severity.map_or(0, |severity| severity as u32 + 1);
        [slot, project, workflow, error_type, fingerprint, kind(fields, source | severity)]
    }
}

fn kind(fields: u8, kind: u32) -> u32 {
    let source = if fields & bit(GroupField::Source) == 0 { 0 } else { kind & 0xff00 };
    let severity = if fields & bit(GroupField::Severity) == 0 { 0 } else { kind & 0x00ff };
    source | severity
}

/// The key of the group that takes what is over the limit.
pub(super) fn overflow_key(slot: u32) -> Key {
    [slot, UNKNOWN, UNKNOWN, UNKNOWN, UNKNOWN, UNKNOWN]
}

/// The group key as people and the database see it: `{}` for an ungrouped rule and for overflow.
pub(super) fn render(key: &Key, fields: &[GroupField], interns: &Interns) -> GroupKey {
    let [slot, project, workflow, error_type, fingerprint, kind] = *key;
    if *key == overflow_key(slot) {
        return GroupKey::default();
    }
    let uuid = |number| interns.uuids.value(number).map(|id| id.to_string().into_boxed_str());
    let place = |number: u32| usize::try_from(number).unwrap_or(0).checked_sub(1);
    let source = || place(kind >> 8).and_then(|at| Source::ALL.get(at)).map(|s| s.as_str().into());
    let severity =
        || place(kind & 0xff).and_then(|at| Severity::ALL.get(at)).map(|s| s.as_str().into());
    let value = |field: &GroupField| match field {
        GroupField::Project => uuid(project),
        GroupField::Workflow => uuid(workflow),
        GroupField::Source => source(),
        GroupField::ErrorType => interns.texts.value(error_type).cloned(),
        GroupField::Severity => severity(),
        GroupField::Fingerprint => uuid(fingerprint),
    };
    fields.iter().map(|field| (*field, value(field))).collect()
}

impl Groups {
    #[inline]
    pub fn get(&self, group: u32) -> Option<&Group> {
        self.places.get(group as usize)
    }

    #[inline]
    pub fn get_mut(&mut self, group: u32) -> Option<&mut Group> {
        self.places.get_mut(group as usize)
    }

    /// Groups in use.
    pub fn len(&self) -> usize {
        self.places.len() - self.free.len()
    }

    /// The places of all groups in use.
    pub fn all(&self) -> impl Iterator<Item = (u32, &Group)> {
        (0_u32..).zip(&self.places).filter(|(_, group)| group.live)
    }

    /// Tells how the rule in `slot` groups.
    pub fn set_fields(&mut self, slot: u32, fields: &[GroupField]) {
        let slot = slot as usize;
        if self.heads.len() <= slot {
            self.heads.resize(slot + 1, Head { fields: 0, single: NONE });
        }
        if let Some(head) = self.heads.get_mut(slot) {
            head.fields = bits(fields);
        }
    }

    /// The group of an event under the rule in `slot`, if it exists.
    #[inline]
    pub fn find(&self, slot: u32, atoms: &Atoms) -> Option<u32> {
        let head = self.heads.get(slot as usize)?;
        if head.fields == 0 {
            return (head.single != NONE).then_some(head.single);
        }
        let pick = |field: GroupField, value: u32| {
            if head.fields & bit(field) == 0 { NULL } else { value }
        };
        let key = [
            slot,
            pick(GroupField::Project, atoms.project),
            pick(GroupField::Workflow, atoms.workflow),
            pick(GroupField::ErrorType, atoms.error_type),
            pick(GroupField::Fingerprint, atoms.fingerprint),
            kind(head.fields, atoms.kind),
        ];
        if key.contains(&UNKNOWN) {
            return None;
        }
        self.by_key.get(&key).copied()
    }

    /// The group with these values, if it exists.
    pub fn lookup(&self, slot: u32, parts: &Parts<'_>, interns: &Interns) -> Option<u32> {
        let head = self.heads.get(slot as usize)?;
        if head.fields == 0 {
            return (head.single != NONE).then_some(head.single);
        }
        let (uuids, texts) = (&interns.uuids, &interns.texts);
        let key = parts.key(slot, head.fields, |id| uuids.find(id), |text| texts.find(text));
        self.by_key.get(&key).copied()
    }

    /// Makes the group with these values (the overflow group for none), or finds it.
    pub fn create(
        &mut self,
        slot: u32,
        parts: Option<&Parts<'_>>,
        rule: &mut Compiled,
        interns: &mut Interns,
        now: Timestamp,
    ) -> u32 {
        let fields = bits(&rule.fields);
        let key = match parts {
            None => overflow_key(slot),
            Some(parts) => {
                let (uuids, texts) = (&mut interns.uuids, &mut interns.texts);
                parts.key(slot, fields, |id| uuids.acquire(id), |text| texts.acquire(&text.into()))
            }
        };
        let known = match (parts, fields) {
            (None, _) => rule.overflow,
            (_, 0) => self.heads.get(slot as usize).map_or(NONE, |head| head.single),
            _ => self.by_key.get(&key).copied().unwrap_or(NONE),
        };
        if known != NONE {
            release(&key, interns);
            return known;
        }
        let place = self.place(key, rule, now);
        if parts.is_none() {
            rule.overflow = place;
        } else {
            rule.groups += 1;
            if fields == 0 {
                if let Some(head) = self.heads.get_mut(slot as usize) {
                    head.single = place;
                }
            } else {
                self.by_key.insert(key, place);
            }
        }
        place
    }

    fn place(&mut self, key: Key, rule: &Compiled, now: Timestamp) -> u32 {
        let special = rule.is_special().then(|| Special {
            scope: NONE,
            further: rule.further.iter().map(|width| Ring::new(*width, now)).collect(),
            hash: 0,
            silent_since: None,
        });
        let mut group = Group {
            attention: rule.attention,
            incident: None,
            timer_at: NEVER,
            generation: 0,
            ring: Ring::new(rule.width, now),
            evidence: Tracker::new(now),
            below_since: None,
            key,
            special: special.map(Box::new),
            recheck: false,
            deferred: false,
            live: true,
        };
        if let Some(free) = self.free.pop()
            && let Some(old) = self.places.get_mut(free as usize)
        {
            group.generation = old.generation.wrapping_add(1);
            *old = group;
            return free;
        }
        self.places.push(group);
        u32::try_from(self.places.len() - 1).unwrap_or(NONE)
    }

    /// Drops a group; returns the run window it used, or [`NONE`].
    pub fn drop_group(&mut self, place: u32, rule: &mut Compiled, interns: &mut Interns) -> u32 {
        let Some(group) = self.places.get_mut(place as usize).filter(|group| group.live) else {
            return NONE;
        };
        group.live = false;
        group.incident = None;
        group.timer_at = NEVER;
        group.generation = group.generation.wrapping_add(1);
        let (slot, key, scope) = (group.rule(), group.key, group.scope());
        self.free.push(place);
        if rule.overflow == place {
            rule.overflow = NONE;
            return scope;
        }
        rule.groups = rule.groups.saturating_sub(1);
        release(&key, interns);
        if let Some(head) = self.heads.get_mut(slot as usize)
            && head.single == place
        {
            head.single = NONE;
        }
        self.by_key.remove(&key);
        scope
    }

    /// The fields by which some rule groups.
    pub fn needs(fields: u8) -> Needs {
        let has = |field| fields & bit(field) != 0;
        Needs {
            project: has(GroupField::Project),
            workflow: has(GroupField::Workflow),
            class: false,
            error_type: has(GroupField::ErrorType),
            fingerprint: has(GroupField::Fingerprint),
        }
    }
}

fn release(key: &Key, interns: &mut Interns) {
    let [_, project, workflow, error_type, fingerprint, _] = *key;
    for number in [project, workflow, fingerprint] {
        interns.uuids.release(number);
    }
    interns.texts.release(error_type);
}
