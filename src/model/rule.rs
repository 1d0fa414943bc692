//! An alert rule, as one row of `alert_rules` says it.

mod check;
mod columns;
mod metric;
mod pattern;

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

pub use self::{
    metric::{AbsenceOf, Burn, BurnWindow, Flap, MAX_BURN_WINDOWS, Metric, NoData},
    pattern::TypePattern,
};
use super::{ErrorEvent, ParseEnumError, Severity, Source, Span, event::word_enum};

/// What to watch, over which window, against which thresholds.
#[derive(Clone, Debug, PartialEq)]
pub struct Rule {
    /// Primary key of `alert_rules`.
    pub id: Uuid,
    /// The only project this rule looks at; none means all projects and events without one.
    pub project_id: Option<Uuid>,
    /// What people call it.
    pub name: String,
    /// What is measured.
    pub metric: Metric,
    /// Which events count.
    pub filter: Filter,
    /// One incident per distinct combination of these fields; empty means one for the whole rule.
    pub group_by: Vec<GroupField>,
    /// Length of the window: 1 minute to 30 days, whole minutes.
    pub window: Span,
    /// A value at or above it is a warning; none for a burn rate, whose pairs of windows say it.
    pub warning: Option<f64>,
    /// A value at or above it is critical.
    pub critical: Option<f64>,
    /// A value below it resolves; by default the lowest of the other two.
    pub resolve: Option<f64>,
    /// The value must stay at or above a threshold this long before the rule fires.
    pub pending: Span,
    /// The value must stay below the resolve threshold this long before the incident resolves.
    pub keep_firing: Span,
    /// Say it again this often while firing and not acknowledged; zero means never.
    pub reminder: Span,
    /// What becomes of a ratio or burn rate over too few runs.
    pub no_data: NoData,
    /// When an incident that comes and goes is held open instead; none means never.
    pub flap: Option<Flap>,
}

/// Which events a rule counts; an empty list means any.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// Kinds of component.
    pub sources: Vec<Source>,
    /// Classes or exact types.
    pub error_types: Vec<TypePattern>,
    /// Severities.
    pub severities: Vec<Severity>,
    /// Workflow versions.
    pub workflow_ids: Vec<Uuid>,
    /// Text that the message must contain, without regard to case.
    pub message_contains: Option<String>,
}

word_enum!(
    /// A field by which a rule splits its events into groups.
    GroupField, "group-by field", "project, workflow, source, error_type, severity, fingerprint",
    {
        /// `project_id`.
        Project = "project",
        /// `workflow_id`.
        Workflow = "workflow",
        /// `source`.
        Source = "source",
        /// `error_type`, whole.
        ErrorType = "error_type",
        /// `severity`.
        Severity = "severity",
        /// `fingerprint`.
        Fingerprint = "fingerprint",
    }
);

/// Why a rule cannot be used; names the column of `alert_rules`.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("rule {name:?}: {field}: {problem}")]
pub struct RuleError {
    /// The rule's name.
    pub name: String,
    /// The offending column.
    pub field: &'static str,
    /// What is wrong with it, for an operator.
    pub problem: String,
}

impl Rule {
    /// The value below which an incident of this rule resolves.
    #[must_use]
    pub fn resolve_below(&self) -> f64 {
        self.resolve.unwrap_or_else(|| self.fire_at())
    }

    /// The lowest value at which this rule fires.
    #[must_use]
    pub fn fire_at(&self) -> f64 {
        let lowest = |low: f64, value: f64| low.min(value);
        self.warning.into_iter().chain(self.critical).fold(f64::INFINITY, lowest)
    }

    /// The fields by which this rule splits its events, in ascending order: those asked for, and for a
    /// new group its fingerprint, which only together with its project means one group.
    #[must_use]
    pub fn grouping(&self) -> Vec<GroupField> {
        let mut fields = self.group_by.clone();
        if matches!(self.metric, Metric::NewGroup { .. }) {
            fields.push(GroupField::Fingerprint);
            fields.extend(self.project_id.is_none().then_some(GroupField::Project));
        }
        fields.sort_unstable();
        fields.dedup();
        fields
    }

    /// The longest stretch of the past that this rule's value is taken of: its window, or the longest
    /// window of a burn rate, or as many windows as an absence must last.
    #[must_use]
    pub fn longest_window(&self) -> Span {
        match &self.metric {
            Metric::BurnRate(burn) => {
                burn.pairs().map(|pair| pair.long.max(pair.short)).max().unwrap_or(self.window)
            }
            #[expect(clippy::cast_possible_truncation, reason = "a float cast saturates")]
            Metric::Absence { .. } => {
                let windows = self.fire_at().clamp(1.0, 1e6);
                Span::from_micros((self.window.as_secs_f64() * windows * 1e6) as i64)
            }
            _ => self.window,
        }
    }

    /// Whether this rule looks at workflow runs only.
    #[must_use]
    pub const fn ignores_errors(&self) -> bool {
        matches!(self.metric, Metric::Absence { of: AbsenceOf::Runs, .. })
    }

    /// Whether this rule counts `event`, decided field by field.
    ///
    /// This is the definition; the engine's index must agree with it (a property test compares them).
    #[must_use]
    pub fn matches(&self, event: &ErrorEvent) -> bool {
        !self.ignores_errors()
            && self.project_id.is_none_or(|project| event.project_id == Some(project))
            && self.filter.matches(event)
    }
}

impl Filter {
    /// Whether every part of this filter accepts `event`.
    #[must_use]
    pub fn matches(&self, event: &ErrorEvent) -> bool {
        any_or_contains(&self.sources, &event.source)
            && any_or_contains(&self.severities, &event.severity)
            && (self.error_types.is_empty()
                || self.error_types.iter().any(|pattern| pattern.matches(&event.error_type)))
            && (self.workflow_ids.is_empty()
                || event.workflow_id.is_some_and(|id| self.workflow_ids.contains(&id)))
            && self
                .message_contains
                .as_deref()
                .is_none_or(|text| event.message.to_lowercase().contains(&text.to_lowercase()))
    }
}

fn any_or_contains<T: PartialEq>(list: &[T], value: &T) -> bool {
    list.is_empty() || list.contains(value)
}
