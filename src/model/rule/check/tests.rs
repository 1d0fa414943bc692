use serde_json::{Value, json};

use crate::model::Rule;

/// Reads a rule with these columns besides its name and a warning, and compares what is wrong with it.
#[track_caller]
fn check(columns: Value, expected: &str) {
    let mut all = json!({"name": "r", "warning": 5});
    all.as_object_mut().expect("an object").extend(columns.as_object().expect("columns").clone());
    let said = match Rule::from_columns(all) {
        Ok(rule) => format!("ok {}", rule.metric.as_str()),
        Err(errors) => {
            let one =
                |error: &crate::model::RuleError| format!("{} {}", error.field, error.problem);
            errors.iter().map(one).collect::<Vec<_>>().join("; ")
        }
    };
    let fits = if expected.is_empty() { said.is_empty() } else { said.starts_with(expected) };
    assert!(fits, "{columns}: {said:?} instead of {expected:?}");
}

#[test]
fn a_rule_of_each_kind_can_be_read_and_a_bad_one_names_its_columns() {
    let burn = |windows: Value| {
        json!({
            "metric": "burn_rate", "objective": 0.995, "warning": null, "window_seconds": 2_592_000,
            "burn_windows": windows,
        })
    };
    let pair = |long: i64, short: i64, factor: f64| json!([{"long_seconds": long, "short_seconds": short, "factor": factor, "level": "critical"}]);
    for (columns, expected) in [
        (json!({}), "ok count"),
        (json!({"metric": "rate", "group_by": ["source", "project", "source"]}), "ok rate"),
        (json!({"metric": "ratio", "no_data": "alert"}), "ok ratio"),
        (
            json!({"metric": "new_group", "quiet_days": 14, "group_by": ["fingerprint"]}),
            "ok new_group",
        ),
        (json!({"metric": "change", "compare_seconds": 604_800, "min_count": 1}), "ok change"),
        (burn(Value::Null), "ok burn_rate"),
        (burn(pair(3_600, 300, 14.4)), "ok burn_rate"),
        (json!({"metric": "absence", "warning": 1, "absence_of": "runs"}), "ok absence"),
        (json!({"flap_count": 4, "flap_seconds": 600}), "ok count"),
        // What the table knows and the engine does not ask for.
        (json!({"enabled": true, "description": "x", "updated_at": "?"}), "ok count"),
        (json!({"metric": "median"}), "metric \"median\" is not a kind of rule"),
        (json!({"window_seconds": 61}), "window_seconds must be whole minutes"),
        (json!({"window_seconds": "x"}), "window_seconds must be a whole number"),
        (json!({"warning": null}), "warning or critical must be given"),
        (json!({"critical": 4}), "critical must not be below warning"),
        (json!({"critical": "NaN"}), "critical must be a finite number"),
        (json!({"resolve": -1}), "resolve must be a finite number above 0"),
        (json!({"resolve": 6}), "resolve must not be above the thresholds"),
        (json!({"sources": ["cron"]}), "sources \"cron\" is not a source"),
        (json!({"severities": "high"}), "severities must be a list of texts"),
        (json!({"error_types": ["Execution"]}), "error_types \"Execution\" is not system"),
        (json!({"error_types": ["input.json"]}), "ok count"),
        (json!({"group_by": ["host"]}), "group_by \"host\""),
        (json!({"workflow_ids": ["x"]}), "workflow_ids"),
        (json!({"name": "  "}), "name must have 1 to 120 characters"),
        (json!({"message_contains": ""}), "message_contains must have 1 to 200 characters"),
        (json!({"pending_seconds": -5}), "pending_seconds must be 0 to 86400"),
        (json!({"reminder_seconds": 5}), "reminder_seconds must be 0 or 60"),
        (json!({"flap_count": 2}), "flap_count must be 0 or 3 to 100"),
        (json!({"metric": "ratio", "min_runs": -1}), "min_runs must not be negative"),
        (json!({"metric": "ratio", "min_runs": 0}), "min_runs must be 1 to 1000000"),
        (
            json!({"metric": "ratio", "group_by": ["source"]}),
            "group_by must be project or workflow",
        ),
        (
            json!({"metric": "ratio", "no_data": "alert", "group_by": ["project"]}),
            "no_data must not be alert",
        ),
        (json!({"metric": "ratio", "no_data": "shout"}), "no_data \"shout\""),
        (json!({"metric": "new_group", "quiet_days": 366}), "quiet_days must be 0 to 365"),
        (json!({"metric": "new_group", "group_by": ["workflow"]}), "group_by must be project or"),
        (json!({"metric": "change", "compare_seconds": 3_600}), "compare_seconds must be 86400"),
        (json!({"metric": "change", "window_seconds": 172_800}), "window_seconds of a change"),
        (json!({"metric": "change", "message_contains": "x"}), "message_contains must be empty"),
        (json!({"metric": "change", "group_by": ["fingerprint"]}), "group_by must not be finger"),
        (json!({"metric": "absence", "warning": 101}), "warning of an absence must be 1 to 100"),
        (json!({"metric": "absence", "warning": 0.5}), "warning of an absence must be 1 to 100"),
        (
            json!({"metric": "absence", "warning": 1, "group_by": ["source"]}),
            "group_by must be empty",
        ),
        (
            json!({"metric": "burn_rate", "warning": null, "window_seconds": 2_592_000}),
            "objective must be given",
        ),
        (json!({"metric": "burn_rate", "objective": 0.9}), "warning must be empty for a burn rate"),
        (burn(json!([])), "burn_windows must be a list of 1 to 4"),
        (burn(pair(300, 3_600, 14.4)), "burn_windows short_seconds must be below long_seconds"),
        (burn(pair(3_600, 300, 0.0)), "burn_windows factor must be above 0"),
        (burn(pair(3_600, 300, 201.0)), "burn_windows factor 201 can never be reached"),
        (burn(json!([{"long_seconds": 3_600}])), "burn_windows short_seconds must be whole"),
    ] {
        check(columns, expected);
    }
}

#[test]
fn everything_that_is_wrong_is_said_at_once() {
    check(
        json!({"name": "", "window_seconds": 1, "warning": -1, "group_by": ["x"]}),
        "group_by \"x\" is not a group-by field; expected one of project, workflow, source, \
         error_type, severity, fingerprint; name must have 1 to 120 characters; \
         warning must be a finite number above 0; window_seconds must be whole minutes",
    );
    assert!(Rule::from_columns(Value::Null).is_err());
    assert!(Rule::from_columns(json!([1])).is_err());
}
