//! What receivers said to one process holds for the next one.

use std::{collections::BTreeSet, time::Duration};

use meshhook_errors::sinks::{Answer, MailFault};

use crate::notify::rig::{Rig, WAIT, incidents};

#[tokio::test]
async fn a_wish_to_wait_is_kept_across_a_restart() {
    let mut rig = Rig::new().await;
    rig.slack.script([Answer::new(429, "rate_limited").header("retry-after", "4")]);
    let channel = rig.slack_channel("ops", &rig.slack).await;
    let message = rig.fire(channel).await;
    assert_eq!(rig.first_attempt(message).await["outcome"], "retry");
    rig.stop().await;
    let rig = rig.restarted();
    assert_eq!(rig.until(message, "sent").await.attempts, 2);
    let requests = rig.slack.requests();
    assert_eq!(requests.len(), 2);
    let waited = requests[1].received_at - requests[0].received_at;
    assert!(waited >= Duration::from_millis(3_950), "{waited:?}");
}

#[tokio::test]
async fn a_mail_that_some_have_goes_to_the_others_after_a_restart() {
    let mut rig = Rig::new().await;
    rig.mail.script([MailFault::Greylist]);
    let channel = rig.mail_channel(&["ada@mesh.example", "bob@mesh.example"]).await;
    let message = rig.fire(channel).await;
    let attempt = rig.first_attempt(message).await;
    assert_eq!(attempt["accepted"], serde_json::json!(["bob@mesh.example"]));
    rig.stop().await;
    let rig = rig.restarted();
    assert_eq!(rig.until(message, "sent").await.attempts, 2);
    let to: Vec<_> = rig.mail.mails().into_iter().flat_map(|mail| mail.to).collect();
    assert_eq!(to, ["bob@mesh.example", "ada@mesh.example"]);
}

#[tokio::test]
async fn a_channel_that_is_broken_stays_so_and_is_told_of_once() {
    let mut rig = Rig::new().await;
    rig.slack.otherwise(Answer::new(404, "no_service"));
    let broken = rig.slack_channel("ops", &rig.slack).await;
    let hook = rig.hook_channel(&rig.hook.url("/alerts")).await;
    let first = rig.fire(broken).await;
    rig.until(first, "dead").await;
    let told = rig.hook.next(WAIT).await.expect("the webhook is told").json();
    assert_eq!(told["type"], "notification.channel_broken");
    rig.stop().await;
    let rig = rig.restarted();
    assert_eq!(rig.channel_state(broken).await, ("broken".into(), Some("404 no_service".into())));
    let second = rig.fire(broken).await;
    rig.until(second, "dead").await;
    let after = rig.fire(hook).await;
    rig.until(after, "sent").await;
    let types: Vec<_> = rig.hook.requests().iter().map(|r| r.json()["type"].clone()).collect();
    assert_eq!(types, ["notification.channel_broken", "incident.firing"]);
    rig.slack.otherwise(Answer::ok());
    let third = rig.fire(broken).await;
    rig.until(third, "sent").await;
    assert_eq!(rig.channel_state(broken).await, ("ok".into(), None));
}

/// A digest is no thing of its own: what it was to tell is told, each once, whatever message it is in.
#[tokio::test]
async fn what_a_failed_digest_was_to_tell_is_told_once_after_a_restart() {
    let mut rig = Rig::new().await;
    // Time enough for the others to come.
    rig.slack.script([Answer::new(429, "rate_limited").header("retry-after", "6")]);
    let channel = rig.slack_channel("ops", &rig.slack).await;
    let mut rows = vec![rig.fire(channel).await];
    rig.first_attempt(rows[0]).await;
    rig.slack.script([Answer::new(503, "later")]);
    for _ in 0..3 {
        rows.push(rig.fire(channel).await);
    }
    for row in &rows[1..] {
        assert_eq!(rig.first_attempt(*row).await["outcome"], "retry");
    }
    rig.stop().await;
    let failed = rig.slack.requests().len();
    assert_eq!(incidents(&rig.slack.requests()[1]).len(), 4, "the second is a digest");
    let rig = rig.restarted();
    for row in &rows {
        rig.until(*row, "sent").await;
    }
    let told: Vec<String> = rig.slack.requests()[failed..].iter().flat_map(incidents).collect();
    let once: BTreeSet<&String> = told.iter().collect();
    assert_eq!((told.len(), once.len()), (4, 4), "{told:?}");
}
