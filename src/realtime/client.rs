//! Keeps a Realtime session alive: connects, drives the session, and connects again.

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::{mpsc, watch},
    time::{Instant, sleep_until},
};
use tokio_util::sync::CancellationToken;

use super::{
    config::{ChannelKind, ConfigError, RealtimeConfig, Target},
    delivery::{Outbox, RealtimeEvent, RealtimeState},
    errors::Disposition,
    line::{Line, tell, tell_trouble},
    session::Input,
    successor::Successor,
};
use crate::token::Minter;

#[derive(Clone, Copy, Debug)]
enum Command {
    Rejoin(ChannelKind),
    Reconnect,
}

/// The Realtime client; [`RealtimeClient::run`] is its life.
pub struct RealtimeClient {
    target: Arc<Target>,
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
    /// Another socket is there, and subscribed.
    Replace(Box<Line>),
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
        let target = Arc::new(config.check()?);
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
        self.run_once(events, cancel).await;
        self.set_state(RealtimeState::Stopped);
    }

    /// No socket is wanted for now.
    pub fn rest(&self) {
        self.set_state(RealtimeState::Resting);
    }

    /// As [`RealtimeClient::run`], for a client that may be wanted again later.
    pub async fn run_once(
        &mut self,
        events: mpsc::Sender<RealtimeEvent>,
        cancel: CancellationToken,
    ) {
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
                    tell_trouble(&mut outbox, None, disposition, message);
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

    /// Opens one socket and lives with it and its successors; the flag says whether any of them was
    /// ever subscribed.
    async fn socket(
        &mut self,
        outbox: &mut Outbox,
        cancel: &CancellationToken,
        started: Instant,
    ) -> Result<(Ended, bool), (Disposition, String)> {
        let mut line = tokio::select! {
            () = cancel.cancelled() => return Ok((Ended::Stop, false)),
            opened = Line::open(&self.target, Arc::clone(&self.minter), started) => opened?,
        };
        // Wishes about an earlier socket do not concern this one.
        while self.commands.try_recv().is_ok() {}
        tracing::info!("realtime socket open");
        outbox.event(RealtimeEvent::Connected);
        let (mut next, mut replaced) = (Successor::default(), false);
        let ended = loop {
            match self.drive(&mut line, &mut next, outbox, cancel, started).await {
                Ended::Replace(by) => {
                    let old = std::mem::replace(&mut line, *by);
                    replaced = true;
                    tracing::info!("realtime socket replaced");
                    // The new one's frames wait for us meanwhile, at most a second.
                    old.connection.close().await;
                }
                Ended::Lost(reason) => match next.ready(true) {
                    Some(by) => {
                        tracing::warn!(%reason, "realtime socket lost; its successor takes over");
                        outbox.event(RealtimeEvent::Disconnected { reason });
                        outbox.event(RealtimeEvent::Connected);
                        line = by;
                        if line.session.state() == RealtimeState::Subscribed {
                            // It said so while nobody was in need of it.
                            let channel = ChannelKind::Errors;
                            outbox.event(RealtimeEvent::Subscribed { channel });
                        }
                    }
                    None => break Ended::Lost(reason),
                },
                Ended::Stop => break Ended::Stop,
            }
        };
        let was_subscribed = replaced || line.session.was_subscribed();
        if let Some(next) = next.ready(true) {
            next.connection.close().await;
        }
        line.connection.close().await;
        Ok((ended, was_subscribed))
    }

    async fn drive(
        &mut self,
        line: &mut Line,
        next: &mut Successor,
        outbox: &mut Outbox,
        cancel: &CancellationToken,
        started: Instant,
    ) -> Ended {
        loop {
            if let Err(reason) = line.perform(|event| tell(outbox, event)).await {
                // What arrived before the loss is still told.
                return if outbox.flush() { Ended::Lost(reason) } else { Ended::Stop };
            }
            if let Err(reason) = next.perform(outbox, &self.target).await {
                self.not_replaced(line, &reason);
            }
            if !outbox.flush() {
                return Ended::Stop;
            }
            self.set_state(line.session.state());
            if let Some(by) = next.ready(false) {
                return Ended::Replace(Box::new(by));
            }
            let (tick, replace) = (line.next_tick(), line.replace_due());
            tokio::select! {
                () = cancel.cancelled() => return Ended::Stop,
                incoming = line.next() => {
                    if let Err(reason) = line.receive(incoming) {
                        drop(line.perform(|event| tell(outbox, event)).await);
                        return Ended::Lost(reason);
                    }
                }
                turn = next.turn() => {
                    if let Err(reason) = next.take(turn, &self.target) {
                        self.not_replaced(line, &reason);
                    }
                }
                () = sleep_until(tick) => line.tick(),
                () = sleep_until(replace), if next.is_none() => {
                    next.begin(&self.target, &self.minter, started);
                }
                () = outbox.room(), if outbox.is_owing() => {}
                Some(command) = self.commands.recv() => match command {
                    Command::Rejoin(channel) => line.input(Input::Rejoin(channel)),
                    Command::Reconnect => return Ended::Lost("replaced on request".to_owned()),
                },
            }
        }
    }

    /// The current socket goes on, and a while later another successor is tried.
    fn not_replaced(&self, line: &mut Line, reason: &str) {
        tracing::warn!(%reason, "realtime socket not replaced yet");
        line.put_off(self.target.timing.slow_retry);
    }
}
