//! Reads what keeps a scenario's rule quiet.

use meshhook_errors::{
    model::{
        Evidence, GroupField, GroupKey, IncidentState, Level, Rule, Transition, TransitionKind,
    },
    rules_file::yaml::{Data, Node},
    store::past::SourceChange,
    telling::Inhibition,
};

use super::script::{get, id, named, span_of, text};

/// A rule that fires from one time to another and keeps the scenario's rule quiet meanwhile; with `equal`
/// only what has the same values.
pub fn inhibition(n: u128, node: &Node, rule: &Rule) -> (Inhibition, [SourceChange; 2]) {
    let (from, to) = span_of(node);
    let source = id(0x50 + n);
    let group_key: GroupKey = match get(node, "equal").map(|node| &node.data) {
        Some(Data::Map(pairs)) => pairs
            .iter()
            .map(|(key, _, value)| {
                let field: GroupField = key.parse().expect("a field");
                (field, Some(named(&text(value)).to_string().into()))
            })
            .collect(),
        _ => GroupKey::default(),
    };
    let inhibition = Inhibition {
        inhibition_id: id(0x60 + n),
        source_rule_id: source,
        target_rule_id: rule.id,
        equal: group_key.iter().map(|(field, _)| field).collect(),
        source_level: Level::Warning,
    };
    let change = |kind, state, at| SourceChange {
        transition: Transition {
            kind,
            incident_id: id(0x70 + n),
            rule_id: source,
            group_key: group_key.clone(),
            state,
            level: Level::Warning,
            started_at: from,
            at,
            value: 0.0,
            threshold: 0.0,
            peak: 0.0,
            reminder: 0,
            evidence: Evidence::default(),
        },
        project_id: None,
    };
    let changes = [
        change(TransitionKind::Firing, IncidentState::Firing, from),
        change(TransitionKind::Resolved, IncidentState::Resolved, to),
    ];
    (inhibition, changes)
}
