//! Slack's pace: what has to wait goes out as one message, in order, and nothing is dropped.

use std::{collections::BTreeMap, time::Duration};

use meshhook_errors::{
    model::TransitionKind,
    sinks::{Answer, HttpSink},
    store::outbox::Outbox,
};
use uuid::Uuid;

use crate::{
    notify::rig::{Rig, WAIT, incidents},
    support::eventually,
};

/// Messages that may go out at once.
const BURST: usize = 4;
/// A request may arrive this much later than another on a busy machine.
const LATE: Duration = Duration::from_millis(900);

async fn all_sent(rig: &Rig) {
    let outbox = Outbox::new(rig.daemon.clone());
    eventually("an empty outbox", async || {
        (outbox.depth().await.expect("the outbox") == 0).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_storm_is_told_in_digests_at_slacks_pace() {
    let rig = Rig::new().await;
    let channel = rig.slack_channel("ops", &rig.slack).await;
    let mut messages = BTreeMap::new();
    for _ in 0..100 {
        let incident = rig.incident().await;
        let message = rig.notify(incident, channel, TransitionKind::Firing).await;
        messages.insert(incident.to_string(), message);
    }
    all_sent(&rig).await;
    let requests = rig.slack.requests();
    let told: Vec<String> = requests.iter().flat_map(incidents).collect();
    let mut once = told.clone();
    once.sort();
    once.dedup();
    assert_eq!((told.len(), once.len()), (100, 100), "each is told once");
    assert!(messages.keys().eq(&once));
    // A short burst, and from then on one message a second; how long a request takes to arrive is the
    // machine's business, so the pace is that of every stretch and not of every pair.
    let times: Vec<_> = requests.iter().map(|request| request.received_at).collect();
    for (first, from) in times.iter().enumerate() {
        for (more, to) in times[first..].iter().enumerate().skip(BURST) {
            let least = Duration::from_secs((more + 1 - BURST) as u64);
            assert!(*to - *from + LATE > least, "{more} more in {:?} in {times:?}", *to - *from);
        }
    }
    assert!(requests.len() < 50, "they were merged: {} messages", requests.len());
    for message in messages.values() {
        let row = rig.row(*message).await;
        assert_eq!((&*row.state, row.attempts), ("sent", 1));
        assert_eq!(row.log[0]["status"], 200);
    }
}

/// Ten messages of which the first was refused with 429: it and all others are told by one digest.
#[tokio::test]
async fn what_waits_for_a_limited_channel_is_merged() {
    let rig = Rig::new().await;
    rig.slack.script([Answer::new(429, "rate_limited").header("retry-after", "2")]);
    let channel = rig.slack_channel("ops", &rig.slack).await;
    let first = rig.fire(channel).await;
    rig.slack.next(WAIT).await.expect("the first try");
    let (one, two) = (rig.incident().await, rig.incident().await);
    let mut rows = vec![first];
    for (incident, kind) in [
        (one, TransitionKind::Firing),
        (two, TransitionKind::Firing),
        (one, TransitionKind::Escalated),
        (one, TransitionKind::Resolved),
    ] {
        rows.push(rig.notify(incident, channel, kind).await);
    }
    for row in &rows {
        rig.until(*row, "sent").await;
    }
    let requests = rig.slack.requests();
    assert_eq!(requests.len(), 2, "one refused, one digest");
    assert!(requests[1].received_at - requests[0].received_at >= Duration::from_millis(1_950));
    let told = incidents(&requests[1]);
    assert_eq!(told[1..], [one, two, one, one].map(|id| id.to_string()), "in order");
    let text = requests[1].json()["text"].as_str().unwrap_or_default().to_owned();
    assert!(text.starts_with("5 alerts at once: 🟠 Warning: Payments failing ·"), "{text}");
    assert!(text.ends_with("✅ Resolved: Payments failing"), "{text}");
}

#[tokio::test]
async fn a_digest_that_fails_is_told_again_as_a_whole_or_given_up_as_a_whole() {
    let rig = Rig::new().await;
    let channel = rig.slack_channel("ops", &rig.slack).await;
    let other = HttpSink::start().await.expect("a sink");
    let hook = rig.hook_channel(&other.url("/alerts")).await;
    let limited = || Answer::new(429, "rate_limited").header("retry-after", "1");
    let merged = async |answers: Vec<Answer>| -> Vec<Uuid> {
        rig.slack.script([limited()]);
        let before = rig.slack.requests().len();
        let mut rows = vec![rig.fire(channel).await];
        eventually("the first try", async || (rig.slack.requests().len() > before).then_some(()))
            .await;
        rig.slack.script(answers);
        for _ in 0..3 {
            rows.push(rig.fire(channel).await);
        }
        rows
    };
    // A failure that passes, and blocks that Slack refuses: all are told in the end.
    let rows = merged(vec![Answer::new(503, "later"), Answer::new(400, "invalid_blocks")]).await;
    for row in &rows {
        let row = rig.until(*row, "sent").await;
        assert!((2..=3).contains(&row.attempts), "{row:?}");
    }
    assert_eq!(rig.slack.requests().len(), 4, "limited, failed, refused, plain");
    let requests = rig.slack.requests();
    let last = requests.last().expect("a digest").json();
    assert!(last.get("blocks").is_none(), "plain text is better than nothing");
    assert!(last["text"].as_str().is_some_and(|text| text.starts_with("4 alerts at once")));

    // A failure that does not pass: all are given up, and the rule's other channel is told once.
    let rows = merged(vec![Answer::new(404, "no_service")]).await;
    for row in &rows {
        let row = rig.until(*row, "dead").await;
        assert_eq!(row.last_error.as_deref(), Some("404 no_service"));
    }
    assert_eq!(rig.channel_state(channel).await.0, "broken");
    let after = rig.fire(hook).await;
    rig.until(after, "sent").await;
    let types: Vec<_> = other.requests().iter().map(|r| r.json()["type"].clone()).collect();
    assert_eq!(types, ["notification.channel_broken", "incident.firing"]);
}

#[tokio::test]
async fn an_end_whose_beginning_was_lost_is_left_out_of_a_digest() {
    let rig = Rig::new().await;
    rig.slack.script([Answer::new(429, "rate_limited").header("retry-after", "1")]);
    let channel = rig.slack_channel("ops", &rig.slack).await;
    let first = rig.fire(channel).await;
    rig.slack.next(WAIT).await.expect("the first try");
    let (known, unknown) = (rig.incident().await, rig.incident().await);
    let lost = rig.notify(unknown, channel, TransitionKind::Firing).await;
    rig.execute(
        "update public.alert_notifications set state = 'dead' where notification_id = $1",
        lost,
    )
    .await;
    let end = rig.notify(unknown, channel, TransitionKind::Resolved).await;
    let told = rig.notify(known, channel, TransitionKind::Firing).await;
    for row in [first, told] {
        rig.until(row, "sent").await;
    }
    rig.until(end, "dropped").await;
    let all: Vec<String> = rig.slack.requests().iter().flat_map(incidents).collect();
    assert!(all.contains(&known.to_string()) && !all.contains(&unknown.to_string()));
}

/// What people read is merged; a program that reads a webhook expects each message.
#[tokio::test]
async fn a_webhook_gets_each_message_of_a_storm_and_a_mailbox_few_mails() {
    let rig = Rig::new().await;
    rig.hook.script([Answer::new(429, "").header("retry-after", "1")]);
    let hook = rig.hook_channel(&rig.hook.url("/alerts")).await;
    let mail = rig.mail_channel(&["ada@mesh.example"]).await;
    let mut mailed = Vec::new();
    for _ in 0..30 {
        rig.fire(hook).await;
        let incident = rig.incident().await;
        rig.notify(incident, mail, TransitionKind::Firing).await;
        mailed.push(incident.to_string());
    }
    all_sent(&rig).await;
    assert_eq!(rig.hook.requests().len(), 31);
    let mails = rig.mail.mails();
    assert!(mails.len() <= 10, "{} mails", mails.len());
    let all: String = mails.iter().map(|mail| mail.data.replace("=\r\n", "")).collect();
    for incident in mailed {
        assert!(all.contains(&incident), "{incident} is told");
    }
}
