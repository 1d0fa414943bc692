//! What the earlier windows of change rules held, taken of a finished table or of counts per minute.

use std::collections::{BTreeMap, HashMap};

use uuid::Uuid;

use super::Table;
use crate::{
    engine::{Engine, Input},
    model::{GroupKey, Metric, Rule, Span, Timestamp, Transition},
};

const MINUTE: i64 = 60_000_000;

/// The errors of each minute that change rules will be measured against: 16 bytes for each minute and
/// group that had any.
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
    /// The groups, each once.
    keys: Vec<GroupKey>,
    places: HashMap<GroupKey, u32>,
    /// Errors by minute; a group may come several times.
    minutes: BTreeMap<i64, Vec<(u32, u64)>>,
    /// Errors of each group in the window that ends before the minute `end`.
    sums: Vec<u64>,
    end: Option<i64>,
}

impl Earlier {
    /// The earlier windows of `rules` from `start` on, with nothing in them yet.
    #[must_use]
    pub fn new(rules: &[Rule], start: Timestamp) -> Self {
        let rules = rules.iter().filter_map(Compared::of).collect();
        Self { rules, next: start.micros().div_euclid(MINUTE), started: false }
    }

    /// The earlier windows of `rules` over what `table` holds, from `start` on.
    #[must_use]
    pub fn of(rules: &[Rule], table: Table<'_>, start: Timestamp) -> Self {
        let mut earlier = Self::new(rules, start);
        for rule in rules {
            let fields = rule.grouping();
            for event in table.earlier.iter().chain(table.events) {
                if rule.matches(event) {
                    earlier.add(rule.id, event.timestamp, GroupKey::of(event, &fields), 1);
                }
            }
        }
        earlier
    }

    /// Adds the errors of one group in the minute that holds `at`, which `rule_id` counts. To be called
    /// before anything is told; a rule that compares nothing takes none.
    pub fn add(&mut self, rule_id: Uuid, at: Timestamp, key: GroupKey, count: u64) {
        let Some(rule) = self.rules.iter_mut().find(|rule| rule.id == rule_id) else { return };
        let place = match rule.places.get(&key) {
            Some(place) => *place,
            None => {
                let Ok(place) = u32::try_from(rule.keys.len()) else { return };
                rule.keys.push(key.clone());
                rule.places.insert(key, place);
                rule.sums.push(0);
                place
            }
        };
        let minute = rule.minutes.entry(at.micros().div_euclid(MINUTE)).or_default();
        match minute.last_mut().filter(|(last, _)| *last == place) {
            Some((_, known)) => *known += count,
            None => minute.push((place, count)),
        }
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
            for rule in &mut self.rules {
                let counts = rule.held(self.next);
                let input = Input::Baseline { rule_id: rule.id, minute, counts: &counts };
                engine.step(engine.now(), input, out);
            }
            self.next += 1;
        }
    }
}

impl Compared {
    /// What has to be known of a rule, if it compares anything.
    fn of(rule: &Rule) -> Option<Self> {
        let Metric::Change { compare, .. } = rule.metric else { return None };
        let minutes = |span: Span| span.micros() / MINUTE;
        Some(Self {
            id: rule.id,
            compare: minutes(compare),
            window: minutes(rule.window),
            keys: Vec::new(),
            places: HashMap::new(),
            minutes: BTreeMap::new(),
            sums: Vec::new(),
            end: None,
        })
    }

    /// What the earlier window of `minute` held. The window slides: of a minute that follows the one
    /// before, only what came and went is looked at.
    fn held(&mut self, minute: i64) -> Vec<(GroupKey, u64)> {
        let end = minute - self.compare;
        let (came, went) = match self.end {
            Some(known) if known + 1 == end => (known..end, known - self.window..end - self.window),
            Some(known) if known == end => (end..end, end..end),
            _ => {
                self.sums.fill(0);
                (end - self.window..end, end..end)
            }
        };
        self.end = Some(end);
        for (place, count) in self.minutes.range(came).flat_map(|(_, counts)| counts) {
            if let Some(sum) = self.sums.get_mut(*place as usize) {
                *sum = sum.saturating_add(*count);
            }
        }
        for (place, count) in self.minutes.range(went).flat_map(|(_, counts)| counts) {
            if let Some(sum) = self.sums.get_mut(*place as usize) {
                *sum = sum.saturating_sub(*count);
            }
        }
        let held = self.keys.iter().zip(&self.sums).filter(|(_, sum)| **sum > 0);
        held.map(|(key, sum)| (key.clone(), *sum)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_that_slides_holds_what_a_fresh_one_would() {
        let rule = Rule::from_columns(serde_json::json!({
            "name": "r", "metric": "change", "warning": 1, "window_seconds": 180,
        }));
        let rule = rule.unwrap();
        let minute = |minute: i64| Timestamp::from_micros((minute - 1_440) * MINUTE);
        let mut sliding = Earlier::new(std::slice::from_ref(&rule), minute(0));
        for at in [0, 1, 1, 2, 5, 6, 6, 9] {
            sliding.add(rule.id, minute(at), GroupKey::default(), 2);
        }
        let compared = sliding.rules.first_mut().unwrap();
        let count = |held: &[(GroupKey, u64)]| held.first().map_or(0, |(_, count)| *count);
        let slid: Vec<u64> = (0..14).map(|minute| count(&compared.held(minute))).collect();
        let fresh: Vec<u64> = (0..14)
            .map(|minute| {
                compared.end = None;
                count(&compared.held(minute))
            })
            .collect();
        assert_eq!(slid, [0, 2, 6, 8, 6, 2, 2, 6, 6, 4, 2, 2, 2, 0]);
        assert_eq!(slid, fresh);
        compared.end = None;
        assert_eq!(count(&compared.held(3)), 8, "the window may jump");
        assert_eq!(count(&compared.held(3)), 8, "and stay");
    }
}
