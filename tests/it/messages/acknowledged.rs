//! That somebody takes care of an incident is told where it is of use: by the message that changes,
//! and to programs; nobody else is disturbed.

use meshhook_errors::model::TransitionKind as Kind;
use uuid::Uuid;

use super::slack_bot;
use crate::{notify::rig::Rig, support::eventually};

async fn person(rig: &Rig, name: &str) -> Uuid {
    sqlx::query_scalar(
        "insert into auth.users (email, encrypted_password, raw_user_meta_data)
         values ($1 || '@example.com', '', jsonb_build_object('name', $1)) returning id",
    )
    .bind(name)
    .fetch_one(&rig.admin)
    .await
    .expect("a user")
}

async fn acknowledge(rig: &Rig, incident: Uuid, by: Option<Uuid>) {
    sqlx::query(
        "update public.alert_incidents
            set acknowledged_at = case when $2::uuid is not null then now() end, acknowledged_by = $2,
                acknowledge_note = case when $2 is not null then 'a <!channel> look' end
          where incident_id = $1",
    )
    .bind(incident)
    .bind(by)
    .execute(&rig.admin)
    .await
    .expect("acknowledged");
    rig.wake.notify_one();
}

#[tokio::test]
async fn an_acknowledgement_changes_the_message_and_reaches_programs_only() {
    let (rig, slack, bot) = slack_bot::rig().await;
    let old = rig.slack_channel("incoming", &rig.slack).await;
    let mail = rig.mail_channel(&["ada@mesh.example"]).await;
    let hook = rig.hook_channel(&rig.hook.url("/alerts")).await;
    let incident = rig.incident().await;
    for channel in [bot, old, mail, hook] {
        let row = rig.notify(incident, channel, Kind::Firing).await;
        rig.until(row, "sent").await;
    }
    let rita = person(&rig, "Rita").await;
    acknowledge(&rig, incident, Some(rita)).await;
    let messages = eventually("the message changes", async || {
        let messages = slack.messages();
        (messages.len() == 2).then_some(messages)
    })
    .await;
    assert_eq!(messages[0].edits, 1);
    assert!(messages[0].text.contains("👀 Acknowledged: Payments failing"), "{}", messages[0].text);
    assert!(messages[0].all_text().contains("Rita takes care of it: a &lt;!channel&gt; look"));
    assert!(!messages[1].broadcast);
    let told = eventually("the webhook", async || rig.hook.requests().get(1).cloned()).await.json();
    assert_eq!(told["type"], "incident.acknowledged");
    assert_eq!(told["data"]["acknowledgement"]["by"], "Rita");
    assert_eq!(told["data"]["acknowledgement"]["note"], "a <!channel> look");

    // Given back, and taken again: each is news.
    acknowledge(&rig, incident, None).await;
    acknowledge(&rig, incident, Some(rita)).await;
    let types = eventually("both are told", async || {
        let requests = rig.hook.requests();
        let types =
            requests.iter().map(|r| r.json()["type"].as_str().unwrap_or_default().to_owned());
        let types: Vec<_> = types.collect();
        (types.len() == 4).then_some(types)
    })
    .await;
    assert_eq!(types[2..], ["incident.unacknowledged", "incident.acknowledged"]);
    let end = rig.notify(incident, hook, Kind::Resolved).await;
    rig.until(end, "sent").await;
    assert_eq!(
        (rig.slack.requests().len(), rig.mail.mails().len()),
        (1, 1),
        "nobody was disturbed"
    );
}

#[tokio::test]
async fn an_escalation_says_itself_that_nobody_takes_care_any_more() {
    let (rig, slack, bot) = slack_bot::rig().await;
    let incident = rig.incident().await;
    let row = rig.notify(incident, bot, Kind::Firing).await;
    rig.until(row, "sent").await;
    acknowledge(&rig, incident, Some(person(&rig, "Rita").await)).await;
    eventually("it is told", async || (slack.messages().len() == 2).then_some(())).await;
    rig.execute(
        "update public.alert_incidents set level = 'critical', acknowledged_at = null where incident_id = $1",
        incident,
    )
    .await;
    let count: i64 = sqlx::query_scalar(
        "select count(*) from public.alert_notifications where transition = 'unacknowledged'",
    )
    .fetch_one(&rig.admin)
    .await
    .expect("a count");
    assert_eq!(count, 0);
}
