//! The way of a message: out at once, in order, by one instance, and recorded.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use aws_lc_rs::hmac;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use meshhook_errors::{
    model::TransitionKind,
    notify::{probe, send_test},
    sinks::{Answer, HttpSink},
    store::{
        Fence,
        outbox::{Outbox, Wanted},
    },
};
use serde_json::json;
use tokio::time::Instant;

use super::rig::{Rig, SIGNING_SECRET, WAIT, incidents};
use crate::support::eventually;

#[tokio::test]
async fn every_medium_gets_the_message_at_once() {
    let rig = Rig::new().await;
    let slack = rig.slack_channel("ops", &rig.slack).await;
    let mail = rig.mail_channel(&["ada@mesh.example"]).await;
    let hook = rig.hook_channel(&rig.hook.url("/alerts")).await;
    let incident = rig.incident().await;
    let began = Instant::now();
    let mut ids = Vec::new();
    for channel in [slack, mail, hook] {
        ids.push(rig.notify(incident, channel, TransitionKind::Firing).await);
    }

    let request = rig.slack.next(WAIT).await.expect("a Slack message");
    assert_eq!((&*request.method, &*request.path), ("POST", "/services/T0/B0/secretsecretsecret"));
    assert_eq!(request.header("content-type"), Some("application/json"));
    assert!(
        request.json()["text"].as_str().is_some_and(|text| text.contains("25 errors in 5 min"))
    );
    let posted = rig.hook.next(WAIT).await.expect("a webhook");
    let got = rig.mail.next(WAIT).await.expect("a mail");
    // The poll interval is a minute: only the wake-up can have brought these.
    assert!(began.elapsed() < Duration::from_secs(20));

    // The signature as Standard Webhooks defines it, computed without the product's code.
    let header = |name| posted.header(name).unwrap_or_default().to_owned();
    assert_eq!(header("webhook-id"), ids[2].to_string());
    let content = format!("{}.{}.{}", ids[2], header("webhook-timestamp"), posted.text());
    let secret = STANDARD.decode(&SIGNING_SECRET["whsec_".len()..]).expect("base64");
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &secret), content.as_bytes());
    assert_eq!(header("webhook-signature"), format!("v1,{}", STANDARD.encode(tag.as_ref())));
    assert_eq!(posted.json()["type"], "incident.firing");
    assert_eq!(posted.json()["data"]["incident"]["id"], incident.to_string());

    assert_eq!(
        (&*got.from, &*got.to),
        ("alerts@mesh.example", &["ada@mesh.example".to_owned()][..])
    );
    assert_eq!(got.header("auto-submitted").as_deref(), Some("auto-generated"));
    let message_id = got.header("message-id").expect("a message id");
    assert!(message_id.starts_with(&format!("<errors.{incident}.firing.0.")), "{message_id}");

    for id in ids {
        let row = rig.until(id, "sent").await;
        assert_eq!((row.attempts, row.last_error), (1, None));
        assert_eq!(row.log[0]["outcome"], "sent");
    }
    let delivered: i64 = sqlx::query_scalar(
        "select count(*) from public.alert_channels where last_delivery_at is not null",
    )
    .fetch_one(&rig.admin)
    .await
    .expect("channels");
    assert_eq!(delivered, 3);
}

#[tokio::test]
async fn a_slow_channel_holds_up_no_other() {
    let rig = Rig::new().await;
    let slow = HttpSink::start().await.expect("a sink");
    slow.otherwise(Answer::ok().after(Duration::from_millis(1500)));
    let slow_channel = rig.slack_channel("slow", &slow).await;
    let fast_channel = rig.slack_channel("fast", &rig.slack).await;
    let held = rig.fire(slow_channel).await;
    slow.next(WAIT).await.expect("the slow channel is asked");
    let mut rows = Vec::new();
    for _ in 0..5 {
        rows.push(rig.fire(fast_channel).await);
    }
    for row in rows {
        rig.until(row, "sent").await;
    }
    assert_eq!(rig.row(held).await.state, "sending");
    rig.until(held, "sent").await;
}

#[tokio::test]
async fn an_incidents_messages_stay_in_order_whatever_has_to_be_retried() {
    let rig = Rig::new().await;
    rig.slack.script([Answer::new(503, "later")]);
    let channel = rig.slack_channel("ops", &rig.slack).await;
    let incident = rig.incident().await;
    let firing = rig.notify(incident, channel, TransitionKind::Firing).await;
    let escalated = rig.notify(incident, channel, TransitionKind::Escalated).await;
    let resolved = rig.notify(incident, channel, TransitionKind::Resolved).await;
    for id in [firing, escalated, resolved] {
        rig.until(id, "sent").await;
    }
    let texts: Vec<String> = rig
        .slack
        .requests()
        .iter()
        .map(|request| request.json()["text"].as_str().unwrap_or_default().to_owned())
        .collect();
    let signs = ["Warning:", "Warning:", "Now warning:", "Resolved:"];
    assert_eq!(texts.len(), signs.len(), "{texts:?}");
    for (text, sign) in texts.iter().zip(signs) {
        assert!(text.contains(sign), "{texts:?}");
    }
    assert_eq!(rig.row(firing).await.attempts, 2);
}

#[tokio::test]
async fn nobody_hears_of_the_end_of_what_they_never_heard_of() {
    let rig = Rig::new().await;
    rig.slack.script([Answer::new(404, "no_service")]);
    let channel = rig.slack_channel("ops", &rig.slack).await;
    let incident = rig.incident().await;
    let firing = rig.notify(incident, channel, TransitionKind::Firing).await;
    let resolved = rig.notify(incident, channel, TransitionKind::Resolved).await;
    rig.until(firing, "dead").await;
    rig.until(resolved, "dropped").await;
    assert_eq!(rig.slack.requests().len(), 1);
}

#[tokio::test]
async fn a_message_of_an_instance_that_died_while_sending_goes_out_when_its_claim_ends() {
    let mut rig = Rig::idle().await;
    let channel = rig.slack_channel("ops", &rig.slack).await;
    let message = rig.fire(channel).await;
    rig.execute(
        "update public.alert_notifications
            set state = 'sending', attempts = 1, claimed_by = gen_random_uuid(), claimed_until = clock_timestamp() + interval '1500 ms'
          where notification_id = $1",
        message,
    )
    .await;
    let began = Instant::now();
    rig.start();
    rig.slack.next(WAIT).await.expect("it is sent again");
    assert!(began.elapsed() > Duration::from_millis(1200), "{:?}", began.elapsed());
    assert_eq!(rig.until(message, "sent").await.attempts, 2);
}

#[tokio::test]
async fn only_the_leader_sends() {
    let mut rig = Rig::idle().await;
    let channel = rig.slack_channel("ops", &rig.slack).await;
    let message = rig.fire(channel).await;
    let mandate = rig.mandate.lock().expect("not poisoned").expect("a mandate");

    // Another fence than the lease's takes nothing.
    let outbox = Outbox::new(rig.daemon.clone());
    for (holder, fence) in [(rig.instance, 6), (uuid::Uuid::new_v4(), 7)] {
        let fence = Fence { holder, number: fence };
        let wanted = Wanted { channels: 10, ..Wanted::default() };
        let claimed = outbox.claim(&fence, wanted).await.expect("the outbox");
        assert!(claimed.is_empty());
    }

    // A leader that loses its mandate between taking and sending gives the message back.
    let asked = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&asked);
    let briefly = move || (counter.fetch_add(1, Ordering::SeqCst) == 0).then_some(mandate);
    rig.start_with(Arc::new(briefly));
    eventually("the second look at the mandate", async || {
        (asked.load(Ordering::SeqCst) >= 2).then_some(())
    })
    .await;
    let row = rig.until(message, "waiting").await;
    assert_eq!((row.attempts, rig.slack.requests().len()), (0, 0));
}

#[tokio::test]
async fn a_channel_that_is_not_enabled_gets_nothing() {
    let rig = Rig::new().await;
    let channel = rig.slack_channel("ops", &rig.slack).await;
    rig.execute("update public.alert_channels set enabled = false where channel_id = $1", channel)
        .await;
    let row = {
        let message = rig.fire(channel).await;
        rig.until(message, "dropped").await
    };
    assert_eq!(row.last_error.as_deref(), Some("the channel is not enabled"));
    assert!(rig.slack.requests().is_empty());
}

#[tokio::test]
async fn a_clean_stop_records_what_was_on_its_way() {
    let mut rig = Rig::new().await;
    rig.slack.otherwise(Answer::ok().after(Duration::from_millis(800)));
    let channel = rig.slack_channel("ops", &rig.slack).await;
    let message = rig.fire(channel).await;
    rig.slack.next(WAIT).await.expect("it is on its way");
    let took = rig.stop().await;
    assert!(took < Duration::from_secs(4), "{took:?}");
    assert_eq!(rig.row(message).await.state, "sent");
}

#[tokio::test]
async fn many_messages_to_many_channels_go_out_once_each() {
    let rig = Rig::new().await;
    let mut channels = Vec::new();
    for index in 0..40 {
        channels.push(rig.slack_channel(&format!("channel {index}"), &rig.slack).await);
    }
    for channel in &channels {
        for _ in 0..3 {
            rig.fire(*channel).await;
        }
    }
    let outbox = Outbox::new(rig.daemon.clone());
    eventually("an empty outbox", async || {
        (outbox.depth().await.expect("the outbox") == 0).then_some(())
    })
    .await;
    // Those of one channel that came together may be one message.
    let mut incidents: Vec<String> = rig.slack.requests().iter().flat_map(incidents).collect();
    assert_eq!(incidents.len(), 120);
    incidents.sort();
    incidents.dedup();
    assert_eq!(incidents.len(), 120);
}

#[tokio::test]
async fn a_channel_can_be_tried_and_looked_at() {
    let rig = Rig::new().await;
    let slack = rig.slack_channel("ops", &rig.slack).await;
    rig.mail_channel(&["ada@mesh.example"]).await;
    rig.hook_channel(&rig.hook.url("/alerts")).await;
    let (channels, senders) = (rig.channels(), rig.senders());
    for name in ["ops", "mail", "hook", &slack.to_string()] {
        let report = send_test(&channels, &senders, name, None).await.expect(name);
        assert_eq!(report.outcome.as_str(), "sent", "{report:?}");
    }
    assert!(rig.slack.requests()[0].json()["text"].to_string().contains("Test message"));
    assert_eq!(rig.slack.requests().len(), 2);
    for channel in channels.all().await.expect("channels") {
        probe(&senders, &channel).await.expect(&channel.name);
    }
    assert_eq!((rig.slack.requests().len(), rig.mail.mails().len()), (2, 1));
    let unknown = send_test(&channels, &senders, "nobody", None).await.expect_err("unknown");
    assert_eq!(unknown.to_string(), "there is no channel \"nobody\"");

    // The same through the outbox, as the dashboard's button does it.
    let facts = meshhook_errors::notify::NotificationFacts::test(Default::default(), None);
    let outbox = Outbox::new(rig.daemon.clone());
    let payload = serde_json::to_value(facts).expect("JSON");
    let id = outbox.enqueue_test(slack, &payload).await.expect("the outbox").expect("a channel");
    rig.wake.notify_one();
    rig.until(id, "sent").await;
    let none = outbox.enqueue_test(uuid::Uuid::new_v4(), &json!({})).await.expect("the outbox");
    assert_eq!(none, None);
}
