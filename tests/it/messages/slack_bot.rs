//! A bot's messages: one per incident, changed in place, answered in its thread, across restarts, lost
//! answers and people who delete things.

use meshhook_errors::{
    model::TransitionKind as Kind,
    notify::{EVENT_TYPE, probe, send_test},
    sinks::{Answer, SlackMessage, SlackWorkspace},
};
use uuid::Uuid;

use crate::notify::rig::{Rig, key};

pub const TOKEN: &str = "xoxb-0000-made-up-for-tests";
pub const ROOM: &str = "C0ALERTS";

pub async fn rig() -> (Rig, SlackWorkspace, Uuid) {
    let slack = SlackWorkspace::start(TOKEN, &[ROOM, "C0OTHER"]).await.expect("a workspace");
    let mut rig = Rig::idle().await;
    rig.endpoints.slack_api = slack.api_url();
    rig.start();
    let channel = rig.bot_channel(ROOM, TOKEN).await;
    (rig, slack, channel)
}

fn roots(slack: &SlackWorkspace) -> Vec<SlackMessage> {
    slack.messages().into_iter().filter(|message| message.thread_ts.is_none()).collect()
}

async fn told(rig: &Rig, incident: Uuid, channel: Uuid, kinds: &[Kind]) {
    for kind in kinds {
        let message = rig.notify(incident, channel, *kind).await;
        rig.until(message, "sent").await;
    }
}

#[tokio::test]
async fn an_incident_has_one_message_that_changes_and_a_thread() {
    let (rig, slack, channel) = rig().await;
    let incident = rig.incident().await;
    told(&rig, incident, channel, &[Kind::Firing]).await;
    let first = slack.messages();
    assert_eq!((first.len(), first[0].edits), (1, 0));
    assert!(first[0].text.contains("Warning: Payments failing"), "{}", first[0].text);
    assert_eq!(first[0].metadata["event_type"], EVENT_TYPE);
    assert_eq!(first[0].metadata["event_payload"]["incident"], incident.to_string());

    told(&rig, incident, channel, &[Kind::Escalated, Kind::Reminder, Kind::Resolved]).await;
    let messages = slack.messages();
    let root = &messages[0];
    assert_eq!((messages.len(), root.edits), (4, 3));
    assert!(root.text.contains("Resolved: Payments failing"), "{}", root.text);
    assert!(root.blocks.to_string().contains("✅ Resolved"), "{}", root.blocks);
    let replies: Vec<_> =
        messages[1..].iter().map(|m| (m.thread_ts.clone(), m.broadcast)).collect();
    // What asks for attention again is seen in the channel; the end is seen in the message itself.
    assert_eq!(replies, [true, true, false].map(|loud| (Some(root.ts.clone()), loud)));
    let signs = ["Now warning", "Still warning", "Resolved"];
    for (message, sign) in messages[1..].iter().zip(signs) {
        assert!(message.all_text().contains(sign), "{}", message.all_text());
    }

    // The next incident of the same rule has a message of its own.
    told(&rig, rig.incident().await, channel, &[Kind::Firing]).await;
    assert_eq!(roots(&slack).len(), 2);
}

#[tokio::test]
async fn another_process_goes_on_with_the_same_message() {
    let (mut rig, slack, channel) = rig().await;
    let incident = rig.incident().await;
    told(&rig, incident, channel, &[Kind::Firing]).await;
    rig.stop().await;
    let rig = rig.restarted();
    told(&rig, incident, channel, &[Kind::Resolved]).await;
    let messages = slack.messages();
    assert_eq!((messages.len(), messages[0].edits), (2, 1));
    assert_eq!(messages[1].thread_ts.as_ref(), Some(&messages[0].ts));
}

/// The answer to a message is lost after Slack took it: the next attempt finds it and goes on.
#[tokio::test]
async fn a_lost_answer_costs_no_second_message() {
    let (rig, slack, channel) = rig().await;
    let incident = rig.incident().await;
    slack.http().script([Answer::reset()]);
    let firing = rig.notify(incident, channel, Kind::Firing).await;
    let row = rig.until(firing, "sent").await;
    assert_eq!((row.attempts, slack.messages().len()), (2, 1));
    // The same for a reply: the change's answer arrives, the reply's does not.
    let before = slack.http().requests().len();
    let reply = rig.notify(incident, channel, Kind::Escalated).await;
    rig.until(reply, "sent").await;
    assert_eq!(
        slack.http().requests().len(),
        before + 2,
        "a change and a reply, nothing looked up"
    );

    // An instance that died while sending looks no different.
    let other = rig.incident().await;
    slack.http().script([Answer::reset()]);
    let lost = rig.notify(other, channel, Kind::Firing).await;
    rig.first_attempt(lost).await;
    let sent = rig.until(lost, "sent").await;
    assert_eq!(sent.receipt.as_ref(), Some(&slack.messages()[2].ts));
    told(&rig, other, channel, &[Kind::Resolved]).await;
    assert_eq!((roots(&slack).len(), slack.messages().len()), (2, 4));
}

/// Without the scope to look, twice is better than never.
#[tokio::test]
async fn a_bot_that_may_not_look_writes_again() {
    let (rig, slack, channel) = rig().await;
    slack.let_read(false);
    slack.http().script([Answer::reset()]);
    let incident = rig.incident().await;
    told(&rig, incident, channel, &[Kind::Firing, Kind::Resolved]).await;
    let messages = slack.messages();
    assert_eq!(messages.len(), 3);
    // The later one is the one that is remembered.
    assert_eq!((messages[0].edits, messages[1].edits), (0, 1));
    assert_eq!(messages[2].thread_ts.as_ref(), Some(&messages[1].ts));
}

#[tokio::test]
async fn a_message_that_somebody_deleted_is_written_anew() {
    let (rig, slack, channel) = rig().await;
    let incident = rig.incident().await;
    told(&rig, incident, channel, &[Kind::Firing]).await;
    slack.delete(&slack.messages()[0].ts);
    told(&rig, incident, channel, &[Kind::Resolved]).await;
    let messages = slack.messages();
    assert_eq!(messages.len(), 1);
    assert!(messages[0].thread_ts.is_none() && messages[0].text.contains("Resolved"));
}

#[tokio::test]
async fn slacks_own_errors_are_told_from_one_another() {
    let (rig, slack, channel) = rig().await;
    // 429, a temporary error, and an answer that is none of Slack's: all pass.
    slack.http().script([
        Answer::new(429, r#"{"ok":false,"error":"ratelimited"}"#).header("retry-after", "1"),
        Answer::new(200, r#"{"ok":false,"error":"internal_error"}"#),
    ]);
    let message = rig.fire(channel).await;
    let row = rig.until(message, "sent").await;
    assert_eq!((row.attempts, slack.messages().len()), (3, 1));
    assert_eq!(
        (row.log[0]["status"].clone(), row.log[0]["outcome"].clone()),
        (429.into(), "retry".into())
    );

    // Blocks that Slack refuses: the words go out without them.
    slack.http().script([Answer::new(200, r#"{"ok":false,"error":"invalid_blocks"}"#)]);
    let plain = rig.fire(channel).await;
    rig.until(plain, "sent").await;
    assert!(slack.messages()[1].blocks.is_null() && slack.messages()[1].text.contains("Warning"));

    // Errors that do not pass mark the channel, with what to do about it.
    slack.change_token("xoxb-another");
    let lost = rig.fire(channel).await;
    let row = rig.until(lost, "dead").await;
    let reason = row.last_error.unwrap_or_default();
    assert!(reason.contains("invalid_auth: the bot token is not valid any more"), "{reason}");
    assert!(!reason.contains(TOKEN));
    assert_eq!(rig.channel_state(channel).await.0, "broken");
}

#[tokio::test]
async fn a_channel_that_moves_begins_anew_there() {
    let (rig, slack, channel) = rig().await;
    let incident = rig.incident().await;
    told(&rig, incident, channel, &[Kind::Firing]).await;
    rig.execute(
        r#"update public.alert_channels set config = '{"channel": "C0OTHER"}' where channel_id = $1"#,
        channel,
    )
    .await;
    told(&rig, incident, channel, &[Kind::Resolved]).await;
    let messages = slack.messages();
    assert_eq!((&*messages[0].conversation, &*messages[1].conversation), (ROOM, "C0OTHER"));
    assert!(messages[1].thread_ts.is_none());
}

/// Several incidents at once are one message, in whose thread the rest is told.
#[tokio::test]
async fn incidents_that_a_digest_told_go_on_in_its_thread() {
    let (rig, slack, channel) = rig().await;
    let own = rig.incident().await;
    told(&rig, own, channel, &[Kind::Firing]).await;
    slack.http().script([Answer::new(429, "").header("retry-after", "1")]);
    let first = rig.incident().await;
    let held = rig.notify(first, channel, Kind::Firing).await;
    rig.first_attempt(held).await;
    let second = rig.incident().await;
    let mut rows = vec![held, rig.notify(second, channel, Kind::Firing).await];
    rows.push(rig.notify(own, channel, Kind::Escalated).await);
    for row in rows {
        rig.until(row, "sent").await;
    }
    let messages = slack.messages();
    assert_eq!(
        (messages.len(), messages[0].edits),
        (2, 1),
        "the incident's own message is up to date"
    );
    assert!(messages[1].text.starts_with("3 alerts at once"), "{}", messages[1].text);

    told(&rig, first, channel, &[Kind::Resolved]).await;
    told(&rig, own, channel, &[Kind::Resolved]).await;
    let messages = slack.messages();
    assert_eq!(messages[2].thread_ts.as_ref(), Some(&messages[1].ts));
    // Nothing in the channel changes for it, so the reply is shown there.
    assert!(messages[2].broadcast && messages[1].edits == 0);
    assert_eq!(messages[3].thread_ts.as_ref(), Some(&messages[0].ts));
    assert_eq!(messages[0].edits, 2);
}

/// The answer to a digest is lost after Slack took it: it is found again, and told only once.
#[tokio::test]
async fn a_lost_answer_to_a_digest_costs_no_second_digest() {
    let (rig, slack, channel) = rig().await;
    slack.http().script([Answer::new(429, "").header("retry-after", "1"), Answer::reset()]);
    let first = rig.incident().await;
    let held = rig.notify(first, channel, Kind::Firing).await;
    rig.first_attempt(held).await;
    let mut rows = vec![held];
    for _ in 0..4 {
        rows.push(rig.notify(rig.incident().await, channel, Kind::Firing).await);
    }
    for row in rows {
        let row = rig.until(row, "sent").await;
        assert_eq!(row.receipt.as_ref(), Some(&slack.messages()[0].ts));
    }
    let messages = slack.messages();
    assert_eq!(messages.len(), 1, "{messages:?}");
    assert!(messages[0].text.starts_with("5 alerts at once"), "{}", messages[0].text);
    // The digest is the message of its incidents, as if its answer had come.
    told(&rig, first, channel, &[Kind::Resolved]).await;
    assert_eq!(slack.messages()[1].thread_ts.as_ref(), Some(&messages[0].ts));
}

#[tokio::test]
async fn a_bot_can_be_tried_and_checked() {
    let (rig, slack, channel) = rig().await;
    let (channels, senders) = (rig.channels(), rig.senders());
    let report = send_test(&channels, &senders, "bot", None).await.expect("a channel");
    assert_eq!(report.outcome.as_str(), "sent", "{report:?}");
    assert!(slack.messages()[0].text.contains("Test message"));
    let found = channels.find("bot").await.expect("the channel");
    let reached = probe(&senders, &found).await.expect("reached");
    assert_eq!(reached, "Slack workspace Example as alerts");
    slack.change_token("xoxb-another");
    let refused = probe(&senders, &found).await.expect_err("refused");
    assert!(refused.contains("invalid_auth"), "{refused}");

    // A webhook's address is no bot token, and says so.
    let secrets = meshhook_errors::store::secrets::Secrets::new(rig.daemon.clone(), key(1));
    secrets.set(channel, &"https://hooks.slack.com/services/x".into()).await.expect("stored");
    let found = channels.find("bot").await.expect("the channel");
    let wrong = probe(&senders, &found).await.expect_err("wrong");
    assert!(wrong.contains("must be a bot token"), "{wrong}");
    assert_eq!(slack.messages().len(), 1);
}
