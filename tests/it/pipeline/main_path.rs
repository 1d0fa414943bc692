//! An error becomes an alert on every medium, and its end is told to the same.

use std::time::Duration;

use meshhook_errors::{
    clock::Clock,
    model::{Span, Timestamp},
    rest::NewErrorEvent,
};
use serde_json::{Value, json};
use tokio::time::Instant;
use uuid::Uuid;

use crate::support::{
    eventually,
    letters::{headline, is_signed, mail, readable, request},
    stack::{ALERT_LIMIT, Stack, at, burst, event},
};

/// Parts of what an error must not tell anybody; put together here so that this file holds no key.
const PLANTED: [&str; 6] = [
    "planted.buyer@example.com",
    "plantedbearer0123456789abcdef",
    "planted-password",
    "PLANTED0PLANTED0",
    "plantedlivekey0123456789",
    "planted-cookie",
];

/// Two kinds of failure of one workflow, 12 and 13 times, that say what they must not.
fn failures(workflow: Uuid, then: Timestamp) -> Vec<NewErrorEvent> {
    let [mail, bearer, password, aws, stripe, cookie] = PLANTED;
    let declined = format!("card of {mail} declined: Authorization: Bearer {bearer}");
    let refused = format!("postgres://app:{password}@db.internal/app refused AKIA{aws}");
    let metadata = json!({
        "password": password,
        "request": {"headers": {"Authorization": format!("Bearer {bearer}"), "Set-Cookie": cookie}},
        "attempts": [{"note": format!("with sk_live_{stripe} for {mail}")}],
    });
    let one = |message: &str, error_type: &str| NewErrorEvent {
        workflow_id: Some(workflow),
        metadata: metadata.clone(),
        ..at(event(None, error_type, message), then)
    };
    let first = (0..12).map(|_| one(&declined, "execution.http"));
    let second = (0..13).map(|_| one(&refused, "execution.connection"));
    first.chain(second).collect()
}

fn tells_no_secret(text: &str) {
    for planted in PLANTED {
        assert!(!text.contains(planted), "{planted} is in {text}");
    }
}

fn at_seconds(text: &Value) -> String {
    text.as_str().unwrap_or_default().chars().take(19).collect::<String>().replace('T', " ")
}

#[tokio::test]
async fn an_error_becomes_an_alert_on_every_medium_and_so_does_its_end() {
    let stack = Stack::start().await;
    let project = stack.project("Acme").await;
    let workflow = stack.workflow(project, "stripe-sync").await;
    let mut channels = Vec::new();
    for kind in ["slack", "email", "webhook"] {
        channels.push(stack.channel(kind, kind).await);
    }
    let fields = json!({
        "project_id": project, "description": "Call Ada.", "error_types": ["execution"],
        "group_by": ["workflow"], "window_seconds": 60, "warning": 20,
    });
    stack.rule("Payments failing", fields, &channels).await;
    let instance = stack.daemon().await;

    let then = Clock::system().now() - Span::from_secs(50);
    let began = Instant::now();
    let reporter = stack.reporter(Some(project));
    reporter.insert_errors(&failures(workflow, then)).await.expect("the errors are taken");
    let committed = Instant::now();
    let slack = request(&stack.slack, ALERT_LIMIT, |_| true).await;
    let hook = request(&stack.webhook, ALERT_LIMIT, |_| true).await;
    let letter = mail(&stack.mail, ALERT_LIMIT, "firing").await;
    println!(
        "insert to alert: Slack {:?}, webhook {:?}, mail {:?} (the insert itself {:?})",
        slack.received_at.saturating_duration_since(committed),
        hook.received_at.saturating_duration_since(committed),
        letter.received_at.saturating_duration_since(committed),
        committed - began,
    );

    // What the webhook says is checked in full; the others must say the same.
    assert!(is_signed(&hook));
    let body = hook.json();
    assert_eq!(body["type"], "incident.firing");
    let incident = &body["data"]["incident"];
    assert_eq!((&incident["value"], &incident["threshold"]), (&json!(20.0), &json!(20.0)));
    assert_eq!(incident["project"], json!({"id": project, "name": "Acme"}));
    assert_eq!(incident["group"][0]["name"], "stripe-sync v1");
    let link = body["data"]["link"].as_str().expect("a link").to_owned();
    let id: Uuid = incident["id"].as_str().and_then(|id| id.parse().ok()).expect("an id");
    assert_eq!(link, format!("https://meshhook.example.com/errors/incidents/{id}"));
    let since = at_seconds(&incident["since"]);
    let stored = "select to_char(started_at at time zone 'UTC', 'YYYY-MM-DD HH24:MI:SS') \
         from public.alert_incidents where incident_id = $1";
    assert_eq!(stack.text_of(stored, id).await.as_deref(), Some(&*since));
    for text in [slack.text(), readable(&letter)] {
        for part in [
            "Warning: Payments failing",
            "20 errors in 1 min (threshold 20)",
            "Call Ada.",
            "Acme",
            "stripe-sync v1",
            &since,
            "12 × ",
            "8 × ",
            "declined",
            "refused",
            &link,
        ] {
            assert!(text.contains(part), "{part:?} is missing in {text}");
        }
    }

    let slack_end = request(&stack.slack, ALERT_LIMIT, |_| true).await;
    let hook_end = request(&stack.webhook, ALERT_LIMIT, |_| true).await;
    let letter_end = mail(&stack.mail, ALERT_LIMIT, "resolved").await;
    assert!(is_signed(&hook_end));
    let body = hook_end.json();
    assert_eq!(body["type"], "incident.resolved");
    let incident = &body["data"]["incident"];
    assert_eq!((&incident["id"], &incident["peak"]), (&json!(id), &json!(25.0)));
    for text in [slack_end.text(), readable(&letter_end)] {
        for part in ["Resolved: Payments failing", "it lasted", "the peak was 25", "Peak", &link] {
            assert!(text.contains(part), "{part:?} is missing in {text}");
        }
    }
    let lasted = "select extract(epoch from resolved_at - started_at)::bigint \
                  from public.alert_incidents where incident_id = $1";
    let lasted = stack.number_of(lasted, id).await;
    let said = slack_end.text();
    // Seconds are cut, not rounded.
    let seconds = [lasted - 1, lasted, lasted + 1].map(|s| format!("it lasted {s} s"));
    assert!(seconds.iter().any(|part| said.contains(part)), "{lasted} s, but {said}");
    assert_eq!(letter_end.header("In-Reply-To"), letter.header("In-Reply-To"));

    let mails = stack.mail.mails();
    let requests = [stack.slack.requests(), stack.webhook.requests()].concat();
    assert_eq!((mails.len(), requests.len()), (2, 4), "each is told once of each");
    mails.iter().for_each(|mail| tells_no_secret(&readable(mail)));
    requests.iter().for_each(|request| tells_no_secret(&request.text()));
    let tables = "select string_agg(t, ' ') from (\
                    select row_to_json(m)::text as t from public.error_metrics m union all \
                    select row_to_json(n)::text from public.alert_notifications n union all \
                    select row_to_json(g)::text from public.error_groups g) x where $1 is not null";
    tells_no_secret(&stack.text_of(tables, id).await.expect("rows"));
    eventually("every message is recorded as sent", || async {
        let sql = "select count(*) from public.alert_notifications where state = 'sent'";
        (stack.number(sql).await == 6).then_some(())
    })
    .await;
    instance.stop().await;
}

/// Alerts must not depend on Realtime.
const WITHOUT_REALTIME: Duration = Duration::from_secs(5);

async fn told_without_realtime(stack: &Stack, how: &str, class: &str) {
    let began = Instant::now();
    let reporter = stack.reporter(None);
    reporter.insert_errors(&burst(5, class, 0)).await.expect("the errors are taken");
    let message = request(&stack.slack, ALERT_LIMIT, |r| headline(r).contains(class)).await;
    let took = message.received_at - began;
    println!("insert to Slack with Realtime {how}: {took:?}");
    assert!(took < WITHOUT_REALTIME, "{took:?}");
}

#[tokio::test]
async fn alerts_arrive_without_realtime() {
    let stack = Stack::start().await;
    let slack = stack.channel("slack", "slack").await;
    for class in ["system", "execution", "input"] {
        let fields = json!({"error_types": [class], "warning": 5});
        stack.rule(&format!("Any {class}"), fields, &[slack]).await;
    }
    // Nobody listens on port 1.
    let closed = "ws://127.0.0.1:1/realtime/v1/websocket";
    let instance = stack.daemon_with([("SUPABASE_REALTIME_URL", closed)]).await;
    told_without_realtime(&stack, "unreachable", "system").await;
    instance.stop().await;
    let Some(faults) = stack.faults() else {
        eprintln!("not tested with Realtime deaf: another's Supabase is used");
        return;
    };
    let instance = stack.daemon().await;
    faults.set(|knobs| knobs.deaf = true);
    told_without_realtime(&stack, "deaf", "execution").await;
    faults.set(|knobs| {
        knobs.deaf = false;
        knobs.slot_lost = true;
    });
    told_without_realtime(&stack, "without its slot", "input").await;
    assert_eq!(instance.daemon.feed().borrow().rows_counted, 10);
    instance.stop().await;
}
