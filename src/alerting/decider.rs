//! The task that owns the engine: one message after the other, one decision after the other.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use sqlx::PgPool;
use tokio::{
    sync::{mpsc, oneshot, watch},
    time,
};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::writer::{Batch, Written};
use crate::{
    clock::Clock,
    engine::{Engine, Input, ProjectRates, Rates, RunCount, Stats},
    feed::{FeedOutput, Ranges},
    model::{ErrorEvent, OpenIncident, Rule, Span, Timestamp, Transition},
    store::{incidents, rules::RuleBook},
};

/// Decisions go to the writer after this many events at the latest, so that the first of a long
/// catch-up do not wait for its last.
const EVENTS_PER_FLUSH: usize = 512;

/// How long the look-up of open incidents may take before it is given up and tried again.
const RESTORE_LIMIT: Duration = Duration::from_secs(10);

/// What the rest of the daemon asks of the decider.
#[derive(Debug)]
pub enum Message {
    /// New rules, to be taken at this mark of the feed's stream.
    Rules {
        /// The rules.
        book: RuleBook,
        /// The mark's number, which the sender asks the feed for next.
        mark: u64,
        /// Answered at the mark: which rules need history, and what had been counted by then.
        reply: oneshot::Sender<NeedsHistory>,
    },
    /// Rows of the past for rules whose windows are being refilled.
    History {
        /// The rules.
        rules: Vec<Uuid>,
        /// The rows.
        events: Vec<ErrorEvent>,
    },
    /// Runs of the past for rules whose windows are being refilled.
    RunHistory {
        /// The rules.
        rules: Vec<Uuid>,
        /// The runs.
        runs: Vec<RunCount>,
    },
    /// The rules' windows are full again.
    HistoryComplete(Vec<Uuid>),
    /// Further runs were started.
    Runs(Vec<RunCount>),
    /// Open incidents, and whether somebody has acknowledged them.
    Acknowledged(HashMap<Uuid, bool>),
    /// What is the state of affairs?
    Inspect(oneshot::Sender<Inspection>),
}

/// Which rules must be told of the past, and which rows they must be told of.
#[derive(Debug)]
pub struct NeedsHistory {
    /// The rules and the length of their windows.
    pub rules: Vec<(Uuid, Span)>,
    /// The numbers that were counted before the rules were taken.
    pub accounted: Ranges,
}

/// The state of the engine, for `dev`, metrics and tests.
#[derive(Clone, Debug)]
pub struct Inspection {
    /// Counters and gauges.
    pub stats: Stats,
    /// Errors in all windows of all rules together.
    pub total_in_windows: u64,
    /// Errors in the windows of each rule.
    pub total_by_rule: HashMap<Uuid, u64>,
    /// Open incidents with their present values.
    pub open: Vec<(OpenIncident, f64)>,
    /// Live rates of all projects.
    pub rates: Vec<ProjectRates>,
}

/// Rates that changed and have not been written yet.
#[derive(Clone, Debug, Default)]
pub struct LiveBoard(Arc<Mutex<BTreeMap<Option<Uuid>, ProjectRates>>>);

impl LiveBoard {
    /// Takes everything that waits.
    #[must_use]
    pub fn take(&self) -> Vec<ProjectRates> {
        let mut board = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut *board).into_values().collect()
    }

    /// Puts rates back that could not be written, where nothing newer has come meanwhile.
    pub fn put_back(&self, rates: Vec<ProjectRates>) {
        let mut board = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for rates in rates {
            board.entry(rates.project_id).or_insert(rates);
        }
    }

    fn put(&self, rates: Vec<ProjectRates>) {
        let mut board = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        board.extend(rates.into_iter().map(|rates| (rates.project_id, rates)));
    }
}

/// What the decider is connected to.
pub struct Connections {
    /// Counted events and the passing of time.
    pub feed: mpsc::Receiver<FeedOutput>,
    /// Everything else.
    pub messages: mpsc::Receiver<Message>,
    /// The fence, while this instance leads.
    pub leadership: watch::Receiver<Option<i64>>,
    /// What became of the decisions.
    pub written: watch::Receiver<Written>,
    /// Where decisions go.
    pub decisions: mpsc::Sender<Batch>,
}

/// The engine and what it needs to decide.
pub struct Decider {
    engine: Engine,
    rates: Rates,
    board: LiveBoard,
    pool: PgPool,
    clock: Clock,
    rules: Vec<Uuid>,
    /// The fence under which decisions are taken; none while another instance leads.
    fence: Option<i64>,
    /// A fence under which we may lead as soon as the open incidents are known.
    restore_for: Option<i64>,
    pending_rules: Option<(RuleBook, u64, oneshot::Sender<NeedsHistory>)>,
    decided: Vec<Transition>,
}

impl Decider {
    /// A decider with these rules and empty windows.
    #[must_use]
    pub fn new(pool: PgPool, clock: Clock, board: LiveBoard, rules: &[Rule]) -> Self {
        let mut decider = Self {
            engine: Engine::new(),
            rates: Rates::default(),
            board,
            pool,
            clock,
            rules: Vec::new(),
            fence: None,
            restore_for: None,
            pending_rules: None,
            decided: Vec::new(),
        };
        decider.take_rules(rules);
        decider
    }

    /// The longest history that the rules need, before the first event.
    #[must_use]
    pub fn history_needed(&self) -> Span {
        self.engine.rules_needing_history().into_iter().map(|(_, span)| span).max().unwrap_or_default()
    }

    /// Fills windows with rows that were counted before the start, in order of their numbers.
    pub fn replay(&mut self, events: &[ErrorEvent]) {
        for event in events {
            self.engine.step(event.received_at, Input::Replay(event), &mut self.decided);
            self.rates.count(event.received_at, event);
        }
        self.decided.clear();
    }

    /// Fills the windows of runs.
    pub fn replay_runs(&mut self, now: Timestamp, runs: &[RunCount]) {
        self.engine.step(now, Input::ReplayRuns(runs), &mut self.decided);
        self.decided.clear();
    }

    /// Everything from before the start has been replayed.
    pub fn history_complete(&mut self) {
        let now = self.engine.now();
        self.engine.step(now, Input::HistoryComplete { rule_id: None }, &mut self.decided);
        self.decided.clear();
    }

    /// Decides until `cancel` is cancelled.
    pub async fn run(mut self, mut connections: Connections, cancel: CancellationToken) {
        let mut every_second = time::interval(Duration::from_secs(1));
        every_second.set_missed_tick_behavior(time::MissedTickBehavior::Delay);
        let first = *connections.leadership.borrow_and_update();
        self.leadership_changed(first, &connections.decisions).await;
        loop {
            tokio::select! {
                biased;
                () = cancel.cancelled() => break,
                Ok(()) = connections.leadership.changed() => {
                    let fence = *connections.leadership.borrow_and_update();
                    self.leadership_changed(fence, &connections.decisions).await;
                }
                Ok(()) = connections.written.changed() => {
                    let refused = connections.written.borrow_and_update().refused_fence;
                    if refused.is_some() && refused >= self.fence {
                        self.fence = None;
                    }
                }
                Some(message) = connections.messages.recv() => {
                    self.message(message, &connections.decisions).await;
                }
                output = connections.feed.recv() => match output {
                    Some(output) => self.output(output, &connections.decisions).await,
                    None => break,
                },
                _ = every_second.tick() => {
                    let now = self.clock.database_now();
                    self.board.put(self.rates.take_changed(now));
                    self.publish_gauges();
                }
            }
        }
    }

    async fn output(&mut self, output: FeedOutput, decisions: &mpsc::Sender<Batch>) {
        match output {
            FeedOutput::Events(events) => {
                for events in events.chunks(EVENTS_PER_FLUSH) {
                    for event in events {
                        let input = match self.fence {
                            Some(_) => Input::Event(event),
                            None => Input::Replay(event),
                        };
                        self.engine.step(event.received_at, input, &mut self.decided);
                        self.rates.count(event.received_at, event);
                    }
                    self.flush(decisions).await;
                }
            }
            FeedOutput::CompleteThrough(now) => {
                if let Some(fence) = self.restore_for {
                    self.restore(fence, decisions).await;
                }
                if self.fence.is_some() {
                    self.engine.step(now, Input::Tick, &mut self.decided);
                } else {
                    self.engine.step(now, Input::ReplayRuns(&[]), &mut self.decided);
                }
                self.flush(decisions).await;
            }
            FeedOutput::Marked { id, accounted } => {
                if let Some((book, _, reply)) =
                    self.pending_rules.take_if(|(_, mark, _)| *mark == id)
                {
                    self.take_rules(&book.rules);
                    let batch = Batch::Rules(book.rules, book.descriptions);
                    let _ = decisions.send(batch).await;
                    let rules = self.engine.rules_needing_history();
                    let _ = reply.send(NeedsHistory { rules, accounted });
                    self.flush(decisions).await;
                }
            }
        }
    }

    async fn message(&mut self, message: Message, decisions: &mpsc::Sender<Batch>) {
        match message {
            Message::Rules { book, mark, reply } => {
                self.pending_rules = Some((book, mark, reply));
            }
            Message::History { rules, events } => {
                for event in &events {
                    for rule_id in &rules {
                        let input = Input::ReplayFor { rule_id: *rule_id, event };
                        self.engine.step(self.engine.now(), input, &mut self.decided);
                    }
                }
            }
            Message::RunHistory { rules, runs } => {
                for rule_id in rules {
                    let input = Input::ReplayRunsFor { rule_id, runs: &runs };
                    self.engine.step(self.engine.now(), input, &mut self.decided);
                }
            }
            Message::HistoryComplete(rules) => {
                for rule_id in rules {
                    let input = Input::HistoryComplete { rule_id: Some(rule_id) };
                    self.engine.step(self.engine.now(), input, &mut self.decided);
                }
            }
            Message::Runs(runs) => {
                let input = match self.fence {
                    Some(_) => Input::Runs(&runs),
                    None => Input::ReplayRuns(&runs),
                };
                self.engine.step(self.engine.now(), input, &mut self.decided);
            }
            Message::Acknowledged(incidents) => {
                for (incident_id, acknowledged) in incidents {
                    let input = Input::Acknowledged { incident_id, acknowledged };
                    self.engine.step(self.engine.now(), input, &mut self.decided);
                }
            }
            Message::Inspect(reply) => {
                let _ = reply.send(self.inspect());
            }
        }
        self.flush(decisions).await;
    }

    /// Gives what was decided to the writer; while another instance leads, that one's word counts.
    async fn flush(&mut self, decisions: &mpsc::Sender<Batch>) {
        if self.decided.is_empty() {
            return;
        }
        let transitions = std::mem::take(&mut self.decided);
        let Some(fence) = self.fence else { return };
        let now = self.clock.database_now();
        for transition in &transitions {
            metrics::histogram!("meshhook_errors_decision_lag_seconds")
                .record(now.since(transition.at).as_secs_f64().max(0.0));
        }
        // The queue is bounded: while the database is slow, events wait in the table.
        let _ = decisions.send(Batch::Transitions { fence, transitions }).await;
    }

    async fn leadership_changed(&mut self, fence: Option<i64>, decisions: &mpsc::Sender<Batch>) {
        self.fence = None;
        self.restore_for = fence;
        if let Some(fence) = fence {
            self.restore(fence, decisions).await;
        }
    }

    /// Learns which incidents are open; only then may this instance decide.
    async fn restore(&mut self, fence: i64, decisions: &mpsc::Sender<Batch>) {
        let open = match time::timeout(RESTORE_LIMIT, incidents::load_open(&self.pool)).await {
            Ok(Ok(open)) => open,
            Ok(Err(error)) => {
                tracing::warn!(%error, "open incidents could not be read yet; not deciding until they are");
                return;
            }
            Err(_) => return,
        };
        let _ = decisions.send(Batch::Open(open.clone())).await;
        self.restore_for = None;
        self.fence = Some(fence);
        self.engine.step(self.engine.now(), Input::Restore(open), &mut self.decided);
        self.flush(decisions).await;
    }

    fn take_rules(&mut self, rules: &[Rule]) {
        self.rules = rules.iter().map(|rule| rule.id).collect();
        let now = self.engine.now().max(Timestamp::from_micros(0));
        self.engine.step(now, Input::Rules(rules.to_vec()), &mut self.decided);
    }

    fn inspect(&self) -> Inspection {
        let total = |rule: &Uuid| (*rule, self.engine.total_of(*rule));
        Inspection {
            stats: self.engine.stats(),
            total_in_windows: self.engine.total_in_windows(),
            total_by_rule: self.rules.iter().map(total).collect(),
            open: self.engine.open_incidents(),
            rates: self.rates.snapshot(self.clock.database_now()),
        }
    }

    #[expect(clippy::cast_precision_loss, reason = "gauges are floating-point numbers")]
    fn publish_gauges(&self) {
        let stats = self.engine.stats();
        metrics::gauge!("meshhook_errors_rules").set(stats.rules as f64);
        metrics::gauge!("meshhook_errors_groups").set(stats.groups as f64);
        metrics::gauge!("meshhook_errors_incidents_open").set(stats.incidents as f64);
        metrics::counter!("meshhook_errors_groups_overflowed_total").absolute(stats.overflowed);
    }
}

/// How other tasks reach a running [`Decider`].
#[derive(Clone, Debug)]
pub struct DeciderHandle(mpsc::Sender<Message>);

impl DeciderHandle {
    /// A handle that sends to `messages`.
    #[must_use]
    pub const fn new(messages: mpsc::Sender<Message>) -> Self {
        Self(messages)
    }

    /// Sends a message; false where the decider has ended.
    pub async fn send(&self, message: Message) -> bool {
        self.0.send(message).await.is_ok()
    }

    /// The state of affairs; none where the decider has ended.
    pub async fn inspect(&self) -> Option<Inspection> {
        let (reply, answer) = oneshot::channel();
        self.0.send(Message::Inspect(reply)).await.ok()?;
        answer.await.ok()
    }
}
