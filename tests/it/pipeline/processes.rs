//! Several instances as processes: one leads, another takes over, and nobody is told twice.

use std::time::Duration;

use meshhook_errors::sinks::Answer;
use serde_json::json;
use tokio::time::Instant;
use url::Url;

use crate::support::{
    eventually,
    letters::{headline, request},
    process::{Process, run},
    proxy::Proxy,
    stack::{ALERT_LIMIT, Stack, burst},
    stalls::{net, net_since},
};

const CLEAN_STOP: Duration = Duration::from_secs(5);
const TAKEOVER_CLEAN: Duration = Duration::from_secs(1);
const TAKEOVER_KILLED: Duration = Duration::from_secs(8);

/// Messages to the Slack sink whose first line contains both.
fn told(stack: &Stack, kind: &str, rule: &str) -> usize {
    let requests = stack.slack.requests();
    let lines = requests.iter().map(headline);
    lines.filter(|line| line.contains(kind) && line.contains(rule)).count()
}

async fn report(stack: &Stack, count: usize, error_type: &str, age: i64) {
    let reporter = stack.reporter(None);
    for part in burst(count, error_type, age).chunks(500) {
        reporter.insert_errors(part).await.expect("errors");
    }
}

async fn all_sent(stack: &Stack, messages: i64) {
    eventually("every message is recorded as sent", || async {
        let sql = "select count(*) from public.alert_notifications where state = 'sent'";
        (stack.number(sql).await == messages).then_some(())
    })
    .await;
    let all = stack.number("select count(*) from public.alert_notifications").await;
    assert_eq!(all, messages);
}

#[tokio::test]
async fn instances_take_over_from_each_other_and_nobody_is_told_twice() {
    let stack = Stack::start().await;
    let channel = stack.channel("ops", "slack").await;
    for class in ["execution", "system", "input"] {
        let fields = json!({"error_types": [class], "window_seconds": 60, "warning": 5});
        stack.rule(&format!("Any {class}"), fields, &[channel]).await;
    }
    let mut first = Process::ready(&stack, "first", "leader").await;
    let mut second = Process::ready(&stack, "second", "standby").await;

    // A clean stop while a message is on its way: it is finished and recorded.
    stack.slack.script([Answer::ok().after(Duration::from_millis(800))]);
    report(&stack, 5, "execution", 48).await;
    request(&stack.slack, ALERT_LIMIT, |r| headline(r).contains("Warning: Any execution")).await;
    let asked = Instant::now();
    first.signal("TERM").await;
    let (status, _) = first.ended().await;
    let ended = Instant::now();
    assert_eq!(status.code(), Some(0), "{}", first.log());
    let took = net(asked, ended);
    assert!(took < CLEAN_STOP, "{took:?}");
    second.until_role("leader").await;
    let over = net_since(ended);
    println!(
        "SIGTERM: ended after {took:?}, taken over {over:?} later, {:?} in all",
        asked.elapsed()
    );
    assert!(over < TAKEOVER_CLEAN, "{over:?}");
    let recorded = "select count(*) from public.alert_notifications where state = 'sent'";
    assert_eq!(stack.number(recorded).await, 1, "what was sent is recorded");
    assert!(first.log().contains("\"message\":\"stopped\""));

    // A crash with an incident open, and a standby that takes over.
    let third = Process::ready(&stack, "third", "standby").await;
    // These stay in the window until the fourth instance has counted what is below.
    report(&stack, 5, "system", 16).await;
    request(&stack.slack, ALERT_LIMIT, |r| headline(r).contains("Warning: Any system")).await;
    all_sent(&stack, 2).await;
    let killed = Instant::now();
    second.signal("KILL").await;
    assert!(second.ended().await.0.code().is_none());
    report(&stack, 1_000, "system", 16).await;
    report(&stack, 5, "input", 36).await;
    third.until_role("leader").await;
    let over = net_since(killed);
    println!("kill -9: taken over after {:?}", killed.elapsed());
    assert!(over < TAKEOVER_KILLED, "{over:?}");
    // What came while nobody led is told by the one who leads now, and nothing else is.
    request(&stack.slack, ALERT_LIMIT, |r| headline(r).contains("Warning: Any input")).await;

    // The same with nobody standing by.
    let mut third = third;
    let asked = Instant::now();
    third.signal("INT").await;
    let (status, _) = third.ended().await;
    let took = net_since(asked);
    println!("SIGINT: ended after {took:?}");
    assert_eq!(status.code(), Some(0), "{}", third.log());
    assert!(took < CLEAN_STOP, "{took:?}");
    report(&stack, 10, "system", 30).await;
    let began = Instant::now();
    let _fourth = Process::ready(&stack, "fourth", "leader").await;
    println!("a fourth instance leads {:?} after its start", began.elapsed());

    for class in ["execution", "system", "input"] {
        let rule = format!("Any {class}");
        eventually(&format!("the end of {rule} is told"), || async {
            (told(&stack, "Resolved", &rule) > 0).then_some(())
        })
        .await;
        assert_eq!((told(&stack, "Warning", &rule), told(&stack, "Resolved", &rule)), (1, 1));
    }
    all_sent(&stack, 6).await;
    let opened = "select array_agg(concat_ws(' ', rule_name, state, started_at, fired_at, resolved_at, peak) \
                  order by started_at) from public.alert_incidents where rule_id is not null";
    let opened: Vec<String> =
        sqlx::query_scalar(opened).fetch_one(&stack.admin).await.expect("incidents");
    assert_eq!(opened.len(), 3, "{opened:#?}");
    eventually("rollups agree with the table", || async {
        let counted = "select coalesce(sum(count), 0)::bigint from public.error_rate_minutes";
        (stack.number(counted).await == 1_025).then_some(())
    })
    .await;
    let peak = "select max(peak)::bigint from public.alert_incidents";
    assert_eq!(stack.number(peak).await, 1_015, "each error counts once in the window, too");
}

#[tokio::test]
async fn an_instance_waits_for_its_database_and_stops_when_told_to() {
    let stack = Stack::start().await;
    let direct: Url = stack.variables()["DATABASE_URL"].parse().expect("an address");
    let at = |url: &Url| {
        let mut variables = stack.variables();
        variables.insert("DATABASE_URL".to_owned(), url.to_string());
        variables
    };
    let proxy = Proxy::to(&direct).await;
    proxy.set_up(false);
    let mut early = Process::launch(at(&proxy.through(&direct))).await;
    assert_eq!(early.http("/healthz").await.expect("an answer").0, 200);
    let (status, body) = early.http("/readyz").await.expect("an answer");
    assert!(status == 503 && body.contains("database"), "{status} {body}");
    proxy.set_up(true);
    early.until_role("leader").await;
    early.signal("TERM").await;
    assert_eq!(early.ended().await.0.code(), Some(0), "{}", early.log());

    // A database that falls silent while everything runs.
    let mut cut_off = Process::start(at(&proxy.through(&direct))).await;
    cut_off.until_role("leader").await;
    stack.reporter(None).insert_errors(&burst(5, "system", 0)).await.expect("errors");
    proxy.fall_silent();
    let asked = Instant::now();
    cut_off.signal("TERM").await;
    let (status, _) = cut_off.ended().await;
    let took = net_since(asked);
    println!("SIGTERM with a silent database: ended after {took:?}");
    assert_eq!(status.code(), Some(0), "{}", cut_off.log());
    assert!(took < CLEAN_STOP, "{took:?}");

    // A server that takes connections and says nothing.
    let mute = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
    let mut url = direct.clone();
    url.set_ip_host([127, 0, 0, 1].into()).expect("a host");
    url.set_port(Some(mute.local_addr().expect("an address").port())).expect("a port");
    let mut waiting = Process::launch(at(&url)).await;
    let (_silent, _) = mute.accept().await.expect("it connects");
    let asked = Instant::now();
    waiting.signal("TERM").await;
    let (status, _) = waiting.ended().await;
    let took = net_since(asked);
    assert_eq!(status.code(), Some(0), "{}", waiting.log());
    assert!(took < CLEAN_STOP, "{took:?}");

    // What only an operator can mend ends it at once, with advice.
    let mut wrong = direct.clone();
    wrong.set_password(Some("planted-password")).expect("a password");
    let output = run(&at(&wrong), &["run"], "").await;
    assert!(output.status == 1 && output.err.contains("check user and password"), "{output:?}");
    assert!(!output.err.contains("planted"), "{output:?}");
    let mut busy = stack.variables();
    let address = mute.local_addr().expect("an address").to_string();
    busy.insert("HTTP_LISTEN".to_owned(), address);
    let output = run(&busy, &["run"], "").await;
    assert!(output.status == 1 && output.err.contains("HTTP_LISTEN"), "{output:?}");
}
