//! The payloads of `phx_reply` and `system` frames, read leniently.

use std::borrow::Cow;

use serde::Deserialize;

use super::quick::Word;

/// One entry of the list that a join asks for and that its reply echoes.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub(super) struct Binding {
    #[serde(default)]
    pub event: String,
    #[serde(default)]
    pub schema: String,
    #[serde(default)]
    pub table: String,
}

/// The answer to a push.
pub(super) struct Reply {
    /// Whether its status is `ok`.
    pub ok: bool,
    /// Why not; empty when it is, or when the server did not say.
    pub reason: String,
    /// The echoed list of a join.
    pub bindings: Vec<Binding>,
}

/// Reads a reply; an unreadable one counts as refused, without a reason.
pub(super) fn parse_reply(payload: &str) -> Reply {
    #[derive(Deserialize)]
    struct Raw {
        status: String,
        #[serde(default)]
        response: serde_json::Value,
    }
    let Ok(raw) = serde_json::from_str::<Raw>(payload) else {
        return Reply { ok: false, reason: String::new(), bindings: Vec::new() };
    };
    // Some reasons are the whole response instead of a member of it.
    let reason = match raw.response.get("reason").unwrap_or(&raw.response) {
        serde_json::Value::String(reason) => reason.clone(),
        _ => String::new(),
    };
    let bindings = raw
        .response
        .get("postgres_changes")
        .and_then(|list| Vec::<Binding>::deserialize(list).ok())
        .unwrap_or_default();
    Reply { ok: raw.status == "ok", reason, bindings }
}

/// A `system` message.
pub(super) struct SystemMessage<'a> {
    /// Whether its status is `ok`.
    pub ok: bool,
    /// Whether it speaks for the `postgres_changes` extension and not for the whole channel.
    pub about_changes: bool,
    /// Its text; empty when the server sent something else than a text.
    pub message: Cow<'a, str>,
}

/// Reads a `system` payload; an unreadable one counts as an error without text.
pub(super) fn parse_system(payload: &str) -> SystemMessage<'_> {
    #[derive(Deserialize)]
    struct Raw<'a> {
        #[serde(borrow, default)]
        status: Option<Word<'a>>,
        #[serde(borrow, default)]
        extension: Option<Word<'a>>,
        #[serde(borrow, default)]
        message: Option<&'a serde_json::value::RawValue>,
    }
    let raw = serde_json::from_str::<Raw<'_>>(payload).unwrap_or(Raw {
        status: None,
        extension: None,
        message: None,
    });
    let is =
        |word: Option<Word<'_>>, text: &str| word.and_then(|word| word.0).as_deref() == Some(text);
    let message = raw.message.and_then(|raw| serde_json::from_str::<Word<'_>>(raw.get()).ok());
    SystemMessage {
        ok: is(raw.status, "ok"),
        about_changes: is(raw.extension, "postgres_changes"),
        message: message.and_then(|word| word.0).unwrap_or_default(),
    }
}

/// What a server says when a subscription is live.
pub(super) const SUBSCRIBED: &str = "Subscribed to PostgreSQL";
