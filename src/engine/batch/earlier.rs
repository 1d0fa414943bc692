//! What the earlier windows of change rules held, taken of a finished table.

use std::collections::BTreeMap;

use uuid::Uuid;

use super::Table;
use crate::{
    engine::{Engine, Input},
    model::{ErrorEvent, GroupField, GroupKey, Metric, Rule, Span, Timestamp, Transition},
};

const MINUTE: i64 = 60_000_000;

/// The errors of each minute that change rules will be measured against.
#[derive(Debug)]
pub struct Earlier {
    rules: Vec<Compared>,
    /// The next minute to tell, in whole minutes.
    next: i64,
    started: bool,
}

#[derive(Debug)]
struct Compared {
    id: Uuid,
    /// How far back the earlier window ends, and how long it is, in minutes.
    compare: i64,
    window: i64,
    /// Errors by minute and group.
    minutes: BTreeMap<i64, BTreeMap<GroupKey, u64>>,
}

impl Earlier {
    /// The earlier windows of `rules` over what `table` holds, from `start` on.
    #[must_use]
    pub fn of(rules: &[Rule], table: Table<'_>, start: Timestamp) -> Self {
        let minutes = |span: Span| span.micros() / MINUTE;
        let rules = rules
            .iter()
            .filter_map(|rule| {
                let Metric::Change { compare, .. } = rule.metric else { return None };
                let fields = rule.grouping();
                let mut counts = BTreeMap::new();
                for event in table.earlier.iter().chain(table.events) {
                    count(&mut counts, rule, &fields, event);
                }
                let (compare, window) = (minutes(compare), minutes(rule.window));
                Some(Compared { id: rule.id, compare, window, minutes: counts })
            })
            .collect();
        Self { rules, next: start.micros().div_euclid(MINUTE), started: false }
    }

    /// Whether anything was told yet.
    #[must_use]
    pub const fn started(&self) -> bool {
        self.started
    }

    /// Tells `engine` every minute up to the one that holds `to`, each before it begins. What falls due
    /// before that is decided, or followed silently where `replay` says that somebody else decides.
    pub fn give(
        &mut self,
        engine: &mut Engine,
        to: Timestamp,
        replay: bool,
        out: &mut Vec<Transition>,
    ) {
        self.started = true;
        if self.rules.is_empty() {
            return;
        }
        while self.next <= to.micros().div_euclid(MINUTE) {
            let minute = Timestamp::from_micros(self.next * MINUTE);
            let before = Timestamp::from_micros(self.next * MINUTE - 1).max(engine.now());
            let idle = if replay { Input::ReplayRuns(&[]) } else { Input::Tick };
            engine.step(before, idle, out);
            for rule in &self.rules {
                let counts = rule.held(self.next);
                let input = Input::Baseline { rule_id: rule.id, minute, counts: &counts };
                engine.step(engine.now(), input, out);
            }
            self.next += 1;
        }
    }

    /// What the earlier window of a rule held in `minute`; nothing for a rule that compares nothing.
    #[must_use]
    pub fn held(&self, rule_id: Uuid, minute: Timestamp) -> Vec<(GroupKey, u64)> {
        let rule = self.rules.iter().find(|rule| rule.id == rule_id);
        rule.map_or_else(Vec::new, |rule| rule.held(minute.micros().div_euclid(MINUTE)))
    }
}

impl Compared {
    fn held(&self, minute: i64) -> Vec<(GroupKey, u64)> {
        let end = minute - self.compare;
        let mut sum: BTreeMap<GroupKey, u64> = BTreeMap::new();
        for (key, count) in
            self.minutes.range(end - self.window..end).flat_map(|(_, groups)| groups)
        {
            *sum.entry(key.clone()).or_default() += count;
        }
        sum.into_iter().collect()
    }
}

fn count(
    minutes: &mut BTreeMap<i64, BTreeMap<GroupKey, u64>>,
    rule: &Rule,
    fields: &[GroupField],
    event: &ErrorEvent,
) {
    if rule.matches(event) {
        let minute = minutes.entry(event.timestamp.micros().div_euclid(MINUTE)).or_default();
        *minute.entry(GroupKey::of(event, fields)).or_default() += 1;
    }
}
