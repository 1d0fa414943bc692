//! The scenarios marked `live`, through a real daemon, database and receiver, in real time.
//!
//! Errors are as old as the scenario says, so that a window of a minute can pass within seconds.

use std::time::Duration;

use meshhook_errors::{
    clock::Clock,
    model::{Rule, Span, Timestamp, TransitionKind},
    rest::NewErrorEvent,
    sinks::Answer,
};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep_until};
use uuid::Uuid;

use super::{
    script::{BASE, Scenario, Step},
    suite::all,
};
use crate::support::{eventually, stack::Stack};

#[tokio::test]
async fn a_real_daemon_does_what_a_sample_of_the_scenarios_says() {
    let live: Vec<Scenario> = all().into_iter().filter(|scenario| scenario.live).collect();
    assert!(live.len() >= 3, "{}", live.len());
    for scenario in live {
        run(&scenario).await;
    }
}

async fn run(scenario: &Scenario) {
    let stack = Stack::start().await;
    let mut channels = Vec::new();
    for channel in &scenario.channels {
        channels.push(stack.channel(&channel.name, "webhook").await);
    }
    let rule = stack.rule(&scenario.name, columns(&scenario.rule), &channels).await;
    let mut instance = stack.daemon().await;
    let reporter = stack.reporter(None);
    let (began, now) = (Instant::now(), Clock::system().now());
    let mut counted = 0;
    for (at, step) in &scenario.steps {
        sleep_until(began + at.since(BASE).to_std()).await;
        match step {
            Step::Event(event) => {
                let timestamp = now + event.timestamp.since(BASE);
                reporter.insert_errors(&[reported(event, timestamp)]).await.expect("an error");
                counted += 1;
            }
            Step::Restart => {
                instance.stop().await;
                instance = stack.daemon().await;
            }
            Step::Receiver(status) => stack.webhook.script([Answer::new(*status, "not now")]),
            Step::End => {}
            other => panic!("{}: {other:?} does not happen live", scenario.name),
        }
    }
    assert!(counted > 0);
    let words = |lines: &[String], at: usize| -> Vec<String> {
        lines.iter().filter_map(|line| line.split(' ').nth(at).map(str::to_owned)).collect()
    };
    let (kinds, told) = (words(&scenario.then, 1), words(&scenario.told, 2));
    let written = "select e.kind from public.alert_incident_events e \
        join public.alert_incidents i using (incident_id) \
        where i.rule_id = $1 and e.kind = any ($2) order by e.at, e.event_id";
    let all_kinds: Vec<&str> = TransitionKind::ALL.iter().map(|kind| kind.as_str()).collect();
    let sent = "select n.transition from public.alert_notifications n \
        join public.alert_incidents i using (incident_id) \
        where i.rule_id = $1 and n.state = 'sent' order by n.number";
    let got: Vec<String> = eventually("everything is told", || {
        let (admin, told) = (&stack.admin, &told);
        async move {
            let rows: Vec<String> =
                sqlx::query_scalar(sent).bind(rule).fetch_all(admin).await.expect("messages");
            (rows.len() >= told.len()).then_some(rows)
        }
    })
    .await;
    assert_eq!(got, told, "{}", scenario.name);
    let got: Vec<String> = sqlx::query_scalar(written)
        .bind(rule)
        .bind(&all_kinds)
        .fetch_all(&stack.admin)
        .await
        .expect("the time line");
    assert_eq!(got, kinds, "{}", scenario.name);
    instance.stop().await;
}

fn columns(rule: &Rule) -> Value {
    json!({
        "metric": rule.metric.as_str(),
        "window_seconds": rule.window.micros() / 1_000_000,
        "warning": rule.warning,
        "critical": rule.critical,
        "resolve": rule.resolve,
        "pending_seconds": rule.pending.micros() / 1_000_000,
        "keep_firing_seconds": rule.keep_firing.micros() / 1_000_000,
        "reminder_seconds": 0,
    })
}

fn reported(event: &meshhook_errors::model::ErrorEvent, at: Timestamp) -> NewErrorEvent {
    NewErrorEvent {
        error_id: Uuid::new_v4(),
        timestamp: Some(at.min(Clock::system().now() - Span::from_millis(1))),
        source: event.source,
        error_type: event.error_type.to_string(),
        severity: Some(event.severity),
        workflow_id: None,
        project_id: None,
        message: Some(event.message.to_string()),
        metadata: json!({}),
    }
}

/// How long a live scenario lasts at most.
#[test]
fn live_scenarios_are_short() {
    for scenario in all().iter().filter(|scenario| scenario.live) {
        let end = scenario.steps.last().map_or(BASE, |(at, _)| *at);
        assert!(end.since(BASE).to_std() <= Duration::from_secs(15), "{}", scenario.name);
    }
}
