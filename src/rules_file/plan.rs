//! What must change so that the database says what a file says.

use std::{collections::HashMap, fmt};

use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::{
    fields::FIELDS,
    read::{Binding, FileRule, Problem},
    write::{channels_text, given, value_text},
};
use crate::model::Level;

/// A rule as the database holds it.
#[derive(Clone, Debug)]
pub struct Stored {
    /// Primary key.
    pub rule_id: Uuid,
    /// Its row.
    pub columns: Map<String, Value>,
    /// The file that owns it.
    pub managed_by: Option<String>,
    /// Whom it tells.
    pub channels: Vec<Bound>,
}

/// A channel that a rule tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bound {
    /// The channel.
    pub channel_id: Uuid,
    /// Its name.
    pub name: String,
    /// The lowest level it is told of.
    pub min_level: Level,
}

/// One rule that is made, changed or removed.
#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    /// A new rule.
    Create {
        /// Its columns.
        columns: Map<String, Value>,
        /// Whom it tells.
        channels: Vec<Bound>,
    },
    /// A rule that differs.
    Update {
        /// The rule.
        rule_id: Uuid,
        /// Its name.
        name: String,
        /// What differs: field, old and new value as a file says them.
        differences: Vec<(&'static str, String, String)>,
        /// The columns that differ, with their new values.
        columns: Map<String, Value>,
        /// Whom it tells; none where that stays.
        channels: Option<Vec<Bound>>,
        /// Whether the file takes it over from people.
        adopted: bool,
    },
    /// A rule that the file made and has no longer.
    Delete {
        /// The rule.
        rule_id: Uuid,
        /// Its name.
        name: String,
    },
}

/// All that must change; its text is the difference for people.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Plan {
    /// The changes, in the order of the file, removals last.
    pub changes: Vec<Change>,
    /// Rules that are as the file says.
    pub unchanged: usize,
}

/// Why a file cannot be applied, with the line.
pub type Refusal = Problem;

/// Compares a file with what is stored. `channels` are those that rules of the project may tell, by
/// name; `owner` is the file's mark on its rules; with `adopt` it takes over rules of the same name
/// that people made.
///
/// # Errors
/// Channels that do not exist, and rules of the same name that belong to people or to another file.
pub fn plan(
    file: &[FileRule],
    stored: &[Stored],
    channels: &HashMap<String, Uuid>,
    owner: &str,
    adopt: bool,
) -> Result<Plan, Vec<Refusal>> {
    let mut plan = Plan::default();
    let mut refusals = Vec::new();
    let mut kept = Vec::new();
    for rule in file {
        let bound = bind(rule, channels, &mut refusals);
        let name = rule.rule.name.as_str();
        let same_name: Vec<&Stored> = stored.iter().filter(|s| name_of(s) == name).collect();
        let owned = same_name.iter().find(|s| s.managed_by.as_deref() == Some(owner));
        let found = match (owned, same_name.as_slice()) {
            (Some(owned), _) => Some(*owned),
            (None, []) => None,
            (None, [one]) if adopt => Some(*one),
            (None, [one]) => {
                let whose = one.managed_by.as_ref().map_or_else(
                    || "and was not made by this file; --adopt takes it over".to_owned(),
                    |other| format!("and is managed by {other}; --adopt takes it over"),
                );
                refusals.push(refusal(rule.line, "name", format!("{name:?} exists, {whose}")));
                continue;
            }
            (None, several) => {
                let message = format!("there are {} rules called {name:?} already", several.len());
                refusals.push(refusal(rule.line, "name", message));
                continue;
            }
        };
        match found {
            None => {
                plan.changes.push(Change::Create { columns: rule.columns.clone(), channels: bound })
            }
            Some(found) => {
                kept.push(found.rule_id);
                match update(rule, found, bound, owner) {
                    Some(change) => plan.changes.push(change),
                    None => plan.unchanged += 1,
                }
            }
        }
    }
    let gone = stored
        .iter()
        .filter(|s| s.managed_by.as_deref() == Some(owner) && !kept.contains(&s.rule_id));
    plan.changes
        .extend(gone.map(|s| Change::Delete { rule_id: s.rule_id, name: name_of(s).to_owned() }));
    if refusals.is_empty() { Ok(plan) } else { Err(refusals) }
}

fn bind(
    rule: &FileRule,
    channels: &HashMap<String, Uuid>,
    refusals: &mut Vec<Refusal>,
) -> Vec<Bound> {
    let mut bound = Vec::new();
    for Binding { line, name, min_level } in &rule.channels {
        match channels.get(name) {
            Some(id) => {
                bound.push(Bound { channel_id: *id, name: name.clone(), min_level: *min_level })
            }
            None => {
                let message = format!("there is no channel {name:?} in this project");
                refusals.push(refusal(*line, "channels", message));
            }
        }
    }
    bound
}

fn update(rule: &FileRule, found: &Stored, channels: Vec<Bound>, owner: &str) -> Option<Change> {
    let mut differences = Vec::new();
    let mut columns = Map::new();
    for field in FIELDS {
        let (Some(old), Some(new)) =
            (found.columns.get(field.column), rule.columns.get(field.column))
        else {
            continue;
        };
        if !same(old, new) {
            let text = |value| value_text(field.kind, value);
            differences.push((field.name, text(old), text(new)));
            columns.insert(field.column.to_owned(), new.clone());
        }
    }
    let changed = !same_channels(&found.channels, &channels);
    if changed {
        let text = |channels: &[Bound]| channels_text(&bindings(channels));
        differences.push(("channels", text(&found.channels), text(&channels)));
    }
    let adopted = found.managed_by.as_deref() != Some(owner);
    (adopted || !differences.is_empty()).then(|| Change::Update {
        rule_id: found.rule_id,
        name: rule.rule.name.clone(),
        differences,
        columns,
        channels: changed.then_some(channels),
        adopted,
    })
}

impl Plan {
    /// Whether there is nothing to do.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    /// What `apply_alert_rules` takes as its changes.
    #[must_use]
    pub fn request(&self) -> Value {
        let channels = |list: &[Bound]| -> Vec<Value> {
            let pair = |bound: &Bound| json!({ "channel_id": bound.channel_id, "min_level": bound.min_level });
            list.iter().map(pair).collect()
        };
        let (mut write, mut delete) = (Vec::new(), Vec::new());
        for change in &self.changes {
            match change {
                Change::Create { columns, channels: list } => {
                    write.push(json!({ "columns": columns, "channels": channels(list) }));
                }
                Change::Update { rule_id, columns, channels: list, .. } => write.push(json!({
                    "rule_id": rule_id,
                    "columns": columns,
                    "channels": list.as_deref().map(channels),
                })),
                Change::Delete { rule_id, .. } => delete.push(rule_id),
            }
        }
        json!({ "write": write, "delete": delete })
    }
}

/// `+` for a new rule, `~` for one that changes, `-` for one that goes.
impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (mut created, mut changed, mut deleted) = (0, 0, 0);
        for change in &self.changes {
            match change {
                Change::Create { columns, channels } => {
                    created += 1;
                    let name = columns.get("name").and_then(Value::as_str).unwrap_or_default();
                    writeln!(f, "+ {name}")?;
                    for (field, value) in given(columns).filter(|(field, _)| field.name != "name") {
                        writeln!(f, "    {}: {}", field.name, value_text(field.kind, value))?;
                    }
                    if !channels.is_empty() {
                        writeln!(f, "    channels: {}", channels_text(&bindings(channels)))?;
                    }
                }
                Change::Update { name, differences, adopted, .. } => {
                    changed += 1;
                    writeln!(f, "~ {name}")?;
                    if *adopted {
                        writeln!(f, "    managed by this file from now on")?;
                    }
                    for (field, old, new) in differences {
                        writeln!(f, "    {field}: {old} -> {new}")?;
                    }
                }
                Change::Delete { name, .. } => {
                    deleted += 1;
                    writeln!(f, "- {name}")?;
                }
            }
        }
        write!(
            f,
            "{created} to create, {changed} to change, {deleted} to delete, {} unchanged",
            self.unchanged
        )
    }
}

/// Whether two JSON values mean the same; 6 and 6.0 do.
pub(super) fn same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => a.as_f64() == b.as_f64(),
        (Value::Array(a), Value::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b))
        }
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(key, a)| b.get(key).is_some_and(|b| same(a, b)))
        }
        _ => a == b,
    }
}

fn same_channels(a: &[Bound], b: &[Bound]) -> bool {
    a.len() == b.len()
        && a.iter()
            .all(|a| b.iter().any(|b| a.channel_id == b.channel_id && a.min_level == b.min_level))
}

fn bindings(channels: &[Bound]) -> Vec<Binding> {
    let binding =
        |bound: &Bound| Binding { line: 0, name: bound.name.clone(), min_level: bound.min_level };
    channels.iter().map(binding).collect()
}

fn name_of(stored: &Stored) -> &str {
    stored.columns.get("name").and_then(Value::as_str).unwrap_or_default()
}

fn refusal(line: usize, field: &str, message: String) -> Refusal {
    Problem { line, field: field.to_owned(), message }
}
