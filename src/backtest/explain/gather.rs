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
    store::{
        Db, explain, history,
        past::SourceChange,
        runs::{self, Wanted},
    },
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
    let look = outcome.engine.look(rule.id, group.as_ref());
    let begins = at - rule.longest_window();
    let (errors_of_any_kind, leader) =
        explain::background(db, (begins, at), rule.project_id, limit).await?;
    let min_runs = match &rule.metric {
        Metric::Ratio { min_runs } | Metric::BurnRate(Burn { min_runs, .. }) => Some(*min_runs),
        _ => None,
    };
    let runs = match look.and_then(|look| look.runs) {
        None if rule.metric.needs_runs() => Some(count_runs(db, rule, begins, at, limit).await?),
        runs => runs,
    };
    // Without any group nothing has happened, of which only a share or a silence knows no value.
    let value = match look {
        Some(look) => look.value,
        None if group.is_some() || rule.metric.needs_runs() => None,
        None => Some(0.0),
    };
    let look = look.unwrap_or_default();
    let known_since = group.as_ref().and_then(|key| known_since(rule, &outcome, key));
    let mut incident = row.as_ref().and_then(incident);
    if let Some(incident) = incident.as_mut().filter(|_| !now) {
        as_of(incident, at);
    }
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
        counted_over_seconds: rule.longest_window().micros() / 1_000_000,
        enabled: *enabled,
        at,
        now,
        value,
        errors: match &group {
            Some(_) => look.errors,
            None => outcome.engine.total_of(rule.id),
        },
        errors_of_any_kind,
        runs,
        min_runs,
        fires: look.fires,
        threshold: look.threshold,
        detail: look.detail,
        objective: match &rule.metric {
            Metric::BurnRate(burn) => Some(burn.objective),
            _ => None,
        },
        min_count: match &rule.metric {
            Metric::Change { min_count, .. } => Some(*min_count),
            _ => None,
        },
        no_data: rule.no_data,
        below_since: look.below_since,
        keep_seconds: look.keep.micros() / 1_000_000,
        flapping: look.flapping,
        known_since,
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
                enabled: channel.enabled || !now,
                // How it stands now says nothing of how it stood then.
                broken: (now && channel.state == "broken")
                    .then(|| channel.broken_reason.clone().unwrap_or_default()),
            })
            .collect(),
        leader: leader.filter(|_| now),
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

/// What was known of an incident at `at`.
fn as_of(incident: &mut Incident, at: Timestamp) {
    incident.acknowledged_at = incident.acknowledged_at.filter(|then| *then <= at);
    incident.fired_at = incident.fired_at.filter(|then| *then <= at);
    incident.messages.retain(|message| message.sent_at.is_some_and(|sent| sent <= at));
}

/// When the error group of `key` was last seen, where a rule asks for new ones and knows it.
fn known_since(rule: &Rule, outcome: &Outcome, key: &GroupKey) -> Option<Timestamp> {
    if !matches!(rule.metric, Metric::NewGroup { .. }) {
        return None;
    }
    let fingerprint = key.get(GroupField::Fingerprint)?.parse().ok()?;
    let project =
        rule.project_id.or_else(|| key.get(GroupField::Project).and_then(|id| id.parse().ok()));
    outcome.engine.group_last_seen(project, fingerprint)
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
    // Only the sum is asked for.
    let wanted = Wanted { by_workflow: false, ..Wanted::of(rule) };
    let counted = runs::count(db, &wanted, (from, to), to.since(from), limit).await?;
    Ok(counted.iter().map(|runs| runs.count).sum())
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
