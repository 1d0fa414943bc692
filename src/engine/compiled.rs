//! A rule as the engine works with it: its numbers prepared, its filter reduced to what the index
//! leaves open.

use rustc_hash::FxHashMap;
use uuid::Uuid;

use super::{
    kinds::{Baselines, Plan, float},
    window::{past_life, width_of},
};
use crate::model::{
    ErrorEvent, Filter, GroupField, IncidentState, Level, Metric, NoData, Rule, Span, Timestamp,
};

/// No group.
pub(super) const NONE: u32 = u32::MAX;

/// A rule and what belongs to it.
#[derive(Clone, Debug)]
pub(super) struct Compiled {
    pub rule: Rule,
    /// Width of a bucket of the longest window, in microseconds.
    pub width: i64,
    /// Widths of the buckets of further windows, which only a burn rate has.
    pub further: Vec<i64>,
    /// The pairs of windows of a burn rate.
    pub plans: Vec<Plan>,
    /// The group-by fields, each once, in ascending order.
    pub fields: Vec<GroupField>,
    /// The lowest value that fires.
    pub fire: f64,
    /// The value below which an incident resolves; never above `fire`, so that it cannot flap there.
    pub resolve: f64,
    /// How long a falling value is watched: the keep-firing or the flap period, whichever is longer.
    pub watch: Span,
    /// Whether its only group is always there, because it has something to say about silence.
    pub standing: bool,
    /// From when on what happens is known here; silence before then proves nothing.
    pub since: Timestamp,
    /// The true beginning of that, while the past has not been replayed.
    pub observed_before: Option<Timestamp>,
    /// What the earlier windows of a change held.
    pub baselines: Baselines,
    /// Project (where the rule groups by it) and fingerprint of open incidents, and since when: while
    /// history is replayed they are new.
    pub awaited: FxHashMap<(Option<Uuid>, Uuid), Timestamp>,
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

impl Compiled {
    pub fn new(rule: Rule) -> Self {
        let fields = rule.grouping();
        let longest = rule.longest_window();
        let (plans, further) = match &rule.metric {
            Metric::BurnRate(burn) => Plan::of(burn, longest),
            _ => Default::default(),
        };
        let lowest = |a: Option<f64>, b: Option<f64>| {
            a.into_iter().chain(b).fold(f64::INFINITY, |low: f64, v| low.min(v))
        };
        let fire = lowest(rule.warning, rule.critical);
        let mut compiled = Self {
            width: width_of(longest),
            further,
            plans,
            fields,
            fire,
            resolve: rule.resolve_below().min(fire),
            watch: rule.keep_firing.max(rule.flap.map_or(Span::ZERO, |flap| flap.period)),
            standing: match rule.metric {
                Metric::Absence { .. } => true,
                Metric::Ratio { .. } | Metric::BurnRate(_) => {
                    rule.no_data == NoData::Alert && rule.group_by.is_empty()
                }
                _ => false,
            },
            since: Timestamp::from_micros(i64::MIN),
            observed_before: None,
            baselines: Baselines::default(),
            awaited: FxHashMap::default(),
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
            && self.further == other.further
            && self.rule.window == other.rule.window
            && self.speaks_like(other)
    }

    /// Whether an incident opened under `other` still means something under this rule: the same
    /// groups, and values of the same kind.
    pub fn speaks_like(&self, other: &Self) -> bool {
        self.fields == other.fields
            && match (self.rule.metric, other.rule.metric) {
                (Metric::Absence { of, .. }, Metric::Absence { of: other, .. }) => of == other,
                (Metric::Change { compare, .. }, Metric::Change { compare: other, .. }) => {
                    compare == other
                }
                (one, other) => std::mem::discriminant(&one) == std::mem::discriminant(&other),
            }
    }

    /// Whether the value is taken of runs.
    pub fn needs_runs(&self) -> bool {
        self.rule.metric.needs_runs()
    }

    /// Whether the value follows from the number of errors in the window alone.
    pub fn is_counted(&self) -> bool {
        matches!(self.rule.metric, Metric::Count | Metric::Rate | Metric::NewGroup { .. })
    }

    pub fn is_new_group(&self) -> bool {
        matches!(self.rule.metric, Metric::NewGroup { .. })
    }

    pub fn is_absence(&self) -> bool {
        matches!(self.rule.metric, Metric::Absence { .. })
    }

    pub fn is_change(&self) -> bool {
        matches!(self.rule.metric, Metric::Change { .. })
    }

    /// Whether its groups need more than a window and an incident.
    pub fn is_special(&self) -> bool {
        self.standing || self.is_change() || self.needs_runs()
    }

    /// Whether an empty window always means that the value is below every threshold.
    pub fn empty_is_below(&self) -> bool {
        self.is_counted() || self.is_change()
    }

    /// The value of so many errors, of a rule that [`is_counted`](Self::is_counted).
    pub fn value_of(&self, errors: u64) -> f64 {
        match self.rule.metric {
            Metric::Rate => float(errors) / self.minutes(),
            _ => float(errors),
        }
    }

    /// From when on a whole window of silence can have been seen.
    pub fn observed_from(&self) -> Timestamp {
        past_life(self.since, self.width)
    }

    /// Sets from when on silence counts: where the rule says when it was made, from then on.
    pub fn observe_since(&mut self, now: Timestamp) {
        self.since = match self.rule.metric {
            Metric::Absence { since: Some(since), .. } => since,
            _ => now,
        };
    }

    /// The windows are empty until the past has been replayed: silence counts from now on until then.
    pub fn doubt_past(&mut self, now: Timestamp) {
        if self.since < now {
            self.observed_before = Some(self.since);
            self.since = now;
        }
    }

    /// The level of an alert that no threshold has decided.
    pub fn lowest_level(&self) -> Level {
        let burn = match &self.rule.metric {
            Metric::BurnRate(burn) => burn.pairs().map(|pair| pair.level).min(),
            _ => None,
        };
        let warns = self.rule.warning.is_some();
        burn.unwrap_or(if warns { Level::Warning } else { Level::Critical })
    }

    /// Whether an incident of the warning level may become one of the critical level and fall back.
    pub fn has_warnings(&self) -> bool {
        self.lowest_level() == Level::Warning
    }

    /// How many windows it has been silent at `at`, if the incident began at `started_at`: it had been
    /// silent for as many as it takes to fire then.
    pub fn silence(&self, started_at: Timestamp, at: Timestamp) -> f64 {
        self.fire + at.since(started_at).as_secs_f64() / self.rule.window.as_secs_f64()
    }

    /// When an open incident of an absence becomes critical.
    pub fn critical_at(&self, state: IncidentState, started_at: Timestamp) -> Option<Timestamp> {
        let critical = self.rule.critical.filter(|critical| *critical > self.fire)?;
        let windows = critical - self.fire;
        #[expect(clippy::cast_possible_truncation, reason = "at most 100 windows of 30 days")]
        let wait = (self.rule.window.as_secs_f64() * windows * 1e6).ceil() as i64;
        let wanted = self.is_absence() && state == IncidentState::Firing;
        wanted.then(|| started_at + Span::from_micros(wait))
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
        .unwrap_or(if self.fire.is_finite() { self.fire } else { 0.0 })
    }

    /// The resolve threshold as it is told; a burn rate has none of its own.
    pub fn shown_resolve(&self) -> f64 {
        if self.resolve.is_finite() { self.resolve } else { 0.0 }
    }

    /// How far back rows must be replayed so that this rule stands where it would have stood: its
    /// window with the current bucket, and the time a falling value may have been waiting.
    pub fn history(&self) -> Span {
        let window = self.width.saturating_mul(crate::engine::window::BUCKETS + 1);
        let window = window.max(self.rule.longest_window().micros().saturating_add(self.width));
        Span::from_micros(window.saturating_add(self.watch.micros().max(0)))
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
