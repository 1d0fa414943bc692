//! Messages that nobody took for a day: given up, and shown wherever an operator looks.

use meshhook_errors::sinks::Answer;
use serde_json::Value;
use uuid::Uuid;

use crate::{
    notify::rig::Rig,
    support::{
        eventually,
        stack::{Stack, burst},
    },
};

#[tokio::test]
async fn what_was_given_up_after_a_day_shows_in_row_status_and_metrics() {
    let stack = Stack::start().await;
    stack.slack.otherwise(Answer::new(503, "down"));
    let channel = stack.channel("ops", "slack").await;
    let fields = serde_json::json!({"window_seconds": 60, "warning": 3});
    stack.rule("Errors", fields, &[channel]).await;
    let instance = stack.daemon().await;
    stack.reporter(None).insert_errors(&burst(3, "system", 0)).await.expect("errors");
    let message: Uuid = eventually("a first attempt", || async {
        let sql = "select notification_id from public.alert_notifications where attempts > 0 and state = 'waiting'";
        sqlx::query_scalar(sql).fetch_optional(&stack.admin).await.expect("the outbox")
    })
    .await;
    stack
        .execute(
            "update public.alert_notifications set created_at = now() - interval '24 h', next_attempt_at = now() \
              where notification_id = $1",
            message,
        )
        .await;
    let sql = "select state from public.alert_notifications where notification_id = $1";
    eventually("it is given up", || async {
        (stack.text_of(sql, message).await.as_deref() == Some("dead")).then_some(())
    })
    .await;
    let (log, state): (Value, String) = sqlx::query_as(
        "select n.attempt_log, c.state from public.alert_notifications n join public.alert_channels c using (channel_id)",
    )
    .fetch_one(&stack.admin)
    .await
    .expect("the message");
    assert_eq!(
        log.as_array().and_then(|log| log.last()).map(|last| &last["outcome"]),
        Some(&"dead".into())
    );
    assert_eq!(state, "broken");
    eventually("the status row tells of it", || async {
        let problems: Value =
            sqlx::query_scalar("select problems from public.error_tracker_status")
                .fetch_one(&stack.admin)
                .await
                .expect("the status row");
        problems.to_string().contains("1 messages of the last two days were given up").then_some(())
    })
    .await;
    let (_, metrics) = instance.http("/metrics").await;
    assert!(metrics.contains("meshhook_errors_notifications_given_up 1"), "{metrics}");
    assert!(metrics.contains("outcome=\"dead\""), "{metrics}");
    instance.stop().await;
}

/// The schedule belongs to the message and not to the process.
#[tokio::test]
async fn a_restart_goes_on_where_the_schedule_stood() {
    let mut rig = Rig::new().await;
    rig.slack.otherwise(Answer::new(503, "down"));
    let channel = rig.slack_channel("ops", &rig.slack).await;
    let message = rig.fire(channel).await;
    eventually("two attempts", async || (rig.row(message).await.attempts == 2).then_some(())).await;
    rig.stop().await;
    let before = rig.row(message).await;
    assert_eq!((&*before.state, before.log.as_array().map(Vec::len)), ("waiting", Some(2)));
    rig.slack.otherwise(Answer::ok());
    let rig = rig.restarted();
    let row = rig.until(message, "sent").await;
    assert_eq!(row.attempts, 3);
    let requests = rig.slack.requests();
    let waited = requests[2].received_at - requests[1].received_at;
    assert!(waited.as_secs_f64() > 3.9, "5 s within a fifth: {waited:?}");
}
