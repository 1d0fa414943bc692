//! What a back-test has to know besides the rule: its channels, and what may keep people from being told.

use std::time::Duration;

use uuid::Uuid;

use super::{messages::Restraints, report::ChannelRef};
use crate::{
    model::{Rule, RuleError, Timestamp},
    store::{
        Db, StoreError, past,
        rule_rows::{self, RuleChannel},
        telling::Concerned,
    },
};

/// Why there is no rule to work with.
#[derive(Debug, thiserror::Error)]
pub enum FindError {
    /// Nothing has this name or id.
    #[error("there is no rule {0:?}")]
    None(String),
    /// Several rules have this name.
    #[error("several rules are called {0:?}; give the id of one of them: {1}")]
    Several(String, String),
    /// Its row cannot be used.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    Invalid(Vec<RuleError>),
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A rule of the database, by name or id.
#[derive(Clone, Debug)]
pub struct Found {
    /// The rule.
    pub rule: Rule,
    /// Whether it is evaluated.
    pub enabled: bool,
    /// Its channels.
    pub channels: Vec<RuleChannel>,
}

/// Looks for a rule and its channels.
///
/// # Errors
/// See [`FindError`].
pub async fn find(
    db: &Db,
    name_or_id: &str,
    project: Option<Uuid>,
    limit: Duration,
) -> Result<Found, FindError> {
    let mut rows = rule_rows::find(db, name_or_id, project, limit).await?;
    if rows.len() > 1 {
        let id = |row: &serde_json::Value| {
            row.get("rule_id").and_then(|id| id.as_str().map(str::to_owned))
        };
        let ids: Vec<String> = rows.iter().filter_map(id).collect();
        return Err(FindError::Several(name_or_id.to_owned(), ids.join(", ")));
    }
    let row = rows.pop().ok_or_else(|| FindError::None(name_or_id.to_owned()))?;
    let enabled = row.get("enabled").and_then(serde_json::Value::as_bool).unwrap_or(true);
    let rule = Rule::from_columns(row).map_err(FindError::Invalid)?;
    let channels = rule_rows::channels_of(db, rule.id, limit).await?;
    Ok(Found { rule, enabled, channels })
}

/// What may keep people from being told of `rule` between the two times: silences and incidents of
/// rules that keep it quiet as they were, quiet hours and maintenance windows as they are now.
///
/// # Errors
/// When the database fails.
pub async fn restraints(
    db: &Db,
    rule: &Rule,
    (from, to): (Timestamp, Timestamp),
    limit: Duration,
) -> Result<Restraints, StoreError> {
    let rows = rule_rows::silences(db, from, to, limit).await?;
    // A silence that cannot be read is one that does not work when running live either.
    let silences = rows.into_iter().filter_map(|row| serde_json::from_value(row).ok()).collect();
    let concerned = Concerned { rules: vec![rule.id], ..Concerned::default() };
    let facts = rule_rows::telling_facts(db, concerned, limit).await?;
    let quiet_hours = facts.policy.quiet_hours;
    let (inhibitions, sources) = past::inhibiting(db, rule, (from, to), limit).await?;
    Ok(Restraints { silences, quiet_hours, inhibitions, sources })
}

impl From<RuleChannel> for ChannelRef {
    fn from(channel: RuleChannel) -> Self {
        Self {
            channel_id: Some(channel.channel_id),
            name: channel.name,
            kind: channel.kind,
            min_level: channel.min_level,
            enabled: channel.enabled,
        }
    }
}
