//! Why somebody is not told now.

use std::fmt;

use uuid::Uuid;

use super::QuietKind;
use crate::model::Timestamp;

/// A reason not to tell now, and when it ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hold {
    /// What holds it back.
    pub why: Why,
    /// When that ends; none where it ends with another incident.
    pub until: Option<Timestamp>,
}

/// What holds a message back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Why {
    /// Somebody silenced it.
    Silenced {
        /// Primary key of `alert_silences`.
        silence_id: Uuid,
        /// What its author said.
        reason: String,
    },
    /// It is a time at which nobody wants to be told.
    Quiet {
        /// Primary key of `alert_quiet_hours`.
        quiet_hours_id: Uuid,
        /// What people call it.
        name: String,
        /// Quiet hours or a maintenance window.
        kind: QuietKind,
    },
    /// Another rule fires, of which this is a consequence.
    Inhibited {
        /// Primary key of `alert_inhibitions`.
        inhibition_id: Uuid,
        /// The rule that fires.
        rule_id: Uuid,
        /// Its incident.
        incident_id: Uuid,
    },
}

impl Hold {
    /// The kind of the entry that says so in the incident's time line.
    #[must_use]
    pub const fn entry(&self) -> &'static str {
        match self.why {
            Why::Silenced { .. } => "silenced",
            Why::Quiet { .. } => "quiet",
            Why::Inhibited { .. } => "inhibited",
        }
    }

    /// The word that stands for it in `alert_held_back.why`.
    #[must_use]
    pub const fn word(&self) -> &'static str {
        match &self.why {
            Why::Silenced { .. } => "silence",
            Why::Quiet { kind, .. } => kind.as_str(),
            Why::Inhibited { .. } => "inhibition",
        }
    }

    /// The row that holds it back: a silence, quiet hours or an inhibition.
    #[must_use]
    pub const fn id(&self) -> Uuid {
        match self.why {
            Why::Silenced { silence_id, .. } => silence_id,
            Why::Quiet { quiet_hours_id, .. } => quiet_hours_id,
            Why::Inhibited { inhibition_id, .. } => inhibition_id,
        }
    }
}

/// One sentence without its full stop, as it stands in the time line.
impl fmt::Display for Hold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let until = self.until.map_or_else(String::new, |at| {
            format!(" until {}", at.to_chrono().format("%Y-%m-%d %H:%M:%S UTC"))
        });
        match &self.why {
            Why::Silenced { reason, .. } if reason.trim().is_empty() => {
                write!(f, "silenced{until}")
            }
            Why::Silenced { reason, .. } => write!(f, "silenced{until}: {}", reason.trim()),
            Why::Quiet { name, kind, .. } => write!(f, "{} {name:?}{until}", kind.phrase()),
            Why::Inhibited { incident_id, .. } => {
                write!(f, "kept quiet while incident {incident_id} of another rule fires")
            }
        }
    }
}

/// When the last of several holds ends; none where that cannot be known, or there is none.
#[must_use]
pub fn until(holds: &[Hold]) -> Option<Timestamp> {
    let ends: Option<Vec<Timestamp>> = holds.iter().map(|hold| hold.until).collect();
    ends?.into_iter().max()
}

/// The sentence of the time line that says why nobody was told.
#[must_use]
pub fn note(holds: &[Hold]) -> String {
    let reasons: Vec<String> = holds.iter().map(Hold::to_string).collect();
    format!("nobody was told: {}", reasons.join("; "))
}
