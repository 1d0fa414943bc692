//! What the table refuses, the model refuses too, and the other way round.

use meshhook_errors::model::Rule;
use serde_json::{Value, json};
use sqlx::AssertSqlSafe;
use uuid::Uuid;

use crate::support::stack::Stack;

/// Tries a rule with these columns in both places; both must name the same column, or none.
async fn check(stack: &Stack, columns: Value, expected: &str) {
    let mut row = json!({"rule_id": Uuid::new_v4(), "name": "r"});
    row.as_object_mut().expect("an object").extend(columns.as_object().expect("columns").clone());
    let model = match Rule::from_columns(row.clone()) {
        Ok(_) => String::new(),
        Err(errors) => errors[0].field.to_owned(),
    };
    let names: Vec<String> = row.as_object().expect("an object").keys().cloned().collect();
    let names = names.join(", ");
    let sql = format!(
        "insert into public.alert_rules ({names}) \
         select {names} from jsonb_populate_record(null::public.alert_rules, $1)"
    );
    let table = match sqlx::query(AssertSqlSafe(sql)).bind(&row).execute(&stack.admin).await {
        Ok(_) => String::new(),
        Err(error) => {
            let database = error.as_database_error().expect("an answer");
            database.constraint().unwrap_or_else(|| panic!("{columns}: {database}")).to_owned()
        }
    };
    assert_eq!(model, expected, "{columns}: the model");
    let same = if expected.is_empty() { table.is_empty() } else { table.contains(expected) };
    assert!(same, "{columns}: the table says {table:?}");
}

#[tokio::test]
async fn the_table_and_the_model_refuse_the_same_rules() {
    let stack = Stack::start().await;
    let burn = |objective: f64, long: i64, factor: f64| {
        json!({
            "metric": "burn_rate", "objective": objective, "window_seconds": 2_592_000,
            "burn_windows": [
                {"long_seconds": long, "short_seconds": 300, "factor": factor, "level": "warning"}],
        })
    };
    for (columns, expected) in [
        (json!({"warning": 1}), ""),
        (json!({"metric": "new_group", "warning": 1, "quiet_days": 30}), ""),
        (json!({"metric": "change", "critical": 100, "compare_seconds": 604_800}), ""),
        (json!({"metric": "burn_rate", "objective": 0.995, "window_seconds": 2_592_000}), ""),
        (json!({"metric": "absence", "warning": 1, "absence_of": "runs"}), ""),
        (json!({"metric": "ratio", "warning": 0.1, "no_data": "alert"}), ""),
        (json!({"warning": 1, "flap_count": 4, "flap_seconds": 600}), ""),
        (json!({"metric": "median", "warning": 1}), "metric"),
        (json!({}), "warning"),
        (json!({"warning": 1, "no_data": "shout"}), "no_data"),
        (json!({"warning": 1, "flap_count": 2}), "flap_count"),
        (json!({"metric": "new_group", "warning": 1, "quiet_days": -1}), "quiet_days"),
        (json!({"metric": "new_group", "warning": 1, "group_by": ["source"]}), "group_by"),
        (json!({"metric": "change", "warning": 1, "min_count": 0}), "min_count"),
        (json!({"metric": "change", "warning": 1, "compare_seconds": 60}), "compare_seconds"),
        (json!({"metric": "change", "warning": 1, "message_contains": "x"}), "message_contains"),
        (json!({"metric": "change", "warning": 1, "group_by": ["fingerprint"]}), "group_by"),
        (json!({"metric": "change", "warning": 1, "window_seconds": 90_000}), "window_seconds"),
        (json!({"metric": "burn_rate", "window_seconds": 2_592_000}), "objective"),
        (burn(1.0, 3_600, 2.0), "objective"),
        (burn(0.9, 3_600, 10.5), "burn_windows"),
        (burn(0.9, 240, 2.0), "burn_windows"),
        (json!({"metric": "burn_rate", "objective": 0.99}), "window_seconds"),
        (
            json!({"metric": "burn_rate", "objective": 0.99, "window_seconds": 2_592_000, "warning": 1}),
            "warning",
        ),
        (json!({"metric": "absence", "warning": 0.5}), "warning"),
        (json!({"metric": "absence", "warning": 1, "resolve": 1}), "resolve"),
        (json!({"metric": "absence", "warning": 1, "group_by": ["source"]}), "group_by"),
        (
            json!({"metric": "ratio", "warning": 1, "no_data": "alert", "group_by": ["project"]}),
            "no_data",
        ),
    ] {
        check(&stack, columns, expected).await;
    }
}
