//! Restarts and changes of the leader.

use super::support::{Script, at, id, rule};
use crate::{
    engine::{Engine, Input, batch::open_after},
    model::{GroupField, GroupKey, IncidentState, Metric, OpenIncident, Rule, Span},
};

/// What the database holds after `script`.
fn stored(script: &Script) -> Vec<OpenIncident> {
    open_after(&script.told)
}

/// A successor that has replayed `lines` and takes over at `second` with `open`.
fn successor(rules: Vec<Rule>, lines: &str, second: f64, open: Vec<OpenIncident>) -> Script {
    let mut script = Script::new(rules);
    script.run(lines).run(&format!("{second} complete")).expect("");
    script.input(second, Input::Restore(open));
    script
}

/// Runs `before` and `after` in one engine, and `after` also in a successor that replayed `before`;
/// both must say `expected` about `after`.
#[track_caller]
fn check(rule: Rule, before: &str, cut: f64, after: &str, expected: &str) {
    let mut one = Script::new(vec![rule.clone()]);
    one.run(before);
    let open = stored(&one);
    // Ticks would be decisions; a standby has none.
    let replay = before.replace("error", "replay").replace("runs", "replayruns");
    let replay = replay.replace("tick", "complete");
    let mut two = successor(vec![rule], &replay, cut, open);
    one.told.clear();
    one.run(after).expect(expected);
    two.run(after).expect(expected);
}

#[test]
fn goes_on_where_the_former_leader_stood() {
    check(
        rule(1),
        "1 error x2",
        1.0,
        "2 error; 99 tick",
        "2 firing warning 3/3; 62 resolved warning 1/3",
    );
    check(rule(1), "1 error x3", 1.0, "2 error; 99 tick", "62 resolved warning 1/3");
    check(
        Rule { pending: Span::from_secs(10), ..rule(1) },
        "1 error x3; 2 error",
        2.0,
        "12 tick",
        "11 firing warning 4/3",
    );
    check(
        Rule { reminder: Span::from_secs(20), ..rule(1) },
        "1 error x3; 22 tick",
        30.0,
        "45 tick; 99 tick",
        "41 reminder warning 3/3 #2; 61 reminder warning 3/3 #3; 62 resolved warning 0/3",
    );
    check(rule(1), "1 error x3; 2 error x3; 62 tick; 63 error x3", 63.0, "64 error; 99 tick", "");
}

#[test]
fn a_keep_firing_period_goes_on() {
    let keep = Rule { keep_firing: Span::from_secs(30), ..rule(1) };
    check(
        keep.clone(),
        "1 error x3; 62 error; 70 error",
        70.0,
        "99 tick",
        "92 resolved warning 2/3",
    );
    // Also when nothing is left in the window, and when nobody watched.
    let open = || {
        let mut one = Script::new(vec![keep.clone()]);
        one.run("1 error x3");
        stored(&one)
    };
    successor(vec![keep.clone()], "1 replay x3; 80 complete", 80.0, open())
        .run("99 tick")
        .expect("92 resolved warning 0/3");
    successor(vec![keep.clone()], "", 200.0, open())
        .run("200 tick")
        .expect("200 resolved warning 0/3");
    successor(vec![keep.clone()], "100 replay", 101.0, open())
        .run("200 tick")
        .expect("131 resolved warning 1/3");
}

#[test]
fn a_standby_tells_nothing_and_what_the_leader_missed_is_told() {
    let mut standby = Script::new(vec![rule(1)]);
    standby.run("1 replay x3; 50 replay").expect("");
    assert_eq!(standby.engine.open_incidents().len(), 1, "it knows");
    standby.input(51.0, Input::Restore(Vec::new()));
    standby.expect("").run("52 tick").expect("51 firing warning 4/3");
    // Stepping down and up again.
    standby.run("53 replay x2").expect("");
    standby.input(54.0, Input::Restore(Vec::new()));
    standby.run("54 tick").expect("54 firing critical 6/6");
    // Without a word about open incidents there are none.
    let mut fresh = Script::new(vec![rule(1)]);
    fresh.run("1 replay x3; 2 tick").expect("1 firing warning 3/3");
}

#[test]
fn an_incident_waits_for_what_its_former_leader_knew() {
    let open = || {
        let mut one = Script::new(vec![rule(1)]);
        one.run("3 error x3");
        stored(&one)
    };
    let held = || {
        let mut two = Script::new(vec![rule(1)]);
        two.run("1 complete").expect("");
        two.input(1.0, Input::Hold { until: at(10.0) });
        two.input(1.0, Input::Restore(open()));
        two
    };
    // What was missing comes, and the incident goes on; without the wait it would have ended.
    held()
        .run("3 error x3; 11 tick; 62 tick")
        .expect("")
        .run("70 tick")
        .expect("64 resolved warning 0/3");
    // Nothing comes: it ends when that is known.
    held().run("9 tick").expect("").run("11 tick").expect("10 resolved warning 0/3");
    // Others are decided about meanwhile.
    let mut two = Script::new(vec![rule(1), rule(2)]);
    two.run("1 complete");
    two.input(1.0, Input::Hold { until: at(10.0) });
    two.input(1.0, Input::Restore(open()));
    two.run("3 error x3; 11 tick").expect("3 firing warning 3/3 rule=2");
}

#[test]
fn incidents_without_a_rule_or_group_are_ended() {
    let grouped = Rule { group_by: vec![GroupField::Source], ..rule(1) };
    let mut one = Script::new(vec![grouped.clone(), rule(2)]);
    one.run("1 error x3").told.retain(|told| told.rule_id == id(1));
    let open = stored(&one);
    assert_eq!(open.len(), 1);
    successor(vec![rule(2)], "", 5.0, open.clone()).expect("5 resolved warning 0/0 source=worker");
    successor(vec![rule(1)], "", 5.0, open.clone()).expect("5 resolved warning 0/0 source=worker");
    let bad: GroupKey = r#"{"source":"nobody"}"#.parse().expect("a key");
    let pending = OpenIncident { group_key: bad, state: IncidentState::Pending, ..open[0].clone() };
    successor(vec![grouped.clone()], "", 5.0, vec![pending])
        .expect("5 dropped warning 0/0 source=nobody");
    let mut twice = open.clone();
    twice.extend(open);
    let mut script = successor(vec![grouped], "1 replay x3", 5.0, twice);
    script.run("9 tick").expect("");
    assert_eq!(script.engine.stats().incidents, 1, "one open incident per key");
}

#[test]
fn a_restore_before_the_rules_waits_for_them() {
    let mut one = Script::new(vec![rule(1)]);
    one.run("1 error x3");
    let mut engine = Engine::new();
    let mut out = Vec::new();
    engine.step(at(1.0), Input::Restore(stored(&one)), &mut out);
    engine.step(at(1.0), Input::Tick, &mut out);
    assert_eq!((out.len(), engine.stats().incidents), (0, 0));
    engine.step(at(2.0), Input::Rules(vec![rule(1)]), &mut out);
    assert_eq!((out.len(), engine.stats().incidents), (0, 1));
}

#[test]
fn acknowledgement_and_evidence_survive() {
    let reminding = Rule { reminder: Span::from_secs(10), ..rule(1) };
    let mut one = Script::new(vec![reminding.clone()]);
    one.run("1 error x3");
    let mut open = stored(&one);
    open[0].acknowledged = true;
    let mut two = successor(vec![reminding], "1 replay x3", 5.0, open.clone());
    let (known, value) = two.engine.open_incidents().remove(0);
    // The trend is that of the moment of a decision, and is taken anew for the next one.
    open[0].evidence.trend.clear();
    assert_eq!((known, value), (open[0].clone(), 3.0));
    two.run("50 tick").expect("").run("51 unack; 52 tick").expect("51 reminder warning 3/3 #1");
}

#[test]
fn ratios_go_on() {
    let ratio = Rule {
        metric: Metric::Ratio { min_runs: 10 },
        warning: Some(0.1),
        critical: Some(0.5),
        group_by: vec![GroupField::Project],
        ..rule(1)
    };
    check(
        ratio.clone(),
        "1 runs 10 project=1; 2 error x5 project=1; 3 runs 10 project=1",
        3.0,
        "3 tick; 4 runs 80 project=1; 70 tick",
        "4 deescalated warning 0.25/0.1 project=1; 5 resolved warning 0.05/0.1 project=1",
    );
    // Fallen between two boundaries, where it does not count yet.
    check(
        ratio.clone(),
        "1 runs 10 project=1; 2 error project=1; 2.2 runs 10 project=1",
        2.5,
        "9 tick",
        "3 resolved warning 0.05/0.1 project=1",
    );
    check(
        ratio,
        "1 runs 10 project=1; 2 error project=1",
        2.0,
        "61.5 tick; 70 tick; 71 runs 10 project=1",
        "71 resolved warning 0/0.1 project=1",
    );
}
