//! What a socket's messages do: joins, leaves, tokens, heartbeats, broadcasts and presence.
//!
//! Nothing here writes to the socket: messages to send collect in [`Session::out`], which the
//! socket's loop writes in order, before anything the rest of the server has queued.

use std::{collections::HashMap, sync::Arc, time::Duration};

use serde_json::{Value, json};
use tokio::{task::JoinSet, time::sleep};

use super::{
    Shared,
    binary::{self, Broadcast},
    channel::{Channel, Extension, reply},
    frame::{Incoming, Version},
    hub::{Outbox, Subscription},
    params::JoinConfig,
    subscribe::{self, Refusal},
    token::{self, Token},
};
use crate::faults::{Action, Event};

/// Something that a socket's helper task has to say.
pub enum Later {
    /// Send this text.
    Send(String),
    /// An attempt to subscribe has ended.
    Subscribed {
        /// The channel's topic.
        topic: String,
        /// The number of its join.
        join: u64,
        /// Which attempt it was.
        attempt: u64,
        /// How it ended.
        result: Result<Vec<Subscription>, Refusal>,
    },
}

/// The state of a socket above its frames.
pub struct Session {
    /// What the whole server shares.
    pub shared: Arc<Shared>,
    /// The socket's number.
    pub number: u64,
    /// Its wire format.
    pub version: Version,
    /// The API key it connected with.
    pub key: String,
    /// That key, checked.
    pub key_token: Token,
    /// The queue to it.
    pub outbox: Outbox,
    /// Its channels by topic.
    pub channels: HashMap<String, Channel>,
    /// Texts to send now.
    pub out: Vec<String>,
    /// Work that answers later.
    pub later: JoinSet<Later>,
    /// How many joins it has seen.
    pub joins: u64,
}

impl Session {
    /// Acts on a text message.
    pub fn handle(&mut self, message: Incoming) {
        match message.event.as_str() {
            "heartbeat" if message.topic == "phoenix" => {
                self.shared.faults.count(Event::Heartbeat);
                if !self.shared.faults.knobs().swallow_heartbeats {
                    self.out.push(reply(self.version, &message, "ok", &json!({})));
                }
            }
            "phx_join" => self.join(message),
            _ if !self.channels.contains_key(&message.topic) => {
                let reason = json!({"reason": "unmatched topic"});
                self.out.push(reply(self.version, &message, "error", &reason));
            }
            "phx_leave" => {
                self.out.push(reply(self.version, &message, "ok", &json!({})));
                self.end(&message.topic, "phx_close");
            }
            "access_token" => self.refresh(&message),
            "broadcast" => self.broadcast(&message),
            "presence" => self.presence(&message),
            _ => {}
        }
    }

    /// Acts on a binary message, of which only broadcasts exist.
    pub fn handle_binary(&mut self, bytes: &[u8]) {
        match binary::decode(bytes) {
            Some(Broadcast::Json(message)) => self.handle(message),
            Some(Broadcast::Bytes { message, user_event, bytes }) => {
                let Some(channel) = self.channels.get(&message.topic) else { return };
                let except = (!channel.config.broadcast_self).then_some(channel.key);
                if let Some(frame) = binary::encode(&message.topic, &user_event, &bytes) {
                    self.shared.hub.fan_out_binary(&message.topic, except, &frame);
                }
                if channel.config.broadcast_ack {
                    self.out.push(reply(self.version, &message, "ok", &json!({})));
                }
            }
            None => {}
        }
    }

    fn join(&mut self, message: Incoming) {
        let faults = self.shared.faults.clone();
        faults.count(Event::Join);
        let knobs = faults.knobs();
        if knobs.mute_join {
            return;
        }
        if !message.topic.starts_with("realtime:") {
            let reason = json!({"reason": "unmatched topic"});
            self.out.push(reply(self.version, &message, "error", &reason));
            return;
        }
        let (config, token_text, token) = match self.admit(&message, knobs.refuse_join) {
            Ok(admitted) => admitted,
            Err(reason) => return self.refuse_join(&message, &reason),
        };
        self.joins += 1;
        let mut echo = config.echo();
        if knobs.wrong_ids {
            scramble_ids(&mut echo);
        }
        self.out.push(reply(self.version, &message, "ok", &echo));
        self.end(&message.topic, "phx_close");
        let presence_name = match config.presence_key.as_str() {
            "" => uuid::Uuid::new_v4().to_string(),
            key => key.to_owned(),
        };
        let join_ref = match &message.join_ref {
            Value::Null => message.reference,
            join_ref => join_ref.clone(),
        };
        let key = (self.number, self.joins);
        let channel = Channel {
            key,
            topic: message.topic,
            join_ref,
            config,
            token_text,
            token,
            presence_name,
            attempt: 0,
            refused: false,
        };
        let member = Channel::member(self.version, &self.outbox);
        let state = self.shared.hub.enter(&channel.topic, key, member);
        if channel.config.presence {
            self.out.push(channel.push(self.version, "presence_state", &state));
        }
        let topic = channel.topic.clone();
        self.channels.insert(topic.clone(), channel);
        self.subscribe(&topic, knobs.subscribe_delay.unwrap_or_default());
    }

    /// Decides on a join, in the real server's order.
    fn admit(
        &self,
        message: &Incoming,
        refusal: Option<String>,
    ) -> Result<(JoinConfig, String, Token), String> {
        if message.topic == "realtime:" {
            return Err("TopicNameRequired: You must provide a topic name".into());
        }
        let config = JoinConfig::parse(&message.payload)?;
        if let Some(reason) = refusal {
            return Err(reason);
        }
        let text = |key: &str| message.payload.get(key).and_then(Value::as_str);
        let given = text("user_token").or_else(|| text("access_token"));
        let (token_text, token) = match given.filter(|token| !token.starts_with("sb_")) {
            Some(given) => (given.to_owned(), self.check(given).map_err(|e| e.at_join())?),
            None => {
                let now = (self.shared.clock)();
                self.key_token.check_expiry(now).map_err(|e| e.at_join())?;
                (self.key.clone(), self.key_token.clone())
            }
        };
        if config.private {
            let name = message.topic.trim_start_matches("realtime:");
            return Err(format!(
                "Unauthorized: You do not have permissions to read from this Channel topic: {name}"
            ));
        }
        Ok((config, token_text, token))
    }

    fn refuse_join(&mut self, message: &Incoming, reason: &str) {
        let text = reply(self.version, message, "error", &json!({ "reason": reason }));
        let held_back = self.shared.faults.knobs().refuse_join_after;
        let delay = held_back.unwrap_or(self.shared.config.join_delay);
        self.later.spawn(async move {
            sleep(delay).await;
            Later::Send(text)
        });
    }

    fn check(&self, text: &str) -> Result<Token, token::TokenError> {
        token::verify(text, &self.shared.secret, (self.shared.clock)())
    }

    /// Starts an attempt to subscribe a channel; an attempt that is still running becomes void.
    pub fn subscribe(&mut self, topic: &str, delay: Duration) {
        let Some(channel) = self.channels.get_mut(topic) else { return };
        if channel.config.changes.is_empty() {
            return;
        }
        channel.attempt += 1;
        channel.refused = false;
        self.shared.wanted.send_replace(true);
        let (attempt, (_, join)) = (channel.attempt, channel.key);
        let (entries, role) = (channel.config.changes.clone(), channel.token.role.clone());
        let (shared, topic) = (Arc::clone(&self.shared), topic.to_owned());
        self.later.spawn(async move {
            sleep(delay).await;
            let mut ready = shared.ready.subscribe();
            // The sender lives in `shared`, so waiting cannot fail.
            let _ = ready.wait_for(|ready| *ready).await;
            let publication = &shared.config.publication;
            let result = subscribe::resolve(&shared.pool, publication, &entries, &role).await;
            Later::Subscribed { topic, join, attempt, result }
        });
    }

    /// Acts on what a helper task says.
    pub fn later(&mut self, later: Later) {
        let (topic, join, attempt, result) = match later {
            Later::Send(text) => return self.out.push(text),
            Later::Subscribed { topic, join, attempt, result } => (topic, join, attempt, result),
        };
        let Some(channel) = self.channels.get_mut(&topic) else { return };
        if channel.key.1 != join || channel.attempt != attempt {
            return;
        }
        let say =
            |ok, text: &str| channel.system(self.version, Extension::PostgresChanges, ok, text);
        match result {
            Ok(subscriptions) => {
                let knobs = self.shared.faults.knobs();
                if knobs.join_without_system {
                    return;
                }
                let times = if knobs.system_twice { 2 } else { 1 };
                for _ in 0..times {
                    self.out.push(say(true, "Subscribed to PostgreSQL"));
                }
                let subscriber = channel.subscriber(self.version, &self.outbox, subscriptions);
                self.shared.hub.subscribe(subscriber);
            }
            Err(Refusal::Final(text)) => {
                self.out.push(say(false, &text));
                self.shared.hub.unsubscribe(channel.key);
                channel.refused = true;
            }
            Err(Refusal::Retry(text)) => {
                self.out.push(say(false, &text));
                let delay = self.shared.config.retry_delay;
                self.subscribe(&topic, delay);
            }
        }
    }

    fn refresh(&mut self, message: &Incoming) {
        self.shared.faults.count(Event::TokenRefresh);
        if self.shared.faults.knobs().ignore_access_token {
            return;
        }
        let given = message.payload.get("access_token").and_then(Value::as_str);
        let Some(given) = given.filter(|token| !token.starts_with("sb_")) else { return };
        let known = self.channels.get(&message.topic).is_some_and(|c| c.token_text == given);
        if known {
            return;
        }
        match self.check(given) {
            Ok(token) => {
                if let Some(channel) = self.channels.get_mut(&message.topic) {
                    channel.token = token;
                    channel.token_text = given.to_owned();
                }
                self.subscribe(&message.topic, self.shared.config.resubscribe_delay);
            }
            Err(error) => self.shut(&message.topic, &error.at_refresh()),
        }
    }

    /// Says why and closes a channel.
    fn shut(&mut self, topic: &str, why: &str) {
        if let Some(channel) = self.channels.get(topic) {
            self.out.push(channel.system(self.version, Extension::System, false, why));
            self.end(topic, "phx_close");
        }
    }

    /// Ends a channel with `phx_close` or `phx_error`; does nothing if it is not joined.
    fn end(&mut self, topic: &str, event: &str) {
        if let Some(channel) = self.channels.remove(topic) {
            self.out.push(channel.end(self.version, event));
            self.shared.hub.unsubscribe(channel.key);
            self.shared.hub.leave(topic, channel.key);
        }
    }

    /// Closes the channels whose token has expired by now.
    pub fn expire(&mut self) {
        let now = (self.shared.clock)();
        let expired: Vec<_> = self
            .channels
            .values()
            .filter_map(|c| Some((c.topic.clone(), c.token.check_expiry(now).err()?)))
            .collect();
        for (topic, error) in expired {
            self.shut(&topic, &error.at_refresh());
        }
    }

    /// How long until the next token expires.
    #[must_use]
    pub fn next_expiry(&self) -> Duration {
        let now = (self.shared.clock)();
        let next = self.channels.values().map(|channel| channel.token.expires_at).min();
        let seconds = next.map_or(3600, |at| at.saturating_sub(now).clamp(0, 3600));
        // The clock counts whole seconds: a moment later it has surely turned.
        Duration::from_secs(seconds.unsigned_abs()) + Duration::from_millis(20)
    }

    /// Acts on a fault that concerns the channels; the socket's loop does the others.
    pub fn act(&mut self, action: &Action) {
        let topics: Vec<String> = self.channels.keys().cloned().collect();
        for topic in topics {
            match action {
                Action::ExpireTokens => self.shut(&topic, "Token has expired 0 seconds ago"),
                Action::CrashChannels => self.end(&topic, "phx_error"),
                Action::CloseChannels => self.end(&topic, "phx_close"),
                Action::Resubscribe => {
                    if self.channels.get(&topic).is_some_and(|channel| !channel.refused) {
                        self.subscribe(&topic, Duration::ZERO);
                    }
                }
                Action::Close(_) | Action::Abort | Action::Freeze | Action::SendRaw(_) => {}
            }
        }
    }

    fn broadcast(&mut self, message: &Incoming) {
        let Some(channel) = self.channels.get(&message.topic) else { return };
        let except = (!channel.config.broadcast_self).then_some(channel.key);
        let payload = super::frame::raw(&message.payload);
        self.shared.hub.fan_out(&message.topic, except, "broadcast", &payload);
        if channel.config.broadcast_ack {
            self.out.push(reply(self.version, message, "ok", &json!({})));
        }
    }

    fn presence(&mut self, message: &Incoming) {
        let Some(channel) = self.channels.get(&message.topic) else { return };
        match message.payload.get("event").and_then(Value::as_str) {
            Some("track") => {
                let mut meta = message.payload.get("payload").cloned().unwrap_or(json!({}));
                if let Some(meta) = meta.as_object_mut() {
                    meta.insert("phx_ref".into(), json!(uuid::Uuid::new_v4().simple().to_string()));
                }
                self.shared.hub.track(&channel.topic, channel.key, &channel.presence_name, &meta);
            }
            Some("untrack") => self.shared.hub.untrack(&channel.topic, channel.key),
            _ => {}
        }
        self.out.push(reply(self.version, message, "ok", &json!({})));
    }
}

impl Drop for Session {
    /// However a socket ends, nobody must go on working for its channels.
    fn drop(&mut self) {
        for (topic, channel) in &self.channels {
            self.shared.hub.unsubscribe(channel.key);
            self.shared.hub.leave(topic, channel.key);
        }
    }
}

fn scramble_ids(echo: &mut Value) {
    let entries = echo.get_mut("postgres_changes").and_then(Value::as_array_mut);
    for entry in entries.into_iter().flatten() {
        let id = entry.get("id").and_then(Value::as_u64).unwrap_or_default();
        if let Some(entry) = entry.as_object_mut() {
            entry.insert("id".into(), json!(id ^ 1));
        }
    }
}
