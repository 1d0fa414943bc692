//! One claimed message from the claim to the record of what came of it.

use std::{sync::Arc, time::Duration};

use serde::Deserialize as _;
use tokio::time::{Instant, sleep};
use uuid::Uuid;

use super::{
    attempt::{Attempt, Progress},
    dispatcher::{Leadership, Mandate},
    message::{BrokenChannel, NotificationFacts, VERSION},
    metrics,
    outcome::Outcome,
    schedule,
    sender::{Delivery, Senders},
};
use crate::{
    model::Span,
    store::{
        channels::{Channel, Channels},
        outbox::{Broken, ClaimRef, Claimed, Completion, Fate, Outbox},
    },
};

/// How long a result is tried to be recorded while the database is away; then the claim ends too.
const RECORD_LIMIT: Duration = Duration::from_secs(8);

/// A channel that failed rests this long at most, unless its receiver asked for more: a message of
/// another incident should find out soon that it works again.
const REST_MAX: Span = Span::from_secs(5);

/// What all deliveries share.
pub(super) struct Shared {
    pub outbox: Outbox,
    pub channels: Arc<Channels>,
    pub senders: Senders,
    pub leadership: Arc<dyn Leadership>,
}

/// What a delivery leaves behind for the dispatcher.
pub(super) struct Finished {
    /// The channel that is free again …
    pub channel_id: Uuid,
    /// … after this time.
    pub rest: Option<Span>,
}

/// Sends one claimed message and records the result.
pub(super) async fn deliver(shared: Arc<Shared>, claimed: Claimed, mandate: Mandate) -> Finished {
    let claim = ClaimRef {
        notification_id: claimed.notification_id,
        holder: mandate.holder,
        attempt: claimed.attempts,
    };
    let channel = shared.channels.open(claimed.channel.clone());
    let mut finished = Finished { channel_id: channel.id, rest: None };
    let facts = match wanted(&claimed, &channel) {
        Ok(facts) => facts,
        Err((fate, reason)) => {
            let outcome = if fate == Fate::Dropped { "dropped" } else { "dead" };
            metrics::attempt(&channel.kind, outcome, None);
            let entry = Attempt {
                at: shared.senders.clock.now(),
                outcome: outcome.to_owned(),
                reason: Some(reason.to_owned()),
                ..Attempt::default()
            };
            let last_error = Some(reason.to_owned());
            let entry = serde_json::json!([entry]);
            let completion = Completion { fate, entry, last_error, receipt: None, broken: None };
            record(&shared, claim, channel.id, &completion).await;
            return finished;
        }
    };
    // The last look before the message leaves: a leader that was stopped for a while must not send.
    if !shared.leadership.mandate().is_some_and(|now| now.covers(&mandate)) {
        if let Err(error) = shared.outbox.release(claim).await {
            tracing::warn!(%error, notification_id = %claim.notification_id, "a message could not be given back; its claim will end by itself");
        }
        return finished;
    }
    let started = Instant::now();
    let progress = Progress::of(&claimed.attempt_log);
    let delivery = shared.senders.send(&channel, claimed.notification_id, &facts, &progress).await;
    let took = started.elapsed();
    let completion = completion(&shared, &claimed, &channel, &facts, delivery, took);
    if let Fate::Waiting(wait) = completion.fate {
        finished.rest = Some(rest(wait, &completion));
    }
    record(&shared, claim, channel.id, &completion).await;
    finished
}

/// The facts to send, or why nothing is to be sent.
fn wanted(claimed: &Claimed, channel: &Channel) -> Result<NotificationFacts, (Fate, &'static str)> {
    if !channel.enabled {
        return Err((Fate::Dropped, "the channel is not enabled"));
    }
    if claimed.transition == "resolved" && !claimed.receiver_knows {
        return Err((Fate::Dropped, "the channel never got word of the incident"));
    }
    NotificationFacts::deserialize(&claimed.payload)
        .ok()
        .filter(|facts| facts.version == VERSION)
        .ok_or((Fate::Dead, "the payload is not one that this version can read"))
}

fn completion(
    shared: &Shared,
    claimed: &Claimed,
    channel: &Channel,
    facts: &NotificationFacts,
    delivery: Delivery,
    took: Duration,
) -> Completion {
    let Delivery { outcome, status, accepted, refused, note } = delivery;
    let attempt = u32::try_from(claimed.attempts).unwrap_or(1);
    #[expect(clippy::cast_possible_truncation, reason = "saturates; an age is days at most")]
    let age = Span::from_micros((claimed.age_seconds * 1e6) as i64);
    let fate = match &outcome {
        Outcome::Sent { .. } => Fate::Sent,
        Outcome::Permanent { .. } => Fate::Dead,
        Outcome::Retry { after, .. } => {
            schedule::wait(attempt, age, *after, rand::random()).map_or(Fate::Dead, Fate::Waiting)
        }
    };
    let word = match (fate, &outcome) {
        (Fate::Dead, Outcome::Retry { .. }) => "dead",
        _ => outcome.as_str(),
    };
    metrics::attempt(&channel.kind, word, Some(took));
    report(claimed, channel, &outcome, note.as_deref(), fate, took);

    let now = shared.senders.clock.now();
    let is_broken = match &outcome {
        Outcome::Sent { .. } => false,
        Outcome::Permanent { .. } => true,
        Outcome::Retry { .. } => fate == Fate::Dead || attempt >= schedule::TELL_OTHERS_AT,
    };
    let broken = is_broken.then(|| {
        let reason = outcome.reason().unwrap_or_default().to_owned();
        let (id, name, kind) = (channel.id, channel.name.clone(), channel.kind.clone());
        let told =
            facts.channel_broken(now, BrokenChannel { id, name, kind, reason: reason.clone() });
        let payload = serde_json::to_value(told).unwrap_or_default();
        let project_id = claimed.notification_project_id;
        Broken { reason, rule_id: facts.rule_id(), project_id, payload }
    });
    let entry = Attempt {
        at: now,
        ms: u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
        outcome: word.to_owned(),
        status,
        reason: outcome.reason().or(note.as_deref()).map(str::to_owned),
        accepted,
        refused,
    };
    let last_error = outcome.reason().map(str::to_owned).or(note);
    let receipt = if let Outcome::Sent { receipt } = outcome { receipt } else { None };
    Completion { fate, entry: serde_json::json!([entry]), last_error, receipt, broken }
}

/// How long the channel rests: as long as its receiver asked for, else a few seconds.
fn rest(wait: Span, completion: &Completion) -> Span {
    let asked = completion.entry.pointer("/0/status").and_then(serde_json::Value::as_u64);
    if asked == Some(429) { wait } else { wait.min(REST_MAX) }
}

fn report(
    claimed: &Claimed,
    channel: &Channel,
    outcome: &Outcome,
    note: Option<&str>,
    fate: Fate,
    took: Duration,
) {
    let (id, incident) = (claimed.notification_id, claimed.incident_id);
    let (transition, attempt) = (&*claimed.transition, claimed.attempts);
    let (name, kind) = (&*channel.name, &*channel.kind);
    match (outcome.reason(), fate) {
        (None, _) => match note {
            None => {
                tracing::info!(notification_id = %id, ?incident, transition, channel = name, kind, attempt, ?took, "notification sent");
            }
            Some(note) => {
                tracing::warn!(notification_id = %id, ?incident, transition, channel = name, kind, attempt, ?took, note, "notification sent, but not to everybody");
            }
        },
        (Some(reason), Fate::Waiting(wait)) => {
            tracing::warn!(notification_id = %id, ?incident, transition, channel = name, kind, attempt, reason, retry_in_seconds = wait.as_secs_f64(), "notification not delivered, will be retried");
        }
        (Some(reason), _) => {
            tracing::error!(notification_id = %id, ?incident, transition, channel = name, kind, attempt, reason, "notification given up");
        }
    }
}

/// Records a result, again and again while the database is away: a result that is lost means a
/// message that is sent twice.
async fn record(shared: &Shared, claim: ClaimRef, channel_id: Uuid, completion: &Completion) {
    let give_up_at = Instant::now() + RECORD_LIMIT;
    let mut pause = Duration::from_millis(100);
    loop {
        match shared.outbox.complete(claim, channel_id, completion).await {
            Ok(true) => return,
            Ok(false) => {
                tracing::warn!(notification_id = %claim.notification_id, "the claim on a message had passed on before its result was recorded");
                return;
            }
            Err(error) if Instant::now() + pause >= give_up_at => {
                tracing::error!(%error, notification_id = %claim.notification_id, "the result of a message could not be recorded; it may be sent again");
                return;
            }
            Err(_) => sleep(pause).await,
        }
        pause = (pause * 2).min(Duration::from_secs(2));
    }
}
