//! Workflow runs started, the denominator of ratio rules.
//!
//! A run's `started_at` is when its transaction began, so it can become visible long after that.
//! Each poll therefore looks again at a stretch of the past, and the tally yields only what is new.

use std::{collections::BTreeMap, time::Duration};

use chrono::{DateTime, Utc};
use futures_util::TryStreamExt;
use sqlx::Row;
use uuid::Uuid;

use super::{Db, StoreError, past::long_read, pool::within};
use crate::model::{GroupField, Metric, Rule, Span, Timestamp};

/// Counts that one question may bring: some 100 MB of them.
const MOST_COUNTS: usize = 2_000_000;
/// A window is kept in so many buckets.
const BUCKETS: i64 = 60;
const SECOND: i64 = 1_000_000;

/// Runs started within one second, or another stretch that was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Runs {
    /// The runs' project.
    pub project_id: Option<Uuid>,
    /// The workflow version they run.
    pub workflow_id: Option<Uuid>,
    /// The start of that stretch.
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

    /// Begins anew with the runs started at `now`: nobody asked for what came before.
    pub fn restart(&mut self, now: Timestamp) {
        *self = Self::new(now, self.overlap);
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

/// Which runs are counted, and what tells them apart.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    /// Those of these projects; none means of every one.
    pub projects: Option<Vec<Uuid>>,
    /// Those of these workflows; none means of every one.
    pub workflows: Option<Vec<Uuid>>,
    /// Whether each workflow is counted for itself.
    pub by_workflow: bool,
    /// The workflow under which all are counted where they are not told apart.
    pub stand_in: Option<Uuid>,
}

impl Wanted {
    /// What `rules` need, of those that count runs, with each workflow for itself.
    #[must_use]
    pub fn of_all(rules: &[Rule]) -> Self {
        let of = |list: fn(&Rule) -> Vec<Uuid>| {
            let lists = rules.iter().filter(|rule| rule.metric.needs_runs()).map(list);
            let mut all = Vec::new();
            for list in lists {
                if list.is_empty() {
                    return None;
                }
                all.extend(list);
            }
            all.sort_unstable();
            all.dedup();
            Some(all)
        };
        Self {
            projects: of(|rule| rule.project_id.into_iter().collect()),
            workflows: of(|rule| rule.filter.workflow_ids.clone()),
            by_workflow: true,
            stand_in: None,
        }
    }

    /// What one rule needs for itself: workflows are not told apart where it does not.
    #[must_use]
    pub fn of(rule: &Rule) -> Self {
        let workflows = &rule.filter.workflow_ids;
        Self {
            projects: rule.project_id.map(|project| vec![project]),
            workflows: (!workflows.is_empty()).then(|| workflows.clone()),
            by_workflow: rule.grouping().contains(&GroupField::Workflow),
            stand_in: workflows.first().copied(),
        }
    }
}

/// The windows in which `rules` count runs, in ascending order.
#[must_use]
pub fn windows(rules: &[Rule]) -> Vec<Span> {
    let mut all = Vec::new();
    for rule in rules.iter().filter(|rule| rule.metric.needs_runs()) {
        match &rule.metric {
            Metric::BurnRate(burn) => {
                all.extend(burn.pairs().flat_map(|pair| [pair.short, pair.long]));
            }
            _ => all.push(rule.longest_window()),
        }
    }
    all.sort_unstable();
    all.dedup();
    all
}

/// A stretch of time, and the width of the pieces in which it is counted.
type Stretch = (Timestamp, Timestamp, Span);

/// How the runs from `since` to `until` may be counted so that windows that end at `ends` or later hold
/// what they should, as well as they can tell: what only a long window still holds, in its buckets.
fn stretches(
    windows: &[Span],
    ends: Timestamp,
    (since, until): (Timestamp, Timestamp),
) -> Vec<Stretch> {
    let mut found = Vec::new();
    let mut end = until;
    for window in windows {
        // A window covers up to one bucket more than its length.
        let reach = Span::from_micros(window.micros() + window.micros() / BUCKETS);
        let begin = floor(ends - reach).max(since);
        if begin < end {
            found.push((begin, end, width_of(*window)));
            end = begin;
        }
    }
    found
}

/// The width of a window's buckets, in whole seconds.
fn width_of(window: Span) -> Span {
    Span::from_secs((window.micros() / BUCKETS / SECOND).max(1))
}

/// How finely the runs of a stretch of `length` are counted for windows that end at any time within it:
/// each second for itself while there are not too many, and never more coarsely than the narrowest
/// window's buckets.
#[must_use]
pub fn width_within(windows: &[Span], length: Span) -> Span {
    const SECONDS: i64 = 100_000;
    let narrowest = windows.first().map_or(Span::from_secs(1), |window| width_of(*window));
    let wide = Span::from_secs(length.micros() / SECOND / SECONDS + 1);
    narrowest.min(wide)
}

fn floor(at: Timestamp) -> Timestamp {
    Timestamp::from_secs(at.micros().div_euclid(SECOND))
}

/// Counts the runs started from `since` to before `until`, as finely as `windows` that end at `ends` or
/// later can tell.
///
/// # Errors
/// As [`count`].
pub async fn count_windows(
    db: &Db,
    wanted: &Wanted,
    (windows, ends): (&[Span], Timestamp),
    stretch: (Timestamp, Timestamp),
    limit: Duration,
) -> Result<Vec<Runs>, StoreError> {
    let mut found = Vec::new();
    for (since, until, width) in stretches(windows, ends, stretch) {
        found.extend(count(db, wanted, (since, until), width, limit).await?);
    }
    Ok(found)
}

/// Counts the runs started from `since` to before `until`, per `width` of whole seconds and project.
///
/// # Errors
/// When the database does not answer within `limit`, or has more to tell than there is room for.
pub async fn count(
    db: &Db,
    wanted: &Wanted,
    (since, until): (Timestamp, Timestamp),
    width: Span,
    limit: Duration,
) -> Result<Vec<Runs>, StoreError> {
    let what = "count workflow runs";
    let found = within(what, limit, async {
        let mut link = long_read(db).await?;
        let query = link
            .query(include_str!("../../sql/count_runs.sql"))
            .bind(since.to_chrono())
            .bind(until.to_chrono())
            .bind(i32::try_from(width.micros() / SECOND).unwrap_or(i32::MAX).max(1))
            .bind(wanted.projects.clone())
            .bind(wanted.workflows.clone())
            .bind(wanted.by_workflow)
            .bind(i64::try_from(MOST_COUNTS + 1).unwrap_or(i64::MAX));
        let mut found = Vec::new();
        let mut rows = query.fetch(link.connection());
        while let Some(row) = rows.try_next().await? {
            found.push(Runs {
                project_id: row.try_get(0)?,
                workflow_id: row.try_get::<Option<Uuid>, _>(1)?.or(wanted.stand_in),
                at: row.try_get::<DateTime<Utc>, _>(2)?.into(),
                count: row.try_get::<i64, _>(3)?.unsigned_abs(),
            });
        }
        drop(rows);
        link.commit().await?;
        Ok(found)
    })
    .await?;
    if found.len() > MOST_COUNTS {
        let problem = format!(
            "more than {MOST_COUNTS} counts; choose a shorter time, or a rule of one project or of fewer workflows"
        );
        return Err(StoreError::Unreadable { what, problem });
    }
    Ok(found)
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
    fn what_only_long_windows_hold_is_counted_coarsely() {
        let now = Timestamp::from_secs(1_000_000);
        let ago = |seconds: i64| now - Span::from_secs(seconds);
        let windows = [300, 3_600, 259_200].map(Span::from_secs);
        assert_eq!(
            stretches(&windows, now, (ago(400_000), now)),
            [
                (ago(305), now, Span::from_secs(5)),
                (ago(3_660), ago(305), Span::from_secs(60)),
                (ago(263_520), ago(3_660), Span::from_secs(4_320)),
            ]
        );
        // What is known already is not read again.
        assert_eq!(
            stretches(&windows, ago(100), (ago(1_000), ago(100))),
            [(ago(405), ago(100), Span::from_secs(5)), (ago(1_000), ago(405), Span::from_secs(60)),]
        );
        // For windows of a while ago, what came since then is counted finely.
        assert_eq!(
            stretches(&windows, ago(2_000), (ago(3_000), now)),
            [(ago(2_305), now, Span::from_secs(5)), (ago(3_000), ago(2_305), Span::from_secs(60)),]
        );
        assert_eq!(stretches(&windows, now, (now, now)), []);
        let week = Span::from_secs(604_800);
        assert_eq!(width_within(&windows, week), Span::from_secs(5));
        assert_eq!(width_within(&windows[1..], week), Span::from_secs(7));
        assert_eq!(width_within(&windows, Span::from_secs(86_400)), Span::from_secs(1));
    }

    #[test]
    fn only_the_projects_and_workflows_of_rules_are_asked_for() {
        let rule = |columns: serde_json::Value| Rule::from_columns(columns).expect("a rule");
        let (project, workflow) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let mine = rule(serde_json::json!({
            "name": "mine", "metric": "ratio", "warning": 0.1, "project_id": project,
            "workflow_ids": [workflow],
        }));
        let counts = rule(serde_json::json!({"name": "counts", "warning": 5}));
        let all = rule(serde_json::json!({"name": "all", "metric": "ratio", "warning": 0.1}));
        let wanted = Wanted::of_all(&[mine.clone(), counts]);
        assert_eq!(wanted.projects, Some(vec![project]));
        assert_eq!((wanted.workflows, wanted.by_workflow), (Some(vec![workflow]), true));
        let wanted = Wanted::of_all(&[mine.clone(), all.clone()]);
        assert_eq!((wanted.projects, wanted.workflows), (None, None));
        let wanted = Wanted::of(&mine);
        assert_eq!((wanted.stand_in, wanted.by_workflow), (Some(workflow), false));
        assert_eq!(Wanted::of(&all), Wanted::default());
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
