//! Incidents of the tracker itself: what people are told when it is deaf, when counts differ, when a
//! message was given up, and when a leader was lost; through the front door, each exactly once.

use std::time::Duration;

use meshhook_errors::{
    cli::run::Settings,
    model::Span,
    sinks::{Answer, HttpSink},
    system::Limits,
};
use serde_json::Value;

use crate::{
    faults::rig::quick_socket,
    support::{
        PATIENCE,
        db::TestDb,
        eventually,
        fleet::Fleet,
        stack::{Stack, burst},
    },
};

/// Conditions must hold and be gone for a second only.
fn soon(settings: &mut Settings) {
    quick_socket(settings);
    let second = Span::from_secs(1);
    settings.system =
        Limits { pending: second, keep: second, notice: Span::from_secs(2), ..Limits::default() };
    settings.upkeep.system_channels = Some(vec!["operators".to_owned()]);
}

/// A deployment with a channel for operators, and one that nobody named.
async fn stack() -> Stack {
    let stack = Stack::on(Some(TestDb::new().await), |_| {}).await;
    stack.channel("operators", "webhook").await;
    stack.channel("everybody else", "slack").await;
    stack
}

/// The next message to the operators: what it tells, and of what.
async fn told(hook: &HttpSink) -> (String, Value) {
    let message = hook.next(PATIENCE).await.expect("the operators are told").json();
    let kind = message["type"].as_str().unwrap_or_default().to_owned();
    (kind, message["data"]["incident"].clone())
}

/// The time line of the incidents of the tracker itself.
async fn time_line(stack: &Stack) -> Vec<String> {
    sqlx::query_scalar(
        "select i.group_key::jsonb ->> 'condition' || ' ' || e.kind || ' ' || e.level
           from public.alert_incident_events e join public.alert_incidents i using (incident_id)
          where i.rule_id is null order by e.event_id",
    )
    .fetch_all(&stack.admin)
    .await
    .expect("the time line")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn deafness_is_told_and_its_end() {
    let stack = stack().await;
    let instance = stack.daemon_as([], soon).await;
    let feed = instance.daemon.feed();
    eventually("it is subscribed", || {
        let subscribed = feed.borrow().subscribed;
        async move { subscribed.then_some(()) }
    })
    .await;
    let faults = stack.faults().expect("the local server");
    faults.set(|knobs| knobs.deaf = true);
    let (kind, incident) = told(&stack.webhook).await;
    assert_eq!(kind, "incident.firing");
    assert_eq!(incident["rule"]["name"], "system: Realtime brings nothing");
    assert_eq!(
        (&incident["level"], &incident["rule"]["metric"]),
        (&"warning".into(), &"system".into())
    );
    let open = "meshhook_errors_system_incident_open{condition=\"deaf\"}";
    assert!(instance.http("/metrics").await.1.contains(&format!("{open} 1")));
    faults.clear();
    assert_eq!(told(&stack.webhook).await.0, "incident.resolved");
    assert_eq!(time_line(&stack).await, ["deaf firing warning", "deaf resolved warning"]);
    assert_eq!((stack.webhook.requests().len(), stack.slack.requests().len()), (2, 0));
    eventually("the metric says so", || async {
        instance.http("/metrics").await.1.contains(&format!("{open} 0")).then_some(())
    })
    .await;
    instance.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_difference_of_counts_is_told_once_even_across_a_restart() {
    let stack = stack().await;
    let often = |settings: &mut Settings| {
        soon(settings);
        settings.reconcile_every = Duration::from_millis(300);
    };
    let instance = stack.daemon_as([], often).await;
    stack.reporter(None).insert_errors(&burst(5, "system.down", 0)).await.expect("errors");
    let minutes = "select coalesce(sum(count), 0)::bigint from public.error_rate_minutes";
    eventually("they are rolled up", async || (stack.number(minutes).await == 5).then_some(()))
        .await;
    stack.alter("update public.error_rate_minutes set count = count + 2").await;
    let (kind, incident) = told(&stack.webhook).await;
    assert_eq!(kind, "incident.firing");
    assert_eq!(incident["rule"]["name"], "system: counts differ from the table");
    assert_eq!(incident["level"], "critical");
    let description = incident["rule"]["description"].as_str().unwrap_or_default();
    assert!(description.contains("minutes by 2"), "{description}");
    assert_eq!(stack.number("select value::bigint from public.alert_incidents").await, 2);

    // The difference is still there when the instance starts again: that is no news, and before the
    // first comparison it is not good news either.
    instance.stop().await;
    let instance = stack.daemon_as([], often).await;
    let compared = "meshhook_errors_reconciliations_total";
    eventually("it has compared again", || async {
        let text = instance.http("/metrics").await.1;
        let line = text.lines().find(|line| line.starts_with(compared))?.to_owned();
        let count: f64 = line.rsplit_once(' ')?.1.parse().ok()?;
        (count >= 8.0).then_some(())
    })
    .await;
    assert_eq!(time_line(&stack).await, ["reconcile firing critical"]);
    stack.alter("update public.error_rate_minutes set count = count - 2").await;
    assert_eq!(told(&stack.webhook).await.0, "incident.resolved");
    assert_eq!(
        time_line(&stack).await,
        ["reconcile firing critical", "reconcile resolved critical"]
    );
    assert_eq!((stack.webhook.requests().len(), stack.slack.requests().len()), (2, 0));
    instance.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_that_was_given_up_is_told_elsewhere() {
    let stack = stack().await;
    let gone = HttpSink::start().await.expect("a sink");
    gone.otherwise(Answer::new(404, "no_service"));
    let channel = stack.channel_to("gone", "slack", &gone.url("/services/T/B/x")).await;
    let rule = serde_json::json!({"metric": "count", "window_seconds": 3600, "critical": 3});
    stack.rule("many errors", rule, &[channel]).await;
    let instance = stack.daemon_as([], soon).await;
    stack.reporter(None).insert_errors(&burst(3, "system.down", 0)).await.expect("errors");
    let (kind, incident) = told(&stack.webhook).await;
    assert_eq!(kind, "incident.firing");
    assert_eq!(incident["rule"]["name"], "system: messages were given up");
    assert_eq!(gone.requests().len(), 1);
    // Two days later nobody needs to be reminded of it.
    stack
        .alter("update public.alert_notifications set created_at = created_at - interval '3 days' where state = 'dead'")
        .await;
    assert_eq!(told(&stack.webhook).await.0, "incident.resolved");
    assert_eq!(
        time_line(&stack).await,
        ["notifications firing critical", "notifications resolved critical"]
    );
    assert_eq!(stack.webhook.requests().len(), 2);
    instance.stop().await;
}

/// By default all channels without a project are told.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_that_was_killed_is_told_of_once_by_the_next() {
    let mut fleet = Fleet::new().await;
    fleet.rule().await;
    fleet.set("SYSTEM_ALERT_CHANNELS", "global");
    let mut first = fleet.start("first").await;
    fleet.leads(&first).await;
    let mut second = fleet.start("second").await;
    first.signal("KILL");
    first.ended().await;
    fleet.leads(&second).await;
    fleet.both_told("firing", 1).await;
    let third = fleet.start("third").await;
    second.signal("TERM");
    assert!(second.ended().await, "it stops in order");
    fleet.decides("third").await;
    let [slack, hook] = fleet.told();
    assert_eq!((slack.len(), hook.len()), (1, 1), "{slack:?} {hook:?}");
    let text = fleet.slack.requests()[0].json()["text"].as_str().unwrap_or_default().to_owned();
    assert!(text.contains("system: the leader was lost"), "{text}");
    drop(third);
}
