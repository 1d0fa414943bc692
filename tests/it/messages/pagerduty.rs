//! PagerDuty's Events API v2: the life of an alert under one key, and what its answers mean.

use meshhook_errors::{
    model::TransitionKind as Kind,
    notify::{probe, send_test},
    sinks::{Answer, PagerDutySink, PagerDutyState},
};
use serde_json::json;
use uuid::Uuid;

use crate::notify::rig::Rig;

const KEY: &str = "0123456789abcdef0123456789abcdef";

async fn rig() -> (Rig, PagerDutySink, Uuid) {
    let pager = PagerDutySink::start(KEY).await.expect("a service");
    let mut rig = Rig::idle().await;
    rig.endpoints.pagerduty = Some(pager.url());
    rig.start();
    let channel = rig.pagerduty_channel(KEY).await;
    (rig, pager, channel)
}

#[tokio::test]
async fn an_alert_is_triggered_acknowledged_and_resolved_under_one_key() {
    let (rig, pager, channel) = rig().await;
    let incident = rig.incident().await;
    let row = rig.notify(incident, channel, Kind::Firing).await;
    let sent = rig.until(row, "sent").await;
    let alerts = pager.alerts();
    let (key, alert) = alerts.first_key_value().expect("an alert");
    assert_eq!((alert.state, &*alert.severity), (PagerDutyState::Triggered, "warning"));
    assert_eq!(alert.summary, "Warning: Payments failing: 25 errors in 5 min (threshold 20)");
    assert_eq!(sent.receipt.as_ref(), Some(key));

    rig.execute(
        "update public.alert_incidents set acknowledged_at = now(), acknowledge_note = 'looking' where incident_id = $1",
        incident,
    )
    .await;
    rig.wake.notify_one();
    crate::support::eventually("it is acknowledged there", async || {
        let alert = pager.alerts().into_values().next()?;
        (alert.state == PagerDutyState::Acknowledged).then_some(())
    })
    .await;
    for kind in [Kind::Escalated, Kind::Reminder, Kind::Resolved] {
        let row = rig.notify(incident, channel, kind).await;
        rig.until(row, "sent").await;
    }
    let alerts = pager.alerts();
    assert_eq!(alerts.len(), 1);
    assert_eq!(alerts[key].state, PagerDutyState::Resolved);
    // The next breach of the same group opens it again.
    let again = rig.fire(channel).await;
    rig.until(again, "sent").await;
    assert_eq!((pager.alerts().len(), pager.alerts()[key].opened), (1, 2));
    let other = rig.notify_of(rig.incident().await, channel, Kind::Firing, Some("input")).await;
    rig.until(other, "sent").await;
    assert_eq!(pager.alerts().len(), 2, "another group has another alert");
}

#[tokio::test]
async fn a_lost_answer_opens_nothing_twice_and_a_refusal_marks_the_channel() {
    let (rig, pager, channel) = rig().await;
    pager.http().script([Answer::reset(), Answer::new(429, "").header("retry-after", "1")]);
    let message = rig.fire(channel).await;
    assert_eq!(rig.until(message, "sent").await.attempts, 3);
    assert_eq!(pager.alerts().into_values().map(|alert| alert.opened).collect::<Vec<_>>(), [1]);

    let wrong =
        rig.channel("wrong", "webhook", json!({"format": "pagerduty"}), Some("short")).await;
    let lost = rig.fire(wrong).await;
    let reason = rig.until(lost, "dead").await.last_error.unwrap_or_default();
    assert!(reason.contains("Length of 'routing_key' is incorrect"), "{reason}");
    assert_eq!(rig.channel_state(wrong).await.0, "broken");
    // The rule's other channel is told, as an alert of its own.
    crate::support::eventually("news of the broken channel", async || {
        pager.alerts().keys().any(|key| key.starts_with("meshhook-errors/channel/")).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_service_can_be_tried_without_waking_anybody_for_long() {
    let (rig, pager, _) = rig().await;
    let (channels, senders) = (rig.channels(), rig.senders());
    let report = send_test(&channels, &senders, "pager", None).await.expect("a channel");
    assert_eq!(report.outcome.as_str(), "sent", "{report:?}");
    let alerts: Vec<_> = pager.alerts().into_values().map(|a| (a.state, a.severity)).collect();
    assert_eq!(alerts, [(PagerDutyState::Resolved, "info".to_owned())]);
    let found = channels.find("pager").await.expect("the channel");
    probe(&senders, &found).await.expect("reached");
    assert_eq!(pager.http().requests().len(), 2, "a probe sends nothing");
}

#[tokio::test]
async fn levels_are_called_what_the_channel_says() {
    let (rig, pager, _) = rig().await;
    let config =
        json!({"format": "pagerduty", "severities": {"warning": "info", "critical": "error"}});
    let channel = rig.channel("mapped", "webhook", config, Some(KEY)).await;
    let message = rig.fire(channel).await;
    rig.until(message, "sent").await;
    let severities: Vec<_> = pager.alerts().into_values().map(|alert| alert.severity).collect();
    assert_eq!(severities, ["info"]);
}
