//! The life of one socket with its channels, as a state machine.
//!
//! It does no I/O and reads no clock: time since the client's start and a random number come in
//! with every input, and what is to be sent or told comes out as actions.

mod channel;
mod incoming;
#[cfg(test)]
mod tests;

use std::{fmt, time::Duration};

use secrecy::{ExposeSecret, SecretString};
use serde_json::json;

use self::channel::{Channel, Phase};
use super::{
    change::Change,
    config::{ChannelKind, Timing},
    delivery::RealtimeState,
    errors::{Disposition, Failure, classify},
    frame::{self, Vsn},
};

/// How often a channel may fail to get an answer before the socket is given up.
const MAX_UNANSWERED: u32 = 4;

/// What happens to the socket.
#[derive(Debug)]
pub enum Input<'a> {
    /// The handshake succeeded.
    Opened,
    /// A text frame arrived.
    Text(&'a str),
    /// Time has passed.
    Tick,
    /// A fresh access token, wanted or due.
    TokenRefreshed(SecretString),
    /// No other token than the current one can be had.
    TokenUnavailable,
    /// Leave and join one channel anew, because it seems deaf.
    Rejoin(ChannelKind),
}

/// What to do next.
#[derive(Clone, PartialEq, Eq)]
pub enum Action {
    /// Send this text frame; it may hold a token.
    Send(String),
    /// Tell the feed.
    Event(SessionEvent),
    /// Get a fresh access token and pass it in.
    NeedToken,
    /// Give the socket up, for this reason.
    Close(&'static str),
}

/// Frames may hold a token, so only their length is shown.
impl fmt::Debug for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Send(text) => write!(f, "Send({} bytes)", text.len()),
            Self::Event(event) => write!(f, "Event({event:?})"),
            Self::NeedToken => f.write_str("NeedToken"),
            Self::Close(reason) => write!(f, "Close({reason:?})"),
        }
    }
}

/// News of a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SessionEvent {
    /// A channel is subscribed for the first time since its join.
    Subscribed(ChannelKind),
    /// The server subscribed a channel anew, so changes may have been missed.
    Resubscribed(ChannelKind),
    /// A change arrived.
    Change(Change),
    /// A text that is no frame arrived.
    Garbled,
    /// A channel failed.
    Trouble {
        /// Which one.
        channel: ChannelKind,
        /// What is being done about it.
        disposition: Disposition,
        /// What the server said.
        message: String,
    },
}

/// The instant of an input: time since the client's start, and a random number in 0..1.
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    /// Since the client's start.
    pub now: Duration,
    /// For jitter.
    pub random: f64,
}

/// One socket with its channels.
#[derive(Debug)]
pub struct Session {
    vsn: Vsn,
    timing: Timing,
    channels: [Channel; 2],
    next_ref: u64,
    token: SecretString,
    /// Counts tokens, so that a channel knows whether it was joined with the current one.
    token_number: u32,
    token_requested: bool,
    heartbeat_due: Option<Duration>,
    heartbeat_pending: Option<String>,
}

impl Session {
    /// A session that has not been opened yet.
    #[must_use]
    pub fn new(vsn: Vsn, timing: Timing, token: SecretString) -> Self {
        Self {
            vsn,
            timing,
            channels: ChannelKind::ALL.map(Channel::new),
            next_ref: 1,
            token,
            token_number: 0,
            token_requested: false,
            heartbeat_due: None,
            heartbeat_pending: None,
        }
    }

    /// Takes one input in and adds what follows from it to `out`.
    pub fn handle(&mut self, at: Moment, input: Input<'_>, out: &mut Vec<Action>) {
        match input {
            Input::Opened => {
                self.heartbeat_due = Some(at.now + self.timing.heartbeat);
                self.tick(at, out);
            }
            Input::Text(text) => match frame::decode(text) {
                Ok(frame) => self.frame(at, &frame, out),
                Err(_) => out.push(Action::Event(SessionEvent::Garbled)),
            },
            Input::Tick => self.tick(at, out),
            Input::TokenRefreshed(token) => self.refreshed(at, token, out),
            Input::TokenUnavailable => {
                self.token_requested = false;
                for index in 0..self.channels.len() {
                    if matches!(self.channels[index].phase, Phase::NeedsToken { .. }) {
                        let message = "the access token was refused and cannot be renewed";
                        self.fail(at, index, Disposition::Stop, message, out);
                    }
                }
            }
            Input::Rejoin(kind) => {
                let index = Self::index(kind);
                self.leave(index, out);
                self.channels[index].phase = Phase::Waiting { until: at.now };
                self.tick(at, out);
            }
        }
    }

    /// When the next [`Input::Tick`] is due; nothing before the socket is open.
    #[must_use]
    pub fn next_tick(&self) -> Option<Duration> {
        let heartbeat = self.heartbeat_due?;
        let due = self.channels.iter().filter_map(|channel| channel.phase.due());
        due.chain([heartbeat]).min()
    }

    /// What the channels amount to.
    #[must_use]
    pub fn state(&self) -> RealtimeState {
        if self.channels.iter().any(|channel| channel.stopped) {
            RealtimeState::Stopped
        } else if self.channels.iter().all(Channel::is_subscribed) {
            RealtimeState::Subscribed
        } else {
            RealtimeState::Joining
        }
    }

    /// Whether any channel has been subscribed on this socket.
    #[must_use]
    pub fn was_subscribed(&self) -> bool {
        self.channels.iter().any(|channel| channel.was_subscribed)
    }

    /// Whether the server has subscribed every channel with the current token: it does not answer
    /// when it is sent a new one, but subscribes again.
    #[must_use]
    pub fn holds_current_token(&self) -> bool {
        self.channels.iter().all(|channel| channel.confirmed == Some(self.token_number))
    }

    const fn index(kind: ChannelKind) -> usize {
        match kind {
            ChannelKind::Errors => 0,
            ChannelKind::Canary => 1,
        }
    }

    fn tick(&mut self, at: Moment, out: &mut Vec<Action>) {
        if let Some(due) = self.heartbeat_due
            && due <= at.now
        {
            if self.heartbeat_pending.is_some() {
                out.push(Action::Close("a heartbeat was not answered"));
                return;
            }
            self.heartbeat_due = Some(at.now + self.timing.heartbeat);
            let reference = self.draw_ref();
            self.push(None, &reference, "phoenix", "heartbeat", &json!({}), out);
            self.heartbeat_pending = Some(reference);
        }
        for index in 0..self.channels.len() {
            if self.channels[index].phase.due().is_none_or(|due| due > at.now) {
                continue;
            }
            match self.channels[index].phase {
                Phase::Waiting { .. } => self.join(at, index, out),
                Phase::Joining { .. } => self.unanswered(at, index, "a join", out),
                Phase::Joined { .. } => self.unanswered(at, index, "a subscription", out),
                Phase::Subscribed | Phase::NeedsToken { .. } => {}
            }
        }
    }

    fn unanswered(&mut self, at: Moment, index: usize, what: &str, out: &mut Vec<Action>) {
        self.leave(index, out);
        let disposition = classify(Failure::Unanswered);
        self.fail(at, index, disposition, &format!("{what} was not answered in time"), out);
        self.channels[index].unanswered += 1;
        if self.channels[index].unanswered >= MAX_UNANSWERED {
            out.push(Action::Close("joins were not answered"));
        }
    }

    fn join(&mut self, at: Moment, index: usize, out: &mut Vec<Action>) {
        let reference = self.draw_ref();
        let kind = self.channels[index].kind;
        let payload = json!({
            "config": {
                "broadcast": {"ack": false, "self": false},
                "presence": {"enabled": false, "key": ""},
                "private": false,
                "postgres_changes":
                    [{"event": kind.event(), "schema": "public", "table": kind.table()}],
            },
            "access_token": self.token.expose_secret(),
        });
        self.push(Some(&reference), &reference, kind.topic(), "phx_join", &payload, out);
        let deadline = at.now + self.timing.join;
        self.channels[index].joining(reference, self.token_number, deadline);
    }

    /// Tells the server that the channel is not wanted any more, if it might have it.
    fn leave(&mut self, index: usize, out: &mut Vec<Action>) {
        let channel = &mut self.channels[index];
        let Some(join_ref) = channel.join_ref.take() else { return };
        let topic = channel.kind.topic();
        let reference = self.draw_ref();
        self.push(Some(&join_ref), &reference, topic, "phx_leave", &json!({}), out);
    }

    fn refreshed(&mut self, at: Moment, token: SecretString, out: &mut Vec<Action>) {
        self.token = token;
        self.token_number = self.token_number.wrapping_add(1);
        self.token_requested = false;
        for index in 0..self.channels.len() {
            match self.channels[index].phase {
                Phase::NeedsToken { not_before } => {
                    self.channels[index].phase = Phase::Waiting { until: not_before };
                }
                Phase::Joined { .. } | Phase::Subscribed => self.push_token(index, out),
                // A channel that is being joined gets it with the reply.
                Phase::Waiting { .. } | Phase::Joining { .. } => {}
            }
        }
        if self.heartbeat_due.is_some() {
            self.tick(at, out);
        }
    }

    /// Renews the token in band; the server does not answer unless it refuses it.
    fn push_token(&mut self, index: usize, out: &mut Vec<Action>) {
        let reference = self.draw_ref();
        let channel = &mut self.channels[index];
        let Some(join_ref) = channel.join_ref.clone() else { return };
        channel.token_number = self.token_number;
        channel.token_ref = Some(reference.clone());
        let topic = channel.kind.topic();
        let payload = json!({"access_token": self.token.expose_secret()});
        self.push(Some(&join_ref), &reference, topic, "access_token", &payload, out);
    }

    /// Takes a channel down and decides when it is joined again.
    fn fail(
        &mut self,
        at: Moment,
        index: usize,
        disposition: Disposition,
        message: &str,
        out: &mut Vec<Action>,
    ) {
        let channel = &mut self.channels[index];
        let attempt = channel.attempt;
        channel.attempt = attempt.saturating_add(1);
        channel.stopped = disposition == Disposition::Stop;
        channel.token_ref = None;
        let retry = &self.timing.retry;
        let wait = match disposition {
            Disposition::RefreshToken if attempt == 0 => Duration::ZERO,
            Disposition::RefreshToken | Disposition::Retry | Disposition::Ignore => {
                retry.delay(attempt, at.random)
            }
            Disposition::BackOff { at_least } => retry.delay_at_least(attempt, at_least, at.random),
            Disposition::RetrySlowly => self.timing.slow_retry.mul_f64(1.0 + 0.2 * at.random),
            Disposition::Stop => self.timing.probe.mul_f64(1.0 + 0.2 * at.random),
        };
        let until = at.now + wait;
        // A token that was pushed or joined with before the current one says nothing about it.
        let stale = channel.token_number != self.token_number;
        channel.phase = if disposition == Disposition::RefreshToken && !stale {
            if !self.token_requested {
                self.token_requested = true;
                out.push(Action::NeedToken);
            }
            Phase::NeedsToken { not_before: until }
        } else {
            Phase::Waiting { until }
        };
        let (channel, message) = (channel.kind, message.to_owned());
        let trouble = SessionEvent::Trouble { channel, disposition, message };
        out.push(Action::Event(trouble));
    }

    fn draw_ref(&mut self) -> String {
        let reference = self.next_ref.to_string();
        self.next_ref = self.next_ref.wrapping_add(1);
        reference
    }

    fn push(
        &self,
        join_ref: Option<&str>,
        reference: &str,
        topic: &str,
        event: &str,
        payload: &serde_json::Value,
        out: &mut Vec<Action>,
    ) {
        // A `Value` of strings and booleans can always be written, so nothing is lost here.
        if let Ok(text) = frame::encode(self.vsn, join_ref, reference, topic, event, payload) {
            out.push(Action::Send(text));
        }
    }
}
