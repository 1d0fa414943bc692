//! Trying a channel: with a message, or as far as possible without one.

use secrecy::ExposeSecret as _;
use uuid::Uuid;

use super::{
    attempt::Progress,
    message::NotificationFacts,
    outcome::Outcome,
    parcel::Parcel,
    sender::{NO_MAIL_SERVER, Senders},
    webhook,
};
use crate::store::channels::{Channel, Channels, FindError, Target};

/// What came of a test message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TestReport {
    /// The channel's name.
    pub channel: String,
    /// slack, email or webhook.
    pub kind: String,
    /// The message's id, which also stands in what was sent.
    pub notification_id: Uuid,
    /// What the receiver answered.
    pub outcome: Outcome,
    /// What should be known although it went out, such as a refused address.
    pub note: Option<String>,
}

/// Sends a marked test message to the channel with this name or id, once and at once, past the
/// outbox, so that the caller sees the receiver's answer. A channel that is not enabled is tried too.
///
/// # Errors
/// Where there is no such channel, or the database cannot be asked.
pub async fn send_test(
    channels: &Channels,
    senders: &Senders,
    name_or_id: &str,
    dashboard_url: Option<&str>,
) -> Result<TestReport, FindError> {
    let channel = channels.find(name_or_id).await?;
    let notification_id = Uuid::new_v4();
    let facts = NotificationFacts::test(senders.clock.now(), dashboard_url);
    let progress = Progress::default();
    let parcel = Parcel {
        notification_id,
        number: 0,
        created_seconds: 0.0,
        unclear: false,
        facts: &facts,
        progress: &progress,
    };
    let delivery = senders.send(&channel, &parcel, None).await;
    let (outcome, note) = (delivery.outcome, delivery.note);
    let (channel, kind) = (channel.name.clone(), channel.kind.clone());
    Ok(TestReport { channel, kind, notification_id, outcome, note })
}

/// Checks a channel as far as that goes without sending a message: its settings, that its address
/// may be reached and takes connections, and for mail that the server lets the daemon in.
/// Says what was reached.
///
/// # Errors
/// A sentence for the operator.
pub async fn probe(senders: &Senders, channel: &Channel) -> Result<String, String> {
    let http = async |url: &str| {
        let reached = senders.egress.probe(url).await;
        reached.map(|address| address.to_string()).map_err(|error| error.to_string())
    };
    match channel.target.as_ref().map_err(ToString::to_string)? {
        Target::Slack { url } => http(url.expose_secret()).await,
        Target::SlackBot { token, .. } => {
            let asked = senders.slack_api(token).call("auth.test", &serde_json::json!({})).await;
            let answer = asked.map_err(|failure| {
                failure.outcome.reason().unwrap_or("auth.test failed").to_owned()
            })?;
            let word = |name| answer.get(name).and_then(serde_json::Value::as_str).unwrap_or("?");
            Ok(format!("Slack workspace {} as {}", word("team"), word("user")))
        }
        Target::PagerDuty { region, .. } => http(senders.pagerduty_address(*region)).await,
        Target::Webhook { url, secret } => {
            webhook::check_secret(secret).map_err(|error| error.to_string())?;
            http(url).await
        }
        Target::Email { .. } => {
            let mailer = senders.mailer.as_ref().ok_or(NO_MAIL_SERVER)?;
            mailer.probe().await.map(|()| mailer.address())
        }
    }
}
