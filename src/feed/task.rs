//! The feed's loop: one task that owns the ledger, takes what the socket brings, and starts queries.

use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

use tokio::{
    sync::{mpsc, watch},
    task::JoinSet,
    time::{Instant, sleep_until},
};
use tokio_util::sync::CancellationToken;

use super::{
    FeedCommand, FeedInput, FeedOutput, FeedStatus, Hydrate, hearing::Hearing, history::Replay,
    jobs::Done, ledger::Ledger, reads::Reads, saves::Saves, undecided::Undecided,
};
use crate::{
    clock::Clock,
    lease::Leadership,
    model::{ErrorEvent, RangeSet, Span, Timestamp},
    store::Db,
};

/// Inputs that may wait; more are the socket's loss, and numbered reads make up for it.
const INPUTS: usize = 4_096;
/// Batches that may wait for the engine; each holds at most a page.
const OUTPUTS: usize = 4;
/// A number that the socket brings this far above the highest one known is not believed, but looked
/// for: one absurd number would make everything below it a hole.
const FAR_AHEAD: i64 = 1_000_000;
/// Inputs taken in one go.
const AT_ONCE: usize = 1_024;

/// Times and sizes of the feed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FeedOptions {
    /// The longest window of any rule: how far back the history at the start reaches.
    pub initial_window: Span,
    /// Time between reads while nothing happens.
    pub tick_quiet: Duration,
    /// Time between reads while rows flow, or the leader's socket brings nothing.
    pub tick_busy: Duration,
    /// Most rows of one read.
    pub page_rows: u32,
    /// Most holes that one read asks for.
    pub page_ranges: usize,
    /// How long a query may take.
    pub query_limit: Duration,
    /// Time between rollups.
    pub save_every: Duration,
    /// Most rows of one rollup.
    pub save_rows: u64,
    /// How long a rollup may disagree with the ledger before it is accepted as it is.
    pub save_patience: Duration,
    /// How long the last rollups may take at shutdown.
    pub stop_within: Duration,
}

impl Default for FeedOptions {
    fn default() -> Self {
        Self {
            initial_window: Span::ZERO,
            tick_quiet: Duration::from_millis(250),
            tick_busy: Duration::from_millis(100),
            page_rows: 20_000,
            page_ranges: 2_000,
            query_limit: Duration::from_secs(10),
            save_every: Duration::from_secs(1),
            save_rows: 50_000,
            save_patience: Duration::from_secs(30),
            stop_within: Duration::from_secs(3),
        }
    }
}

/// The feed, before it runs.
#[derive(Debug)]
pub struct Feed {
    pub(super) db: Db,
    pub(super) clock: Clock,
    pub(super) leadership: Leadership,
    pub(super) options: FeedOptions,
    pub(super) inputs: mpsc::Receiver<FeedInput>,
    output: mpsc::Sender<FeedOutput>,
    pub(super) commands: mpsc::Sender<FeedCommand>,
    pub(super) publish: watch::Sender<FeedStatus>,

    pub(super) ledger: Ledger,
    pub(super) status: FeedStatus,
    /// Grows when the ledger is replaced.
    pub(super) generation: u64,
    pub(super) jobs: JoinSet<Done>,
    pub(super) reads: Reads,
    pub(super) saves: Saves,
    pub(super) replays: VecDeque<Replay>,
    /// Wishes for history that came before the history at the start had ended.
    pub(super) wishes: Vec<Hydrate>,
    pub(super) replaying: bool,
    pub(super) replay_after: Instant,
    pub(super) hearing: Hearing,
    pub(super) undecided: Undecided,
    /// Queries whose last attempt failed: since when, and how.
    pub(super) failing: BTreeMap<&'static str, (Timestamp, String)>,
    /// The database was set back while we ran.
    pub(super) set_back: bool,
    /// The engine's end of the output is closed, or we were told to stop.
    ended: bool,
}

/// The other ends of a feed.
#[derive(Debug)]
pub struct FeedHandle {
    /// For the socket's wiring and for wishes; see [`FeedInput`].
    pub inputs: mpsc::Sender<FeedInput>,
    /// For the engine.
    pub outputs: mpsc::Receiver<FeedOutput>,
    /// For the socket's wiring.
    pub commands: mpsc::Receiver<FeedCommand>,
    /// For whoever reports; changes at most once a loop.
    pub status: watch::Receiver<FeedStatus>,
}

/// Prepares a feed; nothing happens before it [runs](Feed::run).
#[must_use]
pub fn feed(
    db: Db,
    clock: Clock,
    leadership: Leadership,
    options: FeedOptions,
) -> (Feed, FeedHandle) {
    let (inputs, inputs_here) = mpsc::channel(INPUTS);
    let (output, outputs) = mpsc::channel(OUTPUTS);
    let (commands, commands_there) = mpsc::channel(4);
    let (publish, status) = watch::channel(FeedStatus::default());
    let now = Instant::now();
    let feed = Feed {
        db,
        clock,
        leadership,
        options,
        inputs: inputs_here,
        output,
        commands,
        publish,
        ledger: Ledger::default(),
        status: FeedStatus::default(),
        generation: 0,
        jobs: JoinSet::new(),
        reads: Reads::new(now, options.page_rows),
        saves: Saves::new(now, options.save_rows),
        replays: VecDeque::new(),
        wishes: Vec::new(),
        replaying: false,
        replay_after: now,
        hearing: Hearing::default(),
        undecided: Undecided::default(),
        failing: BTreeMap::new(),
        set_back: false,
        ended: false,
    };
    (feed, FeedHandle { inputs, outputs, commands: commands_there, status })
}

impl Feed {
    /// Runs until `cancel`, or until nobody takes the output any more; then saves what it can.
    ///
    /// Whoever keeps the lease must do so until this returns: the last rollups need it.
    pub async fn run(mut self, cancel: CancellationToken) {
        while !self.ended {
            self.look();
            self.release_decided();
            self.start_jobs();
            self.show();
            let wake = self.next_wake();
            tokio::select! {
                biased;
                () = cancel.cancelled() => break,
                Some(done) = self.jobs.join_next(), if !self.jobs.is_empty() => match done {
                    Ok(done) => self.finish(done, &cancel).await,
                    Err(error) => {
                        // A panic in a query is a panic of the feed; its supervisor decides.
                        if let Ok(panic) = error.try_into_panic() {
                            std::panic::resume_unwind(panic);
                        }
                    }
                },
                Some(input) = self.inputs.recv() => self.take(input, &cancel).await,
                () = sleep_until(wake) => {}
            }
        }
        self.save_the_rest().await;
        self.show();
    }

    /// Starts every query that is due and not under way.
    fn start_jobs(&mut self) {
        let now = Instant::now();
        self.start_checkpoint(now);
        self.start_replay(now);
        self.start_read(now);
        self.start_save(now);
    }

    fn next_wake(&self) -> Instant {
        let idle = Instant::now() + Duration::from_secs(1);
        [self.next_read(), self.next_save(), self.next_replay(), self.hearing.next_look()]
            .into_iter()
            .flatten()
            .fold(idle, Instant::min)
    }

    async fn finish(&mut self, done: Done, cancel: &CancellationToken) {
        match done {
            Done::Page { generation, asked, result } => {
                self.finish_read(generation, &asked, result, cancel).await;
            }
            Done::Stamp { generation, upto, result } => self.finish_stamp(generation, upto, result),
            Done::Checkpoint { fence, result } => {
                self.finish_checkpoint(fence, result, cancel).await;
            }
            Done::Saved { generation, tried, result } => {
                self.finish_save(generation, &tried, result);
            }
            Done::Epoch { result } => self.finish_epoch(result),
            Done::Bounds { generation, id, result } => {
                self.finish_bounds(generation, id, result, cancel).await;
            }
            Done::History { generation, id, rows, result } => {
                self.finish_history(generation, id, rows, result, cancel).await;
            }
        }
    }

    /// Takes one input and whatever else waits, so that a burst is one batch for the engine.
    async fn take(&mut self, first: FeedInput, cancel: &CancellationToken) {
        let mut fresh = Vec::new();
        let mut next = Some(first);
        let mut taken = 0;
        while let Some(input) = next {
            if let FeedInput::Event(event) = input {
                self.take_event(event, &mut fresh);
            } else {
                // What was counted before a wish for history must leave before its replay begins.
                self.emit_new(std::mem::take(&mut fresh), cancel).await;
                self.take_signal(input, cancel).await;
            }
            taken += 1;
            next = if taken < AT_ONCE { self.inputs.try_recv().ok() } else { None };
        }
        self.emit_new(fresh, cancel).await;
    }

    fn take_event(&mut self, event: ErrorEvent, fresh: &mut Vec<ErrorEvent>) {
        self.hearing.heard(event.seq, Instant::now());
        // Before the ledger is known nothing can be told apart; a read will bring the row.
        if !self.is_live() {
            return;
        }
        let expected = self.ledger.observed() + 1;
        if event.seq.saturating_sub(expected) > FAR_AHEAD {
            self.read_soon();
            return;
        }
        let (seq, now) = (event.seq, self.clock.now());
        if self.ledger.insert(seq, now) {
            self.status.rows_by_socket += 1;
            fresh.push(event);
            if seq > expected {
                self.read_soon();
            }
            self.reads.rows_flow(Instant::now());
        }
    }

    async fn take_signal(&mut self, input: FeedInput, cancel: &CancellationToken) {
        let now = Instant::now();
        match input {
            FeedInput::Event(_) => {}
            FeedInput::Wake => self.read_soon(),
            FeedInput::SocketUp => {}
            FeedInput::SocketDown => self.hearing.down(),
            FeedInput::Subscribed => {
                self.hearing.subscribed(now);
                self.read_soon();
                self.reads.read_again_after_subscribing(now);
            }
            FeedInput::CanarySent { at } => self.hearing.canary_sent(at, now),
            FeedInput::Canary { at } => {
                self.hearing.canary_heard(at, self.clock.database_now(), now);
            }
            FeedInput::Hydrate(wish) => self.wish_for_replay(wish, cancel).await,
        }
    }

    /// Gives rows to the engine that were never given before.
    pub(super) async fn emit_new(&mut self, events: Vec<ErrorEvent>, cancel: &CancellationToken) {
        if events.is_empty() {
            return;
        }
        self.status.rows_counted += u64::try_from(events.len()).unwrap_or(u64::MAX);
        let latest = events.iter().map(|event| event.timestamp).max();
        self.status.last_event_at = self.status.last_event_at.max(latest);
        self.withhold(&events);
        self.emit(FeedOutput::New(events), cancel).await;
    }

    /// Waits for room: this is what keeps a catch-up from filling the memory.
    pub(super) async fn emit(&mut self, output: FeedOutput, cancel: &CancellationToken) {
        let sent = tokio::select! {
            biased;
            () = cancel.cancelled() => false,
            sent = self.output.send(output) => sent.is_ok(),
        };
        self.ended |= !sent;
    }

    /// Whether the ledger and the history at the start are there.
    pub(super) fn is_live(&self) -> bool {
        self.saves.loaded && !self.replays.front().is_some_and(Replay::is_initial)
    }

    /// Replaces the ledger by a checkpoint's, with everything that follows from it.
    pub(super) async fn reset(
        &mut self,
        epoch: i32,
        accounted: &RangeSet,
        cancel: &CancellationToken,
    ) {
        let first = self.generation == 0;
        self.generation += 1;
        self.ledger = Ledger::restore(accounted, self.clock.now());
        self.undecided.forget();
        self.status.epoch = epoch;
        self.status.caught_up = false;
        self.saves.loaded = true;
        self.replays.clear();
        self.reads.begin_pass_again();
        if !first {
            self.set_back = true;
            self.emit(FeedOutput::Reset { epoch }, cancel).await;
        }
        self.begin_initial_replay(cancel).await;
        self.read_soon();
    }

    fn look(&mut self) {
        let found = self.hearing.look(Instant::now());
        self.status.rows_repaired += found.repaired;
        if let Some(command) = found.command {
            tracing::warn!(?command, "the socket is deaf: it is subscribed and brings nothing");
            // A full queue holds the same command already.
            let _ = self.commands.try_send(command);
        }
    }
}
