//! A channel that is down holds up no other, and gets its messages when it is back.

use std::time::Duration;

use meshhook_errors::sinks::{Answer, HttpSink};
use serde_json::json;
use tokio::time::Instant;

use crate::support::{
    eventually,
    letters::request,
    stack::{ALERT_LIMIT, Stack, burst},
    stalls::{net, net_since},
};

/// What a healthy channel may wait for while others are down.
const HELD_UP: Duration = Duration::from_secs(2);
/// A clean stop takes at most this long, whatever hangs.
const STOP: Duration = Duration::from_secs(5);

#[tokio::test]
async fn channels_that_are_down_hold_up_no_other() {
    let stack = Stack::start().await;
    let (hanging, failing) = (HttpSink::start().await, HttpSink::start().await);
    let (hanging, failing) = (hanging.expect("a sink"), failing.expect("a sink"));
    hanging.otherwise(Answer::ok().after(Duration::from_secs(60)));
    failing.script([Answer::new(500, "down"), Answer::new(503, "down")]);
    let channels = [
        stack.channel_to("hangs", "slack", &hanging.url("/services/hangs")).await,
        stack.channel_to("fails", "webhook", &failing.url("/fails")).await,
        // Nobody listens on port 1.
        stack.channel_to("absent", "webhook", "http://127.0.0.1:1/absent").await,
        stack.channel("works", "slack").await,
    ];
    let fields = json!({"group_by": ["error_type"], "window_seconds": 60, "warning": 3});
    stack.rule("Any", fields, &channels).await;
    let instance = stack.daemon().await;
    let reporter = stack.reporter(None);

    for error_type in ["system.a", "system.b", "system.c"] {
        let began = Instant::now();
        reporter.insert_errors(&burst(3, error_type, 53)).await.expect("errors");
        let told = request(&stack.slack, ALERT_LIMIT, |r| r.text().contains(error_type)).await;
        let took = net(began, told.received_at);
        println!("insert to Slack while three other channels are down: {took:?}");
        assert!(took < HELD_UP, "{took:?}");
    }
    // Ends that come together are told together, so they are counted where they are kept.
    eventually("the working channel has told every beginning and end", || async {
        let sent = "select count(*) from public.alert_notifications n \
                    join public.alert_channels c using (channel_id) \
                    where c.name = 'works' and n.state = 'sent'";
        (stack.number(sent).await == 6).then_some(())
    })
    .await;
    request(&stack.slack, ALERT_LIMIT, |r| r.text().contains("esolved")).await;
    // The failing one is back after two attempts, and hears of everything in order.
    eventually("the failing channel has caught up", || async {
        let sent = "select count(*) from public.alert_notifications n \
                    join public.alert_channels c using (channel_id) \
                    where c.name = 'fails' and n.state = 'sent'";
        (stack.number(sent).await == 6).then_some(())
    })
    .await;
    let types: Vec<_> =
        failing.requests().iter().map(|r| r.json()["type"].as_str().map(str::to_owned)).collect();
    assert_eq!(types.len(), 8, "two attempts failed: {types:?}");
    let waiting = "select count(*) from public.alert_notifications n \
                   join public.alert_channels c using (channel_id) \
                   where c.name in ('hangs', 'absent') and n.state in ('waiting', 'sending')";
    assert_eq!(stack.number(waiting).await, 12, "nothing is given up");
    let began = Instant::now();
    instance.stop().await;
    let took = net_since(began);
    assert!(took < STOP, "stopped after {took:?}");
}
