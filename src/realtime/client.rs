//! Keeps a Realtime session alive: connects, drives the session, and connects again.

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::{mpsc, watch},
    time::{Instant, sleep_until},
};
use tokio_util::sync::CancellationToken;

use super::{
    config::{ChannelKind, ConfigError, RealtimeConfig, Target},
    connection::{Connection, Incoming},
    delivery::{GapReason, Outbox, RealtimeEvent, RealtimeState},
    errors::Disposition,
    session::{Action, Input, Moment, Session, SessionEvent},
};
use crate::{realtime::Change, token::Minter};

/// How many frames are read before the listener is told and other work gets its turn.
const MAX_BATCH: usize = 256;
/// How long after a failed renewal of the token the next one is tried.
const TOKEN_RETRY: Duration = Duration::from_secs(10);

#[derive(Clone, Copy, Debug)]
enum Command {
    Rejoin(ChannelKind),
    Reconnect,
}

/// The Realtime client; [`RealtimeClient::run`] is its life.
pub struct RealtimeClient {
    target: Target,
    minter: Arc<Minter>,
    commands: mpsc::Receiver<Command>,
    state: watch::Sender<RealtimeState>,
}

/// Watches and commands a running [`RealtimeClient`].
#[derive(Clone, Debug)]
pub struct RealtimeHandle {
    commands: mpsc::Sender<Command>,
    state: watch::Receiver<RealtimeState>,
}

impl RealtimeHandle {
    /// Leaves and joins one channel anew; without effect while there is no socket.
    pub fn rejoin(&self, channel: ChannelKind) {
        self.command(Command::Rejoin(channel));
    }

    /// Gives the socket up and opens another one; without effect while there is none.
    pub fn reconnect(&self) {
        self.command(Command::Reconnect);
    }

    fn command(&self, command: Command) {
        if self.commands.try_send(command).is_err() {
            // A full queue means that such a wish waits already, a closed one that all is over.
            tracing::debug!(?command, "realtime command dropped");
        }
    }

    /// What the client is doing.
    #[must_use]
    pub fn state(&self) -> watch::Receiver<RealtimeState> {
        self.state.clone()
    }
}

/// Why a socket's life ended.
enum Ended {
    /// The client is to stop: it was told so, or nobody listens any more.
    Stop,
    /// Another socket is needed.
    Lost(String),
}

impl RealtimeClient {
    /// A client that has not connected yet, and the handle for it.
    ///
    /// # Errors
    /// [`ConfigError`] when the configuration cannot work.
    pub fn new(
        config: RealtimeConfig,
        minter: Arc<Minter>,
    ) -> Result<(Self, RealtimeHandle), ConfigError> {
        let target = config.check()?;
        let (command_sender, commands) = mpsc::channel(8);
        let (state, state_receiver) = watch::channel(RealtimeState::Connecting);
        let handle = RealtimeHandle { commands: command_sender, state: state_receiver };
        Ok((Self { target, minter, commands, state }, handle))
    }

    /// Runs until `cancel` is cancelled or the receiver of `events` is dropped.
    ///
    /// Nothing ends it otherwise: what only a human can put right is told as
    /// [`RealtimeEvent::Trouble`] with [`Disposition::Stop`] and probed every few minutes.
    /// Failures are logged here, once.
    pub async fn run(mut self, events: mpsc::Sender<RealtimeEvent>, cancel: CancellationToken) {
        let mut outbox = Outbox::new(events);
        let started = Instant::now();
        let mut attempt = 0;
        loop {
            self.set_state(RealtimeState::Connecting);
            let (ended, disposition) = match self.socket(&mut outbox, &cancel, started).await {
                Ok((ended, was_subscribed)) => {
                    if was_subscribed {
                        attempt = 0;
                    }
                    (ended, Disposition::Retry)
                }
                Err((disposition, message)) => {
                    tell_trouble(&mut outbox, disposition, message);
                    (Ended::Lost(String::new()), disposition)
                }
            };
            let Ended::Lost(reason) = ended else { break };
            if !reason.is_empty() {
                tracing::warn!(%reason, "realtime socket lost");
                outbox.event(RealtimeEvent::Disconnected { reason });
            }
            let wait = self.wait(disposition, attempt);
            attempt = attempt.saturating_add(1);
            self.set_state(match disposition {
                Disposition::Stop => RealtimeState::Stopped,
                _ => RealtimeState::Backoff,
            });
            if !self.pause(&mut outbox, &cancel, wait).await {
                break;
            }
        }
        self.set_state(RealtimeState::Stopped);
    }

    fn wait(&self, disposition: Disposition, attempt: u32) -> Duration {
        let (timing, random) = (&self.target.timing, rand::random::<f64>());
        match disposition {
            Disposition::Stop => timing.probe.mul_f64(1.0 + 0.2 * random),
            Disposition::RetrySlowly => timing.slow_retry.mul_f64(1.0 + 0.2 * random),
            Disposition::BackOff { at_least } => {
                timing.retry.delay_at_least(attempt, at_least, random)
            }
            Disposition::Retry | Disposition::RefreshToken | Disposition::Ignore => {
                timing.retry.delay(attempt, random)
            }
        }
    }

    fn set_state(&self, state: RealtimeState) {
        self.state.send_if_modified(|current| std::mem::replace(current, state) != state);
    }

    /// Waits without a socket; false when the client is to stop.
    async fn pause(
        &mut self,
        outbox: &mut Outbox,
        cancel: &CancellationToken,
        wait: Duration,
    ) -> bool {
        let end = Instant::now() + wait;
        loop {
            if !outbox.flush() {
                return false;
            }
            tokio::select! {
                () = cancel.cancelled() => return false,
                () = sleep_until(end) => return true,
                () = outbox.room(), if outbox.is_owing() => {}
                // Without a socket there is nothing to rejoin or replace.
                Some(_) = self.commands.recv() => {}
            }
        }
    }

    /// Opens one socket and lives with it; the flag says whether it was ever subscribed.
    async fn socket(
        &mut self,
        outbox: &mut Outbox,
        cancel: &CancellationToken,
        started: Instant,
    ) -> Result<(Ended, bool), (Disposition, String)> {
        let token = self.minter.issue().map_err(|error| {
            (Disposition::Stop, format!("no access token could be made: {error}"))
        })?;
        let connection = tokio::select! {
            () = cancel.cancelled() => return Ok((Ended::Stop, false)),
            opened = Connection::open(&self.target, &token.token) => opened,
        };
        let mut connection =
            connection.map_err(|error| (error.disposition(), error.to_string()))?;
        // Wishes about an earlier socket do not concern this one.
        while self.commands.try_recv().is_ok() {}
        tracing::info!("realtime socket open");
        outbox.event(RealtimeEvent::Connected);
        let session = Session::new(self.target.vsn, self.target.timing.clone(), token.token);
        let mut life = Life {
            session,
            started,
            token_due: token.refresh_after.map(|after| Instant::now() + after),
            actions: Vec::new(),
            minter: Arc::clone(&self.minter),
            write: self.target.timing.write,
        };
        let ended = self.drive(&mut life, &mut connection, outbox, cancel).await;
        connection.close().await;
        Ok((ended, life.session.was_subscribed()))
    }

    async fn drive(
        &mut self,
        life: &mut Life,
        connection: &mut Connection,
        outbox: &mut Outbox,
        cancel: &CancellationToken,
    ) -> Ended {
        life.input(Input::Opened);
        loop {
            if let Err(reason) = life.perform(connection, outbox).await {
                // What arrived before the loss is still told.
                return if outbox.flush() { Ended::Lost(reason) } else { Ended::Stop };
            }
            if !outbox.flush() {
                return Ended::Stop;
            }
            self.set_state(life.session.state());
            tokio::select! {
                () = cancel.cancelled() => return Ended::Stop,
                incoming = connection.next() => {
                    if let Err(reason) = life.receive(incoming, connection) {
                        drop(life.perform(connection, outbox).await);
                        return Ended::Lost(reason);
                    }
                }
                () = sleep_until(life.next_tick()) => life.tick(),
                () = outbox.room(), if outbox.is_owing() => {}
                Some(command) = self.commands.recv() => match command {
                    Command::Rejoin(channel) => life.input(Input::Rejoin(channel)),
                    Command::Reconnect => return Ended::Lost("replaced on request".to_owned()),
                },
            }
        }
    }
}

/// A session on a socket, with the clock and the token that it must not know.
struct Life {
    session: Session,
    started: Instant,
    token_due: Option<Instant>,
    actions: Vec<Action>,
    minter: Arc<Minter>,
    write: Duration,
}

impl Life {
    fn input(&mut self, input: Input<'_>) {
        let at = Moment { now: self.started.elapsed(), random: rand::random() };
        self.session.handle(at, input, &mut self.actions);
    }

    /// Takes in a frame and those that have arrived behind it.
    fn receive(&mut self, first: Incoming, connection: &mut Connection) -> Result<(), String> {
        let mut incoming = Some(first);
        let mut count = 0;
        while let Some(frame) = incoming {
            match frame {
                Incoming::Text(text) => self.input(Input::Text(text.as_str())),
                Incoming::Nothing => {}
                Incoming::Closed(reason) => return Err(reason),
            }
            count += 1;
            incoming = if count < MAX_BATCH { connection.ready() } else { None };
        }
        Ok(())
    }

    fn next_tick(&self) -> Instant {
        let session = self.session.next_tick().map(|due| self.started + due);
        let far = Instant::now() + Duration::from_secs(60);
        session.into_iter().chain(self.token_due).min().unwrap_or(far)
    }

    fn tick(&mut self) {
        if self.token_due.is_some_and(|due| due <= Instant::now()) {
            self.renew();
        }
        self.input(Input::Tick);
    }

    fn renew(&mut self) {
        match self.minter.issue() {
            Ok(token) => {
                self.token_due = token.refresh_after.map(|after| Instant::now() + after);
                self.input(Input::TokenRefreshed(token.token));
            }
            Err(error) => {
                tracing::warn!(%error, "realtime access token could not be renewed");
                self.token_due = Some(Instant::now() + TOKEN_RETRY);
            }
        }
    }

    /// Does what the session asks for; an error is the reason to give the socket up.
    async fn perform(
        &mut self,
        connection: &mut Connection,
        outbox: &mut Outbox,
    ) -> Result<(), String> {
        let mut index = 0;
        let mut ended = Ok(());
        // Actions may add further ones, so the list is read by index.
        while let Some(action) = self.actions.get_mut(index) {
            index += 1;
            match std::mem::replace(action, Action::NeedToken) {
                Action::Send(_) | Action::NeedToken if ended.is_err() => {}
                Action::Send(text) => ended = connection.send(text, self.write).await,
                Action::Event(event) => tell(outbox, event),
                Action::NeedToken if self.minter.is_fixed() => self.input(Input::TokenUnavailable),
                Action::NeedToken => self.renew(),
                Action::Close(reason) => ended = Err(reason.to_owned()),
            }
        }
        self.actions.clear();
        ended
    }
}

fn tell(outbox: &mut Outbox, event: SessionEvent) {
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
            tell_trouble(outbox, disposition, format!("{}: {message}", channel.topic()));
        }
    }
}

fn tell_trouble(outbox: &mut Outbox, disposition: Disposition, message: String) {
    match disposition {
        Disposition::Stop => tracing::error!(%message, "realtime needs a human; still probing"),
        _ => tracing::warn!(?disposition, %message, "realtime trouble"),
    }
    outbox.event(RealtimeEvent::Trouble { disposition, message });
}
