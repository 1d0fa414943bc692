//! One sentence of the engine's documentation after the other, as a script.
use super::support::{Script, at, id, rule};
use crate::{
    engine::{Engine, Input, Limits, incident_id},
    model::{
        Filter, GroupField, GroupKey, IncidentState, Metric, NoData, Rule, Severity, Source, Span,
        TransitionKind, TypePattern,
    },
};

/// Feeds a fresh engine with `lines` under `rule` and compares what it told.
#[track_caller]
pub(super) fn check(rule: Rule, lines: &str, expected: &str) {
    Script::new(vec![rule]).run(lines).expect(expected);
}

fn minutes(n: i64) -> Span {
    Span::from_secs(60 * n)
}

#[test]
fn count_rises_on_the_event_and_falls_at_a_boundary() {
    check(
        rule(1),
        "1 error x2; 2.5 error; 100 tick",
        "2.5 firing warning 3/3; 62 resolved warning 1/3",
    );
    check(rule(1), "1 error x2; 200 tick", "");
    // The window reaches back 60 whole buckets of a second: the error of 0.9 s counts until 61 s.
    check(rule(1), "0.9 error; 60.9 error x2", "60.9 firing warning 3/3");
    check(rule(1), "0.9 error; 61 error x2", "");
}

#[test]
fn a_resolve_threshold_keeps_an_incident_open_in_between() {
    let hysteresis = Rule { resolve: Some(2.0), ..rule(1) };
    check(
        hysteresis,
        "1 error; 10 error; 20 error; 65 error; 200 tick",
        "20 firing warning 3/3; 81 resolved warning 1/2",
    );
    let above = Rule { resolve: Some(5.0), ..rule(1) };
    check(above, "1 error x3; 100 tick", "1 firing warning 3/3; 62 resolved warning 0/3");
    let never_below = Rule { resolve: Some(0.0), ..rule(1) };
    check(never_below, "1 error x3; 100 tick", "1 firing warning 3/3; 62 resolved warning 0/0");
}

#[test]
fn pending_periods() {
    let pending = Rule { pending: Span::from_secs(30), ..rule(1) };
    check(
        pending.clone(),
        "1 error x3; 5 error; 100 tick",
        "1 pending warning 3/3; 31 firing warning 4/3; 62 resolved warning 1/3",
    );
    check(
        Rule { pending: minutes(2), ..rule(1) },
        "1 error x3; 500 tick",
        "1 pending warning 3/3; 62 dropped warning 0/3",
    );
    check(
        pending.clone(),
        "1 error x3; 10 error x3; 100 tick",
        "1 pending warning 3/3; 31 firing critical 6/6; 62 deescalated warning 3/3
         71 resolved warning 0/3",
    );
    // Between the resolve threshold and the warning at the end of the period: fires when it is back.
    check(
        Rule { pending: Span::from_secs(62), resolve: Some(1.0), ..rule(1) },
        "1 error; 2 error x2; 64 tick; 70 tick; 71 error x3; 200 tick",
        "2 pending warning 3/3; 63 dropped warning 0/1; 71 pending warning 3/3
         132 dropped warning 0/1",
    );
    check(
        Rule { pending: Span::from_secs(30), resolve: Some(1.0), ..rule(1) },
        "1 error x2; 50 error; 90 tick; 92 error x2; 300 tick",
        "50 pending warning 3/3; 92 firing warning 3/3; 153 resolved warning 0/1",
    );
    let mut script = Script::new(vec![pending]);
    script.run("1 error x3; 40 tick");
    let states: Vec<_> = script.told.iter().map(|told| (told.kind, told.state)).collect();
    assert_eq!(
        states,
        [
            (TransitionKind::Pending, IncidentState::Pending),
            (TransitionKind::Firing, IncidentState::Firing)
        ]
    );
    assert_eq!(script.told[0].incident_id, script.told[1].incident_id);
    assert_eq!(script.told[1].started_at, at(1.0));
}

#[test]
fn keep_firing_periods() {
    let keep = Rule { keep_firing: Span::from_secs(30), ..rule(1) };
    check(keep.clone(), "1 error x3; 200 tick", "1 firing warning 3/3; 92 resolved warning 0/3");
    check(
        keep.clone(),
        "1 error x3; 80 error x3; 300 tick",
        "1 firing warning 3/3; 171 resolved warning 0/3",
    );
    check(
        keep,
        "1 error x6; 200 tick",
        "1 firing warning 3/3; 1 escalated critical 6/6; 62 deescalated warning 0/3
         92 resolved warning 0/3",
    );
}

#[test]
fn reminders() {
    let reminding = Rule { reminder: Span::from_secs(25), ..rule(1) };
    check(
        reminding.clone(),
        "1 error x3; 200 tick",
        "1 firing warning 3/3; 26 reminder warning 3/3 #1; 51 reminder warning 3/3 #2
         62 resolved warning 0/3",
    );
    check(
        reminding.clone(),
        "1 error x3; 20 error x3; 46 tick; 200 tick",
        "1 firing warning 3/3; 20 escalated critical 6/6; 45 reminder critical 6/6 #1
         62 deescalated warning 3/3; 70 reminder warning 3/3 #2; 81 resolved warning 0/3",
    );
    check(
        reminding.clone(),
        "1 error x3; 10 ack; 40 unack; 41 tick; 200 tick",
        "1 firing warning 3/3; 40 reminder warning 3/3 #1; 62 resolved warning 0/3",
    );
    check(
        reminding,
        "1 error x3; 10 ack; 70 tick",
        "1 firing warning 3/3; 62 resolved warning 0/3",
    );
    let pending = Rule { reminder: Span::from_secs(5), pending: Span::from_secs(20), ..rule(1) };
    check(
        pending,
        "1 error x3; 27 tick",
        "1 pending warning 3/3; 21 firing warning 3/3; 26 reminder warning 3/3 #1",
    );
}

#[test]
fn a_catch_up_is_decided_at_its_own_instants() {
    let rule = Rule { reminder: minutes(1), window: minutes(10), ..rule(1) };
    check(
        rule,
        "0 error x3; 7200 tick",
        "0 firing warning 3/3; 60 reminder warning 3/3 #1; 120 reminder warning 3/3 #2
         180 reminder warning 3/3 #3; 240 reminder warning 3/3 #4; 300 reminder warning 3/3 #5
         360 reminder warning 3/3 #6; 420 reminder warning 3/3 #7; 480 reminder warning 3/3 #8
         540 reminder warning 3/3 #9; 600 reminder warning 3/3 #10; 610 resolved warning 0/3",
    );
}

#[test]
fn late_events_and_time_that_goes_back() {
    check(
        rule(1),
        "100 error ts=60 x2; 101 error ts=45; 200 tick",
        "101 firing warning 3/3; 106 resolved warning 2/3",
    );
    check(rule(1), "100 error ts=39 x5; 100 error ts=40 x2; 100 error ts=39.999", "");
    check(rule(1), "100 error x2; 50 error; 50 tick", "100 firing warning 3/3");
}

#[test]
fn rate_is_per_minute() {
    let rate = Rule { metric: Metric::Rate, window: minutes(5), ..rule(1) };
    check(
        rate,
        "1 error x14; 2 error; 6 error x14; 400 tick",
        "2 firing warning 3/3; 305 resolved warning 2.8/3",
    );
}

#[test]
fn ratio_is_of_the_runs() {
    let ratio = Rule {
        metric: Metric::Ratio { min_runs: 10 },
        warning: Some(0.1),
        critical: Some(0.5),
        ..rule(1)
    };
    // Too few runs: no value. The rise comes with the runs.
    check(
        ratio.clone(),
        "1 error x2; 2 runs 9; 5 runs 1; 6 error x3; 20 runs 90; 21 tick; 100 tick",
        "5 firing warning 0.2/0.1; 6 escalated critical 0.5/0.5; 21 resolved critical 0.05/0.1",
    );
    // Runs leave the window before the errors: the value rises at a boundary.
    check(
        ratio.clone(),
        "0 runs 100; 30 runs 20; 31 error x3; 150 tick",
        "61 firing warning 0.15/0.1",
    );
    // No value while firing: no errors among no runs are not the same as none among many.
    let lines = "0 runs 10; 30 error x2; 62 tick; 150 tick; 160 runs 10; 161 tick";
    check(ratio.clone(), lines, "30 firing warning 0.1/0.1; 160 resolved warning 0/0.1");
    check(
        Rule { no_data: NoData::Resolve, ..ratio.clone() },
        lines,
        "30 firing warning 0.1/0.1; 61 resolved warning 0/0.1",
    );
    check(
        Rule { no_data: NoData::Alert, ..ratio.clone() },
        "1 runs 10; 62 runscomplete; 63 runscomplete; 90 runs 10; 90 tick",
        "62 firing warning 0/0.1; 90 resolved warning 0/0.1",
    );
    check(
        Rule { pending: Span::from_secs(5), ..ratio.clone() },
        "0 runs 10; 59 error x2; 70 runs 10; 90 tick",
        "59 pending warning 0.1/0.1; 70 firing warning 0.2/0.1",
    );
    check(Rule { metric: Metric::Ratio { min_runs: 0 }, ..ratio }, "1 error x9; 100 tick", "");
}

#[test]
fn runs_are_matched_by_project_and_workflow_only() {
    let ratio = Rule {
        project_id: Some(id(1)),
        filter: Filter {
            workflow_ids: vec![id(5), id(6)],
            sources: vec![Source::Worker],
            ..Filter::default()
        },
        metric: Metric::Ratio { min_runs: 10 },
        group_by: vec![GroupField::Workflow, GroupField::Severity],
        warning: Some(0.5),
        critical: None,
        ..rule(1)
    };
    check(
        ratio,
        "1 runs 10 project=1 workflow=5; 1 runs 99 project=2 workflow=5
         1 runs 99 project=1 workflow=7; 1 runs 99 project=1; 1 runs 40 project=1 workflow=6
         2 error x5 project=1 workflow=5; 3 error x5 project=1 workflow=6
         4 error x5 project=1 workflow=5 severity=high",
        "2 firing warning 0.5/0.5 workflow=5 severity=medium
         4 firing warning 0.5/0.5 workflow=5 severity=high",
    );
}

#[test]
fn groups_have_incidents_of_their_own() {
    let grouped = Rule { group_by: vec![GroupField::Source, GroupField::Project], ..rule(1) };
    check(
        grouped.clone(),
        "1 error x2; 2 error x2 project=1; 3 error; 4 error x2 source=webhook; 5 error project=1
         100 tick",
        "3 firing warning 3/3 project=null source=worker; 5 firing warning 3/3 project=1 source=worker
         62 resolved warning 1/3 project=null source=worker
         63 resolved warning 1/3 project=1 source=worker",
    );
    for (field, two) in [
        (GroupField::ErrorType, ["type=input", "type=input.json"]),
        (GroupField::Severity, ["severity=low", "severity=high"]),
        (GroupField::Fingerprint, ["print=1", "print=2"]),
        (GroupField::Workflow, ["workflow=1", "workflow=2"]),
    ] {
        let mut script = Script::new(vec![Rule { group_by: vec![field], ..rule(1) }]);
        script.run(&format!("1 error x2 {}; 2 error x2 {}; 3 error {}", two[0], two[1], two[1]));
        let value = two[1].split_once('=').map_or("", |(_, value)| value);
        let name = if field == GroupField::Fingerprint { "fingerprint" } else { field.as_str() };
        script.expect(&format!("3 firing warning 3/3 {name}={value}"));
    }
}

#[test]
fn filters() {
    let mut narrow = rule(1);
    narrow.project_id = Some(id(1));
    narrow.filter = Filter {
        sources: vec![Source::Worker, Source::System],
        error_types: vec![TypePattern::parse("execution"), TypePattern::parse("input.json")],
        severities: vec![Severity::High],
        workflow_ids: vec![id(5)],
        message_contains: Some("TIMED".into()),
    };
    let good = "project=1 severity=high workflow=5";
    check(narrow.clone(), &format!("1 error x3 {good}"), "1 firing warning 3/3");
    check(
        narrow.clone(),
        &format!("1 error x3 {good} type=input.json message=atimedb"),
        "1 firing warning 3/3",
    );
    for bad in
        ["project=2", "severity=low", "workflow=6", "source=webhook", "type=input", "message=no"]
    {
        check(narrow.clone(), &format!("1 error x3 {good} {bad}"), "");
    }
}

#[test]
fn ids_are_those_of_rule_group_and_beginning() {
    let mut script = Script::new(vec![rule(1)]);
    script.run("1 error x3; 100 error x3");
    let expected = |second| incident_id(id(1), &GroupKey::default(), at(second));
    let ids: Vec<_> = script.told.iter().map(|told| told.incident_id).collect();
    assert_eq!(ids, [expected(1.0), expected(1.0), expected(100.0)]);
    assert_eq!(
        expected(1.0).to_string(),
        "1c5c85e5-80cc-5995-aeb9-913a123e962c",
        "a different id would open every incident a second time after an update"
    );
}

#[test]
fn evidence_and_values() {
    let mut script = Script::new(vec![rule(1)]);
    script.run("1 error x2 print=7; 2 error print=8; 3 error print=8 ts=2.5");
    let told = &script.told[0];
    assert_eq!((told.evidence.errors, told.evidence.runs, told.peak), (3, None, 3.0));
    assert_eq!(told.evidence.samples, [id(3), id(2), id(1)]);
    assert_eq!(told.evidence.top_groups[0].count, 2);
    assert_eq!((told.evidence.first_seen, told.evidence.last_seen), (Some(at(1.0)), Some(at(2.0))));
    let key = GroupKey::default();
    assert_eq!(script.engine.value(id(1), &key), Some(4.0));
    assert_eq!((script.engine.total_in_windows(), script.engine.total_of(id(1))), (4, 4));
    let (open, value) = script.engine.open_incidents().remove(0);
    assert_eq!((open.peak, value, open.evidence.errors), (4.0, 4.0, 4));
    script.run("200 tick");
    let resolved = script.told.last().map(|told| (told.peak, told.value, told.evidence.last_seen));
    assert_eq!(resolved, Some((4.0, 2.0, Some(at(2.5)))), "{:?}", script.told);
    assert_eq!(script.engine.value(id(1), &key), None, "the group is forgotten");
    assert_eq!(script.engine.open_incidents(), []);
    let stats = script.engine.stats();
    assert_eq!((stats.groups, stats.timers, stats.interned), (0, 0, 0));
    assert_eq!((stats.events, stats.matched, stats.transitions), (4, 4, 2));
}

#[test]
fn a_flood_of_groups_ends_in_one_overflow_group() {
    let limits = Limits { groups_per_rule: 2, ..Limits::default() };
    let grouped = Rule { group_by: vec![GroupField::Fingerprint], ..rule(1) };
    let mut script = Script::with(Engine::with_limits(limits), vec![grouped]);
    script
        .run("1 error print=1; 1 error print=2; 2 error print=3; 3 error print=4; 4 error print=5")
        .expect("4 firing warning 3/3")
        .run("5 error x2 print=1")
        .expect("5 firing warning 3/3 fingerprint=1");
    assert_eq!(script.engine.stats().overflowed, 3);
    assert_eq!((script.engine.stats().groups, script.engine.total_in_windows()), (3, 7));
    assert_eq!(script.engine.value(id(1), &GroupKey::default()), Some(3.0));
    script
        .run("80 tick; 81 error print=9")
        .expect("62 resolved warning 2/3 fingerprint=1; 63 resolved warning 2/3");
    assert_eq!(script.engine.stats().interned, 1);
}

#[test]
fn a_group_costs_less_than_a_kilobyte() {
    let (key, timer, identifier) = (2 * 40, 2 * 24, 2 * 40);
    let group = std::mem::size_of::<crate::engine::group::Group>();
    assert!(group + key + timer + identifier <= 1_024, "{group}");
}

#[test]
fn deadlines_tell_when_to_tick() {
    let mut script = Script::new(vec![Rule { pending: Span::from_secs(10), ..rule(1) }]);
    assert_eq!(script.engine.next_deadline(), None);
    script.run("0.5 error x3");
    let mut ticks = Vec::new();
    while let Some(due) = script.engine.next_deadline() {
        ticks.push(due);
        script.engine.step(due, Input::Tick, &mut script.told);
    }
    assert!(ticks.len() < 70 && ticks.is_sorted(), "{ticks:?}");
    script.expect("0.5 pending warning 3/3; 10.5 firing warning 3/3; 61 resolved warning 0/3");
}
