//! A rule as the engine works with it: its numbers prepared, its filter reduced to what the index
//! leaves open.

use super::window::width_of;
use crate::model::{ErrorEvent, Filter, GroupField, Level, Metric, Rule, Span, Timestamp};

/// No group.
pub(super) const NONE: u32 = u32::MAX;

/// A rule and what belongs to it.
#[derive(Clone, Debug)]
pub(super) struct Compiled {
    pub rule: Rule,
    /// Width of a bucket in microseconds.
    pub width: i64,
    /// The group-by fields, each once, in ascending order.
    pub fields: Vec<GroupField>,
    /// The lowest value that fires.
    pub fire: f64,
    /// The value below which an incident resolves; never above `fire`, so that it cannot flap there.
    pub resolve: f64,
    /// With fewer errors than this the value cannot reach `fire`.
    pub attention: u64,
    /// With fewer errors than this the value cannot reach the critical threshold.
    pub critical_attention: u64,
    /// Groups of this rule, without the overflow group.
    pub groups: u32,
    /// Run windows of this rule.
    pub scopes: u32,
    /// The group that counts what came after the limit of groups was reached, or [`NONE`].
    pub overflow: u32,
    /// Whether the feed should replay this rule's past.
    pub needs_history: bool,
    /// Until when incidents of this rule are left alone, because its windows are being refilled.
    pub held_until: Option<Timestamp>,
    /// The filter without its text.
    fields_only: Filter,
    /// The text that a message must contain, in lower case.
    needle: Option<String>,
}

/// What a group's window says at one instant.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Reading {
    pub errors: u64,
    /// Runs in the window, for ratio rules.
    pub runs: Option<u64>,
    /// The rule's value; none when there were too few runs to tell.
    pub value: Option<f64>,
}

impl Compiled {
    pub fn new(rule: Rule) -> Self {
        let mut fields = rule.group_by.clone();
        fields.sort_unstable();
        fields.dedup();
        let lowest = |a: Option<f64>, b: Option<f64>| {
            a.into_iter().chain(b).fold(f64::INFINITY, |low: f64, v| low.min(v))
        };
        let fire = lowest(rule.warning, rule.critical);
        let mut compiled = Self {
            width: width_of(rule.window),
            fields,
            fire,
            resolve: rule.resolve_below().min(fire),
            attention: 0,
            critical_attention: 0,
            groups: 0,
            scopes: 0,
            overflow: NONE,
            needs_history: true,
            held_until: None,
            fields_only: Filter { message_contains: None, ..rule.filter.clone() },
            needle: rule.filter.message_contains.as_ref().map(|text| text.to_lowercase()),
            rule,
        };
        compiled.attention = compiled.attention_of(fire);
        let critical = compiled.rule.critical.unwrap_or(f64::INFINITY);
        compiled.critical_attention = compiled.attention_of(critical);
        compiled
    }

    /// The filter part of [`Rule::matches`] for an event that the index has led here.
    ///
    /// `lowered` keeps the lower-case message for the next rule that asks.
    pub fn accepts(&self, event: &ErrorEvent, lowered: &mut Option<String>) -> bool {
        self.fields_only.matches(event)
            && self.needle.as_deref().is_none_or(|needle| {
                lowered.get_or_insert_with(|| event.message.to_lowercase()).contains(needle)
            })
    }

    /// Whether windows counted under `other` are what this rule would have counted.
    pub fn counts_like(&self, other: &Self) -> bool {
        self.rule.project_id == other.rule.project_id
            && self.rule.filter == other.rule.filter
            && self.width == other.width
            && self.rule.window == other.rule.window
            && self.speaks_like(other)
    }

    /// Whether an incident opened under `other` still means something under this rule: the same
    /// groups, and values of the same kind.
    pub fn speaks_like(&self, other: &Self) -> bool {
        self.fields == other.fields
            && std::mem::discriminant(&self.rule.metric)
                == std::mem::discriminant(&other.rule.metric)
    }

    /// Whether the value is a share of runs.
    pub fn is_ratio(&self) -> bool {
        matches!(self.rule.metric, Metric::Ratio { .. })
    }

    /// What a window of `errors` and `runs` says under this rule.
    #[inline]
    pub fn read(&self, errors: u64, runs: Option<u64>) -> Reading {
        let (runs, value) = match self.rule.metric {
            Metric::Count | Metric::NewGroup { .. } => (None, Some(float(errors))),
            Metric::Change { .. } | Metric::BurnRate(_) | Metric::Absence { .. } => (None, None),
            Metric::Rate => (None, Some(float(errors) / self.minutes())),
            Metric::Ratio { min_runs } => {
                let runs = runs.unwrap_or(0);
                let enough = runs >= u64::from(min_runs.max(1));
                (Some(runs), enough.then(|| float(errors) / float(runs)))
            }
        };
        Reading { errors, runs, value }
    }

    /// The level at which `value` fires, critical first.
    pub fn level_of(&self, value: f64) -> Option<Level> {
        let reached = |threshold: Option<f64>| threshold.is_some_and(|t| value >= t);
        if value <= 0.0 {
            None
        } else if reached(self.rule.critical) {
            Some(Level::Critical)
        } else if reached(self.rule.warning) {
            Some(Level::Warning)
        } else {
            None
        }
    }

    /// The threshold of a level, or the other one where the rule has no longer that level.
    pub fn threshold(&self, level: Level) -> f64 {
        match level {
            Level::Critical => self.rule.critical.or(self.rule.warning),
            Level::Warning => self.rule.warning.or(self.rule.critical),
        }
        .unwrap_or(self.fire)
    }

    /// How far back rows must be replayed so that this rule stands where it would have stood: its
    /// window with the current bucket, and the time a falling value may have been waiting.
    pub fn history(&self) -> Span {
        let window = self.rule.window.micros().saturating_add(self.width);
        Span::from_micros(window.saturating_add(self.rule.keep_firing.micros().max(0)))
    }

    fn minutes(&self) -> f64 {
        self.rule.window.as_secs_f64() / 60.0
    }

    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a float cast saturates, and NaN becomes 0, which only costs a closer look"
    )]
    fn attention_of(&self, threshold: f64) -> u64 {
        let errors = match self.rule.metric {
            Metric::Count | Metric::NewGroup { .. } => threshold,
            Metric::Rate => threshold * self.minutes(),
            _ => 0.0,
        };
        // One less than computed, so that rounding can only make us look too early.
        (errors.ceil() as u64).saturating_sub(1)
    }
}

impl Reading {
    /// Whether the value is below `threshold`; none when it cannot be told. An empty window is below
    /// every threshold.
    pub fn below(&self, threshold: f64) -> Option<bool> {
        if self.errors == 0 { Some(true) } else { self.value.map(|value| value < threshold) }
    }

    /// The value to show: where there were too few runs to judge by, the bare quotient.
    pub fn shown(&self) -> f64 {
        self.value.unwrap_or_else(|| float(self.errors) / float(self.runs.unwrap_or(0).max(1)))
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts in a window are far below 2^52")]
fn float(count: u64) -> f64 {
    count as f64
}
