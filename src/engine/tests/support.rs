//! Rules, events and random ones of both.

use proptest::prelude::*;
use uuid::Uuid;

use crate::model::{
    ErrorEvent, Filter, GroupField, Metric, Rule, Severity, Source, Span, Timestamp, TypePattern,
};

/// Second 0 of all scripts; a boundary of every window.
pub(crate) const BASE: Timestamp = Timestamp::from_secs(1_728_000_000);

pub(crate) fn id(n: u128) -> Uuid {
    Uuid::from_u128(n)
}

/// An error that happened and was received at `at`.
pub(crate) fn event(at: Timestamp, seq: i64) -> ErrorEvent {
    ErrorEvent {
        seq,
        error_id: id(u128::try_from(seq).unwrap_or(0)),
        timestamp: at,
        received_at: at,
        source: Source::Worker,
        error_type: "execution.timeout".into(),
        severity: Severity::Medium,
        project_id: None,
        workflow_id: None,
        fingerprint: id(1),
        message: "step timed out".into(),
    }
}

/// Three errors in a minute are a warning, six critical; nothing else.
pub(crate) fn rule(n: u128) -> Rule {
    Rule {
        id: id(n),
        project_id: None,
        name: format!("rule {n}"),
        metric: Metric::Count,
        filter: Filter::default(),
        group_by: Vec::new(),
        window: Span::from_secs(60),
        warning: Some(3.0),
        critical: Some(6.0),
        resolve: None,
        pending: Span::ZERO,
        keep_firing: Span::ZERO,
        reminder: Span::ZERO,
    }
}

fn some_id() -> impl Strategy<Value = Uuid> {
    (1_u128..4).prop_map(id)
}

fn error_type() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec![
        "system", "system.db", "execution", "execution.timeout", "execution.oom", "input",
        "input.json.depth", "executioner",
    ])
}

fn message() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec!["Step TIMED out", "ÄRGER ὈΔΥΣΣΕΎΣ", "", "timed", "deadlock"])
}

/// Any event out of a small world, so that rules and events often meet.
pub(crate) fn any_event() -> impl Strategy<Value = ErrorEvent> {
    (
        prop::option::of(some_id()),
        prop::option::of(some_id()),
        prop::sample::select(Source::ALL),
        prop::sample::select(Severity::ALL),
        error_type(),
        message(),
        some_id(),
    )
        .prop_map(|(project_id, workflow_id, source, severity, error_type, message, print)| {
            ErrorEvent {
                source,
                severity,
                error_type: error_type.into(),
                project_id,
                workflow_id,
                fingerprint: print,
                message: message.into(),
                ..event(BASE, 1)
            }
        })
}

fn any_filter() -> impl Strategy<Value = Filter> {
    let list = |most| 0_usize..most;
    (
        prop::collection::vec(prop::sample::select(Source::ALL), list(4)),
        prop::collection::vec(error_type().prop_map(TypePattern::parse), list(5)),
        prop::collection::vec(prop::sample::select(Severity::ALL), list(4)),
        prop_oneof![
            4 => prop::collection::vec(some_id(), 0..3),
            1 => Just((2..90).map(id).collect::<Vec<_>>()),
        ],
        prop::option::weighted(0.3, message()),
    )
        .prop_map(|(sources, error_types, severities, workflow_ids, text)| Filter {
            sources,
            error_types,
            severities,
            workflow_ids,
            message_contains: text.map(str::to_lowercase),
        })
}

/// Any rule over the world of [`any_event`]; its thresholds and periods are those of [`rule`].
pub(crate) fn any_rule() -> impl Strategy<Value = Rule> {
    (prop::option::of(some_id()), any_filter(), any::<u64>(), any_fields()).prop_map(
        |(project_id, filter, n, group_by)| Rule {
            project_id,
            filter,
            group_by,
            ..rule(u128::from(n) + 1_000)
        },
    )
}

pub(crate) fn any_fields() -> impl Strategy<Value = Vec<GroupField>> {
    prop::sample::subsequence(GroupField::ALL, 0..4)
}
