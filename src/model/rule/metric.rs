//! What a rule measures, and the numbers that only one kind of rule has.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use super::super::{Level, ParseEnumError, Span, Timestamp, event::word_enum};

/// The most pairs of windows that one burn-rate rule may have.
pub const MAX_BURN_WINDOWS: usize = 4;

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
    /// Matching errors of one fingerprint that was not known in its project when it came, or that came
    /// back after it was resolved or after some time of quiet.
    NewGroup {
        /// Back after so long without an event is as good as new; zero means that only resolving is.
        quiet: Span,
        /// When the rule was made, where that is known: what came before then is history, also to an
        /// instance that starts later.
        since: Option<Timestamp>,
    },
    /// By how many percent the window holds more matching errors than the same window earlier.
    Change {
        /// How much earlier: a day or a week in the database.
        compare: Span,
        /// Fewer errors than this in the present window never fire.
        min_count: u32,
    },
    /// How many times faster than its objective allows a service uses up its error budget.
    BurnRate(Burn),
    /// How long nothing has happened, in windows: 1 is one whole window of silence.
    Absence {
        /// What should happen.
        of: AbsenceOf,
        /// Silence is counted from then on at the earliest; none means from when the rule is taken.
        since: Option<Timestamp>,
    },
}

/// An objective and the windows over which its error budget is watched.
///
/// The burn rate of a window is its share of failed runs divided by the share that the objective
/// allows; at a burn rate of 1 the budget of the objective's period lasts exactly that period. A pair
/// fires when the long *and* the short window burn at its factor: the long one so that little noise is
/// enough for nothing, the short one so that it ends soon after the burning does. (Google, The Site
/// Reliability Workbook, chapter "Alerting on SLOs", "Multiwindow, Multi-Burn-Rate Alerts".)
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Burn {
    /// The share of runs without error that is aimed at, above 0 and below 1 (0.995 is 99.5 %).
    pub objective: f64,
    /// With fewer runs than this in its long window a pair says nothing.
    pub min_runs: u32,
    /// The pairs; those that are none are not used.
    pub windows: [Option<BurnWindow>; MAX_BURN_WINDOWS],
}

/// One pair of windows.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BurnWindow {
    /// The window that says that it matters.
    pub long: Span,
    /// The window that says that it still goes on.
    pub short: Span,
    /// The burn rate at which both fire.
    pub factor: f64,
    /// How loudly.
    pub level: Level,
}

word_enum!(
    /// What an absence rule waits for.
    AbsenceOf, "kind of event", "errors, runs",
    {
        /// Error events that match the rule's filter: heartbeats reported as events, for example.
        Errors = "errors",
        /// Workflow runs of the rule's project and workflows.
        Runs = "runs",
    }
);

word_enum!(
    /// What becomes of a value that cannot be told because there were too few runs.
    NoData, "way to treat missing data", "keep, resolve, alert",
    {
        /// Nothing changes: what fires goes on firing, what does not stays quiet.
        Keep = "keep",
        /// It counts as below every threshold.
        Resolve = "resolve",
        /// It fires.
        Alert = "alert",
    }
);

/// When an incident that comes and goes is called flapping.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flap {
    /// So many beginnings and ends within the period.
    pub count: u32,
    /// The period, and how long it must then stay away to be over.
    pub period: Span,
}

impl Metric {
    /// The word in `alert_rules.metric`.
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Count => "count",
            Self::Rate => "rate",
            Self::Ratio { .. } => "ratio",
            Self::NewGroup { .. } => "new_group",
            Self::Change { .. } => "change",
            Self::BurnRate(_) => "burn_rate",
            Self::Absence { .. } => "absence",
        }
    }

    /// Whether its value is taken of workflow runs, so that these must be counted as well.
    #[must_use]
    pub const fn needs_runs(&self) -> bool {
        matches!(
            self,
            Self::Ratio { .. } | Self::BurnRate(_) | Self::Absence { of: AbsenceOf::Runs, .. }
        )
    }
}

impl Burn {
    /// The pairs in use.
    pub fn pairs(&self) -> impl Iterator<Item = BurnWindow> {
        self.windows.into_iter().flatten()
    }

    /// The share of runs that may fail.
    #[must_use]
    pub fn budget(&self) -> f64 {
        1.0 - self.objective
    }
}

impl BurnWindow {
    /// The three pairs that the workbook recommends for a period of 30 days: 2 % of the budget used
    /// in 1 h, 5 % in 6 h, and 10 % in 3 days.
    pub const RECOMMENDED: [Self; 3] = [
        Self::of(3_600, 300, 14.4, Level::Critical),
        Self::of(21_600, 1_800, 6.0, Level::Critical),
        Self::of(259_200, 21_600, 1.0, Level::Warning),
    ];

    const fn of(long: i64, short: i64, factor: f64, level: Level) -> Self {
        Self { long: Span::from_secs(long), short: Span::from_secs(short), factor, level }
    }
}
