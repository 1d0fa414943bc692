//! How often incidents came and went lately, for the rules that ask.

use rustc_hash::FxHashMap;
use uuid::Uuid;

use crate::model::{GroupKey, Span, Timestamp};

/// Groups remembered at most; beyond, those that changed longest ago are forgotten.
const MAX_GROUPS: usize = 50_000;

/// A beginning or an end of an incident, as the database knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PastChange {
    /// The rule.
    pub rule_id: Uuid,
    /// The group.
    pub group_key: GroupKey,
    /// When it fired or resolved.
    pub at: Timestamp,
}

/// Beginnings and ends by rule and group, in order.
#[derive(Debug, Default)]
pub(super) struct Flaps(FxHashMap<(Uuid, GroupKey), Vec<Timestamp>>);

impl Flaps {
    /// What the database knows, in place of what was known here.
    pub fn replace(&mut self, past: Vec<PastChange>) {
        self.0.clear();
        for PastChange { rule_id, group_key, at } in past {
            self.0.entry((rule_id, group_key)).or_default().push(at);
        }
        self.0.values_mut().for_each(|times| times.sort_unstable());
    }

    /// Takes note of a beginning or an end; what is older than `period` is forgotten.
    pub fn note(&mut self, rule: Uuid, key: &GroupKey, at: Timestamp, period: Span) {
        let times = self.0.entry((rule, key.clone())).or_default();
        times.retain(|time| *time > at - period);
        times.push(at);
        if self.0.len() > MAX_GROUPS {
            let mut last: Vec<Timestamp> =
                self.0.values().filter_map(|times| times.last().copied()).collect();
            let middle = last.len() / 4;
            let (_, limit, _) = last.select_nth_unstable(middle);
            let limit = *limit;
            self.0.retain(|_, times| times.last().is_some_and(|last| *last > limit));
        }
    }

    /// How often it changed in the period before `at`.
    pub fn count(&self, rule: Uuid, key: &GroupKey, at: Timestamp, period: Span) -> usize {
        let times = self.0.get(&(rule, key.clone()));
        times.map_or(0, |times| times.iter().filter(|time| **time > at - period).count())
    }
}
