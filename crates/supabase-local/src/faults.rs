//! Misbehaviour on request, so that a test can see how a client copes with what the real servers do.
//!
//! [`Knobs`] are states that hold until they are changed or cleared; [`Action`]s happen once. Both
//! work at run time on a server that is already serving.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::sync::{broadcast, watch};

/// Lasting misbehaviour. The default is to behave.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Knobs {
    /// Lose this many of the next change frames (counts down).
    pub drop_next: u64,
    /// Lose this share of the change frames, 0.0 to 1.0, evenly spread.
    pub drop_fraction: f64,
    /// Lose every change frame while heartbeats and replies go on: deaf but alive.
    pub deaf: bool,
    /// Send each change frame this many times more.
    pub duplicate: u32,
    /// Hold each change frame back this long.
    pub delay: Option<Duration>,
    /// Collect up to this many change frames and send them in reverse; what does not fill up goes
    /// out after 200 ms.
    pub reorder: Option<usize>,
    /// Pretend that the rows of this many of the next changes are over 1 MiB (counts down).
    pub truncate_next: u64,
    /// Discard silently what exceeds this many frames × subscription ids in a second, as the real
    /// server does above the plan's limit.
    pub max_events_per_second: Option<u32>,

    /// Do not answer heartbeats.
    pub swallow_heartbeats: bool,
    /// Ignore `access_token` messages.
    pub ignore_access_token: bool,
    /// Answer every websocket handshake with this HTTP status.
    pub refuse_handshake: Option<u16>,
    /// Refuse every join with this reason.
    pub refuse_join: Option<String>,
    /// Hold the refusal of a join back this long; the real server does for 5 s.
    pub refuse_join_after: Option<Duration>,
    /// Do not answer joins at all.
    pub mute_join: bool,
    /// Answer joins, but never say "Subscribed to PostgreSQL" (and deliver nothing).
    pub join_without_system: bool,
    /// Say "Subscribed to PostgreSQL" twice.
    pub system_twice: bool,
    /// Wait this long between the reply to a join and the subscription.
    pub subscribe_delay: Option<Duration>,
    /// Echo wrong subscription ids in the reply to a join.
    pub wrong_ids: bool,

    /// Drop the replication slot and stay without one; what is committed meanwhile is lost, and no
    /// client is told. Set to false to create a new slot at the then current position.
    pub slot_lost: bool,

    /// Answer every `/rest/v1` request with this HTTP status.
    pub rest_status: Option<u16>,
    /// Let every `/rest/v1` request wait this long first.
    pub rest_delay: Option<Duration>,
    /// Answer every `/auth/v1` request with this HTTP status.
    pub auth_status: Option<u16>,
}

/// Something that happens once, to every socket that is open at that moment.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Close with this code (1000, 1001, 1012, …).
    Close(u16),
    /// Drop the TCP connection without a close frame, which a client sees as 1006.
    Abort,
    /// Keep the TCP connection but neither read nor write any more: half-open.
    Freeze,
    /// Send this text as it is.
    SendRaw(String),
    /// Tell every channel that its token has expired, and close the channel.
    ExpireTokens,
    /// Send `phx_error` to every channel and forget it, as after a crash of the channel process.
    CrashChannels,
    /// Send `phx_close` to every channel and forget it.
    CloseChannels,
    /// Subscribe every channel again, which says "Subscribed to PostgreSQL" once more.
    Resubscribe,
}

/// How often things happened since the start; for tests that wait for them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// Websocket handshakes, refused ones included.
    pub handshakes: u64,
    /// Sockets accepted.
    pub sockets: u64,
    /// `phx_join` messages.
    pub joins: u64,
    /// Heartbeats, swallowed ones included.
    pub heartbeats: u64,
    /// `access_token` messages, ignored ones included.
    pub token_refreshes: u64,
    /// Change frames handed to sockets.
    pub frames_sent: u64,
    /// Change frames lost on request.
    pub frames_lost: u64,
    /// Sockets cut because they read too slowly.
    pub slow_clients: u64,
    /// Replication slots created.
    pub slots: u64,
}

/// What [`Faults::count`] counts.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Event {
    Handshake,
    Socket,
    Join,
    Heartbeat,
    TokenRefresh,
    FrameSent,
    FrameLost,
    SlowClient,
    Slot,
}

/// A shared handle on a server's misbehaviour; clones steer the same server.
#[derive(Clone, Debug)]
pub struct Faults(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    knobs: Mutex<Knobs>,
    /// The share of a frame that [`Knobs::drop_fraction`] has still to lose.
    owed: Mutex<f64>,
    slot_lost: watch::Sender<bool>,
    actions: broadcast::Sender<Action>,
    counters: [AtomicU64; 9],
}

impl Default for Faults {
    fn default() -> Self {
        Self(Arc::new(Inner {
            knobs: Mutex::default(),
            owed: Mutex::default(),
            slot_lost: watch::Sender::new(false),
            actions: broadcast::Sender::new(64),
            counters: std::array::from_fn(|_| AtomicU64::new(0)),
        }))
    }
}

impl Faults {
    /// Changes the knobs, such as `faults.set(|k| k.deaf = true)`.
    pub fn set(&self, change: impl FnOnce(&mut Knobs)) {
        let mut knobs = self.0.knobs.lock().unwrap_or_else(PoisonError::into_inner);
        change(&mut knobs);
        self.0.slot_lost.send_if_modified(|lost| {
            let changed = *lost != knobs.slot_lost;
            *lost = knobs.slot_lost;
            changed
        });
    }

    /// Puts every knob back.
    pub fn clear(&self) {
        self.set(|knobs| *knobs = Knobs::default());
    }

    /// The knobs as they are now.
    #[must_use]
    pub fn knobs(&self) -> Knobs {
        self.0.knobs.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Lets `action` happen to every open socket; returns how many there are.
    pub fn act(&self, action: Action) -> usize {
        // Without a socket there is nobody to send to, which is not a failure.
        self.0.actions.send(action).unwrap_or_default()
    }

    /// What has happened so far.
    #[must_use]
    pub fn seen(&self) -> Seen {
        let at = |event: Event| {
            self.0.counters.get(event as usize).map_or(0, |n| n.load(Ordering::Acquire))
        };
        Seen {
            handshakes: at(Event::Handshake),
            sockets: at(Event::Socket),
            joins: at(Event::Join),
            heartbeats: at(Event::Heartbeat),
            token_refreshes: at(Event::TokenRefresh),
            frames_sent: at(Event::FrameSent),
            frames_lost: at(Event::FrameLost),
            slow_clients: at(Event::SlowClient),
            slots: at(Event::Slot),
        }
    }

    pub(crate) fn count(&self, event: Event) {
        if let Some(counter) = self.0.counters.get(event as usize) {
            counter.fetch_add(1, Ordering::AcqRel);
        }
    }

    pub(crate) fn actions(&self) -> broadcast::Receiver<Action> {
        self.0.actions.subscribe()
    }

    pub(crate) fn slot_lost(&self) -> watch::Receiver<bool> {
        self.0.slot_lost.subscribe()
    }

    /// Whether the next change frame is to be lost.
    pub(crate) fn loses_frame(&self) -> bool {
        let mut knobs = self.0.knobs.lock().unwrap_or_else(PoisonError::into_inner);
        if knobs.deaf {
            return true;
        }
        if knobs.drop_next > 0 {
            knobs.drop_next -= 1;
            return true;
        }
        let mut owed = self.0.owed.lock().unwrap_or_else(PoisonError::into_inner);
        *owed += knobs.drop_fraction.clamp(0.0, 1.0);
        let lost = *owed >= 1.0;
        if lost {
            *owed -= 1.0;
        }
        lost
    }

    /// Whether the next change is to look too large.
    pub(crate) fn truncates_change(&self) -> bool {
        let mut knobs = self.0.knobs.lock().unwrap_or_else(PoisonError::into_inner);
        let truncates = knobs.truncate_next > 0;
        knobs.truncate_next = knobs.truncate_next.saturating_sub(1);
        truncates
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loses_what_it_was_told_to_lose() {
        let faults = Faults::default();
        assert!(!faults.loses_frame());
        faults.set(|k| k.drop_next = 2);
        assert_eq!([(); 3].map(|()| faults.loses_frame()), [true, true, false]);
        faults.set(|k| k.drop_fraction = 0.5);
        assert_eq!((0..10).filter(|_| faults.loses_frame()).count(), 5);
        faults.set(|k| k.deaf = true);
        assert!(faults.loses_frame());
        faults.clear();
        assert_eq!(faults.knobs(), Knobs::default());
    }

    #[test]
    fn the_slot_watch_follows_the_knob() {
        let faults = Faults::default();
        let watch = faults.slot_lost();
        faults.set(|k| k.slot_lost = true);
        assert!(*watch.borrow());
        faults.clear();
        assert!(!*watch.borrow());
    }
}
