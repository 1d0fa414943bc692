//! Tests of who is told: silences, quiet hours over changes of the clock, inhibition, and what is owed.
//! No clock and no database: what those tell is in the integration tests.
//! Facts are made here; what comes out of `telling` is compared with what an operator would expect.

mod desk;
mod quiet;
mod silences;

use uuid::Uuid;

use crate::model::{
    Evidence, GroupField, GroupKey, IncidentState, Level, Timestamp, Transition, TransitionKind,
};

/// An id that a test can name by a number.
fn id(n: u128) -> Uuid {
    Uuid::from_u128(n)
}

fn at(text: &str) -> Timestamp {
    text.parse::<chrono::DateTime<chrono::Utc>>().unwrap().into()
}

fn key(pairs: &[(GroupField, Option<&str>)]) -> GroupKey {
    pairs.iter().map(|(field, value)| (*field, value.map(Into::into))).collect()
}

/// A transition of incident `incident` of rule `rule`.
fn transition(incident: u128, rule: u128, kind: TransitionKind, level: Level) -> Transition {
    Transition {
        kind,
        incident_id: id(incident),
        rule_id: id(rule),
        group_key: GroupKey::default(),
        state: match kind {
            TransitionKind::Pending => IncidentState::Pending,
            TransitionKind::Resolved | TransitionKind::Dropped => IncidentState::Resolved,
            _ => IncidentState::Firing,
        },
        level,
        started_at: Timestamp::from_secs(0),
        at: Timestamp::from_secs(0),
        value: 1.0,
        threshold: 1.0,
        peak: 1.0,
        reminder: u32::from(kind == TransitionKind::Reminder),
        evidence: Evidence::default(),
    }
}
