//! Who is connected, who subscribed to what, and the bounded way out to each socket.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use serde_json::{Map, Value, json, value::RawValue};
use tokio::sync::{Semaphore, mpsc};
use tokio_util::sync::CancellationToken;

use super::{
    frame::{self, Version},
    params::ChangeParams,
};

/// A channel of a socket: the socket's number and the number of the join on it.
pub type ChannelKey = (u64, u64);

/// Something to write to a socket.
#[derive(Debug)]
pub enum Out {
    /// A text frame.
    Text(String),
    /// A binary frame.
    Binary(Vec<u8>),
}

impl Out {
    /// Bytes of the payload.
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Self::Text(text) => text.len(),
            Self::Binary(bytes) => bytes.len(),
        }
    }
}

/// The sending half of a socket's queue, bounded in frames and in bytes. A socket that stays full
/// is cut: a slow reader must cost the server neither memory nor the other clients' time.
#[derive(Clone, Debug)]
pub struct Outbox {
    queue: mpsc::Sender<Out>,
    room: Arc<Semaphore>,
    max_bytes: u32,
    /// Cancelled when the socket is to be dropped.
    pub cut: CancellationToken,
}

/// The receiving half of an [`Outbox`].
#[derive(Debug)]
pub struct Inbox {
    queue: mpsc::Receiver<Out>,
    room: Arc<Semaphore>,
    max_bytes: u32,
}

/// Makes a queue of at most `frames` frames and `max_bytes` bytes (one larger frame may pass alone).
#[must_use]
pub fn queue(frames: usize, max_bytes: u32) -> (Outbox, Inbox) {
    let (sender, receiver) = mpsc::channel(frames.max(1));
    let room = Arc::new(Semaphore::new(usize::try_from(max_bytes).unwrap_or(usize::MAX)));
    let inbox = Inbox { queue: receiver, room: Arc::clone(&room), max_bytes };
    (Outbox { queue: sender, room, max_bytes, cut: CancellationToken::new() }, inbox)
}

/// The room a frame takes: its bytes, at most all there is.
fn size(out: &Out, max_bytes: u32) -> u32 {
    u32::try_from(out.len()).unwrap_or(u32::MAX).min(max_bytes)
}

impl Inbox {
    /// The next frame to write.
    pub async fn recv(&mut self) -> Option<Out> {
        let out = self.queue.recv().await?;
        let freed = size(&out, self.max_bytes);
        self.room.add_permits(usize::try_from(freed).unwrap_or_default());
        Some(out)
    }
}

impl Outbox {
    /// Queues a frame, waiting up to `patience` for room. Returns false, and cuts the socket, when
    /// there was none.
    pub async fn send(&self, out: Out, patience: Duration) -> bool {
        if self.cut.is_cancelled() || self.queue.is_closed() {
            return true;
        }
        let queueing = async {
            if let Ok(permit) = self.room.acquire_many(size(&out, self.max_bytes)).await {
                permit.forget();
            }
            // A closed queue belongs to a socket that has just ended by itself.
            let _ = self.queue.send(out).await;
        };
        let queued = tokio::time::timeout(patience, queueing).await.is_ok();
        if !queued {
            self.cut.cancel();
        }
        queued
    }

    /// Queues a frame if there is room now; replies and broadcasts may be lost to a slow reader.
    pub fn try_send(&self, out: Out) {
        if let Ok(permit) = self.room.try_acquire_many(size(&out, self.max_bytes))
            && self.queue.try_send(out).is_ok()
        {
            permit.forget();
        }
    }
}

/// An entry of a channel, resolved against the database.
#[derive(Clone, Debug)]
pub struct Subscription {
    /// What was asked for.
    pub params: ChangeParams,
    /// The oids of the published tables it matched.
    pub tables: Vec<u32>,
}

/// Everything the delivery of changes needs to know about a channel.
#[derive(Debug)]
pub struct Subscriber {
    /// Its key in the hub.
    pub key: ChannelKey,
    /// The wire format of its socket.
    pub version: Version,
    /// Its topic.
    pub topic: String,
    /// The role its token names.
    pub role: String,
    /// The claims of its token, as JSON text.
    pub claims: String,
    /// Its entries.
    pub subscriptions: Vec<Subscription>,
    /// The way to its socket.
    pub outbox: Outbox,
}

/// A channel as broadcast and presence see it.
#[derive(Clone, Debug)]
pub struct Member {
    /// The wire format of its socket.
    pub version: Version,
    /// The way to its socket.
    pub outbox: Outbox,
    /// What it tracks: presence key and meta.
    pub tracked: Option<(String, Value)>,
}

/// The registry of all sockets' channels.
#[derive(Debug, Default)]
pub struct Hub {
    subscribers: Mutex<HashMap<ChannelKey, Arc<Subscriber>>>,
    members: Mutex<HashMap<String, HashMap<ChannelKey, Member>>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Hub {
    /// Adds or replaces a channel's subscriptions.
    pub fn subscribe(&self, subscriber: Subscriber) {
        lock(&self.subscribers).insert(subscriber.key, Arc::new(subscriber));
    }

    /// Removes a channel's subscriptions.
    pub fn unsubscribe(&self, key: ChannelKey) {
        lock(&self.subscribers).remove(&key);
    }

    /// All subscribers, in the order they joined.
    #[must_use]
    pub fn subscribers(&self) -> Vec<Arc<Subscriber>> {
        let mut all: Vec<_> = lock(&self.subscribers).values().cloned().collect();
        all.sort_unstable_by_key(|subscriber| subscriber.key);
        all
    }

    /// Adds a channel to its topic and returns the topic's presence state.
    pub fn enter(&self, topic: &str, key: ChannelKey, member: Member) -> Value {
        let mut topics = lock(&self.members);
        let members = topics.entry(topic.to_owned()).or_default();
        members.insert(key, member);
        let mut state: Map<String, Value> = Map::new();
        for (name, meta) in members.values().filter_map(|member| member.tracked.as_ref()) {
            let entry = state.entry(name.clone()).or_insert_with(|| json!({"metas": []}));
            if let Some(metas) = entry.get_mut("metas").and_then(Value::as_array_mut) {
                metas.push(meta.clone());
            }
        }
        Value::Object(state)
    }

    /// Removes a channel from its topic, telling the others if it was tracked.
    pub fn leave(&self, topic: &str, key: ChannelKey) {
        self.untrack(topic, key);
        let mut topics = lock(&self.members);
        if let Some(members) = topics.get_mut(topic) {
            members.remove(&key);
            if members.is_empty() {
                topics.remove(topic);
            }
        }
    }

    /// Tracks `meta` under `name` for a channel and tells everyone on the topic.
    pub fn track(&self, topic: &str, key: ChannelKey, name: &str, meta: &Value) {
        let mut left = None;
        if let Some(member) = lock(&self.members).get_mut(topic).and_then(|m| m.get_mut(&key)) {
            left = member.tracked.replace((name.to_owned(), meta.clone()));
        }
        self.diff(topic, Some((name.to_owned(), meta.clone())), left);
    }

    /// Stops tracking a channel.
    pub fn untrack(&self, topic: &str, key: ChannelKey) {
        let member = lock(&self.members)
            .get_mut(topic)
            .and_then(|members| members.get_mut(&key))
            .and_then(|member| member.tracked.take());
        if member.is_some() {
            self.diff(topic, None, member);
        }
    }

    fn diff(&self, topic: &str, joined: Option<(String, Value)>, left: Option<(String, Value)>) {
        let side = |change: Option<(String, Value)>| match change {
            Some((name, meta)) => json!({ name: {"metas": [meta]} }),
            None => json!({}),
        };
        let payload = frame::raw(&json!({"joins": side(joined), "leaves": side(left)}));
        self.fan_out(topic, None, "presence_diff", &payload);
    }

    /// Sends a message to every channel of a topic but `except`.
    pub fn fan_out(
        &self,
        topic: &str,
        except: Option<ChannelKey>,
        event: &str,
        payload: &RawValue,
    ) {
        let topics = lock(&self.members);
        let Some(members) = topics.get(topic) else { return };
        for (_, member) in members.iter().filter(|(key, _)| Some(**key) != except) {
            let null = &Value::Null;
            let text = frame::encode(member.version, null, null, topic, event, payload);
            member.outbox.try_send(Out::Text(text));
        }
    }

    /// Sends a binary broadcast to every 2.0.0 channel of a topic but `except`.
    pub fn fan_out_binary(&self, topic: &str, except: Option<ChannelKey>, bytes: &[u8]) {
        let topics = lock(&self.members);
        let Some(members) = topics.get(topic) else { return };
        for (_, member) in members.iter().filter(|(key, _)| Some(**key) != except) {
            if member.version == Version::V2 {
                member.outbox.try_send(Out::Binary(bytes.to_vec()));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_full_queue_cuts_the_socket() {
        let (outbox, mut inbox) = queue(2, 100);
        let text = |n: usize| Out::Text("x".repeat(n));
        assert!(outbox.send(text(40), Duration::from_millis(1)).await);
        assert!(outbox.send(text(40), Duration::from_millis(1)).await);
        assert!(!outbox.send(text(1), Duration::from_millis(1)).await, "three frames");
        assert!(outbox.cut.is_cancelled());
        assert_eq!(inbox.recv().await.map(|out| out.len()), Some(40));

        let (outbox, _inbox) = queue(10, 100);
        assert!(
            outbox.send(text(5000), Duration::from_millis(1)).await,
            "one large frame may pass"
        );
        assert!(!outbox.send(text(1), Duration::from_millis(1)).await, "but nothing behind it");
    }
}
