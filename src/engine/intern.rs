//! Small numbers for the identifiers and texts that rules and groups name.
//!
//! Reporters choose some of these values, so they are looked up through the standard library's keyed
//! hash, once an event; everything behind works on the numbers given out here, which nobody outside
//! can choose, and may use a fast unkeyed hash without inviting collisions.

use std::{borrow::Borrow, collections::HashMap, hash::Hash};

use uuid::Uuid;

use crate::model::{ErrorEvent, TypePattern};

/// The number that stands for SQL null.
pub(super) const NULL: u32 = 0;
/// The number that stands for a value that no rule and no group names.
pub(super) const UNKNOWN: u32 = u32::MAX;

/// Which fields of an event somebody will ask for; the others are not looked up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Needs {
    pub project: bool,
    pub workflow: bool,
    pub class: bool,
    pub error_type: bool,
    pub fingerprint: bool,
}

impl Needs {
    /// What either asks for.
    pub fn or(self, other: Self) -> Self {
        Self {
            project: self.project | other.project,
            workflow: self.workflow | other.workflow,
            class: self.class | other.class,
            error_type: self.error_type | other.error_type,
            fingerprint: self.fingerprint | other.fingerprint,
        }
    }
}

/// One event as numbers. A field that was not looked up is [`UNKNOWN`].
#[derive(Clone, Copy, Debug)]
pub(super) struct Atoms {
    pub project: u32,
    pub workflow: u32,
    pub class: u32,
    pub error_type: u32,
    pub fingerprint: u32,
    /// Source and severity as one small number: `(source + 1) << 8 | (severity + 1)`.
    pub kind: u32,
}

/// Values counted by reference, so that a flood of passing values leaves nothing behind.
#[derive(Debug)]
pub(super) struct Interner<T> {
    numbers: HashMap<T, u32>,
    slots: Vec<Slot<T>>,
    free: Vec<u32>,
}

#[derive(Debug)]
struct Slot<T> {
    value: Option<T>,
    references: u32,
}

/// The two tables of the engine.
#[derive(Debug, Default)]
pub(super) struct Interns {
    /// Projects, workflows and fingerprints.
    pub uuids: Interner<Uuid>,
    /// Error types and their classes.
    pub texts: Interner<Box<str>>,
}

impl<T> Default for Interner<T> {
    fn default() -> Self {
        Self { numbers: HashMap::new(), slots: Vec::new(), free: Vec::new() }
    }
}

impl<T: Clone + Eq + Hash> Interner<T> {
    /// The number of `value`, or [`UNKNOWN`].
    pub fn find<Q: Eq + Hash + ?Sized>(&self, value: &Q) -> u32
    where
        T: Borrow<Q>,
    {
        self.numbers.get(value).copied().unwrap_or(UNKNOWN)
    }

    /// The number of `value`, which stays valid until it is released as often as it was acquired.
    pub fn acquire(&mut self, value: &T) -> u32 {
        if let Some(number) = self.numbers.get(value).copied() {
            if let Some(slot) = self.slot_mut(number) {
                slot.references += 1;
            }
            return number;
        }
        let slot = Slot { value: Some(value.clone()), references: 1 };
        let number = match self.free.pop() {
            Some(number) => {
                if let Some(place) = self.slot_mut(number) {
                    *place = slot;
                }
                number
            }
            None => {
                self.slots.push(slot);
                u32::try_from(self.slots.len()).unwrap_or(UNKNOWN)
            }
        };
        self.numbers.insert(value.clone(), number);
        number
    }

    /// Gives back one acquired reference.
    pub fn release(&mut self, number: u32) {
        let Some(slot) = self.slot_mut(number) else { return };
        slot.references = slot.references.saturating_sub(1);
        if slot.references == 0
            && let Some(value) = slot.value.take()
        {
            self.numbers.remove(&value);
            self.free.push(number);
        }
    }

    /// The value behind a number; none for [`NULL`] and [`UNKNOWN`].
    pub fn value(&self, number: u32) -> Option<&T> {
        let place = usize::try_from(number.checked_sub(1)?).ok()?;
        self.slots.get(place)?.value.as_ref()
    }

    /// How many values are held.
    pub fn len(&self) -> usize {
        self.numbers.len()
    }

    fn slot_mut(&mut self, number: u32) -> Option<&mut Slot<T>> {
        let place = usize::try_from(number.checked_sub(1)?).ok()?;
        self.slots.get_mut(place)
    }
}

impl Interns {
    /// The numbers of an event's fields, as far as `needs` asks for them.
    pub fn atoms(&self, event: &ErrorEvent, needs: Needs) -> Atoms {
        let uuid = |needed: bool, id: Option<Uuid>| match id {
            None => NULL,
            Some(id) if needed => self.uuids.find(&id),
            Some(_) => UNKNOWN,
        };
        let text = |needed: bool, text: &str| if needed { self.texts.find(text) } else { UNKNOWN };
        Atoms {
            project: uuid(needs.project, event.project_id),
            workflow: uuid(needs.workflow, event.workflow_id),
            class: text(needs.class, TypePattern::class_of(&event.error_type)),
            error_type: text(needs.error_type, &event.error_type),
            fingerprint: uuid(needs.fingerprint, Some(event.fingerprint)),
            kind: (event.source as u32 + 1) << 8 | (event.severity as u32 + 1),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_lives_as_long_as_its_references() {
        let mut texts: Interner<Box<str>> = Interner::default();
        let first = texts.acquire(&"input".into());
        assert_eq!(texts.acquire(&"input".into()), first, "the same text has the same number");
        assert_ne!(first, NULL);
        texts.release(first);
        assert_eq!(texts.find("input"), first, "one reference is left");
        texts.release(first);
        assert_eq!(texts.find("input"), UNKNOWN);
        assert_eq!((texts.value(first), texts.len()), (None, 0));
        assert_eq!(texts.acquire(&"system".into()), first, "numbers are used again");
        assert_eq!(texts.value(first).map(|text| &**text), Some("system"));
        texts.release(NULL);
        texts.release(UNKNOWN);
        assert_eq!(texts.len(), 1, "null and unknown are nobody's reference");
    }
}
