//! The table, the checkpoint, what was decided, and whatever may happen to the instances around them.

use std::{collections::HashSet, fmt::Write as _, mem};

use meshhook_errors::{
    engine::{Engine, Input},
    model::{ErrorEvent, IncidentState, RangeSet, Rule, Span, Timestamp, Transition},
};
use rand::{Rng as _, rngs::StdRng};
use uuid::Uuid;

use super::{
    BASE,
    instance::{Instance, change},
    rules,
};

/// What became known, in this order.
enum Step {
    /// A row, which was known from `received_at` on (later than it was received, if committed late).
    Row(ErrorEvent),
    /// The rules changed.
    Rules(Timestamp, Vec<Rule>),
}

pub struct World {
    random: StdRng,
    now: Timestamp,
    rules: Vec<Rule>,
    first_rules: Vec<Rule>,
    next_rule: u128,
    /// Committed rows, in the order of their numbers.
    table: Vec<ErrorEvent>,
    /// Rows whose transactions are still open.
    open: Vec<ErrorEvent>,
    /// The last number drawn.
    last: i64,
    xid: u64,
    checkpoint: RangeSet,
    /// Whether transactions may stay open for long; else whether instances may end. A new instance
    /// knows of a row when it was received, and not when it was committed, so a world has one or the other.
    long_transactions: bool,
    /// Whether rules may have keep-firing periods. A new instance cannot know which of the past's rules
    /// a value was below, so where rules change and instances end, they have none.
    keeps_firing: bool,
    /// Nobody leads, since then.
    dead_since: Option<Timestamp>,
    told: Vec<Transition>,
    written: HashSet<(Uuid, &'static str, Timestamp)>,
    leader: Instance,
    standby: Instance,
    steps: Vec<Step>,
    restarts: usize,
    log: String,
}

impl World {
    pub fn new(mut random: StdRng, changing: bool) -> Self {
        let long_transactions = random.random_bool(0.3);
        let keeps_firing = long_transactions || !changing;
        let count = random.random_range(1..5);
        let rules: Vec<Rule> =
            (1..=count).map(|id| rules::rule(&mut random, id, keeps_firing)).collect();
        let checkpoint = RangeSet::default();
        let start = |former| Instance::start(rules.clone(), &[], &checkpoint, former, BASE);
        let (mut leader, standby) = (start(Some(BASE)), start(None));
        leader.complete(BASE, &[], &mut Vec::new());
        Self {
            random,
            now: BASE + Span::from_millis(123),
            first_rules: rules.clone(),
            next_rule: count,
            rules,
            table: Vec::new(),
            open: Vec::new(),
            last: 0,
            xid: 0,
            checkpoint,
            long_transactions,
            keeps_firing,
            dead_since: None,
            told: Vec::new(),
            written: HashSet::new(),
            leader,
            standby,
            steps: Vec::new(),
            restarts: 0,
            log: String::new(),
        }
    }

    /// Something happens.
    pub fn act(&mut self, changing: bool) {
        let millis = match self.random.random_range(0..10) {
            0..3 => 0,
            3..8 => self.random.random_range(0..3_000),
            8 => self.random.random_range(0..40_000),
            _ => 130_000,
        };
        if millis > 1_000 && self.dead_since.is_none() {
            // A leader that runs reads every 250 ms and saves every second.
            self.read();
            self.save();
        }
        self.now = self.now + Span::from_millis(millis);
        if self.dead_since.is_some() && self.random.random_bool(0.7) {
            return self.insert();
        }
        self.come_back();
        match self.random.random_range(0..100) {
            0..45 => self.insert(),
            45..60 => self.read(),
            60..65 => self.repeat(),
            65..72 => self.commit_late(),
            72..80 => self.follow(),
            80..88 => self.save(),
            88..92 if !self.long_transactions => self.crash(),
            92..95 if !self.long_transactions => self.take_over(),
            _ if changing => self.change_rules(),
            _ => self.read(),
        }
    }

    fn note(&mut self, what: &str) {
        let second = self.now.since(BASE).as_secs_f64();
        let _ = writeln!(self.log, "{second:.3} {what}");
    }

    /// A transaction writes some rows, is rolled back, or stays open; the socket may bring the rows.
    fn insert(&mut self) {
        let count = self.random.random_range(1..5);
        let fate = self.random.random_range(0..10);
        let mut rows = Vec::new();
        for _ in 0..count {
            self.last += 1;
            let age = match self.random.random_range(0..9) {
                0..6 => 0,
                6..8 => self.random.random_range(0..5_000),
                _ => self.random.random_range(0..400_000),
            };
            let timestamp = self.now - Span::from_millis(age);
            rows.push(rules::row(&mut self.random, self.last, timestamp, self.now));
        }
        self.note(&format!("{count} rows up to {}, fate {fate}", self.last));
        match fate {
            0 => {}
            1 if self.long_transactions => self.open.extend(rows),
            _ => {
                // A row that the socket brings while an older one waits for a read would be known
                // before it: that is another order, and so another history.
                let runs = self.dead_since.is_none();
                let socket = runs && self.random.random_bool(0.5) && self.unread() == 0;
                self.table.extend(rows.iter().cloned());
                self.table.sort_by_key(|row| row.seq);
                if socket {
                    rows.iter().for_each(|row| self.give(row));
                }
            }
        }
    }

    /// A transaction that was open ends.
    fn commit_late(&mut self) {
        self.read();
        let rows = mem::take(&mut self.open);
        self.note(&format!("{} rows committed late", rows.len()));
        self.table.extend(rows);
        self.table.sort_by_key(|row| row.seq);
        self.read();
    }

    fn unread(&self) -> usize {
        let known = self.leader.ledger.accounted();
        self.table.iter().filter(|row| !known.contains(row.seq)).count()
    }

    /// Gives the leader a row, and remembers when it became known.
    fn give(&mut self, row: &ErrorEvent) {
        let mut told = Vec::new();
        if self.leader.row(row, &self.told, &mut told) {
            let is_it = |step: &Step| matches!(step, Step::Row(known) if known.seq == row.seq);
            if !self.steps.iter().any(is_it) {
                let received_at = self.leader.engine.now();
                self.steps.push(Step::Row(ErrorEvent { received_at, ..row.clone() }));
            }
        }
        self.store(told);
    }

    /// A numbered read of the leader: all rows it does not know, and the proof of holes.
    fn read(&mut self) {
        self.note("read");
        self.leader.ledger.observe(self.last, self.now);
        for row in self.table.clone() {
            self.give(&row);
        }
        let mut told = Vec::new();
        self.leader.complete(self.now, &self.told, &mut told);
        self.store(told);
        if self.open.is_empty() {
            self.xid += 2;
            let upto = self.leader.ledger.observed();
            self.leader.ledger.stamp(self.xid, upto);
            let missing: RangeSet = self.leader.ledger.missing().collect();
            self.leader.ledger.prove(self.xid + 1, &missing);
        }
    }

    /// The socket brings rows again that are known.
    fn repeat(&mut self) {
        let known = self.leader.ledger.accounted();
        let rows: Vec<_> =
            self.table.iter().filter(|row| known.contains(row.seq)).cloned().collect();
        for row in rows.iter().rev().take(5) {
            assert!(!self.leader.row(row, &self.told, &mut Vec::new()), "known already");
        }
    }

    /// A numbered read of the standby.
    fn follow(&mut self) {
        let mut told = Vec::new();
        for row in &self.table {
            self.standby.row(row, &self.told, &mut told);
        }
        self.standby.complete(self.now, &self.told, &mut told);
        assert!(told.is_empty(), "a standby decides nothing");
    }

    /// Rollups and checkpoint move on.
    fn save(&mut self) {
        let batch = self.leader.ledger.unsaved(1_000, i64::MAX);
        self.note(&format!("save {}", batch.ranges));
        for range in batch.ranges.iter() {
            self.checkpoint.insert(range);
        }
        self.leader.ledger.saved(&batch.ranges);
    }

    /// The leader dies.
    fn crash(&mut self) {
        let until = self.leader.engine.now();
        let known = self.leader.ledger.accounted();
        if self.table.iter().any(|row| !known.contains(row.seq) && row.received_at <= until) {
            self.read();
        }
        self.note("crash");
        self.now = self.now + Span::from_millis(1);
        self.dead_since = Some(self.leader.engine.now() + Span::from_micros(1));
    }

    /// The leader is started again, if it is dead, and reads at once.
    fn come_back(&mut self) {
        let Some(former) = self.dead_since.take() else { return };
        self.note("start");
        self.restarts += 1;
        let rules = self.rules.clone();
        self.leader = Instance::start(rules, &self.table, &self.checkpoint, Some(former), self.now);
        self.read();
        self.save();
    }

    /// The leader stops in order, and the standby goes on; another standby starts.
    fn take_over(&mut self) {
        self.read();
        self.save();
        self.note("takeover");
        self.restarts += 1;
        self.follow();
        let rules = self.rules.clone();
        let fresh = Instance::start(rules, &self.table, &self.checkpoint, None, self.now);
        self.leader = mem::replace(&mut self.standby, fresh);
        let mut told = Vec::new();
        self.leader.lead(self.now, &self.told, &mut told);
        self.store(told);
    }

    fn change_rules(&mut self) {
        // The time line holds one entry of a kind at an instant, so nothing else happens at this one.
        self.now = self.now + Span::from_millis(1);
        self.read();
        // What is counted again after a crash is decided by the rules of then.
        self.save();
        self.follow();
        let changed =
            rules::changed(&mut self.random, &self.rules, &mut self.next_rule, self.keeps_firing);
        self.note(&format!("rules {changed:?}"));
        self.rules = changed;
        self.steps.push(Step::Rules(self.now, self.rules.clone()));
        let mut told = Vec::new();
        change(&mut self.leader.engine, self.rules.clone(), &self.table, &mut told);
        self.store(told);
        change(&mut self.standby.engine, self.rules.clone(), &self.table, &mut Vec::new());
        self.now = self.now + Span::from_millis(1);
    }

    /// What the writer's statement does: an entry that is there is left alone, and so is an incident
    /// that has ended.
    fn store(&mut self, decided: Vec<Transition>) {
        for told in decided {
            let ended = self.told.iter().any(|earlier| {
                earlier.incident_id == told.incident_id && earlier.state == IncidentState::Resolved
            });
            if !ended && self.written.insert((told.incident_id, told.kind.as_str(), told.at)) {
                let at = told.at.since(BASE).as_secs_f64();
                let rule = told.rule_id.as_u128();
                self.note(&format!(
                    "{} {} {} rule {rule} at {at}",
                    told.kind, told.level, told.group_key
                ));
                self.told.push(told);
            }
        }
    }

    /// Everything is read, and time goes on until every window is empty.
    pub fn end(&mut self) -> Timestamp {
        self.come_back();
        self.commit_late();
        self.now = self.now + Span::from_secs(900);
        self.read();
        self.now
    }

    pub fn told(&self) -> &[Transition] {
        &self.told
    }

    pub fn rules(&self) -> Vec<Rule> {
        self.first_rules.clone()
    }

    pub fn restarts(&self) -> usize {
        self.restarts
    }

    pub fn history(&self) -> &str {
        &self.log
    }

    /// The final table, with the instant from which each row was known.
    pub fn known(&self) -> Vec<ErrorEvent> {
        let rows = self.steps.iter().filter_map(|step| match step {
            Step::Row(row) => Some(row.clone()),
            Step::Rules(..) => None,
        });
        rows.collect()
    }

    /// The batch evaluation where rules changed on the way.
    pub fn reference(&self, until: Timestamp) -> Vec<Transition> {
        let (mut engine, mut told) = (Engine::new(), Vec::new());
        engine.step(BASE, Input::Rules(self.first_rules.clone()), &mut told);
        engine.step(BASE, Input::HistoryComplete { rule_id: None }, &mut told);
        let mut known = Vec::new();
        for step in &self.steps {
            match step {
                Step::Row(row) => {
                    engine.step(row.received_at, Input::Event(row), &mut told);
                    known.push(row.clone());
                }
                Step::Rules(at, rules) => {
                    engine.step(*at, Input::Tick, &mut told);
                    change(&mut engine, rules.clone(), &known, &mut told);
                }
            }
        }
        engine.step(until, Input::Tick, &mut told);
        told
    }
}
