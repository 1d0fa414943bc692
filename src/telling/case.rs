//! What a decision is about, and the configuration it follows.

use std::collections::HashMap;

use serde::Deserialize;
use uuid::Uuid;

use super::{Inhibition, QuietHours, Silence};
use crate::model::{Filter, GroupKey, Level};

/// One incident, as far as it matters to who is told of it.
#[derive(Clone, Copy, Debug)]
pub struct Case<'a> {
    /// The incident.
    pub incident_id: Uuid,
    /// Its rule.
    pub rule_id: Uuid,
    /// The rule's project, or the group's where the rule watches all.
    pub project_id: Option<Uuid>,
    /// Its group.
    pub group_key: &'a GroupKey,
    /// Its level now.
    pub level: Level,
}

/// A channel that a rule tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub struct Binding {
    /// The rule.
    pub rule_id: Uuid,
    /// An enabled channel.
    pub channel_id: Uuid,
    /// Below this level the channel hears nothing.
    pub min_level: Level,
}

/// Everything that decides who is told, as it stands now.
#[derive(Clone, Debug, Default)]
pub struct Policy {
    /// Which rules tell which enabled channels.
    pub bindings: Vec<Binding>,
    /// Silences; those that are over or have not begun do no harm.
    pub silences: Vec<Silence>,
    /// Quiet hours and maintenance windows that are enabled.
    pub quiet_hours: Vec<QuietHours>,
    /// Which rules keep which others quiet.
    pub inhibitions: Vec<Inhibition>,
    /// What the rules count: a silence of one source also covers a rule that counts only that source.
    pub filters: HashMap<Uuid, Filter>,
}

impl Policy {
    /// The channels of a rule.
    pub fn channels(&self, rule_id: Uuid) -> impl Iterator<Item = &Binding> {
        self.bindings.iter().filter(move |binding| binding.rule_id == rule_id)
    }
}
