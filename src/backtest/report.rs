//! What a back-test says; serialised as it stands by the command line and the API.

use serde::Serialize;
use uuid::Uuid;

use crate::model::{GroupKey, Level, Rule, Timestamp};

/// What a rule would have done over a stretch of history.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Report {
    /// Incidents that fired or were pending at the end, in order of their beginning; at most
    /// [`Report::MOST_INCIDENTS`].
    pub incidents: Vec<IncidentLine>,
    /// How many incidents there were, with those that are not listed.
    pub incidents_total: usize,
    /// How often the threshold was reached, but not for the pending period.
    pub dropped: usize,
    /// Messages per channel.
    pub messages: Vec<MessageCount>,
    /// The highest value among the rule's groups, interval by interval.
    pub series: Vec<Point>,
    /// The lines to draw.
    pub thresholds: Thresholds,
    /// Thresholds taken from history, where they were asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub suggestion: Option<Suggestion>,
    /// From when on.
    pub from: Timestamp,
    /// Up to when history was looked at: the end asked for, or the present.
    pub complete_through: Timestamp,
    /// Rows read, those included that only filled the windows at the beginning.
    pub events_read: u64,
    /// Rows that had already left the window when they were received, and so count nowhere.
    pub events_too_late: u64,
    /// How long it took, in milliseconds.
    pub took_ms: u64,
}

impl Report {
    /// Incidents listed at most.
    pub const MOST_INCIDENTS: usize = 1_000;
}

/// One incident.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct IncidentLine {
    /// The group it is about; empty for a rule that does not group.
    pub group: GroupKey,
    /// When the threshold was first reached.
    pub started_at: Timestamp,
    /// When it fired; none while it was pending at the end.
    pub fired_at: Option<Timestamp>,
    /// When it was over; none where it was open at the end.
    pub resolved_at: Option<Timestamp>,
    /// The highest level it had.
    pub level: Level,
    /// The highest value it had.
    pub peak: f64,
    /// The value at its end.
    pub value: f64,
}

/// How many messages one channel would have got.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct MessageCount {
    /// The channel; none for one that a file names and the database does not have.
    pub channel_id: Option<Uuid>,
    /// What people call it.
    pub name: String,
    /// slack, email, webhook, …
    pub kind: String,
    /// All pieces of news together.
    pub count: usize,
    /// In how many messages they come, where a channel that people read gets what comes at once as one.
    pub posts: usize,
    /// Messages that an incident fires.
    pub firing: usize,
    /// Messages that it became critical.
    pub escalated: usize,
    /// Repetitions.
    pub reminders: usize,
    /// Messages that it comes and goes.
    pub flapping: usize,
    /// Messages that it is over.
    pub resolved: usize,
    /// Messages that a silence or quiet hours kept back.
    pub held_back: usize,
}

/// A channel of the rule that is tested.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChannelRef {
    /// The channel.
    pub channel_id: Option<Uuid>,
    /// What people call it.
    pub name: String,
    /// slack, email, webhook, …
    pub kind: String,
    /// The lowest level it is told of.
    pub min_level: Level,
    /// Whether it gets anything.
    pub enabled: bool,
}

/// One point of the series.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Point {
    /// The beginning of its interval.
    pub at: Timestamp,
    /// The highest value in the interval; none where there were too few runs to tell.
    pub value: Option<f64>,
}

/// The thresholds of a rule.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Thresholds {
    /// From here on it warns.
    pub warning: Option<f64>,
    /// From here on it is critical.
    pub critical: Option<f64>,
    /// Below this it resolves.
    pub resolve: f64,
}

impl Thresholds {
    /// The thresholds of `rule`.
    #[must_use]
    pub fn of(rule: &Rule) -> Self {
        Self { warning: rule.warning, critical: rule.critical, resolve: rule.resolve_below() }
    }
}

/// Thresholds that history suggests.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Suggestion {
    /// Just above what the value did not exceed in 99 % of the time; none where nothing happened.
    pub warning: Option<f64>,
    /// Just above what it did not exceed in 99.9 % of the time, and above the warning.
    pub critical: Option<f64>,
    /// The value that was not exceeded in half of the time.
    pub p50: f64,
    /// In 90 % of the time.
    pub p90: f64,
    /// In 99 % of the time.
    pub p99: f64,
    /// In 99.9 % of the time.
    pub p999: f64,
    /// Never.
    pub max: f64,
    /// How many samples of the value these are taken from.
    pub samples: usize,
    /// The same in a sentence.
    pub text: String,
}
