//! One Slack message per incident: posted once, changed in place, and answered in its thread.
//!
//! A change alone wakes nobody, so each piece of news is a reply too; what must be seen in the channel
//! (escalations, reminders) is broadcast to it. Slack knows no idempotency key. Each message therefore
//! carries the id of what it tells as metadata, and after an attempt whose answer was lost the bot
//! looks for it before it writes again.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use uuid::Uuid;

use super::{
    controls, digest,
    message::{MessageKind, NotificationFacts},
    outcome::Outcome,
    parcel::Parcel,
    sender::Delivery,
    slack,
    slack_api::{ApiFailure, SlackApi},
};
use crate::store::{
    StoreError,
    slack_threads::{SlackThread, SlackThreads},
};

/// The type of the metadata that tells our messages apart.
pub const EVENT_TYPE: &str = "meshhook_errors_alert";
/// Clocks may differ by this many seconds when a message is looked for.
const CLOCKS_DIFFER: f64 = 120.0;
/// Messages looked at; Slack gives some apps no more than 15.
const LOOKED_AT: u32 = 15;

/// A bot and the conversation it writes to.
pub(super) struct Bot<'a> {
    pub api: SlackApi<'a>,
    pub conversation: &'a str,
    pub channel_id: Uuid,
    /// Where messages are remembered; none for a mere test.
    pub threads: Option<&'a SlackThreads>,
    /// Whether messages have buttons.
    pub buttons: bool,
}

impl From<StoreError> for ApiFailure {
    fn from(error: StoreError) -> Self {
        Self::own(error.to_string())
    }
}

impl Bot<'_> {
    /// Tells one piece of news.
    pub async fn tell(&self, parcel: &Parcel<'_>) -> Delivery {
        delivery(self.try_tell(parcel).await)
    }

    /// Tells several pieces of news as one message, and brings the messages of their incidents up
    /// to date.
    pub async fn tell_merged(&self, parcels: &[Parcel<'_>]) -> Delivery {
        delivery(self.try_tell_merged(parcels).await)
    }

    async fn try_tell(&self, parcel: &Parcel<'_>) -> Result<String, ApiFailure> {
        let (Some(threads), Some(incident)) = (self.threads, incident_of(parcel.facts)) else {
            let mark = Mark::of(&[*parcel]);
            return self.post(&self.whole(parcel.facts), mark.as_ref(), None).await;
        };
        let known = threads.find(self.channel_id, &[incident]).await?.remove(&incident);
        // A channel that leads to another conversation now begins anew there.
        let Some(thread) = known.filter(|thread| thread.conversation == self.conversation) else {
            return self.begin(threads, incident, parcel).await;
        };
        if !self.show(threads, incident, &thread, parcel).await? {
            return self.begin(threads, incident, parcel).await;
        }
        let mut reply = slack::reply(parcel.facts);
        set(&mut reply, "reply_broadcast", json!(is_loud(parcel.facts, &thread)));
        match self.post(&reply, Mark::of(&[*parcel]).as_ref(), Some(&thread.ts)).await {
            Err(failure) if failure.is_gone() => self.begin(threads, incident, parcel).await,
            answer => answer,
        }
    }

    async fn try_tell_merged(&self, parcels: &[Parcel<'_>]) -> Result<String, ApiFailure> {
        let (unclear, rest): (Vec<Parcel<'_>>, Vec<Parcel<'_>>) =
            parcels.iter().copied().partition(|parcel| parcel.unclear);
        // What an attempt whose answer was lost told comes back together, perhaps with more.
        if let Some(mark) = Mark::of(&unclear)
            && let Some(ts) = self.posted_before(&mark, None).await?
        {
            let without = self.show_all(&unclear).await?;
            self.remember_digest(&unclear, &without, &ts).await?;
            return match &*rest {
                [] => Ok(ts),
                [one] => self.try_tell(one).await,
                rest => self.post_digest(rest).await,
            };
        }
        self.post_digest(parcels).await
    }

    async fn post_digest(&self, parcels: &[Parcel<'_>]) -> Result<String, ApiFailure> {
        let news: Vec<&NotificationFacts> = parcels.iter().map(|parcel| parcel.facts).collect();
        let mark = Mark::of(parcels).map(|mark| Mark { unclear: false, ..mark });
        let without = self.show_all(parcels).await?;
        let ts = self.post(&digest::render(&news), mark.as_ref(), None).await?;
        self.remember_digest(parcels, &without, &ts).await?;
        Ok(ts)
    }

    /// Brings the messages of a digest's incidents up to date, and returns the incidents without one.
    async fn show_all(&self, parcels: &[Parcel<'_>]) -> Result<Vec<Uuid>, ApiFailure> {
        let Some(threads) = self.threads else { return Ok(Vec::new()) };
        let latest: BTreeMap<Uuid, &Parcel<'_>> = parcels
            .iter()
            .filter_map(|parcel| Some((incident_of(parcel.facts)?, parcel)))
            .collect();
        let incidents: Vec<Uuid> = latest.keys().copied().collect();
        let known = threads.find(self.channel_id, &incidents).await?;
        let mut without = Vec::new();
        for (incident, parcel) in latest {
            let thread = known.get(&incident).filter(|t| t.conversation == self.conversation);
            match thread {
                Some(thread) if self.show(threads, incident, thread, parcel).await? => {}
                _ => without.push(incident),
            }
        }
        Ok(without)
    }

    /// Notes that a digest is the message of the incidents that have no other.
    async fn remember_digest(
        &self,
        parcels: &[Parcel<'_>],
        without: &[Uuid],
        ts: &str,
    ) -> Result<(), ApiFailure> {
        let Some(threads) = self.threads else { return Ok(()) };
        let shown = parcels.iter().map(|parcel| parcel.number).max().unwrap_or_default();
        let thread = self.thread(ts.to_owned(), true, shown);
        threads.put(self.channel_id, without, &thread).await?;
        Ok(())
    }

    /// Brings the incident's own message up to date; false where that message is gone.
    async fn show(
        &self,
        threads: &SlackThreads,
        incident: Uuid,
        thread: &SlackThread,
        parcel: &Parcel<'_>,
    ) -> Result<bool, ApiFailure> {
        if thread.shared || thread.shown >= parcel.number {
            return Ok(true);
        }
        let mut message = self.whole(parcel.facts);
        set(&mut message, "ts", json!(thread.ts));
        match self.write("chat.update", message).await {
            Ok(_) => threads.shows(self.channel_id, incident, parcel.number).await?,
            Err(failure) if failure.is_gone() => return Ok(false),
            Err(failure) if failure.is_frozen() => {}
            Err(failure) => return Err(failure),
        }
        Ok(true)
    }

    /// Posts the incident's message and remembers it.
    async fn begin(
        &self,
        threads: &SlackThreads,
        incident: Uuid,
        parcel: &Parcel<'_>,
    ) -> Result<String, ApiFailure> {
        let mark = Mark::of(&[*parcel]);
        let ts = self.post(&self.whole(parcel.facts), mark.as_ref(), None).await?;
        let thread = self.thread(ts.clone(), false, parcel.number);
        threads.put(self.channel_id, &[incident], &thread).await?;
        Ok(ts)
    }

    /// The message of an incident, with buttons while there is something to press.
    fn whole(&self, facts: &NotificationFacts) -> Value {
        let mut message = slack::render(facts);
        if self.buttons {
            controls::add_buttons(&mut message, facts);
        }
        message
    }

    fn thread(&self, ts: String, shared: bool, shown: i64) -> SlackThread {
        SlackThread { conversation: self.conversation.to_owned(), ts, shared, shown }
    }

    /// Posts a message, at the top or in a thread, unless an earlier attempt has posted it already.
    async fn post(
        &self,
        message: &Value,
        mark: Option<&Mark>,
        thread: Option<&str>,
    ) -> Result<String, ApiFailure> {
        if let Some(mark) = mark.filter(|mark| mark.unclear)
            && let Some(ts) = self.posted_before(mark, thread).await?
        {
            return Ok(ts);
        }
        let mut message = message.clone();
        if let Some(mark) = mark {
            let told = &mark.payload;
            set(&mut message, "metadata", json!({"event_type": EVENT_TYPE, "event_payload": told}));
        }
        if let Some(thread) = thread {
            set(&mut message, "thread_ts", json!(thread));
        }
        let answer = self.write("chat.postMessage", message).await?;
        let ts = answer.get("ts").and_then(Value::as_str).map(str::to_owned);
        ts.ok_or_else(|| ApiFailure::own("chat.postMessage: the answer names no message"))
    }

    /// The message that an earlier attempt left, where Slack lets the bot look for it.
    async fn posted_before(
        &self,
        mark: &Mark,
        thread: Option<&str>,
    ) -> Result<Option<String>, ApiFailure> {
        let oldest = (mark.created_seconds - CLOCKS_DIFFER).max(0.0);
        let mut arguments = json!({
            "channel": self.conversation,
            "oldest": format!("{oldest:.6}"),
            "limit": LOOKED_AT,
            "include_all_metadata": true,
        });
        let method = match thread {
            Some(ts) => {
                set(&mut arguments, "ts", json!(ts));
                "conversations.replies"
            }
            None => "conversations.history",
        };
        let answer = match self.api.call(method, &arguments).await {
            Ok(answer) => answer,
            Err(failure) if matches!(failure.outcome, Outcome::Retry { .. }) => {
                return Err(failure);
            }
            // Without the scope nobody can tell, and twice is better than never.
            Err(_) => return Ok(None),
        };
        let messages = answer.get("messages").and_then(Value::as_array);
        let ours = messages.into_iter().flatten().find(|message| {
            let told = message.pointer("/metadata/event_payload");
            told.and_then(|told| told.get(mark.field)) == mark.payload.get(mark.field)
        });
        Ok(ours.and_then(|message| message.get("ts")).and_then(Value::as_str).map(str::to_owned))
    }

    /// Calls a method that writes a message; one without its blocks is better than none.
    async fn write(&self, method: &str, mut message: Value) -> Result<Value, ApiFailure> {
        set(&mut message, "channel", json!(self.conversation));
        if method == "chat.update" {
            for name in ["unfurl_links", "unfurl_media"] {
                remove(&mut message, name);
            }
        }
        let answer = self.api.call(method, &message).await;
        if !answer.as_ref().is_err_and(ApiFailure::refuses_form) {
            return answer;
        }
        for name in ["blocks", "metadata"] {
            remove(&mut message, name);
        }
        if method == "chat.update" {
            // Without this the old blocks would stay.
            set(&mut message, "blocks", json!([]));
        }
        self.api.call(method, &message).await
    }
}

/// What a message carries so that it can be told from others: the notification that it tells, or for a
/// digest a name made of all of them.
struct Mark {
    /// The part of the payload by which it is known.
    field: &'static str,
    payload: Value,
    created_seconds: f64,
    unclear: bool,
}

impl Mark {
    /// The mark of a message that tells these; none where there is nothing to tell.
    fn of(parcels: &[Parcel<'_>]) -> Option<Self> {
        let first = parcels.first()?;
        let (field, payload) = match parcels {
            [one] => (
                "notification",
                json!({"notification": one.notification_id, "incident": incident_of(one.facts)}),
            ),
            several => {
                let mut ids: Vec<Uuid> = several.iter().map(|one| one.notification_id).collect();
                ids.sort_unstable();
                let bytes: Vec<u8> = ids.iter().flat_map(|id| *id.as_bytes()).collect();
                let name = Uuid::new_v5(&Uuid::NAMESPACE_OID, &bytes);
                ("digest", json!({"digest": name, "count": several.len()}))
            }
        };
        let created = parcels.iter().map(|one| one.created_seconds);
        let created_seconds = created.fold(first.created_seconds, f64::min);
        let unclear = parcels.iter().any(|one| one.unclear);
        Some(Self { field, payload, created_seconds, unclear })
    }
}

/// The incident whose message tells this; none for news that is not of its life.
fn incident_of(facts: &NotificationFacts) -> Option<Uuid> {
    match facts.transition {
        MessageKind::ChannelBroken | MessageKind::Test => None,
        _ => facts.incident.as_ref().map(|incident| incident.id),
    }
}

/// Whether a reply must be seen in the channel: what asks for attention again, and the end of what only
/// a digest told of, because no message changes for that.
fn is_loud(facts: &NotificationFacts, thread: &SlackThread) -> bool {
    match facts.transition {
        MessageKind::Escalated | MessageKind::Reminder | MessageKind::Flapping => true,
        MessageKind::Resolved => thread.shared,
        _ => false,
    }
}

fn set(object: &mut Value, name: &str, value: Value) {
    if let Some(fields) = object.as_object_mut() {
        fields.insert(name.to_owned(), value);
    }
}

fn remove(object: &mut Value, name: &str) {
    if let Some(fields) = object.as_object_mut() {
        fields.remove(name);
    }
}

fn delivery(result: Result<String, ApiFailure>) -> Delivery {
    match result {
        Ok(ts) => Delivery::plain(Outcome::Sent { receipt: Some(ts) }, Some(200)),
        Err(failure) => Delivery::plain(failure.outcome, failure.status),
    }
}
