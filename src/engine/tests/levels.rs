//! Warning and critical: what a change of level tells, and when.
use super::{script::check, support::rule};
use crate::model::Rule;

#[test]
fn levels() {
    check(
        rule(1),
        "1 error x3; 5 error x2; 10 error; 120 tick",
        "1 firing warning 3/3; 10 escalated critical 6/6; 62 deescalated warning 3/3
         66 resolved warning 1/3",
    );
    let critical_at_once = Rule { warning: None, critical: Some(2.0), ..rule(1) };
    check(
        critical_at_once,
        "1 error x2; 90 tick",
        "1 firing critical 2/2; 62 resolved critical 0/2",
    );
    let warning_only = Rule { critical: None, ..rule(1) };
    check(warning_only, "1 error x99; 90 tick", "1 firing warning 3/3; 62 resolved warning 0/3");
    let both_at_once = Rule { warning: Some(3.0), critical: Some(3.0), ..rule(1) };
    check(both_at_once, "1 error x3; 90 tick", "1 firing critical 3/3; 62 resolved critical 0/3");
}

#[test]
fn another_escalation_within_a_window_is_not_told() {
    check(
        rule(1),
        "1 error x3; 30 error x3; 70 error x3; 200 tick",
        "1 firing warning 3/3; 30 escalated critical 6/6; 62 deescalated warning 3/3
         70 deescalated critical 6/6; 91 deescalated warning 3/3; 131 resolved warning 0/3",
    );
}

#[test]
fn an_escalation_is_told_again_where_nothing_was_told_for_a_window() {
    check(
        rule(1),
        "1 error x3; 30 error x3; 60 error x3; 95 error x3; 200 tick",
        "1 firing warning 3/3; 30 escalated critical 6/6; 91 deescalated warning 3/3
         95 escalated critical 6/6; 121 deescalated warning 3/3; 156 resolved warning 0/3",
    );
}
