//! A Slack workspace with one bot: the part of the Web API that a bot needs to post, change and find
//! its messages, with Slack's names of errors.

use std::{
    collections::BTreeSet,
    io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use serde_json::{Value, json};
use tokio::time::Instant;

use super::{
    http::{Answer, HttpRequest, HttpSink},
    slack_blocks,
};

/// The workspace remembers this many messages; the oldest are forgotten first.
const KEPT: usize = 10_000;
/// Slack cuts texts there.
const TEXT_MAX: usize = 40_000;

/// A message as it stands in a conversation.
#[derive(Clone, Debug)]
pub struct SlackMessage {
    /// The conversation's id.
    pub conversation: String,
    /// What Slack knows it by.
    pub ts: String,
    /// The message that it answers, where it stands in a thread.
    pub thread_ts: Option<String>,
    /// Whether an answer is shown in the conversation too.
    pub broadcast: bool,
    /// What a notification shows.
    pub text: String,
    /// Blocks, null where there are none.
    pub blocks: Value,
    /// Metadata, null where there is none.
    pub metadata: Value,
    /// How often it was changed.
    pub edits: u32,
    /// When it was posted.
    pub posted_at: Instant,
}

impl SlackMessage {
    /// Everything that can be read in it, for tests.
    #[must_use]
    pub fn all_text(&self) -> String {
        format!("{} {}", self.text, self.blocks)
    }
}

/// The workspace; it stops when it is dropped.
#[derive(Debug)]
pub struct SlackWorkspace {
    http: HttpSink,
    state: Arc<Mutex<State>>,
}

#[derive(Debug)]
struct State {
    token: String,
    conversations: BTreeSet<String>,
    messages: Vec<SlackMessage>,
    posted: u64,
    may_read: bool,
}

type Refusal = &'static str;

impl SlackWorkspace {
    /// A workspace whose bot has this token and may write to these conversations.
    ///
    /// # Errors
    /// Where no port can be had.
    pub async fn start(token: &str, conversations: &[&str]) -> io::Result<Self> {
        let state = Arc::new(Mutex::new(State {
            token: token.to_owned(),
            conversations: conversations.iter().map(|id| (*id).to_owned()).collect(),
            messages: Vec::new(),
            posted: 0,
            may_read: true,
        }));
        let own = Arc::clone(&state);
        let http = HttpSink::answering(move |request| lock(&own).answer(request)).await?;
        Ok(Self { http, state })
    }

    /// What takes the place of `https://slack.com/api`.
    #[must_use]
    pub fn api_url(&self) -> String {
        self.http.url("/api")
    }

    /// The requests behind it, and scripts of answers such as 429.
    #[must_use]
    pub const fn http(&self) -> &HttpSink {
        &self.http
    }

    /// All messages, in the order in which they were posted.
    #[must_use]
    pub fn messages(&self) -> Vec<SlackMessage> {
        lock(&self.state).messages.clone()
    }

    /// Somebody deletes a message.
    pub fn delete(&self, ts: &str) {
        lock(&self.state).messages.retain(|message| message.ts != ts);
    }

    /// Whether the bot has the scope to read conversations.
    pub fn let_read(&self, may: bool) {
        lock(&self.state).may_read = may;
    }

    /// The bot gets another token; the old one is revoked.
    pub fn change_token(&self, token: &str) {
        token.clone_into(&mut lock(&self.state).token);
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

impl State {
    fn answer(&mut self, request: &HttpRequest) -> Answer {
        let bearer =
            request.header("authorization").and_then(|value| value.strip_prefix("Bearer "));
        let answer = match bearer {
            None => Err("not_authed"),
            Some(token) if token != self.token => Err("invalid_auth"),
            Some(_) => self.called(request.path.trim_start_matches("/api/"), &request.json()),
        };
        let body = answer.unwrap_or_else(|error| json!({"ok": false, "error": error}));
        Answer::new(200, &body.to_string()).header("content-type", "application/json")
    }

    fn called(&mut self, method: &str, arguments: &Value) -> Result<Value, Refusal> {
        match method {
            "auth.test" => Ok(json!({
                "ok": true, "url": "https://example.slack.com/", "team": "Example", "user": "alerts",
                "team_id": "T0EXAMPLE", "user_id": "U0ALERTS", "bot_id": "B0ALERTS",
            })),
            "chat.postMessage" => self.post(arguments),
            "chat.update" => self.update(arguments),
            "conversations.history" => self.read(arguments, None),
            "conversations.replies" => {
                let ts = text(arguments, "ts").ok_or("invalid_arguments")?.to_owned();
                self.read(arguments, Some(&ts))
            }
            _ => Err("unknown_method"),
        }
    }

    fn conversation(&self, arguments: &Value) -> Result<String, Refusal> {
        let id = text(arguments, "channel").ok_or("channel_not_found")?;
        self.conversations.contains(id).then(|| id.to_owned()).ok_or("channel_not_found")
    }

    fn post(&mut self, arguments: &Value) -> Result<Value, Refusal> {
        let conversation = self.conversation(arguments)?;
        // The real method does not know it and would not keep a message from being posted twice.
        if arguments.get("client_msg_id").is_some() {
            return Err("invalid_arg_name");
        }
        let (words, blocks) = content(arguments)?;
        let metadata = arguments.get("metadata").cloned().unwrap_or_default();
        let is_whole =
            text(&metadata, "event_type").is_some() && metadata["event_payload"].is_object();
        if !metadata.is_null() && !is_whole {
            return Err("invalid_metadata_format");
        }
        let thread_ts = text(arguments, "thread_ts").map(str::to_owned);
        if let Some(root) = thread_ts.as_deref()
            && !self.messages.iter().any(|known| known.ts == root && known.thread_ts.is_none())
        {
            return Err("thread_not_found");
        }
        self.posted += 1;
        let posted_at = Instant::now();
        let ts = format!("{}.{:06}", now_seconds(), self.posted % 1_000_000);
        let broadcast = arguments.get("reply_broadcast") == Some(&Value::Bool(true));
        let message = SlackMessage {
            conversation: conversation.clone(),
            ts: ts.clone(),
            thread_ts,
            broadcast,
            text: words,
            blocks,
            metadata,
            edits: 0,
            posted_at,
        };
        let shown = shown(&message, false);
        if self.messages.len() >= KEPT {
            self.messages.remove(0);
        }
        self.messages.push(message);
        Ok(json!({"ok": true, "channel": conversation, "ts": ts, "message": shown}))
    }

    fn update(&mut self, arguments: &Value) -> Result<Value, Refusal> {
        let conversation = self.conversation(arguments)?;
        let ts = text(arguments, "ts").ok_or("message_not_found")?;
        let (words, blocks) = content(arguments)?;
        let message = self
            .messages
            .iter_mut()
            .find(|message| message.ts == ts && message.conversation == conversation)
            .ok_or("message_not_found")?;
        message.text = words;
        message.blocks = blocks;
        message.edits += 1;
        Ok(json!({"ok": true, "channel": conversation, "ts": ts, "text": message.text}))
    }

    /// What stands in a conversation (newest first) or in a thread (oldest first).
    fn read(&self, arguments: &Value, thread: Option<&str>) -> Result<Value, Refusal> {
        if !self.may_read {
            return Err("missing_scope");
        }
        let conversation = self.conversation(arguments)?;
        let oldest: f64 = text(arguments, "oldest").and_then(|at| at.parse().ok()).unwrap_or(0.0);
        let limit = arguments.get("limit").and_then(Value::as_u64).unwrap_or(100);
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let with_metadata = arguments.get("include_all_metadata") == Some(&Value::Bool(true));
        let stands = |message: &&SlackMessage| {
            let place = match thread {
                Some(root) => message.ts == root || message.thread_ts.as_deref() == Some(root),
                None => message.thread_ts.is_none() || message.broadcast,
            };
            let at: f64 = message.ts.parse().unwrap_or(0.0);
            place && message.conversation == conversation && at >= oldest
        };
        let found = self.messages.iter().filter(stands).map(|m| shown(m, with_metadata));
        let found: Vec<Value> = match thread {
            Some(_) => found.take(limit).collect(),
            None => found.rev().take(limit).collect(),
        };
        Ok(json!({"ok": true, "messages": found, "has_more": false}))
    }
}

/// Text and blocks of a message, where Slack would take them.
fn content(arguments: &Value) -> Result<(String, Value), Refusal> {
    let words = text(arguments, "text").unwrap_or_default();
    let blocks = arguments.get("blocks").cloned().unwrap_or_default();
    if words.is_empty() && blocks.is_null() {
        return Err("no_text");
    }
    if words.encode_utf16().count() > TEXT_MAX {
        return Err("msg_too_long");
    }
    slack_blocks::check(&blocks)?;
    Ok((words.to_owned(), blocks))
}

fn shown(message: &SlackMessage, with_metadata: bool) -> Value {
    let mut shown = json!({
        "type": "message", "ts": message.ts, "text": message.text, "blocks": message.blocks,
        "bot_id": "B0ALERTS",
    });
    if let Some(fields) = shown.as_object_mut() {
        if let Some(root) = &message.thread_ts {
            fields.insert("thread_ts".to_owned(), json!(root));
        }
        if with_metadata && !message.metadata.is_null() {
            fields.insert("metadata".to_owned(), message.metadata.clone());
        }
    }
    shown
}

fn now_seconds() -> i64 {
    crate::clock::Clock::system().now().micros() / 1_000_000
}

fn text<'a>(object: &'a Value, name: &str) -> Option<&'a str> {
    object.get(name).and_then(Value::as_str)
}
