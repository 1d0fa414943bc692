//! One instance without its tasks: the real ledger and engine, driven as `feed` and `alerting` do.

use meshhook_errors::{
    engine::{Engine, Input, batch::open_after},
    feed::ledger::Ledger,
    model::{ErrorEvent, RangeSet, Rule, Timestamp, Transition, TransitionKind},
};
use uuid::Uuid;

/// An instance and what it knows.
pub struct Instance {
    pub ledger: Ledger,
    pub engine: Engine,
    /// Whether it decides; otherwise it counts along.
    leads: bool,
    /// Whether it has seen anything but history yet.
    present: bool,
    /// When the former leader ended, where this one leads from its start.
    former_until: Option<Timestamp>,
}

impl Instance {
    /// An instance that starts now, with the rows that the checkpoint holds as history.
    pub fn start(
        rules: Vec<Rule>,
        table: &[ErrorEvent],
        checkpoint: &RangeSet,
        former_until: Option<Timestamp>,
        now: Timestamp,
    ) -> Self {
        let mut engine = Engine::new();
        let mut none = Vec::new();
        engine.step(engine.now(), Input::Rules(rules), &mut none);
        let back = engine.rules_needing_history().iter().map(|(_, span)| *span).max();
        let since = former_until.map_or(now, |until| until.min(now)) - back.unwrap_or_default();
        for row in table {
            if checkpoint.contains(row.seq) && row.timestamp >= since {
                engine.step(row.received_at, Input::Replay(row), &mut none);
            }
        }
        engine.step(engine.now(), Input::HistoryComplete { rule_id: None }, &mut none);
        assert!(none.is_empty(), "history decides nothing");
        let ledger = Ledger::restore(checkpoint, now);
        Self { ledger, engine, leads: false, present: false, former_until }
    }

    /// Takes a row that the socket or a read brings; true where it was new.
    pub fn row(
        &mut self,
        row: &ErrorEvent,
        stored: &[Transition],
        out: &mut Vec<Transition>,
    ) -> bool {
        if !self.ledger.insert(row.seq, row.received_at) {
            return false;
        }
        let decided = |ended| self.former_until.is_some() && row.received_at <= ended;
        if !self.present && !last_end(stored).is_some_and(decided) {
            self.arrive(row.received_at, stored, out);
        }
        let input = if self.leads { Input::Event(row) } else { Input::Replay(row) };
        self.engine.step(row.received_at, input, out);
        true
    }

    /// A read has brought everything that was committed before `now`.
    pub fn complete(&mut self, now: Timestamp, stored: &[Transition], out: &mut Vec<Transition>) {
        if !self.present {
            self.arrive(now, stored, out);
        }
        let input = if self.leads { Input::Tick } else { Input::ReplayRuns(&[]) };
        self.engine.step(now, input, out);
    }

    /// Comes from history to the present: where it leads, to where its predecessor ended, so that what
    /// fell due while nobody ran is decided at its own instant.
    fn arrive(&mut self, now: Timestamp, stored: &[Transition], out: &mut Vec<Transition>) {
        self.present = true;
        let former = self.former_until.take();
        let arrived = former
            .map_or(now, |until| last_end(stored).map_or(until, |ended| until.max(ended)).min(now));
        self.engine.step(arrived, Input::ReplayRuns(&[]), out);
        if let Some(until) = former {
            self.lead(until, stored, out);
        }
    }

    /// Decides from now on.
    pub fn lead(&mut self, until: Timestamp, stored: &[Transition], out: &mut Vec<Transition>) {
        self.leads = true;
        let now = self.engine.now();
        self.engine.step(now, Input::Hold { until }, out);
        self.engine.step(now, Input::Restore(open_after(stored)), out);
    }
}

/// When the last incident ended: everything up to then is decided about.
fn last_end(stored: &[Transition]) -> Option<Timestamp> {
    let ended = stored.iter().filter(|told| told.kind == TransitionKind::Resolved);
    ended.map(|told| told.at).max()
}

/// Gives an engine new rules, and the past of those that need it.
pub fn change(
    engine: &mut Engine,
    rules: Vec<Rule>,
    known: &[ErrorEvent],
    out: &mut Vec<Transition>,
) {
    let now = engine.now();
    engine.step(now, Input::Rules(rules), out);
    let needing: Vec<(Uuid, _)> = engine.rules_needing_history();
    for (rule_id, span) in &needing {
        for event in known.iter().filter(|row| row.timestamp >= now - *span) {
            engine.step(now, Input::ReplayFor { rule_id: *rule_id, event }, out);
        }
    }
    for (rule_id, _) in needing {
        engine.step(now, Input::HistoryComplete { rule_id: Some(rule_id) }, out);
    }
}
