//! What a session knows about one channel.

use std::time::Duration;

use super::{Action, SessionEvent};
use crate::realtime::{config::ChannelKind, reply::Binding};

/// Where a channel is on its way to a subscription; times are since the client's start.
#[derive(Clone, Copy, Debug)]
pub(super) enum Phase {
    /// Not joined; to be joined then.
    Waiting { until: Duration },
    /// Not joined; to be joined once there is a fresh token, but not before.
    NeedsToken { not_before: Duration },
    /// The join was sent; its reply must come before the deadline.
    Joining { deadline: Duration },
    /// Joined; "Subscribed to PostgreSQL" must come before the deadline.
    Joined { deadline: Duration },
    /// Changes are delivered.
    Subscribed,
}

impl Phase {
    /// When something must be done if nothing happens until then.
    pub(super) const fn due(self) -> Option<Duration> {
        match self {
            Self::Waiting { until: due }
            | Self::Joining { deadline: due }
            | Self::Joined { deadline: due } => Some(due),
            Self::NeedsToken { .. } | Self::Subscribed => None,
        }
    }
}

/// One channel.
#[derive(Debug)]
pub(super) struct Channel {
    pub kind: ChannelKind,
    pub phase: Phase,
    /// The reference of the last join, while the server may have it.
    pub join_ref: Option<String>,
    /// The number of the token that the server has for it.
    pub token_number: u32,
    /// The number of the token with which the server last subscribed it.
    pub confirmed: Option<u32>,
    /// The reference of the last `access_token` push.
    pub token_ref: Option<String>,
    /// Failures since the last subscription.
    pub attempt: u32,
    /// Pushes without answer since the last subscription.
    pub unanswered: u32,
    /// Only a human can put it right.
    pub stopped: bool,
    pub was_subscribed: bool,
    /// "Subscribed" came before the reply to the join.
    early: bool,
}

impl Channel {
    pub(super) fn new(kind: ChannelKind) -> Self {
        Self {
            kind,
            phase: Phase::Waiting { until: Duration::ZERO },
            join_ref: None,
            token_number: 0,
            confirmed: None,
            token_ref: None,
            attempt: 0,
            unanswered: 0,
            stopped: false,
            was_subscribed: false,
            early: false,
        }
    }

    pub(super) fn is_subscribed(&self) -> bool {
        matches!(self.phase, Phase::Subscribed)
    }

    pub(super) fn joining(&mut self, reference: String, token_number: u32, deadline: Duration) {
        self.join_ref = Some(reference);
        self.token_number = token_number;
        self.token_ref = None;
        self.confirmed = None;
        self.early = false;
        self.phase = Phase::Joining { deadline };
    }

    /// Whether a frame with this join reference is about the current join; none fits every join,
    /// because protocol 1.0.0 does not send it.
    pub(super) fn concerns(&self, reference: Option<&str>) -> bool {
        let Some(join_ref) = self.join_ref.as_deref() else { return false };
        reference.is_none_or(|reference| reference == join_ref)
    }

    /// Whether a join's reply lists what was asked for, and nothing else.
    pub(super) fn is_echoed(&self, bindings: &[Binding]) -> bool {
        let [binding] = bindings else { return false };
        binding.event.eq_ignore_ascii_case(self.kind.event())
            && binding.schema == "public"
            && binding.table == self.kind.table()
    }

    /// The join was accepted; true when the subscription was live even before.
    pub(super) fn joined(&mut self, deadline: Duration) -> bool {
        if self.early {
            self.settle();
        } else {
            self.phase = Phase::Joined { deadline };
        }
        self.early
    }

    /// The server said "Subscribed to PostgreSQL".
    pub(super) fn subscribed(&mut self, out: &mut Vec<Action>) {
        let event = match self.phase {
            Phase::Joining { .. } => return self.early = true,
            Phase::Subscribed => SessionEvent::Resubscribed(self.kind),
            _ => SessionEvent::Subscribed(self.kind),
        };
        self.settle();
        out.push(Action::Event(event));
    }

    fn settle(&mut self) {
        self.phase = Phase::Subscribed;
        self.confirmed = Some(self.token_number);
        self.attempt = 0;
        self.unanswered = 0;
        self.stopped = false;
        self.was_subscribed = true;
    }
}
