//! Alert rules as they stand in the table.

use std::{collections::HashMap, time::Duration};

use sqlx::{FromRow, Row as _};
use uuid::Uuid;

use super::{Db, StoreError, pool::within};
use crate::model::{Filter, Metric, Rule, RuleError, Span, TypePattern};

/// The enabled rules, and those that cannot be used.
#[derive(Clone, Debug, Default)]
pub struct RuleBook {
    /// Rules the engine can evaluate.
    pub rules: Vec<Rule>,
    /// What each rule's author wants people to do.
    pub descriptions: HashMap<Uuid, String>,
    /// Rules that slipped past the table's constraints, for the status row.
    pub invalid: Vec<RuleError>,
}

/// The number of configuration changes so far.
///
/// # Errors
/// When the database does not answer within `limit`.
pub async fn config_version(db: &Db, limit: Duration) -> Result<i64, StoreError> {
    within("look for changed rules", limit, async {
        let mut link = db.link().await?;
        let query = link.query(include_str!("../../sql/config_version.sql"));
        let version = query.fetch_one(link.connection()).await?.try_get(0)?;
        link.commit().await?;
        Ok(version)
    })
    .await
}

/// Loads every enabled rule; one that cannot be used costs only itself.
///
/// # Errors
/// When the database does not answer within `limit`.
pub async fn load(db: &Db, limit: Duration) -> Result<RuleBook, StoreError> {
    let rows = within("read the rules", limit, async {
        let mut link = db.link().await?;
        let query = link.query(include_str!("../../sql/rules_enabled.sql"));
        let rows = query.fetch_all(link.connection()).await?;
        link.commit().await?;
        Ok(rows.iter().map(Row::from_row).collect::<Result<Vec<_>, _>>()?)
    })
    .await?;
    let mut book = RuleBook::default();
    for row in rows {
        let (id, description) = (row.rule_id, row.description.clone());
        match row.into_rule() {
            Ok(rule) => {
                book.descriptions.insert(id, description);
                book.rules.push(rule);
            }
            Err(error) => book.invalid.push(error),
        }
    }
    Ok(book)
}

#[derive(FromRow)]
struct Row {
    rule_id: Uuid,
    project_id: Option<Uuid>,
    name: String,
    description: String,
    metric: String,
    min_runs: i32,
    sources: Vec<String>,
    error_types: Vec<String>,
    severities: Vec<String>,
    workflow_ids: Vec<Uuid>,
    message_contains: Option<String>,
    group_by: Vec<String>,
    window_seconds: i32,
    warning: Option<f64>,
    critical: Option<f64>,
    resolve: Option<f64>,
    pending_seconds: i32,
    keep_firing_seconds: i32,
    reminder_seconds: i32,
}

impl Row {
    fn into_rule(self) -> Result<Rule, RuleError> {
        let name = &self.name;
        let fail = |field, problem: String| RuleError { name: name.clone(), field, problem };
        let metric = match self.metric.as_str() {
            "count" => Metric::Count,
            "rate" => Metric::Rate,
            "ratio" => Metric::Ratio {
                min_runs: u32::try_from(self.min_runs)
                    .map_err(|_| fail("min_runs", "must not be negative".to_owned()))?,
            },
            other => {
                return Err(fail("metric", format!("{other:?} is not known to this version")));
            }
        };
        let mut group_by = words(&self.group_by).map_err(|text| fail("group_by", text))?;
        group_by.sort_unstable();
        group_by.dedup();
        let window = self.window_seconds;
        if window < 60 || window % 60 != 0 || window > 2_592_000 {
            let text = "must be whole minutes between 60 and 2592000 seconds";
            return Err(fail("window_seconds", text.to_owned()));
        }
        let thresholds =
            [("warning", self.warning), ("critical", self.critical), ("resolve", self.resolve)];
        for (field, value) in thresholds {
            if value.is_some_and(|value| !value.is_finite() || value <= 0.0) {
                return Err(fail(field, "must be a finite number above 0".to_owned()));
            }
        }
        if self.warning.is_none() && self.critical.is_none() {
            return Err(fail("warning", "or critical must be given".to_owned()));
        }
        let filter = Filter {
            sources: words(&self.sources).map_err(|text| fail("sources", text))?,
            error_types: self.error_types.iter().map(|text| TypePattern::parse(text)).collect(),
            severities: words(&self.severities).map_err(|text| fail("severities", text))?,
            workflow_ids: self.workflow_ids,
            message_contains: self.message_contains,
        };
        Ok(Rule {
            id: self.rule_id,
            project_id: self.project_id,
            metric,
            filter,
            group_by,
            window: Span::from_secs(window.into()),
            warning: self.warning,
            critical: self.critical,
            resolve: self.resolve,
            pending: Span::from_secs(self.pending_seconds.max(0).into()),
            keep_firing: Span::from_secs(self.keep_firing_seconds.max(0).into()),
            reminder: Span::from_secs(self.reminder_seconds.max(0).into()),
            name: self.name,
        })
    }
}

fn words<T: std::str::FromStr<Err: std::fmt::Display>>(list: &[String]) -> Result<Vec<T>, String> {
    list.iter().map(|word| word.parse().map_err(|error: T::Err| error.to_string())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row() -> Row {
        Row {
            rule_id: Uuid::nil(),
            project_id: None,
            name: "r".to_owned(),
            description: String::new(),
            metric: "count".to_owned(),
            min_runs: 20,
            sources: vec![],
            error_types: vec!["execution".to_owned(), "input.schema".to_owned()],
            severities: vec!["high".to_owned()],
            workflow_ids: vec![],
            message_contains: None,
            group_by: vec!["source".to_owned(), "project".to_owned(), "source".to_owned()],
            window_seconds: 300,
            warning: Some(5.0),
            critical: None,
            resolve: None,
            pending_seconds: 0,
            keep_firing_seconds: 0,
            reminder_seconds: 0,
        }
    }

    #[track_caller]
    fn check(change: Change, expected: &str) {
        let mut row = row();
        change(&mut row);
        let text = match row.into_rule() {
            Ok(rule) => format!("ok {}", rule.group_by.len()),
            Err(error) => format!("{} {}", error.field, error.problem),
        };
        assert!(text.starts_with(expected), "{text:?} instead of {expected:?}");
    }

    type Change = fn(&mut Row);

    #[test]
    fn a_rule_that_slips_past_the_constraints_names_its_field() {
        let cases: &[(Change, &str)] = &[
            (|_| {}, "ok 2"),
            (|row| row.metric = "burn_rate".to_owned(), "metric \"burn_rate\" is not known"),
            (|row| row.window_seconds = 61, "window_seconds must be"),
            (|row| row.warning = None, "warning or critical"),
            (|row| row.critical = Some(f64::NAN), "critical must be a finite"),
            (|row| row.resolve = Some(-1.0), "resolve must be"),
            (|row| row.sources = vec!["cron".to_owned()], "sources \"cron\" is not a source"),
            (|row| row.severities = vec!["fatal".to_owned()], "severities \"fatal\""),
            (|row| row.group_by = vec!["host".to_owned()], "group_by \"host\""),
            (
                |row| {
                    row.metric = "ratio".to_owned();
                    row.min_runs = -1;
                },
                "min_runs must",
            ),
        ];
        for (change, expected) in cases {
            check(*change, expected);
        }
    }
}
