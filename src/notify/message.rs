//! The facts of one notification, as the outbox keeps them in `alert_notifications.payload`.
//!
//! They are taken when the incident changes, so that a message that is sent an hour later still
//! says what was decided, and every medium says the same.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::template::Texts;
use crate::model::{
    Evidence, GroupField, GroupKey, Level, Metric, Rule, Span, Timestamp, Transition,
    TransitionKind,
};

/// The version of the payload that this daemon writes; a change that readers would trip over raises it.
pub const VERSION: u32 = 1;

/// What a message tells: the notified transitions, what people did, a channel's failure, or a test.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MessageKind {
    /// An incident fires.
    Firing,
    /// Its level rose from warning to critical.
    Escalated,
    /// It still fires and nobody has acknowledged it.
    Reminder,
    /// It comes and goes; it is held open until it stays away.
    Flapping,
    /// It is over.
    Resolved,
    /// Somebody takes care of it.
    Acknowledged,
    /// Nobody takes care of it any more.
    Unacknowledged,
    /// Another channel of the rule cannot be reached.
    ChannelBroken,
    /// Somebody tries the channel.
    Test,
}

/// Everything a message can say.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NotificationFacts {
    /// See [`VERSION`].
    pub version: u32,
    /// What the message tells.
    pub transition: MessageKind,
    /// When it happened (engine time).
    pub at: Timestamp,
    /// The incident; none only for a test.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub incident: Option<IncidentFacts>,
    /// Who takes care of it, where the message is about that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub acknowledgement: Option<Acknowledgement>,
    /// The channel that failed, where the message is about one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub broken_channel: Option<BrokenChannel>,
    /// The page to open, where a dashboard is configured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub link: Option<String>,
    /// What the rule's own templates made of it; filled when the message is sent.
    #[serde(skip)]
    pub texts: Texts,
}

/// Who takes care of an incident, and what they said.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Acknowledgement {
    /// The person's name, where it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// Their note.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// The incident a message is about, as it stood at the transition.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct IncidentFacts {
    /// Primary key of `alert_incidents`: what ties the messages of one incident together.
    pub id: Uuid,
    /// The rule that decided.
    pub rule: RuleFacts,
    /// The project it concerns, where it concerns one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub project: Option<ProjectFacts>,
    /// The group within the rule, in the order of [`GroupField`]; empty for an ungrouped rule.
    #[serde(default)]
    pub group: Vec<GroupFact>,
    /// Level after the transition.
    pub level: Level,
    /// The rule's value: errors, errors per minute, errors divided by runs, percent more than earlier,
    /// a burn rate, or windows of silence.
    pub value: f64,
    /// The threshold that decided; for a resolved incident the one below which it resolves.
    pub threshold: f64,
    /// The highest value of the incident so far.
    pub peak: f64,
    /// When the threshold was first reached.
    pub since: Timestamp,
    /// When people were first told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fired_at: Option<Timestamp>,
    /// 1 for the first reminder, 2 for the next; also 1 for the second escalation; 0 for every other message.
    #[serde(default)]
    pub reminder: u32,
    /// What stands behind the value.
    pub evidence: Evidence,
}

/// The rule behind an incident.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuleFacts {
    /// Primary key of `alert_rules`.
    pub id: Uuid,
    /// What people call it.
    pub name: String,
    /// What its author says is to be done.
    #[serde(default)]
    pub description: String,
    /// What it measures.
    pub metric: MetricKind,
    /// Length of its window in seconds.
    pub window_seconds: i64,
    /// Length of the stretch that its errors, runs and trend are counted over, where that is another
    /// one: the longest window of a burn rate, or as many windows as an absence must last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub longest_window_seconds: Option<i64>,
}

/// What a rule measures, without the details that a message does not need.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MetricKind {
    /// Errors in the window.
    Count,
    /// Errors per minute.
    Rate,
    /// Errors divided by workflow runs.
    Ratio,
    /// Errors of a fingerprint that is new.
    NewGroup,
    /// Percent more errors than a day or a week earlier.
    Change,
    /// Times the allowed speed of using up the error budget.
    BurnRate,
    /// Windows without an event.
    Absence,
    /// Nothing that a rule measures: the tracker's own state, which the description tells.
    System,
}

/// The project that an incident concerns.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProjectFacts {
    /// Primary key of `projects`.
    pub id: Uuid,
    /// Its name, where it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

/// One field of the group, with the name that people know its value by.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupFact {
    /// The group-by field.
    pub field: GroupField,
    /// Its value; none stands for "no project", "no workflow".
    pub value: Option<String>,
    /// A name for the value, such as the workflow's slug.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

/// A channel that could not be reached.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BrokenChannel {
    /// Primary key of `alert_channels`.
    pub id: Uuid,
    /// What people call it.
    pub name: String,
    /// slack, email or webhook.
    pub kind: String,
    /// What its receiver answered, without secrets.
    pub reason: String,
}

impl MessageKind {
    /// Every kind.
    pub const ALL: &'static [Self] = &[
        Self::Firing,
        Self::Escalated,
        Self::Reminder,
        Self::Flapping,
        Self::Resolved,
        Self::Acknowledged,
        Self::Unacknowledged,
        Self::ChannelBroken,
        Self::Test,
    ];

    /// The word in `alert_notifications.transition`, in payloads and in metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Firing => "firing",
            Self::Escalated => "escalated",
            Self::Reminder => "reminder",
            Self::Flapping => "flapping",
            Self::Resolved => "resolved",
            Self::Acknowledged => "acknowledged",
            Self::Unacknowledged => "unacknowledged",
            Self::ChannelBroken => "channel_broken",
            Self::Test => "test",
        }
    }

    /// The message that tells a transition of the engine; none for those nobody is told of.
    #[must_use]
    pub const fn of(kind: TransitionKind) -> Option<Self> {
        match kind {
            TransitionKind::Firing => Some(Self::Firing),
            TransitionKind::Escalated => Some(Self::Escalated),
            TransitionKind::Reminder => Some(Self::Reminder),
            TransitionKind::Flapping => Some(Self::Flapping),
            TransitionKind::Resolved => Some(Self::Resolved),
            TransitionKind::Pending | TransitionKind::Deescalated | TransitionKind::Dropped => None,
        }
    }
}

impl From<Metric> for MetricKind {
    fn from(metric: Metric) -> Self {
        match metric {
            Metric::Count => Self::Count,
            Metric::Rate => Self::Rate,
            Metric::Ratio { .. } => Self::Ratio,
            Metric::NewGroup { .. } => Self::NewGroup,
            Metric::Change { .. } => Self::Change,
            Metric::BurnRate(_) => Self::BurnRate,
            Metric::Absence { .. } => Self::Absence,
        }
    }
}

impl RuleFacts {
    /// What a message says of `rule`; the model does not carry the description.
    #[must_use]
    pub fn of(rule: &Rule, description: &str) -> Self {
        let longest = rule.longest_window();
        Self {
            id: rule.id,
            name: rule.name.clone(),
            description: description.to_owned(),
            metric: rule.metric.into(),
            window_seconds: rule.window.micros() / 1_000_000,
            longest_window_seconds: (longest != rule.window).then(|| longest.micros() / 1_000_000),
        }
    }

    /// The stretch that errors, runs and trend are counted over.
    #[must_use]
    pub fn counted_over(&self) -> Span {
        Span::from_secs(self.longest_window_seconds.unwrap_or(self.window_seconds))
    }
}

impl IncidentFacts {
    /// The incident as `transition` leaves it.
    ///
    /// `name_of` gives the name that people know a value of the group by, where there is one.
    #[must_use]
    pub fn of(
        transition: &Transition,
        rule: RuleFacts,
        project: Option<ProjectFacts>,
        fired_at: Option<Timestamp>,
        name_of: impl Fn(GroupField, &str) -> Option<String>,
    ) -> Self {
        Self {
            id: transition.incident_id,
            rule,
            project,
            group: group_facts(&transition.group_key, name_of),
            level: transition.level,
            value: finite(transition.value),
            threshold: finite(transition.threshold),
            peak: finite(transition.peak),
            since: transition.started_at,
            fired_at,
            reminder: transition.reminder,
            evidence: transition.evidence.clone(),
        }
    }
}

impl NotificationFacts {
    /// The message that tells a transition; none where nobody is told of that kind.
    ///
    /// `dashboard_url` is the dashboard's address without a trailing path; the link leads to the
    /// incident's page below it.
    #[must_use]
    pub fn of(
        kind: TransitionKind,
        at: Timestamp,
        incident: IncidentFacts,
        dashboard_url: Option<&str>,
    ) -> Option<Self> {
        let transition = MessageKind::of(kind)?;
        let link = dashboard_url.map(|url| incident_link(url, incident.id));
        Some(Self { link, incident: Some(incident), ..Self::bare(transition, at) })
    }

    /// A message that only tries the channel.
    #[must_use]
    pub fn test(at: Timestamp, dashboard_url: Option<&str>) -> Self {
        let link = dashboard_url.map(|url| format!("{}/errors", url.trim_end_matches('/')));
        Self { link, ..Self::bare(MessageKind::Test, at) }
    }

    fn bare(transition: MessageKind, at: Timestamp) -> Self {
        Self {
            version: VERSION,
            transition,
            at,
            incident: None,
            acknowledgement: None,
            broken_channel: None,
            link: None,
            texts: Texts::default(),
        }
    }

    /// What the rule's other channels are told when `channel` did not take this message.
    #[must_use]
    pub fn channel_broken(&self, at: Timestamp, channel: BrokenChannel) -> Self {
        Self {
            transition: MessageKind::ChannelBroken,
            at,
            broken_channel: Some(channel),
            // The rule's own words are about the incident.
            texts: Texts::default(),
            ..self.clone()
        }
    }

    /// The rule whose channels are concerned, where there is one.
    #[must_use]
    pub fn rule_id(&self) -> Option<Uuid> {
        self.incident.as_ref().map(|incident| incident.rule.id)
    }
}

/// The address of an incident's page.
#[must_use]
pub fn incident_link(dashboard_url: &str, incident: Uuid) -> String {
    format!("{}/errors/incidents/{incident}", dashboard_url.trim_end_matches('/'))
}

/// JSON cannot say infinity or NaN, and a message that cannot be read back would be lost.
const fn finite(value: f64) -> f64 {
    if value.is_finite() { value } else { 0.0 }
}

fn group_facts(
    key: &GroupKey,
    name_of: impl Fn(GroupField, &str) -> Option<String>,
) -> Vec<GroupFact> {
    key.iter()
        .map(|(field, value)| GroupFact {
            field,
            value: value.map(str::to_owned),
            name: value.and_then(|value| name_of(field, value)),
        })
        .collect()
}
