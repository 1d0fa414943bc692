//! A session on a socket, with the clock and the tokens that the session must not know.

use std::{sync::Arc, time::Duration};

use tokio::time::Instant;

use super::{
    change::Change,
    config::{ChannelKind, Target},
    connection::{Connection, Incoming},
    delivery::{GapReason, Outbox, RealtimeEvent},
    errors::Disposition,
    session::{Action, Input, Moment, Session, SessionEvent},
};
use crate::token::{IssuedToken, Minter};

/// How many frames are read before the listener is told and other work gets its turn.
const MAX_BATCH: usize = 256;
/// How long after a failed renewal of the token the next one is tried.
const TOKEN_RETRY: Duration = Duration::from_secs(10);

/// One open socket and what happens on it.
pub(super) struct Line {
    pub session: Session,
    pub connection: Connection,
    /// When another socket should take over, by this one's age.
    pub replace_at: Instant,
    started: Instant,
    /// When the current token is due for renewal.
    token_due: Option<Instant>,
    /// Until when the current token is good enough.
    token_good: Option<Instant>,
    /// The same for the token that every channel is known to have.
    held_good: Option<Instant>,
    actions: Vec<Action>,
    minter: Arc<Minter>,
    write: Duration,
}

impl Line {
    /// Opens a socket; `started` is when the client started, from which a session counts.
    pub(super) async fn open(
        target: &Target,
        minter: Arc<Minter>,
        started: Instant,
    ) -> Result<Self, (Disposition, String)> {
        let issued = minter.issue().map_err(|error| {
            (Disposition::Stop, format!("no access token could be made: {error}"))
        })?;
        let connection = Connection::open(target, &issued.token)
            .await
            .map_err(|error| (error.disposition(), error.to_string()))?;
        let now = Instant::now();
        // Several daemons that were started together are not replaced together.
        let age = target.timing.replace_after.mul_f64(1.0 - 0.1 * rand::random::<f64>());
        let mut line = Self {
            session: Session::new(target.vsn, target.timing.clone(), issued.token.clone()),
            connection,
            replace_at: now + age,
            started,
            token_due: None,
            token_good: None,
            held_good: None,
            actions: Vec::new(),
            minter,
            write: target.timing.write,
        };
        line.note_token(&issued);
        line.held_good = line.token_good;
        line.input(Input::Opened);
        Ok(line)
    }

    fn note_token(&mut self, issued: &IssuedToken) {
        let now = Instant::now();
        self.token_due = issued.refresh_after.map(|after| now + after);
        self.token_good = issued.replace_after.map(|after| now + after);
    }

    pub(super) fn input(&mut self, input: Input<'_>) {
        let at = Moment { now: self.started.elapsed(), random: rand::random() };
        self.session.handle(at, input, &mut self.actions);
        if self.session.holds_current_token() {
            self.held_good = self.token_good;
        }
    }

    /// When another socket should take over: before this one is too old, or before a token ends
    /// that the server did not exchange for the one it was sent.
    pub(super) fn replace_due(&self) -> Instant {
        self.held_good.map_or(self.replace_at, |good| good.min(self.replace_at))
    }

    /// Asks for a replacement again after `wait`, and not before.
    pub(super) fn put_off(&mut self, wait: Duration) {
        let at = Instant::now() + wait;
        self.replace_at = self.replace_at.max(at);
        self.held_good = self.held_good.map(|good| good.max(at));
    }

    /// Waits for the next frame.
    pub(super) async fn next(&mut self) -> Incoming {
        self.connection.next().await
    }

    /// Takes in a frame and those that have arrived behind it.
    pub(super) fn receive(&mut self, first: Incoming) -> Result<(), String> {
        let mut incoming = Some(first);
        let mut count = 0;
        while let Some(frame) = incoming {
            match frame {
                Incoming::Text(text) => self.input(Input::Text(text.as_str())),
                Incoming::Nothing => {}
                Incoming::Closed(reason) => return Err(reason),
            }
            count += 1;
            incoming = if count < MAX_BATCH { self.connection.ready() } else { None };
        }
        Ok(())
    }

    pub(super) fn next_tick(&self) -> Instant {
        let session = self.session.next_tick().map(|due| self.started + due);
        let far = Instant::now() + Duration::from_secs(60);
        session.into_iter().chain(self.token_due).min().unwrap_or(far)
    }

    pub(super) fn tick(&mut self) {
        if self.token_due.is_some_and(|due| due <= Instant::now()) {
            self.renew();
        }
        self.input(Input::Tick);
    }

    fn renew(&mut self) {
        match self.minter.issue() {
            Ok(issued) => {
                self.note_token(&issued);
                self.input(Input::TokenRefreshed(issued.token));
            }
            Err(error) => {
                tracing::warn!(%error, "realtime access token could not be renewed");
                self.token_due = Some(Instant::now() + TOKEN_RETRY);
            }
        }
    }

    /// Does what the session asks for; an error is the reason to give the socket up.
    pub(super) async fn perform(
        &mut self,
        mut tell: impl FnMut(SessionEvent),
    ) -> Result<(), String> {
        let mut index = 0;
        let mut ended = Ok(());
        // Actions may add further ones, so the list is read by index.
        while let Some(action) = self.actions.get_mut(index) {
            index += 1;
            match std::mem::replace(action, Action::NeedToken) {
                Action::Send(_) | Action::NeedToken if ended.is_err() => {}
                Action::Send(text) => ended = self.connection.send(text, self.write).await,
                Action::Event(event) => tell(event),
                Action::NeedToken if self.minter.is_fixed() => self.input(Input::TokenUnavailable),
                Action::NeedToken => self.renew(),
                Action::Close(reason) => ended = Err(reason.to_owned()),
            }
        }
        self.actions.clear();
        ended
    }
}

/// Passes the news of a session on.
pub(super) fn tell(outbox: &mut Outbox, event: SessionEvent) {
    match event {
        SessionEvent::Change(Change::Error(row)) => outbox.row(row),
        SessionEvent::Change(Change::Canary { instance, heartbeat_at }) => {
            outbox.event(RealtimeEvent::Canary { instance, heartbeat_at });
        }
        SessionEvent::Change(Change::Undecodable { .. }) | SessionEvent::Garbled => {
            outbox.event(RealtimeEvent::Gap { reason: GapReason::Undecodable });
        }
        SessionEvent::Subscribed(channel) => {
            tracing::info!(topic = channel.topic(), "realtime channel subscribed");
            outbox.event(RealtimeEvent::Subscribed { channel });
        }
        SessionEvent::Resubscribed(channel) => {
            tracing::info!(topic = channel.topic(), "realtime channel subscribed again");
            outbox.event(RealtimeEvent::Gap { reason: GapReason::Resubscribed });
        }
        SessionEvent::Trouble { channel, disposition, message } => {
            let message = format!("{}: {message}", channel.topic());
            tell_trouble(outbox, Some(channel), disposition, message);
        }
    }
}

/// Logs a trouble and passes it on.
pub(super) fn tell_trouble(
    outbox: &mut Outbox,
    channel: Option<ChannelKind>,
    disposition: Disposition,
    message: String,
) {
    match disposition {
        Disposition::Stop => tracing::error!(%message, "realtime needs a human; still probing"),
        _ => tracing::warn!(?disposition, %message, "realtime trouble"),
    }
    outbox.event(RealtimeEvent::Trouble { channel, disposition, message });
}
