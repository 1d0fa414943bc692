//! What rules must know of the past besides their windows: known error groups, and earlier windows.

use std::{
    collections::{HashMap, HashSet},
    time::Duration,
};

use uuid::Uuid;

use super::message::Baseline;
use crate::{
    engine::KnownGroup,
    model::{Metric, Rule, Span, Timestamp},
    store::{Db, StoreError, groups},
};

/// How long one look may take; the first reading of a million groups takes some seconds.
const TIME_LIMIT: Duration = Duration::from_secs(30);
/// A change of a status becomes visible this long after its time at the latest.
const OVERLAP: Span = Span::from_secs(600);
const MINUTE: Span = Span::from_secs(60);

/// Reads the past, each part of it once.
pub struct History {
    db: Db,
    began: Timestamp,
    /// Changes of status that were told, by group.
    told: HashMap<(Option<Uuid>, Uuid), Timestamp>,
    /// Earlier windows that were told.
    given: HashSet<(Uuid, Timestamp)>,
}

impl History {
    /// What is known of the past at `now` is known to the engine already.
    #[must_use]
    pub fn new(db: Db, now: Timestamp) -> Self {
        Self { db, began: now, told: HashMap::new(), given: HashSet::new() }
    }

    /// The groups that history knows, where a rule asks for new ones that did not before.
    pub(super) async fn known_to_new(
        &self,
        rules: &[Rule],
        former: &[Rule],
        now: Timestamp,
    ) -> Result<Vec<KnownGroup>, StoreError> {
        if asks_for_news(rules) && !asks_for_news(former) {
            groups::known(&self.db, now, TIME_LIMIT).await
        } else {
            Ok(Vec::new())
        }
    }

    /// The groups whose status has changed and was not told yet.
    pub(super) async fn changed_groups(
        &mut self,
        rules: &[Rule],
        now: Timestamp,
    ) -> Result<Vec<KnownGroup>, StoreError> {
        if !asks_for_news(rules) {
            return Ok(Vec::new());
        }
        let changed = groups::changed(&self.db, now - OVERLAP, TIME_LIMIT).await?;
        self.told.retain(|_, at| *at > now - OVERLAP - OVERLAP);
        let mut fresh = Vec::new();
        for (group, at) in changed {
            let key = (group.project_id, group.fingerprint);
            if self.told.insert(key, at) != Some(at) {
                // Before we began, coming back was somebody else's news.
                fresh.push(if at < self.began { group.settled() } else { group });
            }
        }
        Ok(fresh)
    }

    /// What was given so far is to be given again: there are other rules.
    pub(super) fn forget_baselines(&mut self) {
        self.given.clear();
    }

    /// What the earlier windows of change rules hold in this minute and the next, where that was not
    /// given yet.
    pub(super) async fn baselines(
        &mut self,
        rules: &[Rule],
        now: Timestamp,
    ) -> Result<Vec<Baseline>, StoreError> {
        let minute =
            Timestamp::from_micros(now.micros() - now.micros().rem_euclid(MINUTE.micros()));
        self.given.retain(|(_, given)| *given >= minute);
        let mut found = Vec::new();
        for rule in rules.iter().filter(|rule| matches!(rule.metric, Metric::Change { .. })) {
            for minute in [minute, minute + MINUTE] {
                if self.given.contains(&(rule.id, minute)) {
                    continue;
                }
                let counts = groups::baseline(&self.db, rule, minute, TIME_LIMIT).await?;
                self.given.insert((rule.id, minute));
                found.push(Baseline { rule_id: rule.id, minute, counts });
            }
        }
        Ok(found)
    }
}

/// Whether some rule asks which error groups are new.
#[must_use]
pub fn asks_for_news(rules: &[Rule]) -> bool {
    rules.iter().any(|rule| matches!(rule.metric, Metric::NewGroup { .. }))
}
