//! The task that owns the engine: one message after the other, one decision after the other.

mod inspect;
mod leading;
mod past;
mod settled;

use std::{collections::HashMap, time::Duration};

use tokio::{
    sync::{mpsc, watch},
    time,
};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use self::settled::Settled;
use super::{
    live_board::LiveBoard,
    message::{Baseline, Inspection, Message},
    writer::{Batch, Written},
};
use crate::{
    clock::Clock,
    engine::{Engine, Input, KnownGroup, Rates, RunCount},
    feed::FeedOutput,
    lease::{Leadership, Tenure},
    model::{OpenIncident, Rule, Span, Timestamp, Transition},
    store::{Db, Fence},
};

/// Decisions go to the writer after this many events at the latest, so that the first of a long
/// catch-up do not wait for its last.
const EVENTS_PER_FLUSH: usize = 512;

/// Dashboards show the last hour, whatever the rules need.
const LIVE_HISTORY: Span = Span::from_secs(3_600);

/// How long the look-up of open incidents may take before it is given up and tried again.
const RESTORE_LIMIT: Duration = Duration::from_secs(10);

/// What the decider is connected to.
pub struct Connections {
    /// Counted events and the passing of time.
    pub feed: mpsc::Receiver<FeedOutput>,
    /// Everything else.
    pub messages: mpsc::Receiver<Message>,
    /// Whether this instance leads.
    pub leadership: Leadership,
    /// What became of the decisions.
    pub written: watch::Receiver<Written>,
    /// Where decisions go.
    pub decisions: mpsc::Sender<Batch>,
    /// How many batches of new events are decided about for good, for the feed.
    pub settled: watch::Sender<u64>,
}

/// The engine and what it needs to decide.
pub struct Decider {
    engine: Engine,
    rates: Rates,
    board: LiveBoard,
    db: Db,
    clock: Clock,
    rules: Vec<Rule>,
    /// Whether the history at the start has been replayed.
    hydrated: bool,
    /// Whether the engine has come from history to the present; before, it could not say when the
    /// incident of a rule that is gone ended.
    present: bool,
    /// Runs that were started before the replay ended; the engine would count them at the beginning of time.
    early_runs: Vec<RunCount>,
    /// The fence under which decisions are taken; none while another instance leads.
    fence: Option<Fence>,
    /// What we may lead by as soon as history and open incidents are known, and what had been
    /// committed at that time is counted: else what the former leader fired about could seem over.
    candidate: Option<Tenure>,
    /// What this instance leads by, whether it decides yet or not.
    tenure: Option<Tenure>,
    /// Everything that was committed before then is counted.
    complete_through: Option<Timestamp>,
    /// When the last incident ended before this tenure's first decision, once that was asked for.
    last_end: Option<(Fence, Option<Timestamp>)>,
    /// New rules, until their replay begins.
    pending_rules: Option<Message>,
    /// Rules whose windows a replay refills, by the replay's id.
    refilling: HashMap<u64, Vec<Uuid>>,
    decided: Vec<Transition>,
    settled: Settled,
}

impl Decider {
    /// A decider with these rules and empty windows.
    #[must_use]
    pub fn new(db: Db, clock: Clock, board: LiveBoard, rules: Vec<Rule>) -> Self {
        let mut decider = Self {
            engine: Engine::new(),
            rates: Rates::default(),
            board,
            db,
            clock,
            rules: Vec::new(),
            hydrated: false,
            present: false,
            early_runs: Vec::new(),
            fence: None,
            candidate: None,
            tenure: None,
            complete_through: None,
            last_end: None,
            pending_rules: None,
            refilling: HashMap::new(),
            decided: Vec::new(),
            settled: Settled::default(),
        };
        decider.take_rules(rules);
        decider
    }

    /// The longest history that the rules need.
    #[must_use]
    pub fn history_needed(&self) -> Span {
        self.engine
            .rules_needing_history()
            .into_iter()
            .map(|(_, span)| span)
            .max()
            .unwrap_or_default()
            .max(LIVE_HISTORY)
    }

    /// Fills the windows of runs before the start, once the errors of that time are replayed.
    pub fn replay_runs(&mut self, runs: &[RunCount]) {
        self.early_runs.extend_from_slice(runs);
    }

    /// Before the start: the error groups that history knows, and the incidents that are open.
    pub fn remember(&mut self, known: &[KnownGroup], open: &[OpenIncident]) {
        let now = self.engine.now();
        self.engine.step(now, Input::Groups(known), &mut self.decided);
        self.engine.step(now, Input::Expect(open), &mut self.decided);
    }

    /// Decides until `cancel` is cancelled.
    pub async fn run(mut self, mut connections: Connections, cancel: CancellationToken) {
        let mut every_second = time::interval(Duration::from_secs(1));
        every_second.set_missed_tick_behavior(time::MissedTickBehavior::Delay);
        self.leadership_changed(&connections);
        loop {
            self.lead_if_possible(&connections.decisions).await;
            self.settled.publish(&connections.settled);
            tokio::select! {
                biased;
                () = cancel.cancelled() => break,
                true = connections.leadership.changed() => self.leadership_changed(&connections),
                Ok(()) = connections.written.changed() => {
                    let Written { refused, batches, .. } = *connections.written.borrow_and_update();
                    self.settled.written(batches);
                    if refused.is_some() && refused == self.fence {
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
                    self.board.put(self.rates.take_changed(self.clock.database_now()));
                    self.publish_gauges();
                }
            }
        }
    }

    async fn output(&mut self, output: FeedOutput, decisions: &mpsc::Sender<Batch>) {
        let judges = matches!(output, FeedOutput::New(_) | FeedOutput::CompleteThrough(_));
        match output {
            FeedOutput::New(events) => {
                for events in events.chunks(EVENTS_PER_FLUSH) {
                    for event in events {
                        if !self.present {
                            self.approach(event.received_at, decisions).await;
                        }
                        let input = match self.fence {
                            Some(_) => Input::Event(event),
                            None => Input::Replay(event),
                        };
                        self.engine.step(event.received_at, input, &mut self.decided);
                        self.rates.count(event.received_at, event);
                    }
                    self.flush(decisions).await;
                }
                self.settled.taken();
            }
            FeedOutput::CompleteThrough(now) => {
                if !self.present {
                    let complete = |tenure: &Tenure| self.hydrated && now >= tenure.since;
                    let tenure = self.candidate.filter(complete);
                    let ended = self.last_end(tenure).await;
                    self.arrive(now, tenure.zip(ended), decisions).await;
                }
                let input = match self.fence {
                    Some(_) => Input::Tick,
                    None => Input::ReplayRuns(&[]),
                };
                self.engine.step(now, input, &mut self.decided);
                self.complete_through = Some(now);
            }
            FeedOutput::ReplayBegin { id } => self.replay_begins(id, decisions).await,
            FeedOutput::Replay { id: 0, events } => {
                for event in &events {
                    self.engine.step(event.received_at, Input::Replay(event), &mut self.decided);
                    self.rates.count(event.received_at, event);
                }
                self.decided.clear();
            }
            FeedOutput::Replay { id, events } => {
                let rules = self.refilling.get(&id).map_or(&[][..], Vec::as_slice);
                for (event, rule_id) in
                    events.iter().flat_map(|event| rules.iter().map(move |rule| (event, *rule)))
                {
                    let input = Input::ReplayFor { rule_id, event };
                    self.engine.step(self.engine.now(), input, &mut self.decided);
                }
            }
            FeedOutput::ReplayEnd { id: 0 } => {
                self.hydrated = true;
                let runs = std::mem::take(&mut self.early_runs);
                if let Some(latest) = runs.iter().map(|runs| runs.started_at).max() {
                    let now = self.engine.now().max(latest);
                    self.engine.step(now, Input::ReplayRuns(&runs), &mut self.decided);
                }
                let input = Input::HistoryComplete { rule_id: None };
                self.engine.step(self.engine.now(), input, &mut self.decided);
                self.decided.clear();
            }
            FeedOutput::ReplayEnd { id } => {
                for rule_id in self.refilling.remove(&id).unwrap_or_default() {
                    let input = Input::HistoryComplete { rule_id: Some(rule_id) };
                    self.engine.step(self.engine.now(), input, &mut self.decided);
                }
            }
            FeedOutput::Reset { .. } => self.reset(),
        }
        self.flush(decisions).await;
        // Who leads and does not decide yet will decide about these when it begins to.
        if judges && self.candidate.is_none() {
            self.settled.decided();
        }
    }

    /// New rules are taken here, in between two events of the stream.
    async fn replay_begins(&mut self, id: u64, decisions: &mpsc::Sender<Batch>) {
        let ours = |message: &mut Message| matches!(message, Message::Rules { replay, .. } if *replay == id);
        let Some(Message::Rules { book, runs, known, baselines, .. }) =
            self.pending_rules.take_if(ours)
        else {
            return;
        };
        let _ = decisions.send(Batch::Rules(book.rules.clone(), book.descriptions)).await;
        self.engine.step(self.engine.now(), Input::Groups(&known), &mut self.decided);
        self.take_rules(book.rules);
        self.take_baselines(&baselines);
        let needing: Vec<Uuid> =
            self.engine.rules_needing_history().into_iter().map(|(rule, _)| rule).collect();
        for rule_id in &needing {
            let input = Input::ReplayRunsFor { rule_id: *rule_id, runs: &runs };
            self.engine.step(self.engine.now(), input, &mut self.decided);
        }
        self.refilling.insert(id, needing);
    }

    fn take_baselines(&mut self, baselines: &[Baseline]) {
        for Baseline { rule_id, minute, counts } in baselines {
            let input = Input::Baseline { rule_id: *rule_id, minute: *minute, counts };
            self.engine.step(self.engine.now(), input, &mut self.decided);
        }
    }

    /// The database was set back: every window starts anew, from the history that follows.
    fn reset(&mut self) {
        self.engine = self.engine.renewed();
        self.rates = Rates::default();
        self.refilling.clear();
        (self.hydrated, self.present) = (false, false);
        (self.complete_through, self.last_end) = (None, None);
        if self.fence.take().is_some() {
            self.candidate = self.tenure;
        }
        let rules = std::mem::take(&mut self.rules);
        self.take_rules(rules);
    }

    async fn message(&mut self, message: Message, decisions: &mpsc::Sender<Batch>) {
        match message {
            rules @ Message::Rules { .. } => self.pending_rules = Some(rules),
            Message::RunsComplete(through) => {
                let input = Input::RunsComplete { through };
                self.engine.step(self.engine.now(), input, &mut self.decided);
            }
            Message::Baselines(baselines) => self.take_baselines(&baselines),
            Message::Groups(groups) => {
                let input = Input::Groups(&groups);
                self.engine.step(self.engine.now(), input, &mut self.decided);
            }
            Message::Runs(runs) if !self.hydrated => self.early_runs.extend(runs),
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
        self.settled.sent();
    }

    fn take_rules(&mut self, rules: Vec<Rule>) {
        let now = self.engine.now();
        self.engine.step(now, Input::Rules(rules.clone()), &mut self.decided);
        self.rules = rules;
    }
}
