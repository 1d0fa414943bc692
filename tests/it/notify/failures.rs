//! What receivers do wrong, and what becomes of the message.

use std::time::Duration;

use meshhook_errors::{
    model::TransitionKind,
    sinks::{Answer, HttpSink},
};
use serde_json::json;

use super::rig::{Rig, SIGNING_SECRET, WAIT};
use crate::support::eventually;

#[tokio::test]
async fn passing_failures_are_retried_when_due() {
    let rig = Rig::new().await;
    let second = Duration::from_millis(790);
    let cases = [
        ("error", Answer::new(500, "rollup_error"), second, "500 rollup_error"),
        (
            "limited",
            Answer::new(429, "rate_limited").header("retry-after", "2"),
            second * 2,
            "429 rate_limited",
        ),
        (
            "wrong body",
            Answer::new(200, "<html>log in</html>"),
            second,
            "200, but not the answer of Slack",
        ),
        ("reset", Answer::reset(), second, "connection closed"),
        ("hang", Answer::ok().after(Duration::from_secs(60)), second, "no answer within 2 s"),
    ];
    let mut running = Vec::new();
    for (name, answer, gap, reason) in cases {
        let sink = HttpSink::start().await.expect("a sink");
        sink.script([answer]);
        let channel = rig.slack_channel(name, &sink).await;
        running.push((name, rig.fire(channel).await, channel, sink, gap, reason));
    }
    for (name, message, channel, sink, gap, reason) in running {
        let row = rig.until(message, "sent").await;
        assert_eq!((row.attempts, row.last_error), (2, None), "{name}");
        assert_eq!(
            (&row.log[0]["outcome"], &row.log[1]["outcome"]),
            (&json!("retry"), &json!("sent"))
        );
        let said = row.log[0]["reason"].as_str().unwrap_or_default();
        assert!(said.contains(reason), "{name}: {said}");
        assert!(!said.contains("secretsecret"), "{name}: {said}");
        let requests = sink.requests();
        assert_eq!(requests.len(), 2, "{name}");
        let waited = requests[1].received_at - requests[0].received_at;
        assert!(waited >= gap, "{name}: {waited:?}");
        assert_eq!(rig.channel_state(channel).await.0, "ok", "{name}");
    }
}

#[tokio::test]
async fn a_permanent_error_breaks_the_channel_and_the_rules_others_are_told_once() {
    let rig = Rig::new().await;
    rig.slack.otherwise(Answer::new(404, "no_service"));
    let broken = rig.slack_channel("ops", &rig.slack).await;
    let hook = rig.hook_channel(&rig.hook.url("/alerts")).await;
    rig.mail_channel(&["ada@mesh.example"]).await;

    let first = rig.fire(broken).await;
    let row = rig.until(first, "dead").await;
    assert_eq!((row.attempts, row.last_error.as_deref()), (1, Some("404 no_service")));
    assert_eq!(rig.channel_state(broken).await, ("broken".into(), Some("404 no_service".into())));
    let told = rig.hook.next(WAIT).await.expect("the webhook is told").json();
    assert_eq!(told["type"], "notification.channel_broken");
    assert_eq!(told["data"]["broken_channel"]["name"], "ops");
    assert_eq!(told["data"]["broken_channel"]["reason"], "404 no_service");
    assert!(rig.mail.next(WAIT).await.expect("mail is told").data.contains("no_service"));

    // Broken already: the second message is tried, lost, and nobody is told again.
    let second = rig.fire(broken).await;
    rig.until(second, "dead").await;
    let after = rig.fire(hook).await;
    rig.until(after, "sent").await;
    assert_eq!((rig.hook.requests().len(), rig.mail.mails().len()), (2, 1));

    // The next success mends it, and so would a change by a person.
    rig.slack.otherwise(Answer::ok());
    let third = rig.fire(broken).await;
    rig.until(third, "sent").await;
    assert_eq!(rig.channel_state(broken).await, ("ok".into(), None));
}

#[tokio::test]
async fn a_channel_that_stays_down_is_told_of_while_its_message_is_still_retried() {
    let rig = Rig::new().await;
    rig.slack.otherwise(Answer::new(503, "down"));
    let down = rig.slack_channel("ops", &rig.slack).await;
    rig.hook_channel(&rig.hook.url("/alerts")).await;
    let incident = rig.incident().await;
    let message = rig.notify(incident, down, TransitionKind::Firing).await;
    rig.first_attempt(message).await;
    // As if two more attempts had failed in the meantime.
    rig.execute(
        "update public.alert_notifications set attempts = 3, next_attempt_at = now() where notification_id = $1",
        message,
    )
    .await;
    rig.wake.notify_one();
    let told = rig.hook.next(WAIT).await.expect("the others are told").json();
    assert_eq!(told["data"]["broken_channel"]["name"], "ops");
    assert_eq!(rig.row(message).await.state, "waiting");

    // When the channel works again, what waits for it does not wait for its turn.
    rig.slack.otherwise(Answer::ok());
    let other = rig.fire(down).await;
    rig.until(other, "sent").await;
    rig.until(message, "sent").await;
}

#[tokio::test]
async fn a_message_is_given_up_after_a_day() {
    let rig = Rig::new().await;
    rig.slack.otherwise(Answer::new(503, "down"));
    let channel = rig.slack_channel("ops", &rig.slack).await;
    let message = rig.fire(channel).await;
    rig.first_attempt(message).await;
    rig.execute(
        "update public.alert_notifications set created_at = now() - interval '25 h', next_attempt_at = now() where notification_id = $1",
        message,
    )
    .await;
    rig.wake.notify_one();
    let row = rig.until(message, "dead").await;
    assert_eq!(row.log[1]["outcome"], "dead");
    assert_eq!(rig.channel_state(channel).await.0, "broken");
}

#[tokio::test]
async fn blocks_that_slack_refuses_are_replaced_by_plain_text() {
    let rig = Rig::new().await;
    rig.slack.script([Answer::new(400, "invalid_blocks")]);
    let channel = rig.slack_channel("ops", &rig.slack).await;
    let message = rig.fire(channel).await;
    assert_eq!(rig.until(message, "sent").await.attempts, 1);
    let requests = rig.slack.requests();
    assert!(requests[0].json().get("blocks").is_some());
    assert!(requests[1].json().get("blocks").is_none());
    assert!(requests[1].json()["text"].as_str().is_some_and(|text| text.contains("25 errors")));
}

#[tokio::test]
async fn addresses_and_secrets_that_cannot_work_are_named() {
    let rig = Rig::new().await;
    let other = HttpSink::start().await.expect("a sink");
    rig.hook.otherwise(Answer::new(302, "").header("location", &other.url("/inside")));
    let cases = [
        (
            "redirect",
            "webhook",
            json!({"url": rig.hook.url("/")}),
            Some(SIGNING_SECRET),
            "redirects are not followed",
        ),
        (
            "metadata",
            "webhook",
            json!({"url": "http://169.254.169.254/latest"}),
            Some(SIGNING_SECRET),
            "169.254.169.254",
        ),
        (
            "private",
            "webhook",
            json!({"url": "https://10.1.2.3/"}),
            Some(SIGNING_SECRET),
            "not on the public internet",
        ),
        (
            "mapped",
            "webhook",
            json!({"url": "http://[::ffff:10.0.0.1]/"}),
            Some(SIGNING_SECRET),
            "not on the public internet",
        ),
        (
            "password",
            "webhook",
            json!({"url": "http://u:geheim@127.0.0.1/"}),
            Some(SIGNING_SECRET),
            "must not hold a user name",
        ),
        (
            "short secret",
            "webhook",
            json!({"url": rig.hook.url("/")}),
            Some("whsec_YWJj"),
            "24 to 64 bytes",
        ),
        ("no secret", "slack", json!({}), None, "no secret"),
        ("no address", "email", json!({"to": ["not an address"]}), None, "not a mail address"),
    ];
    for (name, kind, config, secret, reason) in cases {
        let channel = rig.channel(name, kind, config, secret).await;
        let message = rig.fire(channel).await;
        let row = rig.until(message, "dead").await;
        let said = row.last_error.unwrap_or_default();
        assert!(said.contains(reason) && !said.contains("geheim"), "{name}: {said}");
    }
    assert!(other.requests().is_empty());
    eventually("all broken", async || {
        let ok: i64 =
            sqlx::query_scalar("select count(*) from public.alert_channels where state = 'ok'")
                .fetch_one(&rig.admin)
                .await
                .expect("channels");
        (ok == 0).then_some(())
    })
    .await;
}
