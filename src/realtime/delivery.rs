//! What the client tells the rest of the daemon, and how it keeps a slow listener from blocking it.

use std::collections::VecDeque;

use tokio::sync::mpsc;
use uuid::Uuid;

use super::{config::ChannelKind, errors::Disposition};
use crate::model::{ErrorEvent, Timestamp};

/// Something the feed should know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RealtimeEvent {
    /// A socket is open; nothing is subscribed on it yet.
    Connected,
    /// A channel delivers from now on; what was committed before must be read from the table.
    Subscribed {
        /// Which channel.
        channel: ChannelKind,
    },
    /// Rows that were inserted, in the order of arrival; at least one, possibly seen before.
    Changes(Vec<ErrorEvent>),
    /// Rows may have been missed: read the table.
    Gap {
        /// Why.
        reason: GapReason,
    },
    /// A daemon's status update came back.
    Canary {
        /// Which daemon wrote it.
        instance: Uuid,
        /// The heartbeat time it wrote.
        heartbeat_at: Timestamp,
    },
    /// The socket is gone; another one follows by itself.
    Disconnected {
        /// For the log; free of secrets.
        reason: String,
    },
    /// Something failed that an operator may want to know.
    Trouble {
        /// Which channel failed; none for the socket as a whole.
        channel: Option<ChannelKind>,
        /// What the client does about it.
        disposition: Disposition,
        /// For the log and the status row; free of secrets.
        message: String,
    },
}

/// Why rows may have been missed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum GapReason {
    /// The server subscribed the channel anew (changed publication, refreshed token).
    Resubscribed,
    /// A frame for our table could not be decoded.
    Undecodable,
    /// The listener was too slow and rows were dropped.
    Overflow,
}

impl GapReason {
    /// The word for metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Resubscribed => "resubscribed",
            Self::Undecodable => "undecodable",
            Self::Overflow => "overflow",
        }
    }
}

/// What the client is doing; for status and metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RealtimeState {
    /// Opening a socket.
    Connecting,
    /// The socket is open, at least one channel is not subscribed.
    Joining,
    /// Every channel is subscribed.
    Subscribed,
    /// Waiting before the next attempt to connect.
    Backoff,
    /// A human must act (or the client was told to stop); probing now and then.
    Stopped,
    /// No socket is wanted.
    Resting,
}

impl RealtimeState {
    /// The word for the status row and for metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Connecting => "connecting",
            Self::Joining => "joining",
            Self::Subscribed => "subscribed",
            Self::Backoff => "backoff",
            Self::Stopped => "stopped",
            Self::Resting => "none",
        }
    }
}

/// How many events other than rows may wait for a listener.
const MAX_WAITING: usize = 64;

/// Hands events to the listener without ever blocking the socket.
///
/// A full channel costs rows, which the table still has; that rows were dropped is remembered and
/// told as soon as there is room.
pub(super) struct Outbox {
    sender: mpsc::Sender<RealtimeEvent>,
    /// Rows of the batch that is being read.
    rows: Vec<ErrorEvent>,
    waiting: VecDeque<RealtimeEvent>,
    overflow: bool,
}

impl Outbox {
    pub(super) fn new(sender: mpsc::Sender<RealtimeEvent>) -> Self {
        Self { sender, rows: Vec::new(), waiting: VecDeque::new(), overflow: false }
    }

    /// Adds a row to the current batch.
    pub(super) fn row(&mut self, row: ErrorEvent) {
        self.rows.push(row);
    }

    /// Adds any other event, after the rows that came before it.
    pub(super) fn event(&mut self, event: RealtimeEvent) {
        self.end_batch();
        // One wake-up is as good as many, and only the newest canary matters.
        match (&event, self.waiting.back()) {
            (RealtimeEvent::Gap { .. }, Some(RealtimeEvent::Gap { .. })) => return,
            (
                RealtimeEvent::Canary { instance, .. },
                Some(RealtimeEvent::Canary { instance: last, .. }),
            ) if instance == last => {
                self.waiting.pop_back();
            }
            _ => {}
        }
        self.waiting.push_back(event);
    }

    fn end_batch(&mut self) {
        if !self.rows.is_empty() {
            let rows = std::mem::take(&mut self.rows);
            self.waiting.push_back(RealtimeEvent::Changes(rows));
        }
    }

    /// Sends what there is room for; false when nobody listens any more.
    pub(super) fn flush(&mut self) -> bool {
        self.end_batch();
        loop {
            let event = if self.overflow {
                RealtimeEvent::Gap { reason: GapReason::Overflow }
            } else if let Some(event) = self.waiting.pop_front() {
                event
            } else {
                return true;
            };
            match self.sender.try_send(event) {
                Ok(()) => self.overflow = false,
                Err(mpsc::error::TrySendError::Closed(_)) => return false,
                Err(mpsc::error::TrySendError::Full(event)) => {
                    self.keep(event);
                    return true;
                }
            }
        }
    }

    /// Keeps what must not be lost for the next flush.
    fn keep(&mut self, refused: RealtimeEvent) {
        if !self.overflow {
            self.waiting.push_front(refused);
        }
        let before = self.waiting.len();
        self.waiting.retain(|event| !matches!(event, RealtimeEvent::Changes(_)));
        let excess = self.waiting.len().saturating_sub(MAX_WAITING);
        self.waiting.drain(..excess);
        self.overflow |= before != self.waiting.len();
    }

    /// Whether something waits for room.
    pub(super) fn is_owing(&self) -> bool {
        self.overflow || !self.waiting.is_empty()
    }

    /// Completes when there is room for an event, or nobody listens any more.
    pub(super) async fn room(&self) {
        drop(self.sender.reserve().await);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(seq: i64) -> ErrorEvent {
        ErrorEvent {
            seq,
            error_id: Uuid::nil(),
            timestamp: Timestamp::default(),
            received_at: Timestamp::default(),
            source: crate::model::Source::Worker,
            error_type: "system".into(),
            severity: crate::model::Severity::Low,
            project_id: None,
            workflow_id: None,
            fingerprint: Uuid::nil(),
            message: "m".into(),
        }
    }

    #[test]
    fn a_slow_listener_loses_rows_but_no_wake_up() {
        let (sender, mut receiver) = mpsc::channel(2);
        let mut outbox = Outbox::new(sender);
        outbox.event(RealtimeEvent::Connected);
        outbox.row(row(1));
        outbox.row(row(2));
        assert!(outbox.flush() && !outbox.is_owing());
        outbox.row(row(3));
        outbox.event(RealtimeEvent::Subscribed { channel: ChannelKind::Errors });
        for seq in 4..100 {
            outbox.row(row(seq));
            assert!(outbox.flush() && outbox.is_owing());
        }
        assert_eq!(receiver.try_recv(), Ok(RealtimeEvent::Connected));
        assert_eq!(receiver.try_recv(), Ok(RealtimeEvent::Changes(vec![row(1), row(2)])));
        assert!(outbox.flush() && !outbox.is_owing());
        let overflow = RealtimeEvent::Gap { reason: GapReason::Overflow };
        assert_eq!(receiver.try_recv(), Ok(overflow));
        let subscribed = RealtimeEvent::Subscribed { channel: ChannelKind::Errors };
        assert_eq!(receiver.try_recv(), Ok(subscribed));
        outbox.row(row(100));
        assert!(outbox.flush());
        assert_eq!(receiver.try_recv(), Ok(RealtimeEvent::Changes(vec![row(100)])));
        drop(receiver);
        outbox.row(row(101));
        assert!(!outbox.flush());
    }

    #[test]
    fn waiting_events_are_bounded_and_joined() {
        let (sender, mut receiver) = mpsc::channel(1);
        let mut outbox = Outbox::new(sender);
        outbox.event(RealtimeEvent::Connected);
        assert!(outbox.flush());
        for second in 0..1_000 {
            let heartbeat_at = Timestamp::from_secs(second);
            outbox.event(RealtimeEvent::Canary { instance: Uuid::nil(), heartbeat_at });
            assert!(outbox.flush());
        }
        assert_eq!(outbox.waiting.len(), 1);
        for _ in 0..1_000 {
            outbox.event(RealtimeEvent::Gap { reason: GapReason::Undecodable });
            outbox.event(RealtimeEvent::Disconnected { reason: String::new() });
            assert!(outbox.flush());
        }
        assert!(outbox.waiting.len() <= MAX_WAITING && outbox.overflow);
        assert_eq!(receiver.try_recv(), Ok(RealtimeEvent::Connected));
    }
}
