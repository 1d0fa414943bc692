//! The ledger against a simulated database: writers that begin, draw numbers, commit and abort in
//! any order, a reader whose reads and stamps overlap with all of that, a socket that delivers
//! committed rows late, repeatedly, or never, and a server that crashes and forgets what no commit
//! had brought to its disk.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

const NOW: Timestamp = Timestamp::from_secs(1_000);

#[derive(Clone, Debug)]
enum Step {
    /// A transaction begins; it gets its id when it first draws.
    Begin,
    /// A running transaction draws a number.
    Draw(prop::sample::Index),
    /// A running transaction ends.
    End(prop::sample::Index, bool),
    /// The socket delivers some committed row.
    Socket(prop::sample::Index),
    /// A read takes its snapshot.
    StartRead,
    /// The read's answer is applied.
    FinishRead,
    /// An id for stamping is asked for; from here the bound is fixed.
    StartStamp,
    /// The id arrives.
    FinishStamp,
    /// The process restarts from what it had saved.
    Restart,
    /// What is accounted for is saved.
    Save,
    /// The server crashes, and goes on by itself from what was on its disk.
    Crash,
}

#[derive(Default)]
struct Database {
    next_xid: u64,
    last_value: i64,
    /// Running transactions: id and the numbers drawn.
    running: Vec<(Option<u64>, Vec<i64>)>,
    committed: BTreeSet<i64>,
    /// Highest id and number that are on the disk: a flush brings everything before it there.
    on_disk: (u64, i64),
}

impl Database {
    fn draw_xid(&mut self) -> u64 {
        self.next_xid += 1;
        self.next_xid
    }

    fn flush(&mut self) {
        self.on_disk = (self.next_xid, self.last_value);
    }

    fn crash(&mut self) {
        (self.next_xid, self.last_value) = self.on_disk;
        self.running.clear();
    }

    fn xmin(&self) -> u64 {
        let oldest = self.running.iter().filter_map(|(xid, _)| *xid).min();
        oldest.unwrap_or(self.next_xid + 1)
    }
}

/// What a read saw: one snapshot.
struct Read {
    rows: Vec<i64>,
    ranges: RangeSet,
    xmin: u64,
    last_value: i64,
    /// What was known when it was asked.
    observed: i64,
    accounted: i64,
}

#[derive(Default)]
struct World {
    database: Database,
    ledger: Ledger,
    /// Counted since the last restart.
    counted: BTreeSet<i64>,
    read: Option<Read>,
    stamp: Option<(u64, i64)>,
    saved: RangeSet,
    saved_rows: u64,
}

impl World {
    fn insert(&mut self, seq: i64) -> Result<(), TestCaseError> {
        let expected = !self.counted.contains(&seq) && !self.saved.contains(seq);
        let new = self.ledger.insert(seq, NOW);
        prop_assert_eq!(new, expected, "number {}: counted twice or refused", seq);
        self.counted.insert(seq);
        Ok(())
    }

    fn start_read(&mut self) {
        let mut ranges: RangeSet = self.ledger.missing().collect();
        // The tail is open-ended in the query, and complete up to the sequence's value.
        let (tail, last_value) = (self.ledger.observed() + 1, self.database.last_value);
        ranges.insert(tail..(last_value + 1).max(tail));
        let rows = self.database.committed.iter().copied();
        let rows = rows.filter(|seq| ranges.contains(*seq)).collect();
        let (observed, accounted) = (self.ledger.observed(), self.ledger.highest_accounted());
        let xmin = self.database.xmin();
        self.read = Some(Read { rows, ranges, xmin, last_value, observed, accounted });
    }

    fn finish_read(&mut self) -> Result<(), TestCaseError> {
        let Some(read) = self.read.take() else { return Ok(()) };
        prop_assert!(read.last_value >= read.accounted, "looks like a restored backup");
        if read.last_value < read.observed {
            self.ledger.retract(read.last_value);
        }
        for seq in read.rows {
            let known = self.counted.contains(&seq);
            if !known {
                self.insert(seq)?;
            }
        }
        self.ledger.observe(read.last_value, NOW);
        self.ledger.prove(read.xmin, &read.ranges);
        Ok(())
    }

    fn start_stamp(&mut self) {
        let upto = self.ledger.observed();
        if self.ledger.needs_stamp(upto) {
            let last_drawn = self.database.last_value;
            self.stamp = Some((self.database.draw_xid(), upto.min(last_drawn)));
            self.database.flush();
        }
    }

    fn finish_stamp(&mut self) {
        if let Some((xid, upto)) = self.stamp.take() {
            self.ledger.stamp(xid, upto);
        }
    }

    fn save(&mut self) {
        loop {
            let batch = self.ledger.unsaved(5, i64::MAX);
            if batch.ranges.is_empty() {
                break;
            }
            batch.ranges.iter().for_each(|range| self.saved.insert(range));
            self.saved_rows += batch.rows;
            self.ledger.saved(&batch.ranges);
        }
    }

    fn step(&mut self, step: &Step) -> Result<(), TestCaseError> {
        match step {
            Step::Begin => self.database.running.push((None, Vec::new())),
            Step::Draw(which) if !self.database.running.is_empty() => {
                let index = which.index(self.database.running.len());
                if self.database.running[index].0.is_none() {
                    self.database.running[index].0 = Some(self.database.draw_xid());
                }
                self.database.last_value += 1;
                let number = self.database.last_value;
                self.database.running[index].1.push(number);
            }
            Step::End(which, commit) if !self.database.running.is_empty() => {
                let index = which.index(self.database.running.len());
                let (_, numbers) = self.database.running.swap_remove(index);
                if *commit {
                    self.database.committed.extend(numbers);
                    self.database.flush();
                }
            }
            Step::Socket(which) if !self.database.committed.is_empty() => {
                let rows: Vec<i64> = self.database.committed.iter().copied().collect();
                self.insert(*which.get(&rows))?;
            }
            Step::StartRead if self.read.is_none() => self.start_read(),
            Step::FinishRead => self.finish_read()?,
            Step::StartStamp if self.stamp.is_none() => self.start_stamp(),
            Step::FinishStamp => self.finish_stamp(),
            Step::Save => self.save(),
            Step::Crash => self.database.crash(),
            Step::Restart => {
                self.ledger = Ledger::restore(&self.saved, NOW);
                self.counted.clear();
                (self.read, self.stamp) = (None, None);
            }
            Step::Draw(_)
            | Step::End(..)
            | Step::Socket(_)
            | Step::StartRead
            | Step::StartStamp => {}
        }
        // The naive model: what the ledger calls accounted and nobody counted was declared empty.
        for number in self.ledger.accounted().iter().flatten() {
            let empty = !self.counted.contains(&number) && !self.saved.contains(number);
            prop_assert!(
                !(empty && self.database.committed.contains(&number)),
                "committed row {} was declared empty",
                number
            );
            let may_come = self.database.running.iter().any(|(_, n)| n.contains(&number));
            prop_assert!(!(empty && may_come), "number {} may still appear", number);
        }
        Ok(())
    }
}

fn step() -> impl Strategy<Value = Step> {
    let index = any::<prop::sample::Index>;
    prop_oneof![
        3 => Just(Step::Begin),
        6 => index().prop_map(Step::Draw),
        4 => (index(), any::<bool>()).prop_map(|(which, commit)| Step::End(which, commit)),
        2 => index().prop_map(Step::Socket),
        4 => Just(Step::StartRead),
        4 => Just(Step::FinishRead),
        3 => Just(Step::StartStamp),
        3 => Just(Step::FinishStamp),
        1 => Just(Step::Save),
        1 => prop_oneof![4 => Just(Step::Save), 1 => Just(Step::Restart), 2 => Just(Step::Crash)],
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    /// No committed row is ever declared empty, and in the end every number is accounted for.
    #[test]
    fn no_committed_row_is_declared_empty(steps in prop::collection::vec(step(), 0..120)) {
        let mut world = World::default();
        for step in &steps {
            world.step(step)?;
        }
        // Everybody ends; a read, a stamp and another read then settle everything.
        while !world.database.running.is_empty() {
            let (_, numbers) = world.database.running.remove(0);
            world.database.committed.extend(numbers);
        }
        for last in [Step::FinishRead, Step::FinishStamp, Step::StartRead, Step::FinishRead,
            Step::StartStamp, Step::FinishStamp, Step::StartRead, Step::FinishRead, Step::Save] {
            world.step(&last)?;
        }
        prop_assert_eq!(world.ledger.low_water(), world.database.last_value);
        prop_assert_eq!(world.ledger.missing_count(), 0);
        prop_assert_eq!(world.saved.len(), world.database.last_value.unsigned_abs());
        prop_assert_eq!(world.saved_rows, world.database.committed.len() as u64);
    }
}

/// The model must be able to fail: stamping with an id drawn before the number became known is the
/// mistake that the bound of [`Ledger::stamp`] prevents.
#[test]
fn a_stamp_that_is_too_early_would_lose_a_row() {
    let mut database = Database::default();
    let mut ledger = Ledger::default();
    let too_early = database.draw_xid();
    let writer = database.draw_xid();
    database.running.push((Some(writer), vec![1]));
    ledger.observe(1, NOW);
    // With the right bound (nothing was known when the id was drawn) nothing is stamped.
    ledger.stamp(too_early, 0);
    assert_eq!(ledger.prove(database.xmin(), &"{[1,2)}".parse().expect("ranges")), 0);
    // With the wrong one the row that is about to commit is declared empty.
    ledger.stamp(too_early, 1);
    assert_eq!(ledger.prove(database.xmin(), &"{[1,2)}".parse().expect("ranges")), 1);
}
