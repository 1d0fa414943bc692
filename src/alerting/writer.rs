//! Writes what the engine decided, in order, and wakes the dispatcher.

use std::{collections::HashMap, sync::Arc, time::Duration};

use tokio::{
    sync::{Notify, mpsc, watch},
    time,
};
use tokio_util::sync::CancellationToken;
use tracing::Span;
use uuid::Uuid;

use super::{
    facts::Narrator,
    owed::{self, Owed},
    seam::{self, seam},
};
use crate::{
    backoff::Backoff,
    batch_size::BatchSize,
    crash::{self, Point},
    model::{Rule, Transition},
    store::{
        Db, Fence, StoreError,
        incidents::{self, Decision, Opened},
    },
    telemetry,
};

/// How long one transaction may take before it is given up and tried again, with fewer decisions.
const TIME_LIMIT: Duration = Duration::from_secs(10);

/// What the writer is told, in the order in which it happened.
#[derive(Debug)]
pub enum Batch {
    /// Decisions of the leader with this fence.
    Transitions {
        /// The fence under which they were decided.
        fence: Fence,
        /// The decisions, in order of time.
        transitions: Vec<Transition>,
    },
    /// The rules, for their names.
    Rules(Vec<Rule>, HashMap<Uuid, String>),
    /// This instance begins to decide.
    Open {
        /// The fence under which it does.
        fence: Fence,
        /// Incidents that are open already.
        incidents: Vec<Opened>,
    },
}

/// What the writer did last; the decider steps down when it was refused.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Written {
    /// The fence under which a write was last refused.
    pub refused: Option<Fence>,
    /// Times that decisions could not be stored for a reason that repeating will not mend.
    pub rejected: u64,
    /// Batches of decisions that nothing more is to be done about.
    pub batches: u64,
}

/// What became of decisions.
enum Outcome {
    /// They are stored, or given up.
    Settled,
    /// Another instance leads, whose decisions count.
    Refused,
    /// We are to stop, and the database does not take them at the moment.
    Stopped,
}

/// The task that writes.
pub struct Writer {
    db: Db,
    narrator: Narrator,
    wake: Arc<Notify>,
    written: watch::Sender<Written>,
    owed: Owed,
}

impl Writer {
    /// A writer that wakes the dispatcher through `wake`.
    #[must_use]
    pub fn new(db: Db, narrator: Narrator, wake: Arc<Notify>) -> (Self, watch::Receiver<Written>) {
        let (written, receiver) = watch::channel(Written::default());
        (Self { db, narrator, wake, written, owed: Owed::default() }, receiver)
    }

    /// Writes until the senders are gone, or `cancel` is cancelled and the queue is empty.
    pub async fn run(mut self, mut queue: mpsc::Receiver<Batch>, cancel: CancellationToken) {
        let mut every = time::interval(owed::EVERY);
        every.set_missed_tick_behavior(time::MissedTickBehavior::Delay);
        loop {
            let batch = tokio::select! {
                biased;
                batch = queue.recv() => batch,
                // Here and not in a task of its own: the end of an incident must not be written
                // between the decision to tell of its beginning and the record of that.
                _ = every.tick() => {
                    if self.owed.settle(&self.db).await > 0 {
                        self.wake.notify_one();
                    }
                    continue;
                }
            };
            let Some(batch) = batch else { return };
            match batch {
                Batch::Rules(rules, descriptions) => {
                    self.narrator.learn_rules(&rules, &descriptions);
                }
                Batch::Open { fence, incidents } => {
                    self.narrator.learn_open(incidents);
                    self.owed = Owed::under(fence);
                }
                Batch::Transitions { fence, transitions } => {
                    self.write(fence, &transitions, &cancel).await;
                }
            }
        }
    }

    /// Writes decisions in order and in portions.
    async fn write(
        &mut self,
        fence: Fence,
        transitions: &[Transition],
        cancel: &CancellationToken,
    ) {
        let mut size = BatchSize::new(seam::MOST as u64);
        let mut rest = transitions;
        while !rest.is_empty() {
            let (now, later) = rest.split_at(seam(rest));
            // As long as they are held, the spans go on: from here until the decisions are stored.
            let _spans: Vec<Span> = now.iter().map(span_of).collect();
            let Some(decisions) = self.narrate(now, cancel).await else { return };
            match self.store(fence, &decisions, &mut size, cancel).await {
                Outcome::Settled => rest = later,
                Outcome::Refused => break,
                // They are decided again after the restart, from the same rows.
                Outcome::Stopped => return,
            }
        }
        self.written.send_modify(|written| written.batches += 1);
    }

    /// What to write; none where we are to stop and the database does not answer. Once and not for each
    /// try, because the narrator forgets an incident with its end.
    async fn narrate(
        &mut self,
        transitions: &[Transition],
        cancel: &CancellationToken,
    ) -> Option<Vec<Decision>> {
        let mut attempt = 0;
        loop {
            match self.narrator.decisions(&self.db, transitions).await {
                Ok(decisions) => return Some(decisions),
                Err(error) => self.later(&error, transitions.len(), &mut attempt, cancel).await?,
            }
        }
    }

    /// Tries until each of the decisions is stored, or refused because another instance leads, or known
    /// to be one that will never be stored: one bad decision must not cost the others. Where they must be
    /// parted more finely, that may be anywhere: waiting for a seam could be for ever.
    async fn store(
        &mut self,
        fence: Fence,
        mut rest: &[Decision],
        size: &mut BatchSize,
        cancel: &CancellationToken,
    ) -> Outcome {
        let mut attempt = 0;
        while !rest.is_empty() {
            let (now, later) = rest.split_at(size.of(rest.len()));
            match self.record(fence, now).await {
                Ok(()) => {
                    size.done();
                    (rest, attempt) = (later, 0);
                }
                Err(StoreError::FenceLost) => {
                    tracing::warn!(
                        fence = fence.number,
                        "another instance leads; decisions were not stored"
                    );
                    self.written.send_modify(|written| written.refused = Some(fence));
                    self.owed = Owed::default();
                    return Outcome::Refused;
                }
                Err(error) if is_permanent(&error) => match now {
                    [one] => {
                        self.give_up(&one.transition, &error);
                        rest = later;
                    }
                    _ => size.refused(),
                },
                Err(error) => {
                    size.failed(now.len() as u64);
                    if self.later(&error, now.len(), &mut attempt, cancel).await.is_none() {
                        return Outcome::Stopped;
                    }
                }
            }
        }
        Outcome::Settled
    }

    /// Waits for the next try; none where we are to stop.
    async fn later(
        &self,
        error: &StoreError,
        transitions: usize,
        attempt: &mut u32,
        cancel: &CancellationToken,
    ) -> Option<()> {
        tracing::warn!(%error, transitions, "decisions could not be stored yet; trying again");
        if cancel.is_cancelled() {
            return None;
        }
        let delay = Backoff::default().delay(*attempt, rand::random());
        *attempt += 1;
        tokio::select! {
            () = time::sleep(delay) => {}
            () = cancel.cancelled() => {}
        }
        Some(())
    }

    fn give_up(&self, transition: &Transition, error: &StoreError) {
        self.written.send_modify(|written| written.rejected += 1);
        metrics::counter!("meshhook_errors_decisions_rejected_total").increment(1);
        tracing::error!(
            %error, incident_id = %transition.incident_id, rule_id = %transition.rule_id,
            "a decision could not be stored and is given up"
        );
    }

    async fn record(&mut self, fence: Fence, decisions: &[Decision]) -> Result<(), StoreError> {
        crash::point(Point::Decided);
        let recorded = incidents::record(&self.db, &fence, decisions, TIME_LIMIT).await?;
        crash::point(Point::Committed);
        self.owed.written(recorded.held);
        if recorded.messages > 0 {
            self.wake.notify_one();
        }
        log(decisions);
        Ok(())
    }
}

/// One decision's part of its incident's trace.
fn span_of(transition: &Transition) -> Span {
    let incident_id = transition.incident_id;
    let span = tracing::debug_span!(
        "decide", %incident_id, rule_id = %transition.rule_id, kind = %transition.kind,
    );
    telemetry::follow(&span, incident_id);
    span
}

fn log(decisions: &[Decision]) {
    for decision in decisions {
        let transition = &decision.transition;
        metrics::counter!(
            "meshhook_errors_transitions_total", "kind" => transition.kind.as_str()
        )
        .increment(1);
        tracing::info!(
            incident_id = %transition.incident_id, rule = decision.rule_name, group = %transition.group_key,
            alert_level = %transition.level, value = transition.value, threshold = transition.threshold,
            at = %transition.at, "incident {}", transition.kind
        );
    }
}

/// Whether the database refused the data itself: classes 22 (data) and 23 (integrity).
fn is_permanent(error: &StoreError) -> bool {
    let StoreError::Database { source, .. } = error else { return false };
    source
        .as_database_error()
        .and_then(|error| error.code())
        .is_some_and(|code| code.starts_with("22") || code.starts_with("23"))
}
