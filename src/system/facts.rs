//! What a message says of a system condition.

use uuid::Uuid;

use super::Change;
use crate::{
    model::{Evidence, TransitionKind},
    notify::message::{IncidentFacts, MetricKind, NotificationFacts, RuleFacts},
};

/// The facts of the message that tells `change`; `dashboard_url` as in
/// [`NotificationFacts::of`].
pub fn facts_of(change: &Change, dashboard_url: Option<&str>) -> Option<NotificationFacts> {
    let fired = change.kind == TransitionKind::Firing;
    let incident = IncidentFacts {
        id: change.incident_id,
        rule: RuleFacts {
            id: Uuid::nil(),
            name: change.condition.title().to_owned(),
            description: change.detail.clone(),
            metric: MetricKind::System,
            window_seconds: 0,
            longest_window_seconds: None,
        },
        project: None,
        group: Vec::new(),
        level: change.condition.level(),
        value: change.value,
        threshold: change.threshold,
        peak: change.peak,
        since: change.started_at,
        fired_at: fired.then_some(change.at),
        reminder: 0,
        evidence: Evidence::default(),
    };
    NotificationFacts::of(change.kind, change.at, incident, dashboard_url)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        model::Timestamp,
        notify::sentence,
        system::{Book, Condition, Finding, Limits, Observed},
    };

    #[test]
    fn a_message_says_what_was_found_and_when_it_is_over() {
        let finding = Finding {
            condition: Condition::Reconcile,
            value: 2.0,
            threshold: 1.0,
            detail: "counts differ: minutes by 2 errors".to_owned(),
        };
        let (mut book, limits) = (Book::default(), Limits::default());
        let seen = Observed { findings: vec![finding], unknown: Vec::new() };
        let began = book.step(Timestamp::from_secs(60), &seen, &limits);
        let ended = book.step(Timestamp::from_secs(150), &Observed::default(), &limits);
        let said: Vec<String> = [began, ended]
            .iter()
            .flatten()
            .map(|change| sentence(&facts_of(change, None).expect("people are told of it")))
            .collect();
        assert_eq!(
            said,
            ["counts differ: minutes by 2 errors", "It is over; it lasted 1 min 30 s"]
        );
    }
}
