//! Rules take effect while the daemon runs, with the errors of the past counted once.

use std::time::Duration;

use serde_json::json;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::support::{
    eventually,
    letters::{headline, request},
    sql,
    stack::{ALERT_LIMIT, Instance, Stack, burst},
};

/// A change must take effect within this time.
const EFFECT: Duration = Duration::from_secs(2);

const STATE: &str = "select state from public.alert_incidents where rule_id = $1 \
                     order by started_at desc limit 1";

/// Waits until the latest incident of the rule is in this state, and checks that the change which
/// `began` then took effect in time.
async fn becomes(stack: &Stack, rule: Uuid, state: &str, what: &str, began: Instant) {
    eventually(&format!("{what}: the incident is {state}"), || async {
        (stack.text_of(STATE, rule).await.as_deref() == Some(state)).then_some(())
    })
    .await;
    in_time(what, began);
}

fn in_time(what: &str, began: Instant) {
    let took = began.elapsed();
    println!("{what}: effective after {took:?}");
    assert!(took < EFFECT, "{what} took {took:?}");
}

async fn known(instance: &Instance, rule: Uuid, expected: bool) {
    eventually("the engine has taken the rules", || async {
        let known = instance.inspect().await.total_by_rule.contains_key(&rule);
        (known == expected).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_rule_takes_effect_while_errors_flow_and_counts_each_once() {
    let stack = Stack::start().await;
    let channel = stack.channel("ops", "slack").await;
    let instance = stack.daemon().await;
    let reporter = stack.reporter(None);
    reporter.insert_errors(&burst(40, "execution.http", 300)).await.expect("old errors");
    reporter.insert_errors(&burst(30, "execution.timeout", 5)).await.expect("recent errors");

    // Errors keep coming before, while and after the rule is made.
    let stop = CancellationToken::new();
    let flow = tokio::spawn({
        let (stop, reporter) = (stop.clone(), stack.reporter(None));
        async move {
            let mut sent = 0;
            while !stop.is_cancelled() {
                reporter.insert_errors(&burst(3, "execution.timeout", 0)).await.expect("errors");
                sent += 3;
            }
            sent
        }
    });
    eventually("errors flow", || async {
        (stack.number("select count(*) from public.error_metrics").await > 100).then_some(())
    })
    .await;
    let began = Instant::now();
    let fields = json!({"window_seconds": 60, "warning": 1e6, "error_types": ["execution"]});
    let rule = stack.rule("Life cycle", fields, &[channel]).await;
    known(&instance, rule, true).await;
    in_time("a new rule", began);
    let before = instance.inspect().await.total_by_rule[&rule];
    eventually("errors still flow", || async {
        (instance.inspect().await.total_by_rule[&rule] > before + 30).then_some(())
    })
    .await;
    stop.cancel();
    let recent = 30 + flow.await.expect("the errors were sent");
    assert_eq!(instance.counted(rule, recent).await, recent, "each error counts once");

    // A longer window takes in what is older.
    let began = Instant::now();
    let sql = "update public.alert_rules set window_seconds = 3600 where rule_id = $1";
    stack.execute(sql, rule).await;
    assert_eq!(instance.counted(rule, recent + 40).await, recent + 40);
    in_time("a longer window", began);

    let began = Instant::now();
    stack.execute("update public.alert_rules set warning = 50 where rule_id = $1", rule).await;
    becomes(&stack, rule, "firing", "a lower threshold", began).await;
    request(&stack.slack, ALERT_LIMIT, |r| headline(r).contains("Warning: Life cycle")).await;

    let began = Instant::now();
    stack.execute("update public.alert_rules set enabled = false where rule_id = $1", rule).await;
    becomes(&stack, rule, "resolved", "disabling", began).await;
    let end = request(&stack.slack, ALERT_LIMIT, |r| headline(r).contains("Resolved: Life")).await;
    assert!(headline(&end).contains("changed, disabled or deleted"), "{}", headline(&end));
    known(&instance, rule, false).await;

    let began = Instant::now();
    stack.execute("update public.alert_rules set enabled = true where rule_id = $1", rule).await;
    becomes(&stack, rule, "firing", "enabling", began).await;
    assert_eq!(instance.counted(rule, recent + 40).await, recent + 40, "counted anew, once");
    request(&stack.slack, ALERT_LIMIT, |r| headline(r).contains("Warning: Life cycle")).await;

    let began = Instant::now();
    stack.execute("delete from public.alert_rules where rule_id = $1", rule).await;
    known(&instance, rule, false).await;
    in_time("deleting", began);
    request(&stack.slack, ALERT_LIMIT, |r| headline(r).contains("Resolved: Life cycle")).await;
    let open = "select count(*) from public.alert_incidents where state <> 'resolved'";
    assert_eq!(stack.number(open).await, 0);
    assert_eq!(stack.slack.requests().len(), 4, "each change of state is told once");
    instance.stop().await;
}

#[tokio::test]
async fn a_rule_that_cannot_be_used_is_reported_and_costs_only_itself() {
    let stack = Stack::start().await;
    let channel = stack.channel("ops", "slack").await;
    stack.rule("Good before", json!({"error_types": ["system"], "warning": 3}), &[channel]).await;
    let instance = stack.daemon().await;
    // Somebody has dropped a constraint, or a later version knows more metrics.
    let constraint = "select pg_get_constraintdef(oid) from pg_constraint
        where conrelid = 'public.alert_rules'::regclass and conname = 'metric_must_be_a_known_kind'";
    let constraint: String =
        sqlx::query_scalar(constraint).fetch_one(&stack.admin).await.expect("the constraint");
    stack.alter("alter table public.alert_rules drop constraint metric_must_be_a_known_kind").await;
    let bad = stack.rule("Too new", json!({"metric": "median", "warning": 1}), &[channel]).await;
    stack.rule("Good after", json!({"error_types": ["input"], "warning": 3}), &[channel]).await;
    let problems = "select problems::text from public.error_tracker_status where instance_id = $1";
    let id = instance.daemon.instance();
    eventually("the status row names the rule and the field", || async {
        let text = stack.text_of(problems, id).await.unwrap_or_default();
        (text.contains("Too new") && text.contains("metric") && text.contains("median"))
            .then_some(())
    })
    .await;
    let (status, body) = instance.http("/readyz").await;
    assert!(status == 200 && body.contains("Too new"), "{status} {body}");

    let reporter = stack.reporter(None);
    for class in ["system", "input"] {
        reporter.insert_errors(&burst(3, class, 0)).await.expect("errors");
    }
    for rule in ["Good before", "Good after"] {
        request(&stack.slack, ALERT_LIMIT, |r| headline(r).contains(rule)).await;
    }
    stack.execute("delete from public.alert_rules where rule_id = $1", bad).await;
    let restore = format!(
        "alter table public.alert_rules add constraint metric_must_be_a_known_kind {constraint}"
    );
    sql(&stack.admin, &restore).await;
    eventually("the problem is gone", || async {
        let (_, body) = instance.http("/readyz").await;
        (!body.contains("Too new")).then_some(())
    })
    .await;
    instance.stop().await;
}

#[tokio::test]
async fn incidents_of_rules_that_went_while_nobody_ran_end_at_the_next_start() {
    let stack = Stack::start().await;
    let channel = stack.channel("ops", "slack").await;
    let deleted = stack.rule("Deleted", json!({"warning": 3}), &[channel]).await;
    let disabled = stack.rule("Disabled", json!({"warning": 3}), &[channel]).await;
    let instance = stack.daemon().await;
    stack.reporter(None).insert_errors(&burst(3, "system", 0)).await.expect("errors");
    eventually("both are told", || async {
        let sent = "select count(*) from public.alert_notifications where state = 'sent'";
        (stack.number(sent).await == 2).then_some(())
    })
    .await;
    instance.stop().await;
    stack.execute("delete from public.alert_rules where rule_id = $1", deleted).await;
    let disable = "update public.alert_rules set enabled = false where rule_id = $1";
    stack.execute(disable, disabled).await;
    // Nothing in the history tells the time either.
    stack.alter("delete from public.error_metrics").await;

    let instance = stack.daemon().await;
    for _ in 0..2 {
        let told = request(&stack.slack, ALERT_LIMIT, |r| headline(r).contains("Resolved")).await;
        let text = headline(&told);
        assert!(text.contains("changed, disabled or deleted; it lasted"), "{text}");
        assert!(text.contains("the peak was 3"), "{text}");
    }
    let sane = "select count(*) from public.alert_incidents \
                where state = 'resolved' and resolved_at between fired_at and now()";
    assert_eq!(stack.number(sane).await, 2);
    instance.stop().await;
}
