//! The fields of a rule in a file: one list, by which files are read and written, changes are shown and
//! the schema for editors is made, so that these agree.

use serde_json::{Value, json};

/// A field of a rule.
#[derive(Clone, Copy, Debug)]
pub struct Field {
    /// Its name in a file.
    pub name: &'static str,
    /// The column of `alert_rules`.
    pub column: &'static str,
    /// What it holds.
    pub kind: Kind,
    /// What it is when it is not given, as JSON; the table's own default.
    default: &'static str,
    /// What it means, for editors.
    pub help: &'static str,
}

/// What a field holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Any text.
    Text,
    /// true or false.
    Flag,
    /// A whole number.
    Whole,
    /// A number.
    Number,
    /// A length of time, in the table as whole seconds.
    Span,
    /// One of these words.
    Word(&'static [&'static str]),
    /// A list of these words.
    Words(&'static [&'static str]),
    /// A list of texts.
    Texts,
    /// A list of UUIDs.
    Ids,
    /// Pairs of windows of a burn rate.
    BurnWindows,
}

impl Field {
    /// What the table holds when the field is not given.
    #[must_use]
    pub fn default(&self) -> Value {
        serde_json::from_str(self.default).unwrap_or_else(|_| json!(self.default))
    }
}

const fn field(
    name: &'static str,
    column: &'static str,
    kind: Kind,
    default: &'static str,
    help: &'static str,
) -> Field {
    Field { name, column, kind, default, help }
}

const METRICS: &[&str] = &["count", "rate", "ratio", "new_group", "change", "burn_rate", "absence"];
const SOURCES: &[&str] = &["worker", "webhook", "system"];
const SEVERITIES: &[&str] = &["low", "medium", "high"];
const GROUPS: &[&str] = &["project", "workflow", "source", "error_type", "severity", "fingerprint"];

const BURN_WINDOWS: &str = r#"[
    {"long_seconds": 3600, "short_seconds": 300, "factor": 14.4, "level": "critical"},
    {"long_seconds": 21600, "short_seconds": 1800, "factor": 6, "level": "critical"},
    {"long_seconds": 259200, "short_seconds": 21600, "factor": 1, "level": "warning"}]"#;

/// Every field but `channels`, in the order in which files are written.
pub const FIELDS: &[Field] = &[
    field("name", "name", Kind::Text, "null", "What people call it; unique in its project."),
    field("description", "description", Kind::Text, "\"\"", "What to do when it fires."),
    field("enabled", "enabled", Kind::Flag, "true", "A rule that is not enabled is not evaluated."),
    field(
        "metric",
        "metric",
        Kind::Word(METRICS),
        "\"count\"",
        "count: errors in the window; rate: errors per minute; ratio: errors divided by workflow runs; \
         new_group: errors never seen before; change: percent of the same window earlier; burn_rate: \
         how fast an error budget is used; absence: nothing happens.",
    ),
    field("sources", "sources", Kind::Words(SOURCES), "[]", "Count only these sources."),
    field(
        "error_types",
        "error_types",
        Kind::Texts,
        "[]",
        "Count only these types, as in execution (with all its details) or execution.timeout.",
    ),
    field(
        "severities",
        "severities",
        Kind::Words(SEVERITIES),
        "[]",
        "Count only these severities.",
    ),
    field("workflow_ids", "workflow_ids", Kind::Ids, "[]", "Count only these workflow versions."),
    field(
        "message_contains",
        "message_contains",
        Kind::Text,
        "null",
        "Count only errors whose message contains this text, without regard to case.",
    ),
    field(
        "group_by",
        "group_by",
        Kind::Words(GROUPS),
        "[]",
        "One incident per distinct combination of these.",
    ),
    field("window", "window_seconds", Kind::Span, "300", "Whole minutes from 1m to 30d."),
    field(
        "warning",
        "warning",
        Kind::Number,
        "null",
        "The rule warns when the value reaches this.",
    ),
    field("critical", "critical", Kind::Number, "null", "The rule is critical from here on."),
    field("resolve", "resolve", Kind::Number, "null", "The incident resolves below this."),
    field("min_runs", "min_runs", Kind::Whole, "20", "A share of fewer runs says nothing."),
    field(
        "pending",
        "pending_seconds",
        Kind::Span,
        "0",
        "The value must hold this long before the rule fires.",
    ),
    field(
        "keep_firing",
        "keep_firing_seconds",
        Kind::Span,
        "0",
        "The value must stay below the resolve threshold this long before the incident resolves.",
    ),
    field(
        "reminder",
        "reminder_seconds",
        Kind::Span,
        "14400",
        "Repeat the message this often until somebody acknowledges; 0s never repeats it.",
    ),
    field(
        "no_data",
        "no_data",
        Kind::Word(&["keep", "resolve", "alert"]),
        "\"keep\"",
        "What becomes of a ratio or burn rate over too few runs.",
    ),
    field(
        "quiet_days",
        "quiet_days",
        Kind::Whole,
        "0",
        "new_group: a group that comes back after so many days is new again; 0 never.",
    ),
    field(
        "compare",
        "compare_seconds",
        Kind::Span,
        "86400",
        "change: how much earlier the other window lies, 1d or 7d.",
    ),
    field(
        "min_count",
        "min_count",
        Kind::Whole,
        "10",
        "change: with fewer errors than this in the window the rule does not fire.",
    ),
    field(
        "objective",
        "objective",
        Kind::Number,
        "null",
        "burn_rate: the share of runs without error that is aimed at, as in 0.995.",
    ),
    field(
        "burn_windows",
        "burn_windows",
        Kind::BurnWindows,
        BURN_WINDOWS,
        "burn_rate: pairs of windows; a pair fires when both burn the budget factor times too fast.",
    ),
    field(
        "absence_of",
        "absence_of",
        Kind::Word(&["errors", "runs"]),
        "\"errors\"",
        "absence: what is waited for.",
    ),
    field(
        "flap_count",
        "flap_count",
        Kind::Whole,
        "0",
        "An incident that began and ended so many times in flap_period is held open; 0 never.",
    ),
    field(
        "flap_period",
        "flap_seconds",
        Kind::Span,
        "3600",
        "The period for flap_count, and how long a flapping incident must stay away.",
    ),
    field(
        "title_template",
        "title_template",
        Kind::Text,
        "null",
        "The rule's own title of a message, as in {{ level|upper }} {{ rule.name }}.",
    ),
    field(
        "body_template",
        "body_template",
        Kind::Text,
        "null",
        "The rule's own words in place of a message's sentence and description.",
    ),
];

/// The field that a file calls so.
pub(super) fn by_name(name: &str) -> Option<&'static Field> {
    FIELDS.iter().find(|field| field.name == name)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn fields_and_columns_are_unique_and_their_defaults_are_json() {
        let names: BTreeSet<_> = FIELDS.iter().map(|field| field.name).collect();
        let columns: BTreeSet<_> = FIELDS.iter().map(|field| field.column).collect();
        assert_eq!((names.len(), columns.len()), (FIELDS.len(), FIELDS.len()));
        for field in FIELDS {
            assert!(serde_json::from_str::<Value>(field.default).is_ok(), "{}", field.name);
            assert!(field.help.ends_with('.'), "{}", field.name);
        }
    }
}
