//! Numbered reads and stamps: when, what to ask, and what the answers prove.

use std::{ops::Range, time::Duration};

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{
    Feed, FeedOutput,
    jobs::{Asked, Done, pause},
};
use crate::{
    batch_size::BatchSize,
    model::{ErrorEvent, RangeSet, Timestamp},
    store::{
        StoreError,
        feed::{self as query, Page, Stamp},
    },
};

/// Two reads are at least this far apart, however often the socket wakes us.
const LEAST_GAP: Duration = Duration::from_millis(20);
/// Two stamps are at least this far apart: most holes fill by themselves within it, and a stamp
/// costs a transaction id.
const STAMP_GAP: Duration = Duration::from_millis(200);
/// Rows flow if the last one came within this time.
const FLOWING: Duration = Duration::from_secs(2);
/// A read after subscribing is repeated after these times: the server may still have been setting
/// up its slot when it said that changes flow.
const AFTER_SUBSCRIBING: [Duration; 2] = [Duration::from_secs(2), Duration::from_secs(10)];
/// Beyond this size an answer takes too long for its clock to be compared with ours.
const CLOCK_ROWS: usize = 1_000;

/// Why a read asks for less than everything that is missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum More {
    /// It does not.
    No,
    /// There are many holes, most of them probably small: the rest has time until the next tick.
    Holes,
    /// There are wide holes, as after a start: the rest is read at once.
    Numbers,
}

/// A page never has fewer rows than this: some megabytes at most.
const LEAST_ROWS: u64 = 200;

/// The most numbers of one read of so many rows; see [`query::read_missing`]. Wider than a page, so that
/// stretches whose rows were removed by retention are passed quickly.
fn most_numbers(rows: u32) -> i64 {
    i64::from(rows).saturating_mul(4)
}

/// When to read next.
#[derive(Debug)]
pub(super) struct Reads {
    reading: bool,
    next: Instant,
    started: Option<Instant>,
    /// Extra reads after subscribing.
    again: Vec<Instant>,
    last_row: Option<Instant>,
    failures: u32,
    /// How many rows a page has, of new errors and of history.
    rows: BatchSize,
    stamping: bool,
    last_stamp: Option<Instant>,
    /// Where the next read goes on when there are more holes than one read asks for.
    from: i64,
    /// When the pass over all holes that is under way began, by the database's clock.
    pass_began: Option<Timestamp>,
    /// Which life of the server the last read was answered in.
    server_started: Option<Timestamp>,
    /// The highest number that the checkpoint accounts for, as it was last read. A standby may not
    /// have come so far itself, and must notice all the same that the sequence is behind it.
    pub checkpointed: i64,
    /// The sequence was found at this value, behind the ledger or the checkpoint.
    pub behind: Option<i64>,
}

impl Reads {
    pub fn new(now: Instant, page_rows: u32) -> Self {
        Self {
            reading: false,
            next: now,
            started: None,
            again: Vec::new(),
            last_row: None,
            failures: 0,
            rows: BatchSize::new(page_rows.into()).at_least(LEAST_ROWS),
            stamping: false,
            last_stamp: None,
            from: 0,
            pass_began: None,
            server_started: None,
            checkpointed: 0,
            behind: None,
        }
    }

    /// How many rows the next page has at most.
    pub fn page_rows(&self) -> u32 {
        u32::try_from(self.rows.size()).unwrap_or(u32::MAX)
    }

    /// A page of so many rows came, or did not come in time.
    pub fn page_ended(&mut self, rows: u32, came: bool) {
        if came {
            self.rows.done();
        } else {
            self.rows.failed(rows.into());
        }
    }

    pub fn rows_flow(&mut self, now: Instant) {
        self.last_row = Some(now);
    }

    /// The next read asks for the first holes again.
    pub fn begin_pass_again(&mut self) {
        self.from = 0;
        self.pass_began = None;
    }

    pub fn read_again_after_subscribing(&mut self, now: Instant) {
        self.again = AFTER_SUBSCRIBING.iter().map(|after| now + *after).collect();
    }
}

impl Feed {
    /// Reads as soon as the last read is long enough ago; while the database fails, when its pause
    /// is over.
    pub(super) fn read_soon(&mut self) {
        if self.reads.failures == 0 {
            let earliest = self.reads.started.map(|started| started + LEAST_GAP);
            let soon = earliest.map_or_else(Instant::now, |earliest| earliest.max(Instant::now()));
            self.reads.next = self.reads.next.min(soon);
        }
    }

    pub(super) fn next_read(&self) -> Option<Instant> {
        let waiting = self.is_live() && !self.reads.reading && self.reads.behind.is_none();
        let again = self.reads.again.iter().copied().min();
        waiting.then(|| again.map_or(self.reads.next, |again| again.min(self.reads.next)))
    }

    pub(super) fn start_read(&mut self, now: Instant) {
        if self.next_read().is_none_or(|due| due > now) {
            return;
        }
        self.reads.again.retain(|due| *due > now);
        let first = self.reads.from == 0;
        let (wanted, more) = self.wanted();
        let (last, wide) = (more == More::No, more == More::Numbers);
        let observed = self.ledger.observed();
        let accounted = self.ledger.highest_accounted().max(self.reads.checkpointed);
        let rows = self.reads.page_rows();
        let asked = Asked { observed, accounted, first, last, wide, rows, at: self.clock.now() };
        self.reads.reading = true;
        self.reads.started = Some(now);
        let (db, limit, generation) = (self.db.clone(), self.options.query_limit, self.generation);
        self.jobs.spawn(async move {
            let tail = asked.observed + 1;
            let tail = tail..tail.saturating_add(most_numbers(rows));
            let result = query::read_missing(&db, &wanted, tail, rows, limit).await;
            Done::Page { generation, asked, result }
        });
    }

    /// The holes to ask for: all of them, or the next few in turn, so that thousands of holes under a
    /// long transaction cannot make every tick slow.
    fn wanted(&mut self) -> (Vec<Range<i64>>, More) {
        let from = self.reads.from;
        let (mut wanted, mut room) = (Vec::new(), most_numbers(self.reads.page_rows()));
        let mut more = More::No;
        for hole in self.ledger.missing().filter(|hole| hole.end > from) {
            if wanted.len() == self.options.page_ranges || room == 0 {
                more = if room == 0 { More::Numbers } else { More::Holes };
                break;
            }
            let start = hole.start.max(from);
            let end = hole.end.min(start.saturating_add(room));
            room -= end - start;
            wanted.push(start..end);
            if end < hole.end {
                more = More::Numbers;
                break;
            }
        }
        let next = wanted.last().map_or(0, |range| range.end);
        self.reads.from = if more == More::No { 0 } else { next };
        (wanted, more)
    }

    pub(super) async fn finish_read(
        &mut self,
        generation: u64,
        asked: &Asked,
        result: Result<Page, StoreError>,
        cancel: &CancellationToken,
    ) {
        self.reads.reading = false;
        self.reads.page_ended(asked.rows, result.is_ok());
        let now = Instant::now();
        let mut page = match result {
            Ok(page) => page,
            Err(error) => {
                self.reads.failures = self.reads.failures.saturating_add(1);
                self.reads.next = now + pause(self.reads.failures);
                self.reads.begin_pass_again();
                self.fails("read", &error);
                return;
            }
        };
        self.reads.failures = 0;
        self.status.reads += 1;
        self.succeeds("read");
        if generation != self.generation {
            return;
        }
        if page.last_drawn < asked.accounted {
            self.found_behind(page.last_drawn);
            return;
        }
        self.note_server(&page, asked);
        self.compare_clocks(asked, &page);
        let (fresh, by_number) = self.account(&mut page);
        self.status.proven_empty += self.ledger.prove(page.xmin, &page.read);
        let complete_through = self.note_pass(asked, &page);
        if !by_number.is_empty() {
            self.reads.rows_flow(now);
            self.hearing.read_brought(by_number, now);
        }
        self.emit_new(fresh, cancel).await;
        if let Some(through) = complete_through {
            self.emit(FeedOutput::CompleteThrough(through), cancel).await;
        }
        self.start_stamp();
        let now = Instant::now();
        self.reads.next = if page.full || asked.wide { now } else { now + self.tick(now) };
    }

    /// After a crash or a failover, what was only known from memory is not known any more.
    fn note_server(&mut self, page: &Page, asked: &Asked) {
        if self.reads.server_started.replace(page.server_started) != Some(page.server_started) {
            self.ledger.forget_stamps();
        }
        if page.last_drawn < asked.observed {
            let (last_drawn, observed) = (page.last_drawn, asked.observed);
            tracing::info!(last_drawn, observed, "numbers that nobody committed were taken back");
            self.ledger.retract(page.last_drawn);
        }
    }

    /// When a pass over all holes and the tail is through, everything that was committed before it
    /// began is counted; returns that time.
    fn note_pass(&mut self, asked: &Asked, page: &Page) -> Option<Timestamp> {
        if asked.first {
            self.reads.pass_began = Some(page.began_at);
        }
        if page.full {
            // Something was left unread, so the pass begins again.
            self.reads.begin_pass_again();
            return None;
        }
        let began_at = if asked.last { self.reads.pass_began.take() } else { None }?;
        self.status.complete_through = Some(began_at);
        self.status.caught_up = true;
        Some(began_at)
    }

    /// Enters a page into the ledger; returns the rows that are new, and their numbers.
    fn account(&mut self, page: &mut Page) -> (Vec<ErrorEvent>, RangeSet) {
        let now = self.clock.now();
        let mut by_number = RangeSet::default();
        let mut fresh = std::mem::take(&mut page.events);
        fresh.retain(|event| {
            let new = self.ledger.insert(event.seq, now);
            if new {
                by_number.insert(event.seq..event.seq + 1);
            }
            new
        });
        for (seq, problem) in &page.unreadable {
            // It exists, so its number is accounted for and rollups count it.
            if self.ledger.insert(*seq, now) {
                self.status.rows_unreadable += 1;
                tracing::warn!(seq, problem, "an error event was not understood");
            }
        }
        self.ledger.observe(page.last_drawn, now);
        (fresh, by_number)
    }

    fn compare_clocks(&self, asked: &Asked, page: &Page) {
        if page.events.len() > CLOCK_ROWS {
            return;
        }
        // The database looked at its clock about half-way between question and answer.
        let now = self.clock.now();
        let middle = asked.at.micros().midpoint(now.micros());
        self.clock.observe_database(Timestamp::from_micros(middle), page.database_now);
    }

    fn tick(&self, now: Instant) -> Duration {
        let flowing = self.reads.last_row.is_some_and(|last| now.duration_since(last) < FLOWING);
        // A standby has no socket and decides nothing, so it may look less often.
        let silent = self.leadership.is_leader()
            && (!self.hearing.is_subscribed() || self.hearing.is_deaf());
        if flowing || silent { self.options.tick_busy } else { self.options.tick_quiet }
    }

    /// Draws a stamp for the holes that are known now and have none.
    fn start_stamp(&mut self) {
        // Every number up to here is known to be drawn, and the id is drawn after this line.
        let upto = self.ledger.observed();
        let early = self.reads.last_stamp.is_some_and(|last| last.elapsed() < STAMP_GAP);
        if self.reads.stamping || early || !self.ledger.needs_stamp(upto) {
            return;
        }
        self.reads.stamping = true;
        self.reads.last_stamp = Some(Instant::now());
        let (db, limit, generation) = (self.db.clone(), self.options.query_limit, self.generation);
        self.jobs.spawn(async move {
            Done::Stamp { generation, upto, result: query::draw_stamp(&db, limit).await }
        });
    }

    pub(super) fn finish_stamp(
        &mut self,
        generation: u64,
        upto: i64,
        result: Result<Stamp, StoreError>,
    ) {
        self.reads.stamping = false;
        match result {
            Ok(stamp) => {
                self.succeeds("stamp");
                self.status.stamps += 1;
                let same_server = self.reads.server_started == Some(stamp.server_started);
                if generation == self.generation && same_server {
                    self.ledger.stamp(stamp.xid, upto.min(stamp.last_drawn));
                }
            }
            // The next read that still finds the hole tries again.
            Err(error) => self.fails("stamp", &error),
        }
    }
}
