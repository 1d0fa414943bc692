//! A rule that keeps others quiet while it fires.

use serde::Deserialize;
use uuid::Uuid;

use super::Case;
use crate::model::{GroupField, GroupKey, Level};

/// While the source fires, nobody is told of the target.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Inhibition {
    /// Primary key.
    pub inhibition_id: Uuid,
    /// The rule that keeps the other quiet.
    pub source_rule_id: Uuid,
    /// The rule that is kept quiet.
    pub target_rule_id: Uuid,
    /// Group fields that must have the same value in both incidents.
    #[serde(default)]
    pub equal: Vec<GroupField>,
    /// The level that the source must have reached.
    pub source_level: Level,
}

/// An incident that fires, as a source of inhibition.
#[derive(Clone, Copy, Debug)]
pub struct Firing<'a> {
    /// The incident.
    pub incident_id: Uuid,
    /// Its rule.
    pub rule_id: Uuid,
    /// Its project.
    pub project_id: Option<Uuid>,
    /// Its group.
    pub group_key: &'a GroupKey,
    /// Its level now.
    pub level: Level,
}

impl Inhibition {
    /// Whether `source`, which fires, keeps `target` quiet.
    ///
    /// What happens in one project says nothing about another, so a source that belongs to a project
    /// keeps quiet only what belongs to the same one.
    #[must_use]
    pub fn applies(&self, source: &Firing<'_>, target: &Case<'_>) -> bool {
        self.source_rule_id == source.rule_id
            && self.target_rule_id == target.rule_id
            && source.incident_id != target.incident_id
            && source.level >= self.source_level
            && source.project_id.is_none_or(|project| target.project_id == Some(project))
            && self
                .equal
                .iter()
                .all(|field| value(source.group_key, *field) == value(target.group_key, *field))
    }
}

/// A field that a key does not have differs from one that is null in it.
fn value(key: &GroupKey, field: GroupField) -> Option<Option<&str>> {
    key.iter().find(|(name, _)| *name == field).map(|(_, value)| value)
}
