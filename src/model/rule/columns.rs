//! Reads a rule from the columns of its row, as JSON: what the table holds, what an editor wants to
//! try, and what a file says, all alike.

use std::{fmt::Display, str::FromStr};

use serde_json::{Map, Value};
use uuid::Uuid;

use super::{
    AbsenceOf, Burn, BurnWindow, Filter, Flap, MAX_BURN_WINDOWS, Metric, NoData, Rule, RuleError,
    TypePattern,
};
use crate::model::{Level, Span, Timestamp};

const DAY: i64 = 86_400;

impl Rule {
    /// The rule that the columns of a row of `alert_rules` describe.
    ///
    /// A column that is missing has the table's default; one that is no part of what is evaluated
    /// (`enabled`, `description`, …) is not looked at. Without `rule_id` the rule's id is nil.
    ///
    /// # Errors
    /// Everything that is wrong with it, column by column: what the table's constraints would refuse.
    #[expect(
        clippy::needless_pass_by_value,
        reason = "whoever has read it has no further use for it"
    )]
    pub fn from_columns(columns: Value) -> Result<Self, Vec<RuleError>> {
        let (rule, errors) = read(&columns);
        if errors.is_empty() { Ok(rule) } else { Err(errors) }
    }

    /// The rule of a row that the table has accepted: as [`Rule::from_columns`], but how often it may
    /// remind is the table's business alone.
    ///
    /// # Errors
    /// Everything for which it cannot be evaluated.
    #[expect(
        clippy::needless_pass_by_value,
        reason = "whoever has read it has no further use for it"
    )]
    pub fn from_stored(columns: Value) -> Result<Self, Vec<RuleError>> {
        let (rule, mut errors) = read(&columns);
        errors.retain(|error| error.field != "reminder_seconds" || rule.reminder < Span::ZERO);
        if errors.is_empty() { Ok(rule) } else { Err(errors) }
    }
}

/// The rule, and everything that is wrong with it.
fn read(columns: &Value) -> (Rule, Vec<RuleError>) {
    let mut read = Reader::new(columns);
    let rule = read.rule();
    let mut errors = read.errors;
    // What could not be read has a stand-in, about which nothing more should be said.
    let unread: Vec<&str> = errors.iter().map(|error| error.field).collect();
    errors.extend(rule.validate().into_iter().filter(|error| !unread.contains(&error.field)));
    (rule, errors)
}

struct Reader<'a> {
    columns: Option<&'a Map<String, Value>>,
    name: String,
    errors: Vec<RuleError>,
}

impl<'a> Reader<'a> {
    fn new(columns: &'a Value) -> Self {
        let object = columns.as_object();
        let name = object.and_then(|columns| columns.get("name")).and_then(Value::as_str);
        let mut read =
            Self { columns: object, name: name.unwrap_or_default().to_owned(), errors: vec![] };
        if object.is_none() {
            read.fail("rule", "must be an object of columns");
        }
        read
    }

    fn rule(&mut self) -> Rule {
        let id = self.parsed("rule_id").unwrap_or_default();
        let project_id = self.parsed("project_id");
        let filter = Filter {
            sources: self.words("sources"),
            error_types: self.texts("error_types").iter().map(|t| TypePattern::parse(t)).collect(),
            severities: self.words("severities"),
            workflow_ids: self.words::<Uuid>("workflow_ids"),
            message_contains: self.text("message_contains"),
        };
        let mut group_by = self.words("group_by");
        group_by.sort_unstable();
        group_by.dedup();
        let flap_count = self.natural("flap_count", 0);
        let flap_period = self.seconds("flap_seconds", 3_600);
        Rule {
            id,
            project_id,
            metric: self.metric(),
            filter,
            group_by,
            window: self.seconds("window_seconds", 300),
            warning: self.number("warning"),
            critical: self.number("critical"),
            resolve: self.number("resolve"),
            pending: self.seconds("pending_seconds", 0),
            keep_firing: self.seconds("keep_firing_seconds", 0),
            reminder: self.seconds("reminder_seconds", 14_400),
            no_data: self.parsed("no_data").unwrap_or(NoData::Keep),
            flap: (flap_count > 0).then_some(Flap { count: flap_count, period: flap_period }),
            name: self.name.clone(),
        }
    }

    fn metric(&mut self) -> Metric {
        let word = self.text("metric").unwrap_or_else(|| "count".to_owned());
        match word.as_str() {
            "count" => Metric::Count,
            "rate" => Metric::Rate,
            "ratio" => Metric::Ratio { min_runs: self.natural("min_runs", 20) },
            "new_group" => {
                let days = i64::from(self.natural("quiet_days", 0));
                let quiet = Span::from_secs(days.saturating_mul(DAY));
                Metric::NewGroup { quiet, since: self.instant("created_at") }
            }
            "change" => Metric::Change {
                compare: self.seconds("compare_seconds", DAY),
                min_count: self.natural("min_count", 10),
            },
            "burn_rate" => self.burn(),
            "absence" => Metric::Absence {
                of: self.parsed("absence_of").unwrap_or(AbsenceOf::Errors),
                since: self.instant("created_at"),
            },
            other => {
                let known = "count, rate, ratio, new_group, change, burn_rate, absence";
                let other: String = other.chars().take(64).collect();
                self.fail(
                    "metric",
                    format!("{other:?} is not a kind of rule; expected one of {known}"),
                );
                Metric::Count
            }
        }
    }

    fn burn(&mut self) -> Metric {
        let mut windows = [None; MAX_BURN_WINDOWS];
        let mut given = Vec::new();
        match self.get("burn_windows") {
            None => given.extend(BurnWindow::RECOMMENDED),
            Some(Value::Array(pairs)) if (1..=MAX_BURN_WINDOWS).contains(&pairs.len()) => {
                for pair in pairs {
                    match burn_window(pair) {
                        Ok(window) => given.push(window),
                        Err(problem) => self.fail("burn_windows", problem),
                    }
                }
            }
            Some(_) => self.fail("burn_windows", "must be a list of 1 to 4 pairs of windows"),
        }
        for (place, window) in windows.iter_mut().zip(given) {
            *place = Some(window);
        }
        if self.get("objective").is_none() {
            self.fail("objective", "must be given for a burn rate");
        }
        Metric::BurnRate(Burn {
            objective: self.number("objective").unwrap_or(f64::NAN),
            min_runs: self.natural("min_runs", 20),
            windows,
        })
    }

    fn fail(&mut self, field: &'static str, problem: impl Into<String>) {
        self.errors.push(RuleError { name: self.name.clone(), field, problem: problem.into() });
    }

    /// The column's value; a null is as good as none.
    fn get(&self, field: &str) -> Option<&'a Value> {
        self.columns?.get(field).filter(|value| !value.is_null())
    }

    fn text(&mut self, field: &'static str) -> Option<String> {
        let text = self.get(field)?.as_str().map(str::to_owned);
        if text.is_none() {
            self.fail(field, "must be a text");
        }
        text
    }

    fn parsed<T: FromStr<Err: Display>>(&mut self, field: &'static str) -> Option<T> {
        let text = self.text(field)?;
        text.parse().map_err(|error: T::Err| self.fail(field, error.to_string())).ok()
    }

    fn instant(&mut self, field: &'static str) -> Option<Timestamp> {
        let parsed = serde_json::from_value(self.get(field)?.clone());
        parsed.map_err(|_| self.fail(field, "must be a date and time")).ok()
    }

    fn number(&mut self, field: &'static str) -> Option<f64> {
        let number = self.get(field)?.as_f64();
        if number.is_none() {
            // Postgres writes its infinity and its NaN as texts.
            self.fail(field, "must be a finite number");
        }
        number
    }

    fn whole(&mut self, field: &'static str, default: i64) -> i64 {
        let Some(value) = self.get(field) else { return default };
        value.as_i64().unwrap_or_else(|| {
            self.fail(field, "must be a whole number");
            default
        })
    }

    fn seconds(&mut self, field: &'static str, default: i64) -> Span {
        Span::from_secs(self.whole(field, default).clamp(-1, i64::from(u32::MAX)))
    }

    fn natural(&mut self, field: &'static str, default: u32) -> u32 {
        let number = self.whole(field, default.into());
        u32::try_from(number).unwrap_or_else(|_| {
            self.fail(field, "must not be negative, nor that large");
            default
        })
    }

    fn texts(&mut self, field: &'static str) -> Vec<String> {
        let Some(value) = self.get(field) else { return Vec::new() };
        let texts = value.as_array().and_then(|list| {
            list.iter().map(|text| text.as_str().map(str::to_owned)).collect::<Option<Vec<_>>>()
        });
        texts.unwrap_or_else(|| {
            self.fail(field, "must be a list of texts");
            Vec::new()
        })
    }

    fn words<T: FromStr<Err: Display>>(&mut self, field: &'static str) -> Vec<T> {
        let mut words = Vec::new();
        for text in self.texts(field) {
            match text.parse::<T>() {
                Ok(word) => words.push(word),
                Err(error) => self.fail(field, format!("{error}")),
            }
        }
        words
    }
}

/// Reads `{"long_seconds": 3600, "short_seconds": 300, "factor": 14.4, "level": "critical"}`.
fn burn_window(pair: &Value) -> Result<BurnWindow, String> {
    let seconds = |field: &str| {
        let seconds = pair.get(field).and_then(Value::as_i64);
        seconds.map(Span::from_secs).ok_or_else(|| format!("{field} must be whole seconds"))
    };
    let level = pair.get("level").and_then(Value::as_str).unwrap_or_default();
    Ok(BurnWindow {
        long: seconds("long_seconds")?,
        short: seconds("short_seconds")?,
        factor: pair.get("factor").and_then(Value::as_f64).ok_or("factor must be a number")?,
        level: level.parse::<Level>().map_err(|error| error.to_string())?,
    })
}
