//! Why did a rule fire, or not? Facts of one instant, and the paragraph that they make.

mod gather;
mod text;

use serde::Serialize;
use uuid::Uuid;

pub use gather::gather;
pub use text::paragraph;

use crate::{
    model::{Detail, GroupKey, Level, NoData, Timestamp},
    store::explain::Leader,
};

/// Everything that decides whether a rule fires and who is told, at one instant.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Facts {
    /// The rule.
    pub rule_id: Uuid,
    /// What people call it.
    pub rule: String,
    /// What it measures.
    pub metric: &'static str,
    /// Length of its window in seconds.
    pub window_seconds: i64,
    /// Length of the stretch that its errors and runs are counted over.
    pub counted_over_seconds: i64,
    /// Whether it is evaluated at all.
    pub enabled: bool,
    /// The instant.
    pub at: Timestamp,
    /// Whether that is the present.
    pub now: bool,
    /// The group that was asked for, or that of the incident; none for the whole rule.
    pub group: Option<GroupKey>,
    /// The value: of that group, or the highest of all. None where there were too few runs to tell.
    pub value: Option<f64>,
    /// Matching errors in the window of that group, or in those of all groups.
    pub errors: u64,
    /// Errors of any kind in that time (in the rule's project), up to 100,000.
    pub errors_of_any_kind: u64,
    /// Workflow runs in the window, where the metric needs them.
    pub runs: Option<u64>,
    /// With fewer runs there is no value.
    pub min_runs: Option<u32>,
    /// Whether the value is one at which it fires.
    pub fires: bool,
    /// The threshold that decides, where it is not one of the rule's own: the factor of a burn rate.
    pub threshold: Option<f64>,
    /// What stands behind the value, for some kinds.
    pub detail: Option<Detail>,
    /// The share of runs without error that a burn rate aims at.
    pub objective: Option<f64>,
    /// With fewer errors than this a change does not fire.
    pub min_count: Option<u32>,
    /// What becomes of the rule while there is no value.
    pub no_data: NoData,
    /// Since when the value has been low enough for the incident to end.
    pub below_since: Option<Timestamp>,
    /// How long that must last, in seconds.
    pub keep_seconds: i64,
    /// Whether the incident comes and goes.
    pub flapping: bool,
    /// When the error group that was asked about was last seen, where it is known already.
    pub known_since: Option<Timestamp>,
    /// It warns from here on.
    pub warning: Option<f64>,
    /// It is critical from here on.
    pub critical: Option<f64>,
    /// It resolves below this.
    pub resolve: f64,
    /// How long the value must hold, in seconds.
    pub pending_seconds: i64,
    /// What the rule says by itself, replayed over the rows.
    pub replayed: Option<Replayed>,
    /// The incident that the daemon has, or had, open at that instant.
    pub incident: Option<Incident>,
    /// What keeps people from being told: silences, quiet hours, rules that fire.
    pub holds: Vec<String>,
    /// Whom it tells.
    pub channels: Vec<Channel>,
    /// Who decides now.
    pub leader: Option<Leader>,
}

/// An incident of the replay.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Replayed {
    /// When the threshold was reached.
    pub started_at: Timestamp,
    /// When it fired; none while it is pending.
    pub fired_at: Option<Timestamp>,
    /// How loudly.
    pub level: Level,
}

/// An incident as it was written.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Incident {
    /// Primary key.
    pub incident_id: Uuid,
    /// When the threshold was reached.
    pub started_at: Timestamp,
    /// When it fired; none while it is pending.
    pub fired_at: Option<Timestamp>,
    /// When somebody took it in hand.
    pub acknowledged_at: Option<Timestamp>,
    /// How loudly.
    pub level: Level,
    /// What became of its messages.
    pub messages: Vec<Message>,
}

/// One message of an incident.
#[derive(Clone, Debug, PartialEq, Serialize, serde::Deserialize)]
pub struct Message {
    /// The channel's name; none where it is gone.
    pub channel: Option<String>,
    /// What it says.
    pub transition: String,
    /// waiting, sending, sent, dead or dropped.
    pub state: String,
    /// When it was sent.
    pub sent_at: Option<Timestamp>,
    /// What the receiver answered last.
    pub last_error: Option<String>,
}

/// A channel of the rule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Channel {
    /// What people call it.
    pub name: String,
    /// slack, email, webhook, …
    pub kind: String,
    /// The lowest level it is told of.
    pub min_level: Level,
    /// Whether it gets anything.
    pub enabled: bool,
    /// What its receiver answered when it broke; none while it works.
    pub broken: Option<String>,
}
