//! What each kind of rule makes of a group's windows: one file a kind, each a pure function from what
//! was counted to a [`Reading`].
//! No counting and no incidents may appear here; they are the same for all kinds.
//! Windows, runs and what is known to be complete come in as a [`Scene`]; readings go to
//! [`judge`](super::incident::judge).

mod absence;
mod burn_rate;
mod change;
mod counted;
mod ratio;

pub(super) use self::{
    burn_rate::Plan,
    change::{Baselines, hash as change_hash},
};
use super::{compiled::Compiled, group::Group, runs::RunWindows};
use crate::model::{AbsenceOf, Detail, Level, Metric, Timestamp};

/// What a group says at one instant.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Reading {
    pub errors: u64,
    /// Runs in the window, for kinds that are taken of runs.
    pub runs: Option<u64>,
    /// The rule's value; none when it cannot be told.
    pub value: Option<f64>,
    /// The level at which it fires.
    pub level: Option<Level>,
    /// Whether the value is below the resolve threshold; none when that cannot be told.
    pub below: Option<bool>,
    /// The threshold that decides, where it is not the rule's own.
    pub threshold: Option<f64>,
    /// What a message has to add.
    pub detail: Option<Detail>,
}

/// Up to when everything that happened is known to have been counted; none when nothing is known.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Complete {
    pub errors: Option<Timestamp>,
    pub runs: Option<Timestamp>,
}

/// What a reading is taken of.
#[derive(Clone, Copy)]
pub(super) struct Scene<'a> {
    pub rule: &'a Compiled,
    pub group: &'a Group,
    pub runs: &'a RunWindows,
    pub complete: Complete,
    pub at: Timestamp,
}

impl Reading {
    /// The value to show: where there were too few runs to judge by, the bare quotient, and without any
    /// run nothing.
    pub fn shown(&self) -> f64 {
        self.value.unwrap_or_else(|| match self.runs {
            Some(runs) if runs > 0 => float(self.errors) / float(runs),
            _ => 0.0,
        })
    }

    /// A value against the thresholds of its rule.
    fn of(rule: &Compiled, errors: u64, value: f64) -> Self {
        Self {
            errors,
            value: Some(value),
            level: rule.level_of(value),
            // An empty window is below every threshold.
            below: Some(errors == 0 || value < rule.resolve),
            ..Self::default()
        }
    }
}

impl Scene<'_> {
    /// What the group says.
    pub fn read(self) -> Reading {
        match self.rule.rule.metric {
            Metric::Count | Metric::Rate | Metric::NewGroup { .. } => counted::read(self),
            Metric::Ratio { min_runs } => ratio::read(self, min_runs),
            Metric::Change { compare, min_count } => change::read(self, compare, min_count),
            Metric::BurnRate(burn) => burn_rate::read(self, &burn),
            Metric::Absence { of, .. } => absence::read(self, of),
        }
    }

    /// Errors in the group's longest window.
    fn errors(self) -> u64 {
        self.group.ring.total_at(self.at)
    }

    /// Runs in the group's longest window.
    fn run_count(self) -> u64 {
        self.runs.total_at(self.group.scope(), self.at)
    }

    /// Whether nothing is there that this rule needs: no event of an absence rule, too few runs of one
    /// that alerts without data.
    pub fn is_silent(self) -> bool {
        match self.rule.rule.metric {
            Metric::Absence { of: AbsenceOf::Errors, .. } => self.errors() == 0,
            Metric::Absence { of: AbsenceOf::Runs, .. } => self.run_count() == 0,
            Metric::Ratio { min_runs } => self.run_count() < u64::from(min_runs.max(1)),
            Metric::BurnRate(burn) => burn_rate::has_no_data(self, &burn),
            _ => false,
        }
    }

    /// Whether the silence is beyond doubt: it has lasted since a moment up to which everything is
    /// counted, and what came before is known for a whole window.
    pub fn silence_is_certain(self) -> bool {
        let complete = match self.rule.rule.metric {
            Metric::Absence { of: AbsenceOf::Errors, .. } => self.complete.errors,
            _ => self.complete.runs,
        };
        match (self.group.silent_since(), complete) {
            (Some(since), Some(complete)) => {
                // Before its first event the engine stands at the beginning of time.
                complete >= since
                    && self.at >= self.rule.observed_from()
                    && self.at > Timestamp::default()
            }
            _ => false,
        }
    }

    /// The next instant at which time alone may change what a rule with an ever-present group says.
    pub fn next_look(self) -> Option<Timestamp> {
        if self.group.silent_since().is_none() || !self.is_silent() {
            // Of an absence the end of the window, of a ratio every boundary.
            return match self.rule.rule.metric {
                Metric::Absence { of: AbsenceOf::Errors, .. } => self.group.ring.drained_at(),
                Metric::Absence { of: AbsenceOf::Runs, .. } => {
                    self.runs.drained_at(self.group.scope())
                }
                _ => self.runs.boundary(self.group.scope()),
            };
        }
        let observed = self.rule.observed_from();
        (self.at < observed).then_some(observed)
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts in a window are far below 2^52")]
pub(super) fn float(count: u64) -> f64 {
    count as f64
}
