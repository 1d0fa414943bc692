//! What a rule knew when its back-test begins, and what it learnt meanwhile, read from the database.

use std::time::Duration;

use super::run::RunError;
use crate::{
    engine::{KnownGroup, RunCount, batch::Earlier},
    model::{Metric, Rule, Timestamp},
    store::{
        Db, past,
        runs::{self, Wanted},
    },
};

/// Counts of earlier minutes at most; they take some 16 bytes each. Half a year of minutes for eight
/// groups, or a week for two hundred.
const MOST_COUNTS: i64 = 2_000_000;

/// What a rule is evaluated against besides its events.
#[derive(Debug, Default)]
pub struct Past {
    /// Workflow runs in order of `started_at`.
    pub runs: Vec<RunCount>,
    /// Error groups that were known when the evaluation begins, and what people had said of them.
    pub known: Vec<KnownGroup>,
    /// What people said of groups meanwhile, in order of time.
    pub said: Vec<(Timestamp, KnownGroup)>,
    /// What the earlier windows of a change held; without it they held nothing.
    pub earlier: Option<Earlier>,
}

/// Reads what `rule` is evaluated against from `begins` to `to`: only what its kind needs.
pub(super) async fn read(
    db: &Db,
    rule: &Rule,
    (begins, to): (Timestamp, Timestamp),
    limit: Duration,
) -> Result<Past, RunError> {
    let mut read = Past::default();
    if rule.metric.needs_runs() {
        let windows = runs::windows(std::slice::from_ref(rule));
        let width = runs::width_within(&windows, to.since(begins));
        let wanted = Wanted::of(rule);
        let counted = runs::count(db, &wanted, (begins, to), width, limit).await?;
        read.runs = counted.into_iter().map(RunCount::from).collect();
        read.runs.sort_by_key(|run| run.started_at);
    }
    match rule.metric {
        Metric::NewGroup { .. } => {
            let groups = past::groups(db, rule.project_id, (begins, to), limit).await?;
            (read.known, read.said) = (groups.known, groups.said);
        }
        Metric::Change { compare, .. } => {
            let mut earlier = Earlier::new(std::slice::from_ref(rule), begins);
            let stretch = (begins - compare - rule.window, to - compare);
            let each = |minute, key, count| earlier.add(rule.id, minute, key, count);
            let most = MOST_COUNTS + 1;
            if past::minutes(db, rule, stretch, most, limit, each).await? > MOST_COUNTS {
                return Err(RunError::TooManyGroups);
            }
            read.earlier = Some(earlier);
        }
        _ => {}
    }
    Ok(read)
}
