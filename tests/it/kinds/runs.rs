//! Kinds that are taken of workflow runs.

use serde_json::json;

use super::{count, counted, restarted, told, until_state};
use crate::support::stack::{Stack, burst, event};

const INCIDENTS: &str = "select count(*) from public.alert_incidents where rule_id = $1";

#[tokio::test]
async fn a_budget_that_burns_too_fast_is_told() {
    let stack = Stack::start().await;
    let ops = stack.channel("ops", "slack").await;
    let project = stack.project("Acme").await;
    let workflow = stack.workflow(project, "invoice").await;
    let reporter = stack.reporter(Some(project));
    let fields = json!({
        "project_id": project, "metric": "burn_rate", "objective": 0.99, "min_runs": 50,
        "window_seconds": 2_592_000,
        "burn_windows": [
            {"long_seconds": 7200, "short_seconds": 600, "factor": 14.4, "level": "critical"},
            {"long_seconds": 86400, "short_seconds": 7200, "factor": 2, "level": "warning"},
        ],
    });
    let rule = stack.rule("Budget", fields, &[ops]).await;
    let instance = stack.daemon().await;
    let errors: Vec<_> =
        (0..20).map(|_| event(Some(project), "execution.x", "it failed")).collect();
    reporter.insert_errors(&errors).await.expect("errors");
    counted(&stack, 20).await;
    stack.runs(project, workflow, 40).await;
    let instance = restarted(&stack, instance).await;
    assert_eq!(stack.number_of(INCIDENTS, rule).await, 0, "40 runs are too few to tell");
    stack.runs(project, workflow, 60).await;
    let text = told(&stack, "Critical: Budget").await;
    assert!(text.contains("burns at 20× the allowed speed over 2 h and 10 min"), "{text}");
    assert!(text.contains("(threshold 14.4×)"), "{text}");
    let instance = restarted(&stack, instance).await;
    stack.runs(project, workflow, 3_000).await;
    told(&stack, "Resolved: Budget").await;
    assert_eq!((stack.number_of(INCIDENTS, rule).await, count(&stack, "Critical")), (1, 1));
    instance.stop().await;
}

#[tokio::test]
async fn missing_runs_are_told_as_what_they_are() {
    let stack = Stack::start().await;
    let ops = stack.channel("ops", "slack").await;
    let project = stack.project("Acme").await;
    let workflow = stack.workflow(project, "invoice").await;
    let ratio = json!({
        "project_id": project, "metric": "ratio", "warning": 0.5, "min_runs": 5,
        "window_seconds": 60, "no_data": "alert",
    });
    let absence = json!({
        "project_id": project, "metric": "absence", "absence_of": "runs", "critical": 1,
        "window_seconds": 60, "created_at": "2026-01-01T00:00:00Z",
    });
    let ratio = stack.rule("Ratio", ratio, &[ops]).await;
    let absence = stack.rule("Scheduler", absence, &[ops]).await;
    let instance = stack.daemon().await;
    // Errors without runs are neither 0 % nor 100 %.
    stack.reporter(None).insert_errors(&burst(3, "execution.x", 0)).await.expect("errors");
    let text = told(&stack, "Ratio").await;
    assert!(text.contains("No data: 0 runs in 1 min, it takes 5"), "{text}");
    until_state(&stack, absence, "firing").await;
    let instance = restarted(&stack, instance).await;
    stack.runs(project, workflow, 10).await;
    until_state(&stack, ratio, "resolved").await;
    until_state(&stack, absence, "resolved").await;
    for rule in [ratio, absence] {
        assert_eq!(stack.number_of(INCIDENTS, rule).await, 1);
    }
    told(&stack, "Resolved").await;
    assert_eq!(count(&stack, "Critical: Scheduler – No run was started for 1 min"), 1);
    instance.stop().await;
}
