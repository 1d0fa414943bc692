//! Whether a rule can be used: the same conditions as the constraints of `alert_rules`, so that a rule
//! can be refused, with all that is wrong, before it gets there.

use super::{Burn, Metric, NoData, Rule, RuleError, TypePattern};
use crate::model::{GroupField, Span};

const DAY: i64 = 86_400;
const MONTH: i64 = 30 * DAY;

impl Rule {
    /// Everything that is wrong with this rule; nothing for one that can be used.
    #[must_use]
    pub fn validate(&self) -> Vec<RuleError> {
        let mut check = Check { name: &self.name, errors: Vec::new() };
        let characters = self.name.trim().chars().count();
        check.that("name", (1..=120).contains(&characters), "must have 1 to 120 characters");
        self.check_filter(&mut check);
        self.check_grouping(&mut check);
        self.check_thresholds(&mut check);
        self.check_periods(&mut check);
        self.check_kind(&mut check);
        check.errors
    }

    fn check_filter(&self, check: &mut Check<'_>) {
        let filter = &self.filter;
        check.that("error_types", filter.error_types.len() <= 50, "must be at most 50");
        for pattern in &filter.error_types {
            let (TypePattern::Class(text) | TypePattern::Exact(text)) = pattern;
            check.that("error_types", is_error_type(text), format!(
                "{text:?} is not system, execution or input, with details of a-z, 0-9, - and _ after dots"
            ));
        }
        check.that("workflow_ids", filter.workflow_ids.len() <= 100, "must be at most 100");
        if let Some(text) = &filter.message_contains {
            let characters = text.chars().count();
            let field = "message_contains";
            check.that(field, (1..=200).contains(&characters), "must have 1 to 200 characters");
            let counted = !matches!(self.metric, Metric::Change { .. });
            check.that(field, counted, "must be empty for a change, which is taken of counts");
        }
    }

    fn check_grouping(&self, check: &mut Check<'_>) {
        let only = |fields: &[GroupField]| self.group_by.iter().all(|by| fields.contains(by));
        let (fits, problem) = match &self.metric {
            Metric::Count | Metric::Rate => (true, ""),
            Metric::Ratio { .. } | Metric::BurnRate(_) => (
                only(&[GroupField::Project, GroupField::Workflow]),
                "must be project or workflow, because a run has nothing else",
            ),
            Metric::NewGroup { .. } => (
                only(&[GroupField::Project, GroupField::Fingerprint]),
                "must be project or fingerprint for a new group",
            ),
            Metric::Change { .. } => (
                !self.group_by.contains(&GroupField::Fingerprint),
                "must not be fingerprint for a change, which is taken of counts",
            ),
            Metric::Absence { .. } => (only(&[]), "must be empty for an absence"),
        };
        check.that("group_by", fits, problem);
        let ratio = matches!(self.metric, Metric::Ratio { .. } | Metric::BurnRate(_));
        let lonely = !ratio || self.no_data != NoData::Alert || self.group_by.is_empty();
        check.that("no_data", lonely, "must not be alert where the rule is grouped");
    }

    fn check_thresholds(&self, check: &mut Check<'_>) {
        let thresholds =
            [("warning", self.warning), ("critical", self.critical), ("resolve", self.resolve)];
        if let Metric::BurnRate(_) = self.metric {
            for (field, value) in thresholds {
                let text = "must be empty for a burn rate, whose windows say it";
                check.that(field, value.is_none(), text);
            }
            return;
        }
        for (field, value) in thresholds {
            let fits = value.is_none_or(|value| value.is_finite() && value > 0.0);
            check.that(field, fits, "must be a finite number above 0");
            let silence = matches!(self.metric, Metric::Absence { .. }) && field != "resolve";
            let whole = !silence || value.is_none_or(|value| (1.0..=100.0).contains(&value));
            check.that(field, whole, "of an absence must be 1 to 100 windows");
        }
        let given = self.warning.is_some() || self.critical.is_some();
        check.that("warning", given, "or critical must be given");
        if let (Some(warning), Some(critical)) = (self.warning, self.critical) {
            check.that("critical", critical >= warning, "must not be below warning");
        }
        if let Some(resolve) = self.resolve {
            let text = "must not be above the thresholds";
            check.that("resolve", !given || resolve <= self.fire_at(), text);
            let whole = !matches!(self.metric, Metric::Absence { .. });
            check.that("resolve", whole, "must be empty for an absence, which ends with an event");
        }
    }

    fn check_periods(&self, check: &mut Check<'_>) {
        let minutes = whole_minutes(self.window, 60, MONTH);
        let text = "must be whole minutes between 60 and 2592000 seconds";
        check.that("window_seconds", minutes, text);
        for (field, span) in
            [("pending_seconds", self.pending), ("keep_firing_seconds", self.keep_firing)]
        {
            check.that(field, within(span, 0, DAY), "must be 0 to 86400");
        }
        let reminds = self.reminder == Span::ZERO || within(self.reminder, 60, MONTH);
        check.that("reminder_seconds", reminds, "must be 0 or 60 to 2592000");
        if let Some(flap) = self.flap {
            check.that("flap_count", (3..=100).contains(&flap.count), "must be 0 or 3 to 100");
            check.that("flap_seconds", within(flap.period, 60, DAY), "must be 60 to 86400");
        }
    }

    fn check_kind(&self, check: &mut Check<'_>) {
        let counted = |count: u32| (1..=1_000_000).contains(&count);
        match &self.metric {
            Metric::Count | Metric::Rate => {}
            Metric::Ratio { min_runs } => {
                check.that("min_runs", counted(*min_runs), "must be 1 to 1000000");
            }
            Metric::NewGroup { quiet, .. } => {
                let fits = within(*quiet, 0, 365 * DAY) && quiet.micros() % (DAY * 1_000_000) == 0;
                check.that("quiet_days", fits, "must be 0 to 365");
                check.that(
                    "window_seconds",
                    within(self.window, 60, DAY),
                    "of a new group must be at most a day",
                );
            }
            Metric::Change { compare, min_count } => {
                let known = [Span::from_secs(DAY), Span::from_secs(7 * DAY)].contains(compare);
                check.that("compare_seconds", known, "must be 86400 or 604800");
                check.that("min_count", counted(*min_count), "must be 1 to 1000000");
                let fits = within(self.window, 60, DAY);
                check.that("window_seconds", fits, "of a change must be at most a day");
            }
            Metric::BurnRate(burn) => self.check_burn(burn, check),
            Metric::Absence { .. } => {
                let fits = within(self.longest_window(), 60, MONTH);
                check.that("window_seconds", fits, "times the threshold must be at most 30 days");
            }
        }
    }

    fn check_burn(&self, burn: &Burn, check: &mut Check<'_>) {
        let share = burn.objective > 0.0 && burn.objective < 1.0;
        check.that("objective", share, "must be between 0 and 1, as in 0.995");
        check.that("min_runs", (1..=1_000_000).contains(&burn.min_runs), "must be 1 to 1000000");
        for pair in burn.pairs() {
            let long = whole_minutes(pair.long, 60, MONTH);
            let fits = long && whole_minutes(pair.short, 60, MONTH) && pair.short < pair.long;
            let text = "short_seconds must be below long_seconds, both whole minutes up to 30 days";
            check.that("burn_windows", fits, text);
            let factor = pair.factor.is_finite() && pair.factor > 0.0;
            check.that("burn_windows", factor, "factor must be above 0");
            // Burning everything is a rate of 1 / (1 - objective); more cannot be.
            let can = !share || pair.factor * burn.budget() <= 1.0;
            check.that(
                "burn_windows",
                can,
                format!(
                    "factor {} can never be reached with an objective of {}",
                    pair.factor, burn.objective
                ),
            );
        }
        let text =
            "must be at least the longest of burn_windows: it is the period of the objective";
        check.that("window_seconds", self.window >= self.longest_window(), text);
    }
}

struct Check<'a> {
    name: &'a str,
    errors: Vec<RuleError>,
}

impl Check<'_> {
    fn that(&mut self, field: &'static str, fits: bool, problem: impl Into<String>) {
        if !fits {
            let (name, problem) = (self.name.to_owned(), problem.into());
            self.errors.push(RuleError { name, field, problem });
        }
    }
}

fn within(span: Span, least: i64, most: i64) -> bool {
    (Span::from_secs(least)..=Span::from_secs(most)).contains(&span)
}

fn whole_minutes(span: Span, least: i64, most: i64) -> bool {
    within(span, least, most) && span.micros() % 60_000_000 == 0
}

/// As in the table: `^(system|execution|input)(\.[a-z0-9_-]+)*$`.
fn is_error_type(text: &str) -> bool {
    let mut parts = text.split('.');
    let class = parts.next().is_some_and(|class| ["system", "execution", "input"].contains(&class));
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_' || c == '-';
    class && parts.all(|part| !part.is_empty() && part.chars().all(plain))
}

#[cfg(test)]
mod tests;
