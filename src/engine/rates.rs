//! Live rates per project, for dashboards: independent of all rules.
//!
//! A row of `error_rates_live` and the terminal of `dev` show these. Errors count by their `timestamp`,
//! in whole minutes and, for the last minute, in whole seconds.

use std::collections::HashMap;

use serde::Serialize;
use uuid::Uuid;

use crate::model::{ErrorEvent, Timestamp};

/// Minutes shown, the present one included; also the seconds behind `total_1m`.
pub const SHOWN: usize = 60;
/// Projects kept at most, at about 2 KB each. Projects are rows of the database, so only a very large
/// deployment gets here; what comes after is counted in [`Rates::not_shown`].
const MAX_PROJECTS: usize = 10_000;
const SECOND: i64 = 1_000_000;
const MINUTE: i64 = 60 * SECOND;

/// The recent past of all projects.
#[derive(Debug, Default)]
pub struct Rates {
    projects: HashMap<Option<Uuid>, Project>,
    not_shown: u64,
}

/// The recent past of one project as it is shown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ProjectRates {
    /// The project; none for events without one.
    pub project_id: Option<Uuid>,
    /// When this was so.
    pub as_of: Timestamp,
    /// Errors per minute by severity.
    pub by_severity: SeverityMinutes,
    /// Errors per minute by source.
    pub by_source: SourceMinutes,
    /// `timestamp` of the latest event.
    pub last_event_at: Timestamp,
    /// Errors in the last 60 seconds, the present second included.
    pub total_1m: u64,
    /// Errors in the present minute and the four before it.
    pub total_5m: u64,
    /// Errors in all minutes shown.
    pub total_60m: u64,
}

/// [`SHOWN`] numbers for each severity: errors per minute, the oldest minute first, the present one last.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SeverityMinutes {
    /// Of severity low.
    pub low: Vec<u32>,
    /// Of severity medium.
    pub medium: Vec<u32>,
    /// Of severity high.
    pub high: Vec<u32>,
}

/// [`SHOWN`] numbers for each source: errors per minute, the oldest minute first, the present one last.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SourceMinutes {
    /// From workers.
    pub worker: Vec<u32>,
    /// From webhooks.
    pub webhook: Vec<u32>,
    /// From the platform itself.
    pub system: Vec<u32>,
}

#[derive(Debug)]
struct Project {
    /// Low, medium and high.
    severities: [Lane; 3],
    /// Worker, webhook and system.
    sources: [Lane; 3],
    seconds: Lane,
    last_event_at: Timestamp,
    /// Whether there is something new since it was last taken.
    dirty: bool,
    /// When it was last taken: the errors of the last 60 seconds, and the minute. As long as both stay
    /// and no event comes, no number shown can change.
    taken: Option<(u64, i64)>,
}

/// 60 consecutive units of time, the present one at `head`.
#[derive(Clone, Debug)]
struct Lane {
    unit: i64,
    head: i64,
    counts: [u32; SHOWN],
}

impl Rates {
    /// Counts an event received at `now`; what is older than the minutes shown changes nothing.
    pub fn count(&mut self, now: Timestamp, event: &ErrorEvent) {
        if !self.projects.contains_key(&event.project_id) && self.projects.len() >= MAX_PROJECTS {
            self.forget_silent(now);
            if self.projects.len() >= MAX_PROJECTS {
                self.not_shown += 1;
                return;
            }
        }
        let project = self.projects.entry(event.project_id).or_insert_with(|| Project::new(now));
        let lanes = [
            project.severities.get_mut(event.severity as usize),
            project.sources.get_mut(event.source as usize),
            Some(&mut project.seconds),
        ];
        for lane in lanes.into_iter().flatten() {
            lane.advance(now);
            lane.add(event.timestamp);
        }
        project.last_event_at = project.last_event_at.max(event.timestamp);
        project.dirty = true;
    }

    /// The projects whose numbers have changed since they were last taken, by an event or because time
    /// has passed, in order of their ids. A project that has fallen to zero is given once more and then
    /// forgotten. Meant to be called about once a second.
    pub fn take_changed(&mut self, now: Timestamp) -> Vec<ProjectRates> {
        let mut changed = Vec::new();
        self.projects.retain(|id, project| {
            let rates = project.show(*id, now);
            let numbers = (rates.total_1m, now.micros().div_euclid(MINUTE));
            if !project.dirty && project.taken == Some(numbers) {
                return true;
            }
            project.dirty = false;
            project.taken = Some(numbers);
            let silent = rates.total_60m == 0;
            changed.push(rates);
            !silent
        });
        changed.sort_by_key(|rates| rates.project_id);
        changed
    }

    /// All projects as they are now, in order of their ids.
    #[must_use]
    pub fn snapshot(&self, now: Timestamp) -> Vec<ProjectRates> {
        let shown = self.projects.iter().map(|(id, project)| project.show(*id, now));
        let mut all: Vec<_> = shown.collect();
        all.sort_by_key(|rates| rates.project_id);
        all
    }

    /// Events that were not counted because there were too many projects.
    #[must_use]
    pub fn not_shown(&self) -> u64 {
        self.not_shown
    }

    #[cold]
    fn forget_silent(&mut self, now: Timestamp) {
        self.projects.retain(|id, project| project.dirty || project.show(*id, now).total_60m > 0);
    }
}

impl Project {
    fn new(now: Timestamp) -> Self {
        let minutes = Lane::new(MINUTE, now);
        Self {
            severities: [minutes.clone(), minutes.clone(), minutes.clone()],
            sources: [minutes.clone(), minutes.clone(), minutes],
            seconds: Lane::new(SECOND, now),
            last_event_at: Timestamp::from_micros(i64::MIN),
            dirty: false,
            taken: None,
        }
    }

    fn show(&self, project_id: Option<Uuid>, now: Timestamp) -> ProjectRates {
        let [low, medium, high] = self.severities.each_ref().map(|lane| lane.at(now));
        let [worker, webhook, system] = self.sources.each_ref().map(|lane| lane.at(now));
        let sum = |newest: usize| {
            let newest = |lane: &Vec<u32>| {
                lane.iter().rev().take(newest).map(|n| u64::from(*n)).sum::<u64>()
            };
            [&low, &medium, &high].into_iter().map(newest).sum()
        };
        ProjectRates {
            project_id,
            as_of: now,
            last_event_at: self.last_event_at,
            total_1m: self.seconds.at(now).iter().map(|n| u64::from(*n)).sum(),
            total_5m: sum(5),
            total_60m: sum(SHOWN),
            by_severity: SeverityMinutes { low, medium, high },
            by_source: SourceMinutes { worker, webhook, system },
        }
    }
}

impl Lane {
    fn new(unit: i64, now: Timestamp) -> Self {
        Self { unit, head: now.micros().div_euclid(unit), counts: [0; SHOWN] }
    }

    fn advance(&mut self, now: Timestamp) {
        let head = now.micros().div_euclid(self.unit);
        let steps = head.saturating_sub(self.head).clamp(0, SHOWN as i64);
        for step in 1..=steps {
            if let Some(count) = self.counts.get_mut(place(self.head + step)) {
                *count = 0;
            }
        }
        self.head = self.head.max(head);
    }

    /// Counts one error that happened at `timestamp`; the future counts as now.
    fn add(&mut self, timestamp: Timestamp) {
        let unit = timestamp.micros().div_euclid(self.unit).min(self.head);
        if self.head - unit < SHOWN as i64
            && let Some(count) = self.counts.get_mut(place(unit))
        {
            *count = count.saturating_add(1);
        }
    }

    /// The units up to `now`, the oldest first.
    fn at(&self, now: Timestamp) -> Vec<u32> {
        let head = now.micros().div_euclid(self.unit).max(self.head);
        let count = |unit: i64| {
            let known = unit <= self.head && self.head - unit < SHOWN as i64;
            if known { self.counts.get(place(unit)).copied().unwrap_or(0) } else { 0 }
        };
        (head - SHOWN as i64 + 1..=head).map(count).collect()
    }
}

fn place(unit: i64) -> usize {
    usize::try_from(unit.rem_euclid(SHOWN as i64)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        engine::tests::support::{BASE, event, id},
        model::{Severity, Source},
    };

    fn at(second: i64) -> Timestamp {
        BASE + crate::model::Span::from_secs(second)
    }

    fn totals(rates: &[ProjectRates]) -> Vec<(u64, u64, u64)> {
        rates.iter().map(|r| (r.total_1m, r.total_5m, r.total_60m)).collect()
    }

    #[test]
    fn shows_minutes_by_severity_and_source() {
        let mut rates = Rates::default();
        let mut error = event(at(0), 1);
        error.project_id = Some(id(7));
        error.severity = Severity::High;
        error.source = Source::Webhook;
        rates.count(at(0), &error);
        error.timestamp = at(125);
        rates.count(at(130), &error);
        rates.count(at(130), &event(at(130), 2));
        let shown = rates.take_changed(at(130));
        assert_eq!(shown.len(), 2, "the events without a project have a row too");
        assert_eq!(shown[0].project_id, None);
        let project = &shown[1];
        assert_eq!(project.by_severity.high[57..], [1, 0, 1]);
        assert_eq!(project.by_source.webhook[57..], [1, 0, 1]);
        assert_eq!(project.by_severity.low, vec![0; SHOWN]);
        assert_eq!(project.last_event_at, at(125));
        assert_eq!(totals(&shown), [(1, 1, 1), (1, 2, 2)]);
    }

    #[test]
    fn gives_only_what_changed_and_falls_back_to_zero_once() {
        let mut rates = Rates::default();
        rates.count(at(0), &event(at(0), 1));
        assert_eq!(totals(&rates.take_changed(at(0))), [(1, 1, 1)]);
        assert_eq!(rates.take_changed(at(1)), [], "nothing new, and nothing fell");
        assert_eq!(totals(&rates.take_changed(at(60))), [(0, 1, 1)], "a minute later");
        assert_eq!(rates.take_changed(at(61)), []);
        rates.count(at(62), &event(at(62), 2));
        assert_eq!(totals(&rates.take_changed(at(62))), [(1, 2, 2)]);
        assert_eq!(totals(&rates.take_changed(at(3_600))), [(0, 0, 1)]);
        assert_eq!(totals(&rates.take_changed(at(3_660))), [(0, 0, 0)], "said once");
        assert_eq!(rates.take_changed(at(3_720)), []);
        assert_eq!(rates.snapshot(at(3_720)), [], "and forgotten");
    }

    #[test]
    fn late_and_future_events() {
        let mut rates = Rates::default();
        rates.count(at(3_600), &event(at(0), 1));
        rates.count(at(3_600), &event(at(60), 2));
        rates.count(at(3_600), &event(at(9_999), 3));
        let shown = rates.snapshot(at(3_600));
        assert_eq!(totals(&shown), [(1, 1, 2)], "an hour old: not shown; the future: now");
        assert_eq!(shown[0].by_severity.low[0] + shown[0].by_severity.medium[0], 1);
    }
}
