//! Kinds that are taken of errors alone.

use serde_json::json;

use super::{count, counted, restarted, told, until_state};
use crate::support::{
    eventually,
    stack::{Stack, at, burst, event},
};
use meshhook_errors::{clock::Clock, model::Span};

const INCIDENTS: &str = "select count(*) from public.alert_incidents where rule_id = $1";

#[tokio::test]
async fn a_new_group_is_told_once_and_again_after_it_was_resolved() {
    let stack = Stack::start().await;
    let ops = stack.channel("ops", "slack").await;
    let reporter = stack.reporter(None);
    let old = |age: i64, message: &str| {
        vec![at(event(None, "execution.x", message), Clock::system().now() - Span::from_secs(age))]
    };
    // History knows the first one before there is a rule.
    let first = stack.daemon().await;
    reporter.insert_errors(&old(0, "an old acquaintance")).await.expect("errors");
    counted(&stack, 1).await;
    let fields = json!({"metric": "new_group", "warning": 1, "window_seconds": 60});
    let rule = stack.rule("Novelty", fields, &[ops]).await;
    let instance = restarted(&stack, first).await;
    reporter.insert_errors(&old(0, "an old acquaintance")).await.expect("errors");
    reporter.insert_errors(&old(45, "card declined")).await.expect("errors");
    assert!(told(&stack, "Warning: Novelty").await.contains("1 new error in 1 min"));
    let declined = "select count(*) from public.alert_incidents where rule_id = $1 and group_key like \
                    '%' || (select fingerprint::text from public.error_groups \
                             where title = 'card declined') || '%'";
    counted(&stack, 3).await;
    assert_eq!(stack.number_of(declined, rule).await, 1, "it is this one, and not the old one");

    // The successor goes on with the incident, and the group is no longer new.
    let instance = restarted(&stack, instance).await;
    until_state(&stack, rule, "resolved").await;
    reporter.insert_errors(&old(45, "card declined")).await.expect("errors");
    counted(&stack, 4).await;
    assert_eq!((stack.number_of(INCIDENTS, rule).await, count(&stack, "Warning")), (1, 1));

    // Somebody resolves it; the next error that the daemon counts after it has heard of that is a
    // regression.
    let sql = "update public.error_groups set status = 'resolved' \
               where title = 'card declined' and $1::uuid is not null";
    stack.execute(sql, rule).await;
    eventually("the regression is told", || async {
        reporter.insert_errors(&old(0, "card declined")).await.expect("errors");
        (count(&stack, "Warning: Novelty") == 2).then_some(())
    })
    .await;
    assert_eq!(stack.number_of(INCIDENTS, rule).await, 2);
    instance.stop().await;
}

#[tokio::test]
async fn a_change_is_measured_against_yesterday() {
    let stack = Stack::start().await;
    let ops = stack.channel("ops", "slack").await;
    let reporter = stack.reporter(None);
    let instance = stack.daemon().await;
    let yesterday = 86_400 + 150;
    reporter.insert_errors(&burst(10, "execution.x", yesterday)).await.expect("errors");
    reporter.insert_errors(&burst(90, "system.x", yesterday)).await.expect("errors");
    counted(&stack, 100).await;
    let fields = json!({
        "metric": "change", "warning": 240, "window_seconds": 300, "min_count": 20,
        "error_types": ["execution"], "group_by": ["source"],
    });
    let rule = stack.rule("Change", fields, &[ops]).await;
    reporter.insert_errors(&burst(33, "execution.x", 0)).await.expect("errors");
    counted(&stack, 133).await;
    let instance = restarted(&stack, instance).await;
    assert_eq!(count(&stack, "Change"), 0, "33 are 230 % more than 10");
    reporter.insert_errors(&burst(1, "execution.x", 0)).await.expect("errors");
    let text = told(&stack, "Warning: Change").await;
    assert!(text.contains("34 errors in 5 min, +240 % against yesterday (10)"), "{text}");
    let instance = restarted(&stack, instance).await;
    reporter.insert_errors(&burst(5, "execution.x", 0)).await.expect("errors");
    counted(&stack, 139).await;
    until_state(&stack, rule, "firing").await;
    assert_eq!((stack.number_of(INCIDENTS, rule).await, count(&stack, "Change")), (1, 1));
    instance.stop().await;
}

#[tokio::test]
async fn the_absence_of_a_heartbeat_is_told_and_its_return_ends_it() {
    let stack = Stack::start().await;
    let ops = stack.channel("ops", "slack").await;
    let reporter = stack.reporter(None);
    reporter.insert_errors(&burst(1, "system.heartbeat", 45)).await.expect("errors");
    let fields = json!({
        "metric": "absence", "warning": 1, "window_seconds": 60, "error_types": ["system.heartbeat"],
        "created_at": "2026-01-01T00:00:00Z",
    });
    let rule = stack.rule("Silence", fields, &[ops]).await;
    let instance = stack.daemon().await;
    reporter.insert_errors(&burst(3, "execution.x", 0)).await.expect("errors of another kind");
    let text = told(&stack, "Warning: Silence").await;
    assert!(text.contains("No error came for 1 min"), "{text}");
    let instance = restarted(&stack, instance).await;
    counted(&stack, 4).await;
    assert_eq!((stack.number_of(INCIDENTS, rule).await, count(&stack, "Silence")), (1, 1));
    reporter.insert_errors(&burst(1, "system.heartbeat", 0)).await.expect("errors");
    let text = told(&stack, "Resolved: Silence").await;
    assert!(text.contains("An error came again"), "{text}");
    instance.stop().await;
}

#[tokio::test]
async fn an_incident_that_comes_and_goes_is_told_as_flapping_once() {
    let stack = Stack::start().await;
    let ops = stack.channel("ops", "slack").await;
    let reporter = stack.reporter(None);
    let fields = json!({
        "warning": 3, "window_seconds": 60, "flap_count": 4, "flap_seconds": 600,
    });
    let rule = stack.rule("Wobble", fields, &[ops]).await;
    let instance = stack.daemon().await;
    reporter.insert_errors(&burst(3, "execution.x", 55)).await.expect("errors");
    told(&stack, "Warning: Wobble").await;
    told(&stack, "Resolved: Wobble").await;
    // The changes so far survive a restart.
    let instance = restarted(&stack, instance).await;
    reporter.insert_errors(&burst(3, "execution.x", 55)).await.expect("errors");
    let text = told(&stack, "Flapping: Wobble").await;
    assert!(text.contains("comes and goes"), "{text}");
    let instance = restarted(&stack, instance).await;
    reporter.insert_errors(&burst(3, "execution.x", 55)).await.expect("errors");
    counted(&stack, 9).await;
    let flapping = "select count(*) from public.alert_incidents \
                    where rule_id = $1 and flapping and state = 'firing'";
    assert_eq!(stack.number_of(flapping, rule).await, 1);
    assert_eq!((stack.number_of(INCIDENTS, rule).await, count(&stack, "Wobble")), (2, 4));
    instance.stop().await;
}
