//! Claimed messages of one channel from the claim to the record of what came of them.

use std::{sync::Arc, time::Duration};

use serde::Deserialize as _;
use tokio::time::{Instant, sleep};
use uuid::Uuid;

use super::{
    attempt::{Attempt, Progress},
    mandate::{Leadership, Mandate, NoMandate, while_leading},
    message::{BrokenChannel, MessageKind, NotificationFacts, VERSION},
    metrics,
    outcome::Outcome,
    parcel::Parcel,
    schedule,
    sender::{Delivery, Senders},
    template::{self, Templates},
    template_watch,
};
use crate::{
    crash::{self, Point},
    model::Span,
    store::{
        Fence,
        channels::{Channel, Channels, Target},
        outbox::{Broken, Claim, Claimed, Completion, Fate, Outbox},
        templates::RuleTemplates,
    },
    telemetry,
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
    /// Its receiver said that it gets too much, and what waits for it may be merged.
    pub limited: bool,
}

/// A delivery's part of the trace of what it tells of; one that tells of several incidents is part of
/// the first one's, and linked to the others.
pub(super) fn span_of(channel: &Channel, messages: &[Claimed]) -> tracing::Span {
    let mut incidents: Vec<Uuid> = messages.iter().filter_map(|one| one.incident_id).collect();
    incidents.dedup();
    let span = tracing::debug_span!(
        "deliver",
        otel.kind = "client",
        channel = channel.name,
        kind = channel.kind,
        messages = messages.len(),
        incident_id = incidents.first().map(tracing::field::display),
    );
    let mut incidents = incidents.into_iter();
    if let Some(first) = incidents.next() {
        telemetry::follow(&span, first);
    }
    for other in incidents {
        telemetry::link(&span, other);
    }
    span
}

/// Sends claimed messages of one channel, in order and as one message where they are several, and
/// records the result.
pub(super) async fn deliver(
    shared: Arc<Shared>,
    channel: Arc<Channel>,
    messages: Vec<Claimed>,
    mandate: Mandate,
) -> Finished {
    crash::point(Point::Claimed);
    let mut finished = Finished { channel_id: channel.id, rest: None, limited: false };
    let claims: Vec<Claim> = messages.iter().map(Claimed::claim).collect();
    let mut results = Vec::new();
    let mut news: Vec<News> = Vec::new();
    let mut problems = Vec::new();
    for message in messages {
        // What stands before it in the same message the receiver knows too.
        let told = |earlier: &News| earlier.message.incident_id == message.incident_id;
        let knows = message.receiver_knows || news.iter().any(told);
        match wanted(&message, &channel, knows) {
            Ok(facts) => news.push(News::of(message, facts, &mut problems)),
            Err((fate, reason)) => results.push(unsent(&shared, &message, &channel, fate, reason)),
        }
    }
    let apart = not_together(&channel, &mut news);
    if !apart.is_empty()
        && let Err(error) = shared.outbox.release(mandate.holder, &apart).await
    {
        tracing::warn!(%error, channel = channel.name, "messages could not be given back; their claims will end by themselves");
    }
    let started = Instant::now();
    let sending = Box::pin(send(&shared, &channel, &news));
    let delivery = match while_leading(shared.leadership.as_ref(), &mandate, sending).await {
        Ok(delivery) => delivery,
        Err(NoMandate::Never) => {
            if let Err(error) = shared.outbox.release(mandate.holder, &claims).await {
                tracing::warn!(%error, channel = channel.name, "messages could not be given back; their claims will end by themselves");
            }
            return finished;
        }
        Err(NoMandate::Ended) => {
            tracing::warn!(
                channel = channel.name,
                messages = claims.len(),
                "leading ended while messages were on their way; whoever leads next sends them again"
            );
            return finished;
        }
    };
    crash::point(Point::Sent);
    if let Some(delivery) = delivery {
        let limited = delivery.status == Some(429);
        finished.limited = limited && channel.merges();
        let attempt = news.iter().map(|news| news.message.attempts).min();
        let attempt = attempt.and_then(|attempt| u32::try_from(attempt).ok()).unwrap_or(1);
        let made = Made { delivery, took: started.elapsed(), attempt, random: rand::random() };
        for News { message, facts, .. } in &news {
            results.push(made.completion(&shared, message, &channel, facts));
        }
        let waits = results.iter().filter_map(|result| match result.fate {
            Fate::Waiting(wait) => Some(wait),
            _ => None,
        });
        finished.rest = waits.min().map(|wait| if limited { wait } else { wait.min(REST_MAX) });
    }
    let fence = Fence { holder: mandate.holder, number: mandate.fence };
    record(&shared, &fence, &channel, &results).await;
    crash::point(Point::Confirmed);
    let book = shared.outbox.templates();
    for (templates, problem) in problems {
        template_watch::note_failure(&book, &templates, &problem).await;
    }
    finished
}

/// A message that is to be sent, with the words that its rule has for it.
struct News {
    message: Claimed,
    facts: NotificationFacts,
    progress: Progress,
    unclear: bool,
}

impl News {
    fn of(
        message: Claimed,
        mut facts: NotificationFacts,
        problems: &mut Vec<(RuleTemplates, String)>,
    ) -> Self {
        let (title, body) = (message.title_template.as_deref(), message.body_template.as_deref());
        let (texts, errors) = template::render(Templates { title, body }, &facts);
        if facts.transition != MessageKind::ChannelBroken {
            facts.texts = texts;
        }
        if let (Some(error), Some(rule_id)) = (errors.first(), message.rule_id)
            && problems.iter().all(|(known, _)| known.rule_id != rule_id)
        {
            let templates = RuleTemplates {
                rule_id,
                title_template: message.title_template.clone(),
                body_template: message.body_template.clone(),
                group_by: Vec::new(),
            };
            problems.push((templates, error.to_string()));
        }
        let progress = Progress::of(&message.attempt_log);
        let unclear = progress.is_unclear(message.attempts);
        Self { message, facts, progress, unclear }
    }

    fn parcel(&self) -> Parcel<'_> {
        Parcel {
            notification_id: self.message.notification_id,
            number: self.message.number,
            created_seconds: self.message.created_seconds,
            unclear: self.unclear,
            facts: &self.facts,
            progress: &self.progress,
        }
    }
}

/// Takes out what cannot be told in one mail with the first: what some of its recipients have already.
fn not_together(channel: &Channel, news: &mut Vec<News>) -> Vec<Claim> {
    let Some(done) = news.first().map(|first| first.progress.done()) else { return Vec::new() };
    if !matches!(channel.target, Ok(Target::Email { .. })) {
        return Vec::new();
    }
    let apart = news.extract_if(.., |other| other.progress.done() != done);
    apart.map(|news| news.message.claim()).collect()
}

/// Sends what there is to tell, if anything.
async fn send(shared: &Shared, channel: &Channel, news: &[News]) -> Option<Delivery> {
    let threads = shared.outbox.slack_threads();
    match news {
        [] => None,
        [one] => Some(shared.senders.send(channel, &one.parcel(), Some(&threads)).await),
        several => {
            let parcels: Vec<_> = several.iter().map(News::parcel).collect();
            metrics::digest(&channel.kind, parcels.len());
            Some(shared.senders.send_merged(channel, &parcels, Some(&threads)).await)
        }
    }
}

/// The facts to send, or why nothing is to be sent.
fn wanted(
    message: &Claimed,
    channel: &Channel,
    receiver_knows: bool,
) -> Result<NotificationFacts, (Fate, &'static str)> {
    if !channel.enabled {
        return Err((Fate::Dropped, "the channel is not enabled"));
    }
    let later = ["resolved", "acknowledged", "unacknowledged"].contains(&&*message.transition);
    if later && !receiver_knows {
        return Err((Fate::Dropped, "the channel never got word of the incident"));
    }
    NotificationFacts::deserialize(&message.payload)
        .ok()
        .filter(|facts| facts.version == VERSION)
        .ok_or((Fate::Dead, "the payload is not one that this version can read"))
}

/// The record of a message that is not to be sent.
fn unsent(
    shared: &Shared,
    message: &Claimed,
    channel: &Channel,
    fate: Fate,
    reason: &str,
) -> Completion {
    let outcome = if fate == Fate::Dropped { "dropped" } else { "dead" };
    metrics::attempt(&channel.kind, outcome, None);
    let entry = Attempt {
        at: shared.senders.clock.now(),
        outcome: outcome.to_owned(),
        reason: Some(reason.to_owned()),
        ..Attempt::default()
    };
    Completion {
        claim: message.claim(),
        fate,
        entry: serde_json::json!([entry]),
        last_error: Some(reason.to_owned()),
        receipt: None,
        broken: None,
    }
}

/// An attempt that was made, for one message or several.
struct Made {
    delivery: Delivery,
    took: Duration,
    /// The lowest number of attempts of a message among them, and a number from 0 to 1: the next
    /// wait is the same for all, so that they come back together.
    attempt: u32,
    random: f64,
}

impl Made {
    fn completion(
        &self,
        shared: &Shared,
        message: &Claimed,
        channel: &Channel,
        facts: &NotificationFacts,
    ) -> Completion {
        let Delivery { outcome, status, accepted, refused, note } = &self.delivery;
        let attempt = u32::try_from(message.attempts).unwrap_or(1);
        #[expect(clippy::cast_possible_truncation, reason = "saturates; an age is days at most")]
        let age = Span::from_micros((message.age_seconds * 1e6) as i64);
        let fate = match outcome {
            Outcome::Sent { .. } => Fate::Sent,
            Outcome::Permanent { .. } => Fate::Dead,
            Outcome::Retry { after, .. } => schedule::wait(self.attempt, age, *after, self.random)
                .map_or(Fate::Dead, Fate::Waiting),
        };
        let word = match (fate, outcome) {
            (Fate::Dead, Outcome::Retry { .. }) => "dead",
            _ => outcome.as_str(),
        };
        metrics::attempt(&channel.kind, word, Some(self.took));
        report(message, channel, outcome, note.as_deref(), fate, self.took);

        let now = shared.senders.clock.now();
        let is_broken = match outcome {
            Outcome::Sent { .. } => false,
            Outcome::Permanent { .. } => true,
            Outcome::Retry { .. } => fate == Fate::Dead || attempt >= schedule::TELL_OTHERS_AT,
        };
        let reason = outcome.reason().map(str::to_owned);
        let broken = is_broken.then(|| {
            let reason = reason.clone().unwrap_or_default();
            let (id, name, kind) = (channel.id, channel.name.clone(), channel.kind.clone());
            let told =
                facts.channel_broken(now, BrokenChannel { id, name, kind, reason: reason.clone() });
            let payload = serde_json::to_value(told).unwrap_or_default();
            let project_id = message.notification_project_id;
            Broken { reason, rule_id: facts.rule_id(), project_id, payload }
        });
        let entry = Attempt {
            at: now,
            ms: u64::try_from(self.took.as_millis()).unwrap_or(u64::MAX),
            outcome: word.to_owned(),
            status: *status,
            reason: reason.clone().or_else(|| note.clone()),
            accepted: accepted.clone(),
            refused: refused.clone(),
        };
        let receipt = if let Outcome::Sent { receipt } = outcome { receipt.clone() } else { None };
        Completion {
            claim: message.claim(),
            fate,
            entry: serde_json::json!([entry]),
            last_error: reason.or_else(|| note.clone()),
            receipt,
            broken,
        }
    }
}

fn report(
    claimed: &Claimed,
    channel: &Channel,
    outcome: &Outcome,
    note: Option<&str>,
    fate: Fate,
    took: Duration,
) {
    let id = claimed.notification_id;
    // None for what is about a channel; a field without a value is left out.
    let incident_id = claimed.incident_id.map(tracing::field::display);
    let (transition, attempt) = (&*claimed.transition, claimed.attempts);
    let (name, kind) = (&*channel.name, &*channel.kind);
    match (outcome.reason(), fate) {
        (None, _) => match note {
            None => {
                tracing::info!(notification_id = %id, incident_id, transition, channel = name, kind, attempt, ?took, "notification sent");
            }
            Some(note) => {
                tracing::warn!(notification_id = %id, incident_id, transition, channel = name, kind, attempt, ?took, note, "notification sent, but not to everybody");
            }
        },
        (Some(reason), Fate::Waiting(wait)) => {
            tracing::warn!(notification_id = %id, incident_id, transition, channel = name, kind, attempt, reason, retry_in_seconds = wait.as_secs_f64(), "notification not delivered, will be retried");
        }
        (Some(reason), _) => {
            tracing::error!(notification_id = %id, incident_id, transition, channel = name, kind, attempt, reason, "notification given up");
        }
    }
}

/// Records results, again and again while the database is away: a result that is lost means a
/// message that is sent twice.
async fn record(shared: &Shared, fence: &Fence, channel: &Channel, results: &[Completion]) {
    let give_up_at = Instant::now() + RECORD_LIMIT;
    let mut pause = Duration::from_millis(100);
    loop {
        match shared.outbox.complete(fence, channel.id, results).await {
            Ok(recorded) if recorded == results.len() => return,
            Ok(recorded) => {
                let passed_on = results.len() - recorded;
                tracing::warn!(
                    channel = channel.name,
                    passed_on,
                    "claims on messages had passed on before the result was recorded"
                );
                return;
            }
            Err(error) if Instant::now() + pause >= give_up_at => {
                let messages = results.len();
                tracing::error!(%error, channel = channel.name, messages, "the result of messages could not be recorded; they may be sent again");
                return;
            }
            Err(_) => sleep(pause).await,
        }
        pause = (pause * 2).min(Duration::from_secs(2));
    }
}
