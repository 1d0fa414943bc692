//! What only some kinds of rule need of a group, and the windows of a group taken together.

use super::Group;
use crate::{
    engine::{compiled::NONE, window::Ring},
    model::Timestamp,
};

/// What only some kinds of rule need of a group.
#[derive(Debug)]
pub(in crate::engine) struct Special {
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
