//! Which conditions hold since when, and which incidents are open for them: pure.

use std::collections::{BTreeMap, BTreeSet};

use uuid::Uuid;

use super::{Condition, Finding, Limits, Observed};
use crate::model::{Timestamp, TransitionKind};

/// What changed.
#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    /// [`TransitionKind::Firing`] or [`TransitionKind::Resolved`].
    pub kind: TransitionKind,
    /// Which condition.
    pub condition: Condition,
    /// The incident.
    pub incident_id: Uuid,
    /// When the condition began to hold.
    pub started_at: Timestamp,
    /// When people are told.
    pub at: Timestamp,
    /// How much of it there is.
    pub value: f64,
    /// From how much on it is one.
    pub threshold: f64,
    /// The most there was.
    pub peak: f64,
    /// What was found and what to do.
    pub detail: String,
}

#[derive(Clone, Debug)]
struct Open {
    incident_id: Uuid,
    started_at: Timestamp,
    peak: f64,
    last: Finding,
    gone_since: Option<Timestamp>,
}

/// What is known of all conditions.
#[derive(Clone, Debug, Default)]
pub struct Book {
    /// Conditions that hold and nobody was told of, since when.
    pending: BTreeMap<Condition, Timestamp>,
    open: BTreeMap<Condition, Open>,
    /// Notices that still hold and whose time is over.
    shown: BTreeSet<Condition>,
}

impl Book {
    /// A book in which these incidents are open, as the database knows them.
    #[must_use]
    pub fn restore(open: impl IntoIterator<Item = (Condition, Uuid, Timestamp, f64)>) -> Self {
        let open = open.into_iter().map(|(condition, incident_id, started_at, peak)| {
            let last = Finding { condition, value: peak, threshold: 0.0, detail: String::new() };
            (condition, Open { incident_id, started_at, peak, last, gone_since: None })
        });
        Self { open: open.collect(), ..Self::default() }
    }

    /// Whether an incident of this condition is open.
    #[must_use]
    pub fn is_open(&self, condition: Condition) -> bool {
        self.open.contains_key(&condition)
    }

    /// Takes what holds at `now`; returns what people are to be told.
    pub fn step(&mut self, now: Timestamp, seen: &Observed, limits: &Limits) -> Vec<Change> {
        let mut changes = Vec::new();
        for condition in Condition::ALL {
            if seen.unknown.contains(&condition) {
                continue;
            }
            let finding = seen.findings.iter().find(|finding| finding.condition == condition);
            let change = match finding {
                Some(finding) => self.holds(now, finding, limits),
                None => self.is_gone(now, condition, limits),
            };
            changes.extend(change);
        }
        changes
    }

    fn holds(&mut self, now: Timestamp, finding: &Finding, limits: &Limits) -> Option<Change> {
        let condition = finding.condition;
        if let Some(open) = self.open.get_mut(&condition) {
            if condition.is_notice() && now >= open.started_at + limits.notice {
                self.shown.insert(condition);
                return self.end(now, condition);
            }
            open.gone_since = None;
            open.peak = open.peak.max(finding.value);
            open.last = finding.clone();
            return None;
        }
        if self.shown.contains(&condition) {
            return None;
        }
        let since = *self.pending.entry(condition).or_insert(now);
        if now < since + condition.pending(limits) {
            return None;
        }
        self.pending.remove(&condition);
        let incident_id = condition.incident_id(since);
        let (started_at, last) = (since, finding.clone());
        let open = Open { incident_id, started_at, peak: finding.value, last, gone_since: None };
        let change = change(TransitionKind::Firing, now, &open, finding.value);
        self.open.insert(condition, open);
        Some(change)
    }

    fn is_gone(&mut self, now: Timestamp, condition: Condition, limits: &Limits) -> Option<Change> {
        self.pending.remove(&condition);
        self.shown.remove(&condition);
        let open = self.open.get_mut(&condition)?;
        let since = *open.gone_since.get_or_insert(now);
        let until = if condition.is_notice() {
            open.started_at + limits.notice
        } else {
            since + condition.keep(limits)
        };
        if now < until {
            return None;
        }
        self.end(now, condition)
    }

    fn end(&mut self, now: Timestamp, condition: Condition) -> Option<Change> {
        let open = self.open.remove(&condition)?;
        Some(change(TransitionKind::Resolved, now, &open, 0.0))
    }
}

fn change(kind: TransitionKind, at: Timestamp, open: &Open, value: f64) -> Change {
    Change {
        kind,
        condition: open.last.condition,
        incident_id: open.incident_id,
        started_at: open.started_at,
        at,
        value,
        threshold: open.last.threshold,
        peak: open.peak,
        detail: open.last.detail.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Span;

    fn finding(condition: Condition, value: f64) -> Finding {
        Finding { condition, value, threshold: 1.0, detail: "it is so".to_owned() }
    }

    /// What is said at each second at which a condition holds (some value) or not.
    fn said(
        condition: Condition,
        values: &[(i64, Option<f64>)],
    ) -> Vec<(i64, TransitionKind, f64)> {
        let limits = Limits { pending: Span::from_secs(10), ..Limits::default() };
        let mut book = Book::default();
        let mut said = Vec::new();
        for (second, value) in values {
            let findings = value.map(|value| finding(condition, value)).into_iter().collect();
            let seen = Observed { findings, unknown: Vec::new() };
            for change in book.step(Timestamp::from_secs(*second), &seen, &limits) {
                assert_eq!(change.incident_id, condition.incident_id(change.started_at));
                said.push((*second, change.kind, change.peak));
            }
        }
        said
    }

    #[test]
    fn what_mends_itself_is_not_told_and_what_comes_back_soon_has_not_ended() {
        use TransitionKind::{Firing, Resolved};
        let deaf = |values: &[_]| said(Condition::Deaf, values);
        assert_eq!(deaf(&[(0, Some(1.0)), (9, Some(1.0)), (10, None), (30, None)]), []);
        assert_eq!(
            deaf(&[(0, Some(1.0)), (10, Some(1.0)), (20, None), (79, None), (80, None)]),
            [(10, Firing, 1.0), (80, Resolved, 1.0)]
        );
        assert_eq!(
            deaf(&[
                (0, Some(1.0)),
                (10, Some(2.0)),
                (20, None),
                (50, Some(7.0)),
                (60, None),
                (119, None)
            ]),
            [(10, Firing, 2.0)]
        );
    }

    #[test]
    fn a_proof_is_told_at_once_and_ends_at_once() {
        use TransitionKind::{Firing, Resolved};
        assert_eq!(
            said(
                Condition::Reconcile,
                &[(0, None), (1, Some(3.0)), (2, Some(5.0)), (3, None), (4, None)]
            ),
            [(1, Firing, 3.0), (3, Resolved, 5.0)]
        );
    }

    #[test]
    fn a_notice_is_shown_for_its_time_and_once() {
        use TransitionKind::{Firing, Resolved};
        assert_eq!(
            said(
                Condition::SetBack,
                &[(0, Some(1.0)), (599, Some(1.0)), (600, Some(1.0)), (700, Some(1.0))]
            ),
            [(0, Firing, 1.0), (600, Resolved, 1.0)]
        );
        assert_eq!(
            said(Condition::Takeover, &[(0, Some(1.0)), (5, None), (599, None), (600, None)]),
            [(0, Firing, 1.0), (600, Resolved, 1.0)]
        );
    }

    #[test]
    fn a_restored_incident_is_not_told_again_and_ends() {
        let began = Timestamp::from_secs(5);
        let id = Condition::Notifications.incident_id(began);
        let mut book = Book::restore([(Condition::Notifications, id, began, 4.0)]);
        assert!(book.is_open(Condition::Notifications));
        let findings = vec![finding(Condition::Notifications, 2.0)];
        let limits = Limits::default();
        let holding = Observed { findings, unknown: Vec::new() };
        assert_eq!(book.step(Timestamp::from_secs(60), &holding, &limits), []);
        let unknown = Observed { findings: Vec::new(), unknown: vec![Condition::Notifications] };
        assert_eq!(book.step(Timestamp::from_secs(60), &unknown, &limits), []);
        let ended = book.step(Timestamp::from_secs(61), &Observed::default(), &limits);
        assert_eq!((ended.len(), ended[0].incident_id, ended[0].peak), (1, id, 4.0));
    }

    #[test]
    fn words_are_read_back_and_group_keys_are_json() {
        for condition in Condition::ALL {
            assert_eq!(Condition::parse(condition.as_str()), Some(condition));
            let key: serde_json::Value = serde_json::from_str(&condition.group_key()).unwrap();
            assert_eq!(key["condition"], condition.as_str());
        }
    }
}
