//! The feed's state as others see it, and the log lines about failing queries.

use super::{DatabaseHealth, Feed};
use crate::{
    model::Span,
    store::{StoreError, status::Problem},
};

/// A hole that is open for longer than this is worth an operator's look.
const LONG_OPEN: Span = Span::from_secs(60);

impl Feed {
    /// Notes that a query of this kind succeeded.
    pub(super) fn succeeds(&mut self, query: &'static str) {
        if let Some((since, _)) = self.failing.remove(query) {
            let seconds = self.clock.now().since(since).as_secs_f64();
            tracing::info!(query, seconds, "the database answers again");
        }
    }

    /// Notes that a query of this kind failed; logs the first failure of a row.
    pub(super) fn fails(&mut self, query: &'static str, error: &StoreError) {
        self.status.failures += 1;
        if error.is_lost_connection() {
            self.db.discard_idle();
        }
        let now = self.clock.now();
        self.failing.entry(query).or_insert_with(|| {
            tracing::warn!(query, %error, kind = ?error.kind(), "the database fails; trying on");
            (now, error.to_string())
        });
    }

    /// Publishes the state.
    pub(super) fn show(&mut self) {
        let now = self.clock.now();
        let down = self.failing.get("read").or_else(|| self.failing.get("checkpoint"));
        let database = match down {
            Some((since, reason)) => DatabaseHealth::Down { since: *since, reason: reason.clone() },
            None if self.saves.loaded => DatabaseHealth::Up,
            None => DatabaseHealth::Unknown,
        };
        let problems = self.problems();
        let status = &mut self.status;
        status.set_back = self.set_back || self.reads.behind.is_some();
        status.low_water = self.ledger.low_water();
        status.last_number = self.ledger.observed();
        status.open_holes = u64::try_from(self.ledger.hole_count()).unwrap_or(u64::MAX);
        status.missing = self.ledger.missing_count();
        status.oldest_hole = self.ledger.oldest_hole().map(|since| now.since(since));
        status.unsaved = self.ledger.unsaved_count() + self.ledger.withheld_count();
        status.undecided_since = self.undecided.since();
        status.subscribed = self.hearing.is_subscribed();
        status.deaf = self.hearing.is_deaf();
        status.canary = self.hearing.canary();
        status.database = database;
        status.problems = problems;
        self.publish.send_if_modified(|shown| {
            let differs = shown != status;
            if differs {
                shown.clone_from(status);
            }
            differs
        });
    }

    /// What an operator should know of.
    fn problems(&self) -> Vec<Problem> {
        let (status, mut problems) = (&self.status, Vec::new());
        let mut add = |what: &str, detail: String| {
            problems.push(Problem { what: what.to_owned(), detail });
        };
        for (query, (since, reason)) in &self.failing {
            add("database", format!("{query}: failing since {since}: {reason}"));
        }
        if self.hearing.is_deaf() {
            let detail = "Realtime says it is subscribed and brings nothing; numbered reads go on";
            add("deaf", detail.to_owned());
        }
        if self.reads.behind.is_some() || self.set_back {
            let epoch = status.epoch;
            add("epoch", format!("the sequence of errors went back; epoch {epoch} counts"));
        }
        if status.rows_differing > 0 {
            let rows = status.rows_differing;
            add("rollups", format!("rollups differ by {rows} rows from what was counted"));
        }
        if status.rows_unreadable > 0 {
            add("unreadable", format!("{} errors were not understood", status.rows_unreadable));
        }
        let since = self.ledger.oldest_hole();
        if let Some(since) = since.filter(|since| self.clock.now().since(*since) > LONG_OPEN) {
            add("horizon", format!("a transaction seems to have been open since {since}"));
        }
        problems
    }
}
