//! Channel secrets in the database: readable with the right key only, and by no API role.

use meshhook_errors::store::{
    channels::{ChannelError, Channels},
    secrets::{SecretError, Secrets},
};
use secrecy::ExposeSecret as _;
use serde_json::json;
use uuid::Uuid;

use super::rig::{Rig, key};

#[tokio::test]
async fn a_secret_is_read_back_with_its_key_only() {
    let rig = Rig::idle().await;
    let channel = rig.channel("ops", "slack", json!({}), None).await;
    let secrets = Secrets::new(rig.daemon.clone(), key(1));
    assert!(matches!(secrets.get(channel).await, Err(SecretError::Missing)));
    secrets.set(channel, &"https://hooks.example/1".into()).await.expect("set");
    secrets.set(channel, &"https://hooks.example/2".into()).await.expect("set again");
    let read = secrets.get(channel).await.expect("get");
    assert_eq!(read.expose_secret(), "https://hooks.example/2");

    let stored: Vec<u8> =
        sqlx::query_scalar("select ciphertext from error_tracking.channel_secrets")
            .fetch_one(&rig.admin)
            .await
            .expect("the row");
    assert!(!String::from_utf8_lossy(&stored).contains("hooks"));
    let (has_secret,): (bool,) = sqlx::query_as("select has_secret from public.alert_channels")
        .fetch_one(&rig.admin)
        .await
        .expect("the channel");
    assert!(has_secret);

    let other = Secrets::new(rig.daemon.clone(), key(2));
    let error = other.get(channel).await.expect_err("another key").to_string();
    assert!(error.contains("set the secret again"), "{error}");
    let nowhere = Uuid::new_v4();
    let error = secrets.set(nowhere, &"x".into()).await.expect_err("no such channel");
    assert!(matches!(error, SecretError::NoChannel(id) if id == nowhere));
}

#[tokio::test]
async fn a_channel_says_why_it_cannot_be_used() {
    let rig = Rig::idle().await;
    rig.slack_channel("ops", &rig.slack).await;
    let target = async |key| {
        let channels = Channels::new(rig.daemon.clone(), key);
        channels.find("ops").await.expect("the channel").target.clone()
    };
    assert!(target(Some(key(1))).await.is_ok());
    assert!(matches!(target(None).await, Err(ChannelError::NoKey)));
    assert!(matches!(target(Some(key(2))).await, Err(ChannelError::Undecryptable(_))));
}

#[tokio::test]
async fn a_new_secret_is_used_and_mends_the_channel() {
    let rig = Rig::idle().await;
    let channel = rig.slack_channel("ops", &rig.slack).await;
    let channels = rig.channels();
    let before = channels.find("ops").await.expect("the channel");
    rig.execute(
        "update public.alert_channels set state = 'broken', broken_reason = 'x' where channel_id = $1",
        channel,
    )
    .await;
    let secrets = Secrets::new(rig.daemon.clone(), key(1));
    secrets
        .set(channel, &json!({"webhook_url": "https://new.example/"}).to_string().into())
        .await
        .expect("set");
    assert_eq!(rig.channel_state(channel).await.0, "ok");
    let after = channels.find("ops").await.expect("the channel");
    let show = |channel: &meshhook_errors::store::channels::Channel| match &channel.target {
        Ok(meshhook_errors::store::channels::Target::Slack { url }) => {
            url.expose_secret().to_owned()
        }
        other => panic!("unexpected {other:?}"),
    };
    assert_eq!(show(&after), "https://new.example/");
    assert_ne!(show(&before), show(&after));

    // A person's change mends it too; the daemon's own notes do not count as one.
    rig.execute(
        "update public.alert_channels set state = 'broken', broken_reason = 'x' where channel_id = $1",
        channel,
    )
    .await;
    assert_eq!(rig.channel_state(channel).await.0, "broken");
    rig.execute(
        "update public.alert_channels set name = 'operators' where channel_id = $1",
        channel,
    )
    .await;
    assert_eq!(rig.channel_state(channel).await, ("ok".into(), None));
}
