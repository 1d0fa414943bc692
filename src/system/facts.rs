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
