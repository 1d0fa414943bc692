//! Rules that come, change and go while incidents are open.

use super::support::{Script, at, event, id, rule};
use crate::{
    engine::{Input, RunCount},
    model::{Filter, GroupField, GroupKey, Metric, NoData, Rule, Severity, Span},
};

fn change(script: &mut Script, second: f64, rules: Vec<Rule>) {
    script.input(second, Input::Rules(rules));
}

/// An engine whose rule (as in [`rule`]) fires since second 1 with four errors.
fn firing() -> Script {
    let mut script = Script::new(vec![rule(1)]);
    script.run("0 complete; 1 error x4").expect("1 firing warning 3/3");
    script
}

#[test]
fn an_unchanged_rule_keeps_window_and_incident() {
    let mut script = firing();
    change(&mut script, 5.0, vec![rule(1), rule(2), Rule { name: "twice".into(), ..rule(2) }]);
    script.expect("").run("6 error x2; 7 error; 100 tick").expect(
        "6 escalated critical 6/6; 7 firing warning 3/3 rule=2
         62 deescalated warning 3/3; 67 resolved warning 1/3; 67 resolved warning 1/3 rule=2",
    );
}

#[test]
fn new_thresholds_and_periods_are_judged_at_once_over_the_same_window() {
    for (change_to, expected) in [
        (Rule { name: "renamed".into(), ..rule(1) }, "62 resolved warning 0/3"),
        (Rule { warning: Some(5.0), ..rule(1) }, "5 resolved warning 4/5"),
        (Rule { warning: Some(4.5), resolve: Some(1.0), ..rule(1) }, "62 resolved warning 0/1"),
        (
            Rule { critical: Some(4.0), ..rule(1) },
            "5 escalated critical 4/4; 62 resolved critical 0/3",
        ),
        (Rule { keep_firing: Span::from_secs(9), ..rule(1) }, "71 resolved warning 0/3"),
        (
            Rule { reminder: Span::from_secs(40), ..rule(1) },
            "41 reminder warning 4/3 #1; 62 resolved warning 0/3",
        ),
    ] {
        let mut script = firing();
        change(&mut script, 5.0, vec![change_to.clone()]);
        script.run("200 tick").expect(expected);
    }
    let mut script = Script::new(vec![rule(1)]);
    script.run("1 error x2");
    change(&mut script, 5.0, vec![Rule { warning: Some(2.0), ..rule(1) }]);
    script.expect("5 firing warning 2/2");
}

#[test]
fn a_removed_rule_ends_its_incidents_and_leaves_nothing() {
    let pending =
        Rule { pending: Span::from_secs(30), group_by: vec![GroupField::Source], ..rule(2) };
    let mut script = Script::new(vec![rule(1), pending]);
    script
        .run("1 error x4")
        .expect("1 firing warning 3/3; 1 pending warning 3/3 rule=2 source=worker");
    change(&mut script, 5.0, vec![]);
    script
        .expect("5 resolved warning 4/3; 5 dropped warning 4/3 rule=2 source=worker")
        .run("6 error x9; 200 tick")
        .expect("");
    let stats = script.engine.stats();
    assert_eq!((stats.rules, stats.groups, stats.incidents, stats.interned), (0, 0, 0, 0));
    change(&mut script, 201.0, vec![rule(3)]);
    script.run("202 error x3").expect("202 firing warning 3/3 rule=3");
}

#[test]
fn a_changed_definition_starts_afresh_and_its_incident_waits_for_history() {
    let narrowed = |severity| Rule {
        filter: Filter { severities: vec![severity], ..Filter::default() },
        ..rule(1)
    };
    // History is replayed for this rule only, and the incident goes on.
    let mut script = firing();
    change(&mut script, 5.0, vec![narrowed(Severity::Medium), rule(2)]);
    assert_eq!(script.engine.rules_needing_history(), [1, 2].map(|n| (id(n), Span::from_secs(61))));
    for seq in 1..=4 {
        script.input(5.5, Input::ReplayFor { rule_id: id(1), event: &event(at(1.0), seq) });
    }
    let key = GroupKey::default();
    assert_eq!(script.engine.value(id(1), &key), Some(4.0));
    assert_eq!(script.engine.value(id(2), &key), None, "not its history");
    script.run("50 tick; 51 complete; 100 tick").expect("62 resolved warning 0/3");
    assert_eq!(script.engine.rules_needing_history(), []);

    // There was nothing of that severity: it resolves when that is known,
    let mut script = firing();
    change(&mut script, 5.0, vec![narrowed(Severity::High)]);
    script.run("50 tick").expect("").run("51 complete").expect("51 resolved warning 0/3");
    // or after a minute, if nobody ever says so.
    let mut script = firing();
    change(&mut script, 5.0, vec![narrowed(Severity::High)]);
    script.run("64 tick").expect("").run("66 tick").expect("65 resolved warning 0/3");
}

#[test]
fn another_metric_or_grouping_ends_incidents() {
    for other in [
        Rule { metric: Metric::Rate, ..rule(1) },
        Rule { group_by: vec![GroupField::Source], ..rule(1) },
    ] {
        let mut script = firing();
        change(&mut script, 5.0, vec![other]);
        script.expect("5 resolved warning 4/3");
        assert_eq!(script.engine.total_in_windows(), 0);
    }
}

#[test]
fn a_new_rule_fires_once_its_past_is_known() {
    let mut script = firing();
    change(&mut script, 5.0, vec![rule(1), rule(2)]);
    for seq in 1..=4 {
        script.input(5.0, Input::ReplayFor { rule_id: id(2), event: &event(at(1.0), seq) });
    }
    script.input(5.0, Input::ReplayFor { rule_id: id(9), event: &event(at(1.0), 9) });
    script.expect("").run("5.25 tick").expect("5 firing warning 4/3 rule=2");

    let ratio = Rule {
        metric: Metric::Ratio { min_runs: 5 },
        warning: Some(0.5),
        critical: None,
        no_data: NoData::Resolve,
        ..rule(2)
    };
    let mut script = firing();
    change(&mut script, 5.0, vec![rule(1), ratio]);
    let runs = [RunCount { project_id: None, workflow_id: None, started_at: at(1.0), count: 5 }];
    script.input(5.0, Input::ReplayRunsFor { rule_id: id(2), runs: &runs });
    for seq in 1..=4 {
        script.input(5.0, Input::ReplayFor { rule_id: id(2), event: &event(at(1.0), seq) });
    }
    script.run("5.25 tick; 100 tick").expect(
        "5 firing warning 0.8/0.5 rule=2; 62 resolved warning 0/3; 62 resolved warning 0/0.5 rule=2",
    );
}

#[test]
fn an_overflow_incident_survives_a_changed_filter() {
    let limits = crate::engine::Limits { groups_per_rule: 0, ..Default::default() };
    let grouped = Rule { group_by: vec![GroupField::Fingerprint], ..rule(1) };
    let engine = crate::engine::Engine::with_limits(limits);
    let mut script = Script::with(engine, vec![grouped.clone()]);
    script.run("1 error x3").expect("1 firing warning 3/3");
    let filter = Filter { severities: vec![Severity::Medium], ..Filter::default() };
    change(&mut script, 2.0, vec![Rule { filter, ..grouped }]);
    script.run("3 error x3; 3 complete; 100 tick").expect("64 resolved warning 0/3");
}
