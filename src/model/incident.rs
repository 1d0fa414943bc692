//! Incidents: what the engine decides and `store` keeps.

use std::{collections::BTreeMap, fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{AbsenceOf, ErrorEvent, GroupField, ParseEnumError, Timestamp, event::word_enum};

word_enum!(
    /// How loudly an alert speaks (not to be confused with the severity of an error).
    Level, "level", "warning, critical",
    {
        /// The warning threshold was reached.
        Warning = "warning",
        /// The critical threshold was reached.
        Critical = "critical",
    }
);

word_enum!(
    /// Where an incident stands.
    IncidentState, "incident state", "pending, firing, resolved",
    {
        /// The threshold is reached, but not yet for the pending period; nobody has been told.
        Pending = "pending",
        /// People have been told.
        Firing = "firing",
        /// The value fell below the resolve threshold; final.
        Resolved = "resolved",
    }
);

word_enum!(
    /// What happened to an incident; each one is an entry of its time line.
    TransitionKind, "transition",
    "pending, firing, escalated, deescalated, reminder, flapping, resolved, dropped",
    {
        /// The threshold was reached and the pending period began. Never notified.
        Pending = "pending",
        /// The incident fires. Notified.
        Firing = "firing",
        /// Warning became critical for the first time in this incident. Notified.
        Escalated = "escalated",
        /// The level changed without anybody being told: critical became warning, or warning became
        /// critical again in an incident that was announced as critical before. Never notified;
        /// the transition's `level` says which.
        Deescalated = "deescalated",
        /// Still firing and nobody acknowledged. Notified.
        Reminder = "reminder",
        /// It would have resolved, but came and went too often in the rule's flap period: it is held open
        /// and resolves once it has stayed away for that period. Notified, once an incident.
        Flapping = "flapping",
        /// It is over. Notified to those who got `firing`.
        Resolved = "resolved",
        /// A pending incident went away before it fired. Never notified; the row is deleted.
        Dropped = "dropped",
    }
);

/// The values of a rule's group-by fields for one group, in the order of [`GroupField`].
///
/// Its text form (canonical JSON with sorted keys, `{}` for an ungrouped rule) is `group_key` in the
/// database and part of what makes an incident unique.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct GroupKey(BTreeMap<GroupField, Option<Box<str>>>);

impl GroupKey {
    /// The group of `event` under `fields`.
    #[must_use]
    pub fn of(event: &ErrorEvent, fields: &[GroupField]) -> Self {
        let uuid = |id: Option<Uuid>| id.map(|id| id.to_string().into_boxed_str());
        let value = |field: &GroupField| match field {
            GroupField::Project => uuid(event.project_id),
            GroupField::Workflow => uuid(event.workflow_id),
            GroupField::Source => Some(event.source.as_str().into()),
            GroupField::ErrorType => Some(event.error_type.clone()),
            GroupField::Severity => Some(event.severity.as_str().into()),
            GroupField::Fingerprint => uuid(Some(event.fingerprint)),
        };
        Self(fields.iter().map(|field| (*field, value(field))).collect())
    }

    /// The pairs of field and value; a value of none stands for SQL null.
    pub fn iter(&self) -> impl Iterator<Item = (GroupField, Option<&str>)> {
        self.0.iter().map(|(field, value)| (*field, value.as_deref()))
    }

    /// The value of one field, where the key has it and it is not null.
    #[must_use]
    pub fn get(&self, field: GroupField) -> Option<&str> {
        self.0.get(&field).and_then(|value| value.as_deref())
    }

    /// Whether this is the key of an ungrouped rule.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// A key put together from its parts; of two values for one field the later one stays.
impl FromIterator<(GroupField, Option<Box<str>>)> for GroupKey {
    fn from_iter<I: IntoIterator<Item = (GroupField, Option<Box<str>>)>>(pairs: I) -> Self {
        Self(pairs.into_iter().collect())
    }
}

/// Canonical JSON: `{"source":"worker","workflow":null}` with keys in the order of [`GroupField`].
impl fmt::Display for GroupKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&serde_json::to_string(&self.0).map_err(|_| fmt::Error)?)
    }
}

impl FromStr for GroupKey {
    type Err = serde_json::Error;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        serde_json::from_str(text).map(Self)
    }
}

/// Why an incident stands where it stands: what a person wants to see first.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Evidence {
    /// Matching errors in the window.
    pub errors: u64,
    /// Workflow runs started in the window, for ratio rules.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub runs: Option<u64>,
    /// The most frequent fingerprints, most frequent first, at most five.
    pub top_groups: Vec<TopGroup>,
    /// A few of the errors, newest first, at most five.
    pub samples: Vec<Uuid>,
    /// `timestamp` of the earliest error counted for this incident.
    pub first_seen: Option<Timestamp>,
    /// `timestamp` of the latest error counted for this incident.
    pub last_seen: Option<Timestamp>,
    /// Errors of the window in steps of a thirtieth of it, oldest first, at most thirty; the last
    /// step is the one that is still going on.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub trend: Vec<u32>,
    /// What some kinds of rule have to add.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<Detail>,
}

/// What a value alone does not say.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Detail {
    /// There were too few runs to tell a ratio or a burn rate.
    NoData {
        /// How many it takes.
        min_runs: u32,
    },
    /// What a change is measured against.
    Earlier {
        /// Errors in the same window earlier.
        errors: u64,
        /// How much earlier, in seconds.
        seconds: i64,
    },
    /// The pair of windows that a burn rate is taken of.
    Burn {
        /// Length of the long window in seconds.
        long_seconds: i64,
        /// Length of the short window in seconds.
        short_seconds: i64,
    },
    /// What has not happened.
    Silence {
        /// Errors or runs.
        of: AbsenceOf,
    },
}

/// One of the fingerprints behind an incident.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TopGroup {
    /// The group's fingerprint.
    pub fingerprint: Uuid,
    /// How many of its errors were counted (a lower bound once there were many fingerprints).
    pub count: u64,
    /// One of its errors, from which `store` takes the title.
    pub sample: Uuid,
    /// Masked message of the sample; filled by `store` when the incident is written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
}

/// A decision of the engine, to be written and told by the leader.
#[derive(Clone, Debug, PartialEq)]
pub struct Transition {
    /// What happened.
    pub kind: TransitionKind,
    /// The incident: UUIDv5 of rule, group key and the instant it began, so that a repeated decision
    /// about the same breach has the same id.
    pub incident_id: Uuid,
    /// The rule that decided.
    pub rule_id: Uuid,
    /// The group within the rule.
    pub group_key: GroupKey,
    /// State after the transition.
    pub state: IncidentState,
    /// Level after the transition.
    pub level: Level,
    /// When the threshold was first reached (engine time).
    pub started_at: Timestamp,
    /// When this transition happened (engine time).
    pub at: Timestamp,
    /// The rule's value at that instant.
    pub value: f64,
    /// The threshold that decided: warning or critical, or resolve for a resolved incident.
    pub threshold: f64,
    /// The highest value so far in this incident.
    pub peak: f64,
    /// 1 for the first reminder of an incident, 2 for the next; 0 for every other kind.
    pub reminder: u32,
    /// What stood behind the value.
    pub evidence: Evidence,
}

/// An incident that was open when the process started, as `store` loads it.
#[derive(Clone, Debug, PartialEq)]
pub struct OpenIncident {
    /// Primary key of `alert_incidents`.
    pub incident_id: Uuid,
    /// Its rule.
    pub rule_id: Uuid,
    /// Its group.
    pub group_key: GroupKey,
    /// Pending or firing.
    pub state: IncidentState,
    /// Its present level.
    pub level: Level,
    /// The highest level people were told of.
    pub peak_level: Level,
    /// When the threshold was first reached.
    pub started_at: Timestamp,
    /// When it began to fire.
    pub fired_at: Option<Timestamp>,
    /// When people were last told (fired, escalated or reminded).
    pub notified_at: Option<Timestamp>,
    /// How many reminders went out.
    pub reminders: u32,
    /// Whether it is held open because it came and went too often.
    pub flapping: bool,
    /// Whether somebody has acknowledged it.
    pub acknowledged: bool,
    /// The highest value so far.
    pub peak: f64,
    /// Evidence as last written.
    pub evidence: Evidence,
}
