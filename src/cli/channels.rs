//! `secret` and `send-test`: what an operator does with a channel.

use std::io::Read;

use clap::Args;
use secrecy::SecretString;
use serde_json::json;

use super::wiring;
use crate::{
    clock::Clock,
    config::{Database, Environment, Notify},
    error::Error,
    notify::{Outcome, send_test as send},
    store::{
        Db,
        secrets::{Resealed, Secrets},
    },
};

/// A secret is at most this long, in bytes.
const SECRET_LIMIT: u64 = 8 * 1024;

/// Store the secret of a channel, read from standard input: a Slack webhook address, or a webhook's
/// signing secret.
#[derive(Debug, Args)]
pub struct SecretArguments {
    /// The channel's name or id.
    #[arg(required_unless_present = "reseal")]
    channel: Option<String>,
    /// Read nothing; encrypt all secrets with the first key of CHANNEL_SECRETS_KEY, so that the
    /// others can be given up.
    #[arg(long, conflicts_with = "channel")]
    reseal: bool,
}

/// Send a marked test message to a channel and say what its receiver answered.
#[derive(Debug, Args)]
pub struct TestArguments {
    /// The channel's name or id.
    channel: String,
    /// Answer as JSON.
    #[arg(long)]
    json: bool,
}

pub async fn set_secret(
    arguments: SecretArguments,
    environment: &Environment,
) -> Result<(), Error> {
    let (db, notify) = connect(environment)?;
    let parts = wiring::notify_parts(&notify, Clock::system())?;
    let Some(channel) = arguments.channel else {
        return reseal(&parts.secrets(&db)?).await;
    };
    let mut text = String::new();
    std::io::stdin()
        .take(SECRET_LIMIT)
        .read_to_string(&mut text)
        .map_err(|error| Error::failed(format!("the secret cannot be read: {error}")))?;
    let secret = SecretString::from(text.trim());
    if text.trim().is_empty() {
        return Err(Error::failed(
            "standard input is empty; give the secret there, as in meshhook-errors secret CHANNEL < FILE",
        ));
    }
    let channel = parts.channels(&db).find(&channel).await?;
    parts.secrets(&db)?.set(channel.id, &secret).await?;
    println!("the secret of channel {:?} is stored", channel.name);
    Ok(())
}

async fn reseal(secrets: &Secrets) -> Result<(), Error> {
    let Resealed { renewed, current, unreadable } = secrets.reseal().await?;
    println!("{renewed} secrets encrypted anew, {current} were so before");
    if unreadable.is_empty() {
        return Ok(());
    }
    let ids: Vec<_> = unreadable.iter().map(ToString::to_string).collect();
    Err(Error::failed(format!(
        "none of the keys opens the secrets of these channels; set them again: {}",
        ids.join(", ")
    )))
}

pub async fn send_test(arguments: TestArguments, environment: &Environment) -> Result<(), Error> {
    let (db, notify) = connect(environment)?;
    let parts = wiring::notify_parts(&notify, Clock::system())?;
    let channels = parts.channels(&db);
    let dashboard = notify.dashboard_url.as_ref().map(url::Url::as_str);
    let report = send(&channels, &parts.senders, &arguments.channel, dashboard).await?;
    if let Some(note) = &report.note {
        eprintln!("note: {note}");
    }
    let channel = &report.channel;
    if arguments.json {
        let answer = json!({
            "channel": channel,
            "kind": report.kind,
            "notification_id": report.notification_id,
            "outcome": report.outcome.as_str(),
            "reason": report.outcome.reason(),
            "note": report.note,
        });
        println!("{answer}");
    }
    match report.outcome {
        Outcome::Sent { .. } if arguments.json => Ok(()),
        Outcome::Sent { .. } => {
            println!("channel {channel:?} ({}) accepted the test message", report.kind);
            Ok(())
        }
        Outcome::Retry { reason, .. } => Err(Error::failed(format!(
            "channel {channel:?} could not be reached this time: {reason}; try again, or look at its address"
        ))),
        Outcome::Permanent { reason } => Err(Error::failed(format!(
            "channel {channel:?} refused the test message: {reason}; mend the channel or its secret, and \
                 try again"
        ))),
    }
}

fn connect(environment: &Environment) -> Result<(Db, Notify), Error> {
    let mut reader = environment.reader();
    let database = Database::read(&mut reader);
    let notify = Notify::read(&mut reader);
    let (database, notify) = reader.finish(database.zip(notify))?;
    Ok((wiring::database(&database)?, notify))
}
