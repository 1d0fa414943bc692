//! Silences, and the one definition of what a silence covers.

use std::collections::BTreeMap;

use serde::Deserialize;
use uuid::Uuid;

use super::Case;
use crate::model::{Filter, GroupField, Timestamp, TypePattern};

/// One row of `alert_silences`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Silence {
    /// Primary key.
    pub silence_id: Uuid,
    /// Covers this project only; none covers all.
    pub project_id: Option<Uuid>,
    /// Covers this rule only; none covers all.
    pub rule_id: Option<Uuid>,
    /// Covers only what has these values.
    #[serde(default)]
    pub matchers: Matchers,
    /// From then on.
    pub starts_at: Timestamp,
    /// Until just before then.
    pub ends_at: Timestamp,
    /// What its author said.
    #[serde(default)]
    pub reason: String,
}

/// Values by field, as in `{"source": "worker", "error_type": ["execution", "input.schema"]}`.
///
/// A list means any of its values; null stands for "no project", "no workflow". An error type that is
/// a bare class covers all its details; with an equals sign before it, as in `=execution`, only itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Matchers(BTreeMap<GroupField, Values>);

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
enum Values {
    Any(Vec<Option<Box<str>>>),
    One(Option<Box<str>>),
}

impl Silence {
    /// Whether this silence keeps people from being told of `case` at `now`.
    ///
    /// `filter` is what the case's rule counts.
    #[must_use]
    pub fn covers(&self, case: &Case<'_>, filter: Option<&Filter>, now: Timestamp) -> bool {
        self.starts_at <= now
            && now < self.ends_at
            && self.project_id.is_none_or(|project| case.project_id == Some(project))
            && self.rule_id.is_none_or(|rule| case.rule_id == rule)
            && self.matchers.cover(case, filter)
    }
}

impl Matchers {
    /// Whether every error that the incident counts has the wanted values.
    ///
    /// The group's own value decides where the rule groups by the field; else all that the rule's
    /// filter lets through must be wanted. A rule that counts more than the matcher names is not
    /// covered: its incident may be about the rest.
    #[must_use]
    pub fn cover(&self, case: &Case<'_>, filter: Option<&Filter>) -> bool {
        self.0.iter().all(|(field, values)| {
            let grouped = case.group_key.iter().find(|(name, _)| name == field);
            match (grouped, field) {
                (Some((_, value)), _) => values.want(*field, value),
                (None, GroupField::Project) => {
                    let project = case.project_id.map(|id| id.to_string());
                    project.is_some_and(|project| values.want(*field, Some(&project)))
                }
                (None, _) => filter.is_some_and(|filter| values.want_all(*field, filter)),
            }
        })
    }
}

impl Values {
    fn list(&self) -> &[Option<Box<str>>] {
        match self {
            Self::Any(list) => list,
            Self::One(value) => std::slice::from_ref(value),
        }
    }

    fn want(&self, field: GroupField, value: Option<&str>) -> bool {
        self.list().iter().any(|wanted| match (wanted.as_deref(), value) {
            (None, None) => true,
            (Some(wanted), Some(value)) if field == GroupField::ErrorType => {
                match wanted.strip_prefix('=') {
                    Some(exact) => exact == value,
                    None => TypePattern::parse(wanted).matches(value),
                }
            }
            // Identifiers may be written in capitals.
            (Some(wanted), Some(value)) => wanted.eq_ignore_ascii_case(value),
            _ => false,
        })
    }

    fn want_all(&self, field: GroupField, filter: &Filter) -> bool {
        match field {
            GroupField::Source => self.want_each(field, filter.sources.iter().map(|s| s.as_str())),
            GroupField::Severity => {
                self.want_each(field, filter.severities.iter().map(|s| s.as_str()))
            }
            GroupField::Workflow => {
                let ids: Vec<String> = filter.workflow_ids.iter().map(Uuid::to_string).collect();
                self.want_each(field, ids.iter().map(String::as_str))
            }
            // A class that the rule counts is covered by itself only, not by one of its details, nor by
            // the type that is called like it.
            GroupField::ErrorType => {
                let types = &filter.error_types;
                !types.is_empty()
                    && types.iter().all(|pattern| match pattern {
                        TypePattern::Exact(text) => self.want(field, Some(text)),
                        TypePattern::Class(text) => {
                            self.list().iter().any(|wanted| wanted.as_deref() == Some(text))
                        }
                    })
            }
            GroupField::Project | GroupField::Fingerprint => false,
        }
    }

    fn want_each<'a>(&self, field: GroupField, values: impl Iterator<Item = &'a str>) -> bool {
        let mut values = values.peekable();
        values.peek().is_some() && values.all(|value| self.want(field, Some(value)))
    }
}
