//! Collects the facts: a replay of the rule up to the instant, and what the tables say.

use std::{collections::BTreeMap, time::Duration};

use serde_json::Value;
use uuid::Uuid;

use super::{Channel, Facts, Incident, Message, Replayed};
use crate::{
    backtest::{Found, Outcome, Restraints, RunError, replay, restraints},
    model::{
        Burn, GroupField, GroupKey, IncidentState, Metric, OpenIncident, Rule, Span, Timestamp,
    },
    store::{Db, explain, history, past::SourceChange, runs},
    telling::{Case, Firing, Policy, holds},
};

/// How far back a replay begins at least, so that incidents of long ago keep their beginning.
const LOOK_BACK: Span = Span::from_secs(3_600);

/// The facts about a rule, and one of its groups, at an instant; none is the present.
///
/// # Errors
/// When the database fails.
pub async fn gather(
    db: &Db,
    found: &Found,
    group: Option<GroupKey>,
    at: Option<Timestamp>,
    limit: Duration,
) -> Result<Facts, RunError> {
    let Found { rule, enabled, channels } = found;
    let present = history::database_now(db, limit).await?;
    let now = at.is_none_or(|at| at >= present);
    let at = at.unwrap_or(present).min(present);
    let (outcome, _) = replay(db, rule, at - LOOK_BACK, at, limit).await?;
    let key = group.as_ref().map(ToString::to_string);
    let row = explain::incident(db, rule.id, at, key, limit).await?;
    let stored_group = row.as_ref().and_then(|row| text(row, "group_key")?.parse().ok());
    let open = choose(&outcome, group.as_ref().or(stored_group.as_ref()));
    let group = group
        .or(stored_group)
        .or_else(|| open.map(|open| open.group_key.clone()))
        .filter(|key| !key.is_empty());
    let value = match &group {
        Some(key) => outcome.engine.value(rule.id, key),
        None => outcome.engine.highest(rule.id),
    };
    let begins = at - rule.window;
    let (errors_of_any_kind, leader) =
        explain::background(db, (begins, at), rule.project_id, limit).await?;
    let (runs, min_runs) = match &rule.metric {
        Metric::Ratio { min_runs } | Metric::BurnRate(Burn { min_runs, .. }) => {
            (Some(count_runs(db, rule, begins, at, limit).await?), Some(*min_runs))
        }
        _ => (None, None),
    };
    let incident = row.as_ref().and_then(incident);
    let Restraints { silences, quiet_hours, inhibitions, sources } =
        restraints(db, rule, (at, at + Span::from_micros(1)), limit).await?;
    let mut policy = Policy { silences, quiet_hours, inhibitions, ..Policy::default() };
    policy.filters.insert(rule.id, rule.filter.clone());
    let level = incident.as_ref().map(|incident| incident.level).or(open.map(|open| open.level));
    let no_group = GroupKey::default();
    let case = Case {
        incident_id: incident.as_ref().map_or_else(Uuid::nil, |i| i.incident_id),
        rule_id: rule.id,
        project_id: rule
            .project_id
            .or_else(|| group.as_ref().and_then(|key| key.get(GroupField::Project)?.parse().ok())),
        group_key: group.as_ref().unwrap_or(&no_group),
        level: level.unwrap_or(crate::model::Level::Warning),
    };
    let sources = firing(&sources, at);
    let holds = holds(&policy, &case, sources, at).iter().map(ToString::to_string).collect();
    Ok(Facts {
        rule_id: rule.id,
        rule: rule.name.clone(),
        metric: rule.metric.as_str(),
        window_seconds: rule.window.micros() / 1_000_000,
        enabled: *enabled,
        at,
        now,
        value,
        errors: outcome.engine.total_of(rule.id),
        errors_of_any_kind,
        runs,
        min_runs,
        warning: rule.warning,
        critical: rule.critical,
        resolve: rule.resolve_below(),
        pending_seconds: rule.pending.micros() / 1_000_000,
        replayed: open.map(|open| Replayed {
            started_at: open.started_at,
            fired_at: open.fired_at,
            level: open.level,
        }),
        incident,
        holds,
        channels: channels
            .iter()
            .map(|channel| Channel {
                name: channel.name.clone(),
                kind: channel.kind.clone(),
                min_level: channel.min_level,
                enabled: channel.enabled,
                broken: (channel.state == "broken")
                    .then(|| channel.broken_reason.clone().unwrap_or_default()),
            })
            .collect(),
        leader,
        group,
    })
}

/// What fires at `at` among the incidents whose `changes` come in order of time.
fn firing(changes: &[SourceChange], at: Timestamp) -> Vec<Firing<'_>> {
    let mut firing: BTreeMap<Uuid, Firing<'_>> = BTreeMap::new();
    for SourceChange { transition, project_id } in changes {
        let id = transition.incident_id;
        if transition.at > at {
            continue;
        }
        if transition.state != IncidentState::Firing {
            firing.remove(&id);
            continue;
        }
        let (rule_id, group_key) = (transition.rule_id, &transition.group_key);
        let (project_id, level) = (*project_id, transition.level);
        firing.insert(id, Firing { incident_id: id, rule_id, project_id, group_key, level });
    }
    firing.into_values().collect()
}

/// The open incident of the wanted group, or of any.
fn choose<'a>(outcome: &'a Outcome, group: Option<&GroupKey>) -> Option<&'a OpenIncident> {
    let mut open = outcome.open.iter().map(|(open, _)| open);
    open.find(|open| group.is_none_or(|group| open.group_key == *group))
}

async fn count_runs(
    db: &Db,
    rule: &Rule,
    from: Timestamp,
    to: Timestamp,
    limit: Duration,
) -> Result<u64, RunError> {
    let workflows = &rule.filter.workflow_ids;
    let counted = runs::count(db, from, to, limit).await?;
    let of_rule = counted.iter().filter(|runs| {
        (rule.project_id.is_none() || runs.project_id == rule.project_id)
            && (workflows.is_empty()
                || runs.workflow_id.is_some_and(|workflow| workflows.contains(&workflow)))
    });
    Ok(of_rule.map(|runs| runs.count).sum())
}

fn incident(row: &Value) -> Option<Incident> {
    let time = |field: &str| serde_json::from_value(row.get(field)?.clone()).ok();
    let messages = row.get("messages").cloned().unwrap_or_default();
    Some(Incident {
        incident_id: text(row, "incident_id")?.parse().ok()?,
        started_at: time("started_at")?,
        fired_at: time("fired_at"),
        acknowledged_at: time("acknowledged_at"),
        level: text(row, "level")?.parse().ok()?,
        messages: serde_json::from_value::<Vec<Message>>(messages).unwrap_or_default(),
    })
}

fn text<'a>(row: &'a Value, field: &str) -> Option<&'a str> {
    row.get(field)?.as_str()
}
