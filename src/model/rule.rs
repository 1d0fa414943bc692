//! An alert rule, as one row of `alert_rules` says it.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

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
    /// A value at or above it is a warning.
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
}

/// What a rule measures over its window.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Metric {
    /// Number of matching errors.
    Count,
    /// Matching errors per minute.
    Rate,
    /// Matching errors divided by workflow runs started in the window (0.05 is 5 %).
    Ratio {
        /// Fewer runs than this say nothing: the rule then has no value.
        min_runs: u32,
    },
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

/// Matches an error type: a bare class matches the class and every detail of it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum TypePattern {
    /// `execution` matches `execution` and `execution.timeout`.
    Class(Box<str>),
    /// `execution.timeout` matches only itself.
    Exact(Box<str>),
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

impl TypePattern {
    /// Reads `class` or `class.detail`.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        if text.contains('.') { Self::Exact(text.into()) } else { Self::Class(text.into()) }
    }

    /// The class part of an error type.
    #[must_use]
    pub fn class_of(error_type: &str) -> &str {
        error_type.split_once('.').map_or(error_type, |(class, _)| class)
    }

    /// Whether this pattern covers `error_type`.
    #[must_use]
    pub fn matches(&self, error_type: &str) -> bool {
        match self {
            Self::Class(class) => Self::class_of(error_type) == &**class,
            Self::Exact(exact) => error_type == &**exact,
        }
    }
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
        self.warning.or(self.critical).unwrap_or(f64::INFINITY)
    }

    /// Whether this rule counts `event`, decided field by field.
    ///
    /// This is the definition; the engine's index must agree with it (a property test compares them).
    #[must_use]
    pub fn matches(&self, event: &ErrorEvent) -> bool {
        self.project_id.is_none_or(|project| event.project_id == Some(project))
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
