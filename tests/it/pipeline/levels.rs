//! Levels, pending periods, reminders, silences, and the metrics besides the count.

use meshhook_errors::{
    model::{Severity, Source},
    rest::NewErrorEvent,
    sinks::HttpRequest,
};
use serde_json::json;
use uuid::Uuid;

use crate::support::{
    eventually,
    letters::{headline, of_channel, request},
    stack::{ALERT_LIMIT, Stack, burst, event},
};

const STATE: &str = "select state || ' ' || level from public.alert_incidents where rule_id = $1";

/// Waits until state and level begin like this; the empty text waits until the incident is gone.
async fn until_state(stack: &Stack, rule: Uuid, state: &str) {
    eventually(&format!("the incident is {state:?}"), || async {
        let now = stack.text_of(STATE, rule).await.unwrap_or_default();
        let there = if state.is_empty() { now.is_empty() } else { now.starts_with(state) };
        there.then_some(())
    })
    .await;
}

fn said(requests: &[HttpRequest]) -> Vec<String> {
    requests
        .iter()
        .map(headline)
        .map(|text| text.split(" – ").next().unwrap_or_default().to_owned())
        .map(|text| text.trim_start_matches(|c: char| !c.is_ascii()).trim().to_owned())
        .collect()
}

#[tokio::test]
async fn a_channel_gets_the_levels_that_it_asked_for_and_the_end_of_what_it_knows() {
    let stack = Stack::start().await;
    let (all, worst) = (stack.channel("all", "slack").await, stack.channel("worst", "slack").await);
    let fields = |class: &str, pending: i32| {
        json!({
            "error_types": [class], "window_seconds": 60, "warning": 5, "critical": 10,
            "pending_seconds": pending,
        })
    };
    let rule = stack.rule("Levels", fields("execution", 0), &[all, worst]).await;
    let mild = stack.rule("Mild", fields("system", 0), &[all, worst]).await;
    let brief = stack.rule("Brief", fields("input.brief", 30), &[all]).await;
    let patient = stack.rule("Patient", fields("input.patient", 2), &[all]).await;
    for rule in [rule, mild] {
        let sql = "update public.alert_rule_channels set min_level = 'critical' \
                   where rule_id = $1 and channel_id = \
                     (select channel_id from public.alert_channels where name = 'worst')";
        stack.execute(sql, rule).await;
    }
    let instance = stack.daemon().await;
    let reporter = stack.reporter(None);
    let send = async |count, error_type, age| {
        reporter.insert_errors(&burst(count, error_type, age)).await.expect("errors");
    };

    // A pending incident is a row of which nobody hears; when it ends before its time it is gone.
    send(5, "input.brief", 52).await;
    send(5, "input.patient", 52).await;
    until_state(&stack, brief, "pending warning").await;
    assert!(stack.slack.requests().is_empty());

    send(5, "execution.x", 50).await;
    send(5, "system.x", 50).await;
    until_state(&stack, rule, "firing warning").await;
    until_state(&stack, mild, "firing warning").await;
    send(5, "execution.x", 50).await;
    until_state(&stack, rule, "firing critical").await;
    until_state(&stack, patient, "firing warning").await;
    let pending = "select extract(epoch from fired_at - started_at)::bigint \
                   from public.alert_incidents where rule_id = $1";
    assert!((2..=3).contains(&stack.number_of(pending, patient).await));

    for rule in [rule, mild, patient] {
        until_state(&stack, rule, "resolved").await;
    }
    until_state(&stack, brief, "").await;
    request(&stack.slack, ALERT_LIMIT, |r| {
        r.path.ends_with("worst") && headline(r).contains("Resolved: Levels")
    })
    .await;
    eventually("all messages are out", || async {
        let sql = "select count(*) from public.alert_notifications where state <> 'sent'";
        (stack.number(sql).await == 0).then_some(())
    })
    .await;
    assert_eq!(
        said(&of_channel(&stack.slack, "worst")),
        ["Now critical: Levels", "Resolved: Levels"]
    );
    let mut heard = said(&of_channel(&stack.slack, "all"));
    heard.sort();
    assert_eq!(
        heard,
        [
            "Now critical: Levels",
            "Resolved: Levels",
            "Resolved: Mild",
            "Resolved: Patient",
            "Warning: Levels",
            "Warning: Mild",
            "Warning: Patient",
        ]
    );
    instance.stop().await;
}

#[tokio::test]
async fn reminders_end_when_somebody_acknowledges_and_a_silence_keeps_messages_back() {
    let stack = Stack::start().await;
    let project = stack.project("Acme").await;
    let channel = stack.channel("ops", "slack").await;
    // No deployment may remind every second, so the constraint gives way for this test.
    stack
        .alter(
            "alter table public.alert_rules \
             drop constraint reminder_seconds_must_be_0_or_60_to_2592000",
        )
        .await;
    let fields = |class: &str| {
        json!({
            "project_id": project, "error_types": [class], "warning": 5, "reminder_seconds": 1,
            "group_by": ["source"],
        })
    };
    let taken = stack.rule("Taken", fields("execution"), &[channel]).await;
    stack.rule("Ignored", fields("system"), &[channel]).await;
    let hushed = stack.rule("Hushed", fields("input"), &[channel]).await;
    stack
        .execute(
            "insert into public.alert_silences (project_id, rule_id, matchers, ends_at, reason) \
             select project_id, rule_id, '{\"source\": \"worker\"}', now() + interval '1 hour', 'x' \
             from public.alert_rules where rule_id = $1",
            hushed,
        )
        .await;
    let responder = Uuid::new_v4();
    sqlx::query(
        "insert into public.error_access (project_id, user_id, role) values ($1, $2, 'responder')",
    )
    .bind(project)
    .bind(responder)
    .execute(&stack.admin)
    .await
    .expect("a responder");
    let instance = stack.daemon().await;
    let reporter = stack.reporter(Some(project));
    for class in ["execution", "system", "input"] {
        reporter.insert_errors(&burst(5, class, 0)).await.expect("errors");
    }
    for (rule, sign) in [("Taken", "Still warning, reminder 1"), ("Ignored", "reminder 1")] {
        request(&stack.slack, ALERT_LIMIT, |r| {
            headline(r).contains(rule) && headline(r).contains(sign)
        })
        .await;
    }
    until_state(&stack, hushed, "firing warning").await;
    let noted = "select count(*) from public.alert_incident_events e \
                 join public.alert_incidents i using (incident_id) \
                 where i.rule_id = $1 and e.kind = 'silenced'";
    assert_eq!(stack.number_of(noted, hushed).await, 1);

    let id = "select incident_id::text from public.alert_incidents where rule_id = $1";
    let id = stack.text_of(id, taken).await.expect("the incident");
    let body = json!({"incident_id": id, "note": "I am on it"});
    let stranger = stack.post_as(Uuid::new_v4(), "rpc/acknowledge_incident", &body).await;
    assert_eq!(stranger.0, 403, "{}", stranger.1);
    let answer = stack.post_as(responder, "rpc/acknowledge_incident", &body).await;
    assert_eq!(answer.0, 204, "{}", answer.1);

    // The daemon learns of it within two seconds; then the other incident's reminders measure time.
    let count = |rule: &str| {
        let of_rule = |request: &&HttpRequest| headline(request).contains(rule);
        stack.slack.requests().iter().filter(of_rule).count()
    };
    let ignored = count("Ignored");
    eventually("two more reminders", || async { (count("Ignored") > ignored + 2).then_some(()) })
        .await;
    let (taken_before, ignored) = (count("Taken"), count("Ignored"));
    eventually("two more reminders", || async { (count("Ignored") > ignored + 1).then_some(()) })
        .await;
    assert_eq!(count("Taken"), taken_before, "nobody is reminded of what is in hand");
    assert_eq!(count("Hushed"), 0);
    instance.stop().await;
    stack.alter("delete from public.alert_rules").await;
    stack
        .alter(
            "alter table public.alert_rules \
             add constraint reminder_seconds_must_be_0_or_60_to_2592000 \
             check (reminder_seconds = 0 or reminder_seconds between 60 and 2592000)",
        )
        .await;
}

#[tokio::test]
async fn a_rate_is_per_minute_and_a_ratio_needs_enough_runs() {
    let stack = Stack::start().await;
    let project = stack.project("Acme").await;
    let workflow = stack.workflow(project, "sync").await;
    let channel = stack.channel("ops", "slack").await;
    let rate = json!({
        "metric": "rate", "error_types": ["system"], "window_seconds": 120, "warning": 5,
    });
    stack.rule("Rate", rate, &[channel]).await;
    let ratio = json!({
        "metric": "ratio", "error_types": ["execution"], "window_seconds": 120, "min_runs": 20,
        "warning": 0.2, "group_by": ["workflow"],
    });
    let ratio = stack.rule("Ratio", ratio, &[channel]).await;
    stack.runs(project, workflow, 5).await;
    let instance = stack.daemon().await;
    let reporter = stack.reporter(None);
    let failed = |count| {
        let mut events = burst(count, "execution.x", 0);
        events.iter_mut().for_each(|event| event.workflow_id = Some(workflow));
        events
    };

    // Four of five runs failed, but five runs say nothing.
    reporter.insert_errors(&failed(4)).await.expect("errors");
    assert_eq!(instance.counted(ratio, 4).await, 4);
    reporter.insert_errors(&burst(10, "system", 0)).await.expect("errors");
    let told = request(&stack.slack, ALERT_LIMIT, |_| true).await;
    assert!(
        headline(&told).contains("Rate – 5 errors/min over 2 min (threshold 5)"),
        "{}",
        headline(&told)
    );
    // Four of 25 are still too few; with a fifth it is enough.
    stack.runs(project, workflow, 20).await;
    reporter.insert_errors(&failed(1)).await.expect("errors");
    let told = request(&stack.slack, ALERT_LIMIT, |_| true).await;
    let text = told.text();
    assert!(text.contains("20 % of 25 runs failed in 2 min (threshold 20 %)"), "{text}");
    assert!(text.contains("sync v1"), "{text}");

    // A rule that comes later knows the runs of its window, too.
    let fields = json!({
        "metric": "ratio", "error_types": ["execution"], "window_seconds": 180, "warning": 0.2,
    });
    stack.rule("Later", fields, &[channel]).await;
    let told = request(&stack.slack, ALERT_LIMIT, |_| true).await;
    let text = headline(&told);
    assert!(text.contains("Later – 20 % of 25 runs failed in 3 min (threshold 20 %)"), "{text}");

    // After a restart everything stands as it stood.
    instance.stop().await;
    let instance = stack.daemon().await;
    assert_eq!(instance.counted(ratio, 5).await, 5);
    reporter.insert_errors(&failed(1)).await.expect("errors");
    assert_eq!(instance.counted(ratio, 6).await, 6);
    let values: Vec<f64> = instance.inspect().await.open.iter().map(|(_, value)| *value).collect();
    assert_eq!(values.len(), 3);
    assert_eq!(values.iter().filter(|value| (**value - 0.24).abs() < 1e-9).count(), 2);
    instance.stop().await;
    assert_eq!(stack.number("select count(*) from public.alert_incidents").await, 3);
    assert_eq!(stack.slack.requests().len(), 3);
}

#[tokio::test]
async fn a_rule_may_filter_and_group_by_everything_at_once() {
    let stack = Stack::start().await;
    let project = stack.project("Acme").await;
    let workflow = stack.workflow(project, "sync").await;
    let channel = stack.channel("ops", "slack").await;
    let fields = json!({
        "project_id": project, "sources": ["webhook"], "error_types": ["input.schema", "system"],
        "severities": ["high", "low"], "workflow_ids": [workflow], "message_contains": "NeeDLe",
        "group_by": ["project", "workflow", "source", "error_type", "severity", "fingerprint"],
        "warning": 2,
    });
    let rule = stack.rule("Narrow", fields, &[channel]).await;
    let instance = stack.daemon().await;
    let matching = || NewErrorEvent {
        source: Source::Webhook,
        severity: Some(Severity::High),
        workflow_id: Some(workflow),
        ..event(None, "input.schema", "a needle in it")
    };
    let near_misses = [
        NewErrorEvent { source: Source::Worker, ..matching() },
        NewErrorEvent { severity: Some(Severity::Medium), ..matching() },
        NewErrorEvent { workflow_id: None, project_id: Some(project), ..matching() },
        NewErrorEvent { error_type: "input".to_owned(), ..matching() },
        NewErrorEvent { message: Some("hay".to_owned()), ..matching() },
        // These match, each in a group of its own.
        NewErrorEvent { severity: Some(Severity::Low), ..matching() },
        NewErrorEvent { error_type: "system.disk".to_owned(), ..matching() },
        NewErrorEvent { message: Some("another needle".to_owned()), ..matching() },
    ];
    let reporter = stack.reporter(None);
    reporter.insert_errors(&near_misses).await.expect("errors");
    assert_eq!(instance.counted(rule, 3).await, 3);
    reporter.insert_errors(&[matching(), matching()]).await.expect("errors");
    let told = request(&stack.slack, ALERT_LIMIT, |_| true).await;
    let text = told.text();
    for part in ["2 errors in 5 min", "Acme", "sync v1", "webhook", "input.schema", "high"] {
        assert!(text.contains(part), "{part:?} is missing in {text}");
    }
    assert_eq!(instance.counted(rule, 5).await, 5);
    assert_eq!(stack.number("select count(*) from public.alert_incidents").await, 1);
    instance.stop().await;
}
