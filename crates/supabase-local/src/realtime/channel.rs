//! A joined channel and the messages the server sends on it.

use serde_json::{Value, json};

use super::{
    frame::{self, Version},
    hub::{ChannelKey, Member, Outbox, Subscriber, Subscription},
    params::JoinConfig,
    token::Token,
};

/// The extension a `system` message speaks for.
#[derive(Clone, Copy, Debug)]
pub enum Extension {
    /// Nothing but the message happens.
    PostgresChanges,
    /// The channel closes after it.
    System,
}

/// A channel that a socket has joined.
#[derive(Debug)]
pub struct Channel {
    /// Its key in the hub.
    pub key: ChannelKey,
    /// With the `realtime:` in front.
    pub topic: String,
    /// The reference of its join.
    pub join_ref: Value,
    /// What its join asked for.
    pub config: JoinConfig,
    /// Its token's text, to recognise the same one again.
    pub token_text: String,
    /// Its token, checked.
    pub token: Token,
    /// The name it is present under.
    pub presence_name: String,
    /// Counts attempts to subscribe; an answer to an older one is void.
    pub attempt: u64,
    /// The last attempt was refused for good; only a new join or token starts another.
    pub refused: bool,
}

impl Channel {
    /// The topic without `realtime:`, as system messages name it.
    #[must_use]
    pub fn name(&self) -> &str {
        self.topic.strip_prefix("realtime:").unwrap_or(&self.topic)
    }

    /// A message pushed by the channel itself.
    #[must_use]
    pub fn push(&self, version: Version, event: &str, payload: &Value) -> String {
        let payload = frame::raw(payload);
        frame::encode(version, &self.join_ref, &Value::Null, &self.topic, event, &payload)
    }

    /// A `system` message.
    #[must_use]
    pub fn system(&self, version: Version, extension: Extension, ok: bool, text: &str) -> String {
        let extension = match extension {
            Extension::PostgresChanges => "postgres_changes",
            Extension::System => "system",
        };
        let status = if ok { "ok" } else { "error" };
        let payload = json!({
            "message": text, "status": status, "extension": extension, "channel": self.name(),
        });
        self.push(version, "system", &payload)
    }

    /// `phx_close` or `phx_error`, whose reference is that of the join.
    #[must_use]
    pub fn end(&self, version: Version, event: &str) -> String {
        let payload = frame::raw(&json!({}));
        frame::encode(version, &self.join_ref, &self.join_ref, &self.topic, event, &payload)
    }

    /// The channel as the delivery of changes sees it.
    #[must_use]
    pub fn subscriber(
        &self,
        version: Version,
        outbox: &Outbox,
        subscriptions: Vec<Subscription>,
    ) -> Subscriber {
        Subscriber {
            key: self.key,
            version,
            topic: self.topic.clone(),
            role: self.token.role.clone(),
            claims: self.token.claims.clone(),
            subscriptions,
            outbox: outbox.clone(),
        }
    }

    /// The channel as broadcast and presence see it.
    #[must_use]
    pub fn member(version: Version, outbox: &Outbox) -> Member {
        Member { version, outbox: outbox.clone(), tracked: None }
    }
}

/// A reply to a client's message.
#[must_use]
pub fn reply(
    version: Version,
    message: &frame::Incoming,
    status: &str,
    response: &Value,
) -> String {
    let payload = frame::raw(&json!({"status": status, "response": response}));
    let frame::Incoming { join_ref, reference, topic, .. } = message;
    frame::encode(version, join_ref, reference, topic, "phx_reply", &payload)
}
