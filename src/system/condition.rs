//! The conditions that people are told of, and when they hold.

use uuid::Uuid;

use crate::model::{Level, Span, Timestamp};

/// Something that is wrong with the tracker itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Condition {
    /// The socket is subscribed and brings nothing; reads carry the load.
    Deaf,
    /// Rows that were committed are not counted yet.
    Lag,
    /// Messages were given up.
    Notifications,
    /// Counts differ from the table.
    Reconcile,
    /// The database went back, as after a restored backup.
    SetBack,
    /// The former leader did not give its lease back.
    Takeover,
}

/// How long a condition must hold, or be gone, before people are told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// A condition that mends itself within this time is nobody's business; not for those that
    /// prove a loss, which are told at once.
    pub pending: Span,
    /// One that comes back within this time has not ended.
    pub keep: Span,
    /// How far counting may be behind.
    pub lag: Span,
    /// How long an event that has no end of its own is shown.
    pub notice: Span,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            pending: Span::from_secs(60),
            keep: Span::from_secs(60),
            lag: Span::from_secs(60),
            notice: Span::from_secs(600),
        }
    }
}

/// A condition that holds now.
#[derive(Clone, Debug, PartialEq)]
pub struct Finding {
    /// Which one.
    pub condition: Condition,
    /// How much of it there is, in the condition's own unit.
    pub value: f64,
    /// From how much on it is one.
    pub threshold: f64,
    /// What was found and what to do, in a sentence or two.
    pub detail: String,
}

/// Under which incident ids are made: UUIDv5 of this namespace and condition and beginning.
const NAMESPACE: Uuid = Uuid::from_u128(0x2b0c_3df1_8a51_4c7a_9a1f_77de_01c4_5e9b);

impl Condition {
    /// Every condition.
    pub const ALL: [Self; 6] = [
        Self::Deaf,
        Self::Lag,
        Self::Notifications,
        Self::Reconcile,
        Self::SetBack,
        Self::Takeover,
    ];

    /// The word in group keys and metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Deaf => "deaf",
            Self::Lag => "lag",
            Self::Notifications => "notifications",
            Self::Reconcile => "reconcile",
            Self::SetBack => "set_back",
            Self::Takeover => "takeover",
        }
    }

    /// The condition with this word.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|condition| condition.as_str() == word)
    }

    /// What stands in `alert_incidents.rule_name`.
    #[must_use]
    pub const fn title(self) -> &'static str {
        match self {
            Self::Deaf => "system: Realtime brings nothing",
            Self::Lag => "system: counting is behind",
            Self::Notifications => "system: messages were given up",
            Self::Reconcile => "system: counts differ from the table",
            Self::SetBack => "system: the database went back",
            Self::Takeover => "system: the leader was lost",
        }
    }

    /// How bad it is: critical where an alert or a count may be lost.
    #[must_use]
    pub const fn level(self) -> Level {
        match self {
            Self::Deaf | Self::Takeover => Level::Warning,
            Self::Lag | Self::Notifications | Self::Reconcile | Self::SetBack => Level::Critical,
        }
    }

    /// What stands in `alert_incidents.group_key`: a field by which no rule groups.
    #[must_use]
    pub fn group_key(self) -> String {
        format!("{{\"condition\":\"{}\"}}", self.as_str())
    }

    /// The id of the incident that began then.
    #[must_use]
    pub fn incident_id(self, started_at: Timestamp) -> Uuid {
        let mut name = self.as_str().as_bytes().to_vec();
        name.extend_from_slice(&started_at.micros().to_be_bytes());
        Uuid::new_v5(&NAMESPACE, &name)
    }

    /// How long it must hold before people are told.
    pub(super) const fn pending(self, limits: &Limits) -> Span {
        match self {
            Self::Deaf | Self::Lag => limits.pending,
            Self::Notifications | Self::Reconcile | Self::SetBack | Self::Takeover => Span::ZERO,
        }
    }

    /// How long it must be gone before it is over.
    pub(super) const fn keep(self, limits: &Limits) -> Span {
        match self {
            Self::Deaf | Self::Lag => limits.keep,
            // A comparison that found no difference is the proof.
            Self::Notifications | Self::Reconcile | Self::SetBack | Self::Takeover => Span::ZERO,
        }
    }

    /// Whether it has no end of its own, and is shown for some time instead.
    pub(super) const fn is_notice(self) -> bool {
        matches!(self, Self::SetBack | Self::Takeover)
    }
}

/// What is known at one instant.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Observed {
    /// What holds.
    pub findings: Vec<Finding>,
    /// Of what it is not known whether it holds: it stays as it is.
    pub unknown: Vec<Condition>,
}
