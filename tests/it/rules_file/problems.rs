//! What is wrong with a file is told with its line, and changes are told so that people can read them.

use std::collections::HashMap;

use meshhook_errors::{
    model::Level,
    rules_file::{Bound, Stored, parse, plan},
};
use uuid::Uuid;

#[track_caller]
fn check(text: &str, expected: &[&str]) {
    let problems: Vec<String> = match parse(text) {
        Ok(rules) => vec![format!("{} rules", rules.len())],
        Err(problems) => problems.iter().map(ToString::to_string).collect(),
    };
    assert_eq!(problems.len(), expected.len(), "{problems:#?}");
    for (problem, expected) in problems.iter().zip(expected) {
        assert!(problem.starts_with(expected), "{problem:?} instead of {expected:?}");
    }
}

#[test]
fn every_problem_has_its_line() {
    for (text, expected) in [
        ("version: 1\nrules:\n  - {name: a, warning: 1}\n", &["1 rules"][..]),
        ("rules: []", &["0 rules"]),
        ("", &["line 1: must be a mapping"]),
        ("version: 2\nrules: []", &["line 1: version: must be 1"]),
        ("version: 1", &["line 1: rules: must be given"]),
        ("rules: {a: 1}", &["line 1: rules: must be a list, not a mapping"]),
        ("rule:\n  - name: a\nrules: []", &["line 1: rule: is not known"]),
        ("rules:\n  - 5", &["line 2: a rule must be a mapping, not a whole number"]),
        (
            "rules:\n  - name: a\n    treshold: 5\n    warning: 1",
            &["line 3: treshold: is not a field of a rule"],
        ),
        (
            "rules:\n  - name: a\n    waning: 5",
            &["line 3: waning: is not a field of a rule; did you mean warning?"],
        ),
        (
            "rules:\n  - name: a\n    window_seconds: 60\n    warning: 1",
            &["line 3: window_seconds: is called window in a file"],
        ),
        (
            "rules:\n  - name: a\n    metric: cuont\n    warning: ten\n    window: 5",
            &[
                "line 3: metric: \"cuont\" is not one of count,",
                "line 4: warning: must be a number, not a text",
                "line 5: window: must be a length of time as in 5m, not a whole number",
            ],
        ),
        (
            "rules:\n  - name: a\n    window: 90s\n    warning: 5\n    critical: 3\n",
            &[
                "line 3: window: must be whole minutes",
                "line 5: critical: must not be below warning",
            ],
        ),
        ("rules:\n  - name: a", &["line 2: warning: or critical must be given"]),
        (
            "rules:\n  - name: a\n    warning: 1\n    title_template: '{{ rule.nmae }}'\n    body_template: |\n      {% for %}",
            &["line 4: title_template: ", "line 5: body_template: "],
        ),
        (
            "rules:\n  - name: a\n    warning: 1\n    body_template: ''",
            &["line 4: body_template: must not be empty"],
        ),
        ("rules:\n  - warning: 1", &["line 2: name: must have 1 to 120 characters"]),
        (
            "rules:\n  - {name: a, warning: 1}\n  - {name: b, warning: 1}\n  - {name: a, warning: 2}",
            &["line 4: name: is also the name of the rule in line 2"],
        ),
        (
            "rules:\n  - name: a\n    warning: 1\n    sources: [worker, cron]\n    group_by: source",
            &["line 4: sources: \"cron\" is not one of worker, webhook, system"],
        ),
        (
            "rules:\n  - name: a\n    warning: 1\n    channels:\n      - Ops\n      - {name: Ops}\n      - {min_level: critical}\n      - {name: P, min_level: loud}",
            &[
                "line 6: channels: \"Ops\" stands here twice",
                "line 7: channels: each must be a name",
                "line 8: channels: \"loud\" is not one of warning, critical",
            ],
        ),
        ("rules:\n  - name: a\n    name: b", &["line 3: \"name\" stands here a second time"]),
        ("rules:\n\t- name: a", &["line 2: "]),
    ] {
        check(text, expected);
    }
}

fn stored(text: &str, managed_by: Option<&str>, channels: Vec<Bound>) -> Stored {
    let rule = parse(text).expect("a good file").remove(0);
    let rule_id = Uuid::from_u128(1);
    Stored { rule_id, columns: rule.columns, managed_by: managed_by.map(Into::into), channels }
}

#[test]
fn changes_are_told_as_a_file_says_them() {
    let ops = Uuid::from_u128(9);
    let channels = HashMap::from([("Ops".to_owned(), ops)]);
    let bound = Bound { channel_id: ops, name: "Ops".to_owned(), min_level: Level::Warning };
    let same = "rules: [{name: a, warning: 1, window: 5m, channels: Ops}]";
    let cases = [
        (
            same,
            vec![],
            "+ a\n    metric: count\n    window: 5m\n    warning: 1\n    channels: [Ops]\n1 to create, 0 to change, 0 to delete, 0 unchanged",
        ),
        (
            same,
            vec![stored(same, Some("f"), vec![bound.clone()])],
            "0 to create, 0 to change, 0 to delete, 1 unchanged",
        ),
        (
            "rules: [{name: a, warning: 1.5, window: 90m, channels: [{name: Ops, min_level: critical}]}]",
            vec![stored(same, Some("f"), vec![bound.clone()])],
            "~ a\n    window: 5m -> 1h30m\n    warning: 1 -> 1.5\n    channels: [Ops] -> [{name: Ops, min_level: critical}]\n0 to create, 1 to change, 0 to delete, 0 unchanged",
        ),
        (
            "rules: []",
            vec![stored(same, Some("f"), vec![])],
            "- a\n0 to create, 0 to change, 1 to delete, 0 unchanged",
        ),
        (
            "rules: []",
            vec![stored(same, Some("other"), vec![])],
            "0 to create, 0 to change, 0 to delete, 0 unchanged",
        ),
        (
            "rules: []",
            vec![stored(same, None, vec![])],
            "0 to create, 0 to change, 0 to delete, 0 unchanged",
        ),
        (
            same,
            vec![stored(same, None, vec![])],
            "line 1: name: \"a\" exists, and was not made by this file; --adopt takes it over",
        ),
        (
            same,
            vec![stored(same, Some("g"), vec![])],
            "line 1: name: \"a\" exists, and is managed by g; --adopt takes it over",
        ),
        (
            "rules: [{name: a, warning: 1, channels: [Nobody]}]",
            vec![],
            "line 1: channels: there is no channel \"Nobody\" in this project",
        ),
    ];
    for (file, stored, expected) in cases {
        let file = parse(file).expect("a good file");
        let told = match plan(&file, &stored, &channels, "f", false) {
            Ok(plan) => plan.to_string(),
            Err(problems) => problems[0].to_string(),
        };
        assert_eq!(told, expected);
    }
    let file = parse(same).expect("a good file");
    let adopted = plan(&file, &[stored(same, None, vec![bound])], &channels, "f", true);
    let told = adopted.expect("a plan").to_string();
    assert!(
        told.starts_with("~ a\n    managed by this file from now on\n0 to create, 1"),
        "{told}"
    );
}
