//! What the rest of the daemon may ask of the decider, and how.

use std::collections::HashMap;

use tokio::sync::{mpsc, oneshot};
use uuid::Uuid;

use crate::{
    engine::{KnownGroup, ProjectRates, RunCount, Stats},
    model::{GroupKey, OpenIncident, Timestamp},
    store::rules::RuleBook,
};

/// What the rest of the daemon asks of the decider.
#[derive(Debug)]
pub enum Message {
    /// New rules, to be taken where the feed's replay with this id begins.
    Rules {
        /// The rules.
        book: RuleBook,
        /// Runs of the past, for rules whose windows of runs start empty.
        runs: Vec<RunCount>,
        /// Error groups that history knows, where there are new rules that ask.
        known: Vec<KnownGroup>,
        /// What the earlier windows of change rules hold.
        baselines: Vec<Baseline>,
        /// The replay's id, which the sender asks the feed for next.
        replay: u64,
    },
    /// Further runs were started.
    Runs(Vec<RunCount>),
    /// Every run that was started before then was told of.
    RunsComplete(Timestamp),
    /// What the earlier windows of change rules hold in the present minute or the next.
    Baselines(Vec<Baseline>),
    /// Error groups whose status somebody has changed.
    Groups(Vec<KnownGroup>),
    /// Open incidents, and whether somebody has acknowledged them.
    Acknowledged(HashMap<Uuid, bool>),
    /// What is the state of affairs?
    Inspect(oneshot::Sender<Inspection>),
}

/// What the earlier window of a rule holds in one minute.
#[derive(Clone, Debug)]
pub struct Baseline {
    /// The rule.
    pub rule_id: Uuid,
    /// The beginning of the minute.
    pub minute: Timestamp,
    /// Errors by group.
    pub counts: Vec<(GroupKey, u64)>,
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

/// How other tasks reach a running [`Decider`](super::Decider).
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
