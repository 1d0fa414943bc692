//! Every committed error is counted exactly once, and alerts once per group.

use std::{collections::BTreeMap, sync::Arc};

use meshhook_errors::rest::NewErrorEvent;
use serde_json::json;
use tokio::{task::JoinSet, time::Instant};

use crate::support::{
    eventually,
    letters::{headline, of_channel},
    stack::{Stack, burst, event},
};

const TYPES: [&str; 5] =
    ["execution.timeout", "execution.http", "input.schema", "system.disk", "system"];

/// Rows of the table, of both rollups and of the groups.
const SUMS: &str = "select array[\
    (select count(*) from public.error_metrics), \
    (select coalesce(sum(count), 0)::bigint from public.error_rate_minutes), \
    (select coalesce(sum(count), 0)::bigint from public.error_rate_hours), \
    (select coalesce(sum(count), 0)::bigint from public.error_groups)]";

/// Waits until table, rollups and groups have `count` errors each, bucket by bucket.
async fn agree(stack: &Stack, count: i64) {
    eventually("table, rollups and groups agree", || async {
        let sums: Vec<i64> = sqlx::query_scalar(SUMS).fetch_one(&stack.admin).await.expect("sums");
        assert!(sums.iter().all(|sum| *sum <= count), "{sums:?} exceed {count}");
        sums.iter().all(|sum| *sum == count).then_some(())
    })
    .await;
    let differing = "with truth as (\
          select date_trunc('minute', \"timestamp\", 'UTC') as bucket, project_id, workflow_id, \
                 source, error_type, severity, count(*) as count \
            from public.error_metrics group by 1, 2, 3, 4, 5, 6), \
        rolled as (\
          select bucket, project_id, workflow_id, source, error_type, severity, count \
            from public.error_rate_minutes) \
        select count(*) from (\
          (table truth except all table rolled) union all (table rolled except all table truth)) x";
    assert_eq!(stack.number(differing).await, 0, "rollups that differ from the table");
}

/// Opened and told exactly once for each of these groups, on each of these channels.
async fn alerted_once(stack: &Stack, groups: i64, channels: &[&str]) {
    let messages = groups * i64::try_from(channels.len()).expect("few channels");
    eventually("every group has been told of", || async {
        let sent = "select count(*) from public.alert_notifications where state = 'sent'";
        (stack.number(sent).await >= messages).then_some(())
    })
    .await;
    let incidents = "select count(*) from public.alert_incidents where state = 'firing'";
    assert_eq!(stack.number(incidents).await, groups);
    assert_eq!(stack.number("select count(*) from public.alert_incidents").await, groups);
    assert_eq!(stack.number("select count(*) from public.alert_notifications").await, messages);
    for channel in channels {
        let sink = if *channel == "webhook" { &stack.webhook } else { &stack.slack };
        let requests = of_channel(sink, channel);
        let texts: Vec<_> = requests.iter().map(headline).collect();
        let told: i64 = texts.iter().map(|text| alerts_in(text)).sum();
        assert_eq!(told, groups, "{texts:?}");
    }
}

/// How many alerts a message tells: one, or those that Slack's pace made into a digest.
fn alerts_in(headline: &str) -> i64 {
    let digest = headline.split_once(" alerts at once");
    digest.map_or(1, |(count, _)| count.parse().expect("a number of alerts"))
}

#[tokio::test]
async fn ten_thousand_rows_agree_everywhere_and_alert_once_per_group() {
    let stack = Stack::start().await;
    let channels = [stack.channel("ops", "slack").await, stack.channel("webhook", "webhook").await];
    let fields = json!({"group_by": ["error_type"], "window_seconds": 3600, "warning": 100});
    let rule = stack.rule("Many errors", fields, &channels).await;
    let whole =
        stack.rule("All errors", json!({"window_seconds": 3600, "warning": 1e9}), &[]).await;
    let instance = stack.daemon().await;

    let events: Vec<NewErrorEvent> = (0..10_000)
        .map(|n| {
            let words = ["declined", "refused", "lost"];
            let message = format!("attempt {n} was {}", words[n % words.len()]);
            event(None, TYPES[n % TYPES.len()], &message)
        })
        .collect();
    let began = Instant::now();
    let reporter = Arc::new(stack.reporter(None));
    let mut senders = JoinSet::new();
    for part in events.chunks(2_500) {
        let (part, reporter) = (part.to_vec(), Arc::clone(&reporter));
        senders.spawn(async move {
            for request in part.chunks(500) {
                reporter.insert_errors(request).await.expect("a bulk insert");
            }
            // A reporter that heard no answer sends again; that must add nothing.
            reporter.insert_errors(&part[..500]).await.expect("the repeated insert");
        });
    }
    senders.join_all().await;
    let inserted = began.elapsed();
    assert_eq!(instance.counted(rule, 10_000).await, 10_000);
    println!(
        "10,000 rows inserted in {inserted:?}, counted {:?} later",
        began.elapsed() - inserted
    );
    agree(&stack, 10_000).await;
    alerted_once(&stack, 5, &["ops", "webhook"]).await;

    // The repeated rows left holes, which are proven empty; then nothing is missing.
    let feed = instance.daemon.feed();
    eventually("no hole is open", || {
        let status = feed.borrow().clone();
        async move { (status.open_holes == 0).then_some(()) }
    })
    .await;
    assert_eq!(feed.borrow().rows_counted, 10_000);
    assert_eq!(feed.borrow().proven_empty, 2_000);
    let state = instance.inspect().await;
    assert_eq!((state.total_by_rule[&rule], state.total_by_rule[&whole]), (10_000, 10_000));
    assert_eq!(state.total_in_windows, 20_000);
    let by_group: BTreeMap<String, f64> =
        state.open.iter().map(|(open, value)| (open.group_key.to_string(), *value)).collect();
    assert_eq!(by_group.len(), 5);
    assert!(by_group.values().all(|value| (*value - 2_000.0).abs() < 1e-9), "{by_group:?}");
    instance.stop().await;
}

#[tokio::test]
async fn what_came_while_the_daemon_was_stopped_is_counted_and_alerted_once() {
    let stack = Stack::start().await;
    let channel = stack.channel("ops", "slack").await;
    let fields = json!({"window_seconds": 3600, "warning": 500});
    let rule = stack.rule("Many errors", fields, &[channel]).await;
    let reporter = stack.reporter(None);

    let instance = stack.daemon().await;
    reporter.insert_errors(&burst(100, "execution", 0)).await.expect("errors");
    assert_eq!(instance.counted(rule, 100).await, 100);
    instance.stop().await;
    agree(&stack, 100).await;

    for _ in 0..2 {
        reporter.insert_errors(&burst(500, "execution", 0)).await.expect("errors");
    }
    let began = Instant::now();
    let instance = stack.daemon().await;
    assert_eq!(instance.counted(rule, 1_100).await, 1_100);
    println!(
        "1,000 rows of the time without a daemon: counted {:?} after its start",
        began.elapsed()
    );
    alerted_once(&stack, 1, &["ops"]).await;
    agree(&stack, 1_100).await;
    instance.stop().await;

    // Once more, with the incident open: it is neither opened nor told again.
    let instance = stack.daemon().await;
    reporter.insert_errors(&burst(10, "execution", 0)).await.expect("errors");
    assert_eq!(instance.counted(rule, 1_110).await, 1_110);
    agree(&stack, 1_110).await;
    alerted_once(&stack, 1, &["ops"]).await;
    instance.stop().await;
}
