//! Workflow runs started, the denominator of ratio rules.
//!
//! A run's `started_at` is when its transaction began, so it can become visible long after that.
//! Each poll therefore looks again at a stretch of the past, and the tally yields only what is new.

use std::{collections::BTreeMap, time::Duration};

use chrono::{DateTime, Utc};
use futures_util::TryStreamExt;
use sqlx::Row;
use uuid::Uuid;

use super::{Db, StoreError, pool::within};
use crate::model::{Span, Timestamp};

/// Runs started within one second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Runs {
    /// The runs' project.
    pub project_id: Option<Uuid>,
    /// The workflow version they run.
    pub workflow_id: Option<Uuid>,
    /// The start of that second.
    pub at: Timestamp,
    /// How many.
    pub count: u64,
}

/// Remembers what was reported, so that overlapping polls report each run once.
#[derive(Clone, Debug)]
pub struct RunTally {
    overlap: Span,
    /// Everything that started before then has been reported, but for the overlap.
    through: Timestamp,
    reported: BTreeMap<(Timestamp, Option<Uuid>, Option<Uuid>), u64>,
}

impl RunTally {
    /// A tally that begins with the runs started at `since` and looks back `overlap` at each poll.
    #[must_use]
    pub fn new(since: Timestamp, overlap: Span) -> Self {
        Self { overlap, through: since, reported: BTreeMap::new() }
    }

    /// From when on the next poll must read.
    #[must_use]
    pub fn since(&self) -> Timestamp {
        let begin = self.through - self.overlap;
        // What was reported before the overlap is forgotten, so it must not be read again.
        Timestamp::from_secs(begin.micros().div_euclid(1_000_000))
    }

    /// Takes in every run started from [`RunTally::since`] to `until`, and returns the new ones.
    ///
    /// A count that shrank, because runs were deleted, reports nothing: they did start.
    pub fn apply(&mut self, counts: &[Runs], until: Timestamp) -> Vec<Runs> {
        let mut new = Vec::new();
        for runs in counts {
            let key = (runs.at, runs.project_id, runs.workflow_id);
            let known = self.reported.entry(key).or_default();
            if runs.count > *known {
                new.push(Runs { count: runs.count - *known, ..*runs });
                *known = runs.count;
            }
        }
        self.through = self.through.max(until);
        let since = self.since();
        self.reported = self.reported.split_off(&(since, None, None));
        new
    }
}

/// Counts the runs started from `since` to before `until`, per second, project and workflow.
///
/// # Errors
/// When the database does not answer within `limit`.
pub async fn count(
    db: &Db,
    since: Timestamp,
    until: Timestamp,
    limit: Duration,
) -> Result<Vec<Runs>, StoreError> {
    within("count workflow runs", limit, async {
        let mut link = db.link().await?;
        let query = link
            .query(include_str!("../../sql/count_runs.sql"))
            .bind(since.to_chrono())
            .bind(until.to_chrono());
        let mut found = Vec::new();
        let mut rows = query.fetch(link.connection());
        while let Some(row) = rows.try_next().await? {
            found.push(Runs {
                project_id: row.try_get(0)?,
                workflow_id: row.try_get(1)?,
                at: row.try_get::<DateTime<Utc>, _>(2)?.into(),
                count: row.try_get::<i64, _>(3)?.unsigned_abs(),
            });
        }
        drop(rows);
        link.commit().await?;
        Ok(found)
    })
    .await
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// However late runs become visible within the overlap, each is reported once.
        #[test]
        fn each_run_is_reported_once(
            runs in prop::collection::vec((0_i64..60, 0_i64..10), 0..60),
            polls in prop::collection::btree_set(1_i64..80, 1..20),
        ) {
            let start = Timestamp::from_secs(1_000);
            let at = |second: i64| start + Span::from_secs(second);
            let mut tally = RunTally::new(start, Span::from_secs(10));
            let mut reported = 0;
            for now in polls.into_iter().chain([80]) {
                // A run is visible some seconds after its start, later than nobody looks back.
                let since = tally.since();
                let mut counts: BTreeMap<i64, u64> = BTreeMap::new();
                for (second, delay) in &runs {
                    if at(*second) >= since && second + delay <= now && *second < now {
                        *counts.entry(*second).or_default() += 1;
                    }
                }
                let counts: Vec<Runs> = counts
                    .into_iter()
                    .map(|(second, count)| Runs {
                        project_id: None, workflow_id: None, at: at(second), count,
                    })
                    .collect();
                let new = tally.apply(&counts, at(now));
                prop_assert!(new.iter().all(|runs| runs.count > 0));
                reported += new.iter().map(|runs| runs.count).sum::<u64>();
                prop_assert!(tally.reported.len() <= 11, "the tally forgets");
            }
            prop_assert_eq!(reported, runs.len() as u64);
        }
    }

    #[test]
    fn deleted_runs_change_nothing() {
        let start = Timestamp::from_secs(1_000);
        let runs = |count| Runs { project_id: None, workflow_id: None, at: start, count };
        let mut tally = RunTally::new(start, Span::from_secs(600));
        assert_eq!(tally.apply(&[runs(3)], start + Span::from_secs(1)), [runs(3)]);
        assert_eq!(tally.apply(&[runs(1)], start + Span::from_secs(2)), []);
        assert_eq!(tally.apply(&[runs(4)], start + Span::from_secs(3)), [runs(1)]);
    }
}
