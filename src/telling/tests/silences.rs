use serde_json::json;

use super::{at, id, key};
use crate::{
    model::{Filter, GroupField, GroupKey, Level, Severity, Source, TypePattern},
    telling::{Case, Silence},
};

const WORKFLOW: &str = "0b0c0d0e-0000-4000-8000-00000000000a";

fn filter() -> Filter {
    Filter {
        sources: vec![Source::Worker],
        error_types: vec![TypePattern::parse("execution.http"), TypePattern::parse("input")],
        severities: vec![Severity::Medium, Severity::High],
        workflow_ids: vec![WORKFLOW.parse().unwrap()],
        message_contains: None,
    }
}

#[track_caller]
fn check(columns: serde_json::Value, group: &GroupKey, now: &str, expected: bool) {
    let mut row = json!({
        "silence_id": id(1), "project_id": null, "rule_id": null, "matchers": {}, "reason": "",
        "starts_at": "2026-05-01T10:00:00Z", "ends_at": "2026-05-01T12:00:00Z",
    });
    for (name, value) in columns.as_object().unwrap() {
        row[name] = value.clone();
    }
    let silence: Silence = serde_json::from_value(row).unwrap();
    let case = Case {
        incident_id: id(9),
        rule_id: id(2),
        project_id: Some(id(3)),
        group_key: group,
        level: Level::Warning,
    };
    let covers = silence.covers(&case, Some(&filter()), at(now));
    assert_eq!(covers, expected, "{columns} on {group} at {now}");
}

#[test]
fn a_silence_covers_what_its_columns_and_matchers_say() {
    let none = GroupKey::default();
    let noon = "2026-05-01T11:00:00Z";
    let grouped = key(&[
        (GroupField::Workflow, None),
        (GroupField::ErrorType, Some("execution.timeout")),
        (GroupField::Source, Some("webhook")),
        (GroupField::Fingerprint, Some(WORKFLOW)),
    ]);
    let bare = key(&[(GroupField::ErrorType, Some("execution"))]);
    let matchers = |value: serde_json::Value| json!({ "matchers": value });
    let cases = [
        // When.
        (json!({}), &none, "2026-05-01T09:59:59.999999Z", false),
        (json!({}), &none, "2026-05-01T10:00:00Z", true),
        (json!({}), &none, "2026-05-01T11:59:59.999999Z", true),
        (json!({}), &none, "2026-05-01T12:00:00Z", false),
        // Project and rule.
        (json!({"project_id": id(3)}), &none, noon, true),
        (json!({"project_id": id(4)}), &none, noon, false),
        (json!({"rule_id": id(2), "project_id": id(3)}), &none, noon, true),
        (json!({"rule_id": id(5)}), &none, noon, false),
        (matchers(json!({"project": id(3)})), &none, noon, true),
        (matchers(json!({"project": id(4)})), &none, noon, false),
        // The group's own value decides where there is one.
        (matchers(json!({"source": "webhook"})), &grouped, noon, true),
        (matchers(json!({"source": "worker"})), &grouped, noon, false),
        (matchers(json!({"source": ["worker", "webhook"]})), &grouped, noon, true),
        (matchers(json!({"source": []})), &grouped, noon, false),
        (matchers(json!({"error_type": "execution"})), &grouped, noon, true),
        (matchers(json!({"error_type": "execution.timeout"})), &grouped, noon, true),
        (matchers(json!({"error_type": "execution.http"})), &grouped, noon, false),
        (matchers(json!({"error_type": "exec"})), &grouped, noon, false),
        (matchers(json!({"error_type": "=execution"})), &grouped, noon, false),
        (matchers(json!({"error_type": "=execution.timeout"})), &grouped, noon, true),
        (matchers(json!({"error_type": "=execution"})), &bare, noon, true),
        (matchers(json!({"error_type": "execution"})), &bare, noon, true),
        (matchers(json!({"workflow": null})), &grouped, noon, true),
        (matchers(json!({"workflow": WORKFLOW})), &grouped, noon, false),
        (matchers(json!({"workflow": [WORKFLOW, null]})), &grouped, noon, true),
        (matchers(json!({"fingerprint": WORKFLOW.to_uppercase()})), &grouped, noon, true),
        (matchers(json!({"fingerprint": id(7)})), &grouped, noon, false),
        // All must be wanted.
        (matchers(json!({"source": "webhook", "error_type": "input"})), &grouped, noon, false),
        // Without a group, what the rule counts decides: all of it must be wanted.
        (matchers(json!({"source": "worker"})), &none, noon, true),
        (matchers(json!({"source": "webhook"})), &none, noon, false),
        (matchers(json!({"severity": "high"})), &none, noon, false),
        (matchers(json!({"severity": ["high", "medium"]})), &none, noon, true),
        (matchers(json!({"severity": ["low", "high", "medium"]})), &none, noon, true),
        (matchers(json!({"workflow": WORKFLOW})), &none, noon, true),
        (matchers(json!({"error_type": ["execution", "input"]})), &none, noon, true),
        (matchers(json!({"error_type": ["execution.http", "input"]})), &none, noon, true),
        // The rule counts all of input, of which the silence names one detail.
        (matchers(json!({"error_type": ["execution", "input.schema"]})), &none, noon, false),
        (matchers(json!({"fingerprint": WORKFLOW})), &none, noon, false),
    ];
    for (columns, group, now, expected) in cases {
        check(columns, group, now, expected);
    }
}

#[test]
fn a_rule_that_counts_everything_is_covered_by_no_matcher() {
    let silence: Silence = serde_json::from_value(json!({
        "silence_id": id(1), "project_id": null, "rule_id": null,
        "matchers": {"source": ["worker", "webhook", "system"]},
        "starts_at": "2026-05-01T10:00:00Z", "ends_at": "2026-05-01T12:00:00Z",
    }))
    .unwrap();
    let group = GroupKey::default();
    let case = Case {
        incident_id: id(9),
        rule_id: id(2),
        project_id: None,
        group_key: &group,
        level: Level::Critical,
    };
    let noon = at("2026-05-01T11:00:00Z");
    assert!(!silence.covers(&case, Some(&Filter::default()), noon));
    assert!(!silence.covers(&case, None, noon));
}
