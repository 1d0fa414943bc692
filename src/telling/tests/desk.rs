use super::{at, id, transition};
use crate::{
    model::{Level, Timestamp, TransitionKind as Kind},
    telling::{Binding, Desk, Inhibition, News, Policy, QuietHours, QuietKind, Silence},
};

const OPS: u128 = 100;
const PAGER: u128 = 200;

/// Rule 1 tells ops from warning on and the pager from critical on; rule 2 tells ops.
fn policy() -> Policy {
    let binding = |rule: u128, channel: u128, min_level| Binding {
        rule_id: id(rule),
        channel_id: id(channel),
        min_level,
    };
    Policy {
        bindings: vec![
            binding(1, OPS, Level::Warning),
            binding(1, PAGER, Level::Critical),
            binding(2, OPS, Level::Warning),
        ],
        ..Policy::default()
    }
}

fn silence(from: i64, to: i64) -> Silence {
    Silence {
        silence_id: id(7),
        project_id: None,
        rule_id: Some(id(1)),
        matchers: serde_json::from_str("{}").unwrap(),
        starts_at: Timestamp::from_secs(from),
        ends_at: Timestamp::from_secs(to),
        reason: "maintenance".to_owned(),
    }
}

fn inhibition(source: u128, target: u128) -> Inhibition {
    Inhibition {
        inhibition_id: id(8),
        source_rule_id: id(source),
        target_rule_id: id(target),
        equal: vec![],
        source_level: Level::Warning,
    }
}

/// One step: at this second, these transitions, then who is told what; `settle` looks at what is owed.
enum Step {
    News(i64, u128, Kind, Level, &'static str),
    Settle(i64, &'static str),
}
use Level::{Critical, Warning};
use Step::{News as Take, Settle};

fn name(channel: uuid::Uuid) -> &'static str {
    if channel == id(OPS) { "ops" } else { "pager" }
}

#[track_caller]
fn check(what: &str, policy: &Policy, steps: &[Step]) {
    let mut desk = Desk::default();
    for (n, step) in steps.iter().enumerate() {
        let (got, expected) = match step {
            Take(second, rule, kind, level, expected) => {
                let happened = transition(rule * 10, *rule, *kind, *level);
                let news = News { transition: &happened, project_id: None };
                let told = desk.take(policy, &[news], Timestamp::from_secs(*second)).remove(0);
                let channels: Vec<&str> = told.told.iter().map(|channel| name(*channel)).collect();
                let why: Vec<&str> = told.holds.iter().map(|hold| hold.word()).collect();
                (format!("{}{}", channels.join(" "), why.join(" ")), *expected)
            }
            Settle(second, expected) => {
                let late = desk.settle(policy, Timestamp::from_secs(*second));
                let late: Vec<String> =
                    late.iter().map(|l| format!("{} {}", name(l.channel_id), l.kind)).collect();
                (late.join(", "), *expected)
            }
        };
        assert_eq!(got, expected, "{what}, step {n}");
    }
}

#[test]
fn who_is_told_and_when() {
    check(
        "levels",
        &policy(),
        &[
            Take(0, 1, Kind::Pending, Warning, ""),
            Take(1, 1, Kind::Firing, Warning, "ops"),
            Take(2, 1, Kind::Escalated, Critical, "ops pager"),
            Take(3, 1, Kind::Deescalated, Warning, ""),
            Take(4, 1, Kind::Reminder, Warning, "ops"),
            Take(5, 1, Kind::Resolved, Warning, "ops pager"),
            Settle(6, ""),
        ],
    );
    let silenced = Policy { silences: vec![silence(0, 100)], ..policy() };
    check(
        "a silence ends while it fires: told once, and of the end",
        &silenced,
        &[
            Take(1, 1, Kind::Firing, Warning, "silence"),
            Settle(99, ""),
            Settle(100, "ops firing"),
            Settle(101, ""),
            Take(102, 1, Kind::Resolved, Warning, "ops"),
        ],
    );
    check(
        "it ends beneath the silence: nobody is told anything",
        &silenced,
        &[
            Take(1, 1, Kind::Firing, Warning, "silence"),
            Take(50, 1, Kind::Resolved, Warning, ""),
            Settle(100, ""),
        ],
    );
    check(
        "told before the silence: the end is told within it",
        &silenced,
        &[
            Take(-1, 1, Kind::Firing, Warning, "ops"),
            Take(50, 1, Kind::Reminder, Warning, "silence"),
            Settle(60, ""),
            Take(70, 1, Kind::Resolved, Warning, "ops"),
        ],
    );
    check(
        "escalated beneath the silence: ops know of it, the pager does not",
        &silenced,
        &[
            Take(-1, 1, Kind::Firing, Warning, "ops"),
            Take(10, 1, Kind::Escalated, Critical, "silence"),
            Settle(100, "ops escalated, pager firing"),
            Take(110, 1, Kind::Resolved, Warning, "ops pager"),
        ],
    );
    check(
        "back at warning when the silence ends: owed until it is critical again",
        &silenced,
        &[
            Take(-1, 1, Kind::Firing, Warning, "ops"),
            Take(10, 1, Kind::Escalated, Critical, "silence"),
            Take(20, 1, Kind::Deescalated, Warning, ""),
            Settle(100, ""),
            Take(110, 1, Kind::Deescalated, Critical, ""),
            Settle(111, "ops escalated, pager firing"),
        ],
    );
    check(
        "a reminder after the silence settles what is owed",
        &silenced,
        &[
            Take(10, 1, Kind::Firing, Warning, "silence"),
            Take(100, 1, Kind::Reminder, Warning, "ops"),
            Settle(101, ""),
        ],
    );
    check(
        "a reminder is not owed",
        &silenced,
        &[
            Take(-1, 1, Kind::Firing, Warning, "ops"),
            Take(10, 1, Kind::Reminder, Warning, "silence"),
            Settle(100, ""),
        ],
    );
}

#[test]
fn a_rule_keeps_another_quiet_while_it_fires() {
    let inhibited = Policy { inhibitions: vec![inhibition(2, 1)], ..policy() };
    check(
        "the source fires first",
        &inhibited,
        &[
            Take(1, 2, Kind::Firing, Warning, "ops"),
            Take(2, 1, Kind::Firing, Critical, "inhibition"),
            Settle(3, ""),
            Take(4, 2, Kind::Resolved, Warning, "ops"),
            Settle(5, "ops firing, pager firing"),
            Take(6, 1, Kind::Resolved, Warning, "ops pager"),
        ],
    );
    check(
        "the target was told already",
        &inhibited,
        &[
            Take(1, 1, Kind::Firing, Warning, "ops"),
            Take(2, 2, Kind::Firing, Warning, "ops"),
            Take(3, 1, Kind::Escalated, Critical, "inhibition"),
            Take(4, 1, Kind::Resolved, Warning, "ops"),
        ],
    );
    check(
        "a pending source keeps nobody quiet",
        &inhibited,
        &[Take(1, 2, Kind::Pending, Warning, ""), Take(2, 1, Kind::Firing, Warning, "ops")],
    );
    let mut critical = inhibited.clone();
    critical.inhibitions[0].source_level = Critical;
    check(
        "only at critical",
        &critical,
        &[
            Take(1, 2, Kind::Firing, Warning, "ops"),
            Take(2, 1, Kind::Firing, Warning, "ops"),
            Take(3, 2, Kind::Escalated, Critical, "ops"),
            Take(4, 1, Kind::Reminder, Warning, "inhibition"),
        ],
    );
}

#[test]
fn what_comes_in_one_batch_has_no_order() {
    let policy = Policy { inhibitions: vec![inhibition(2, 1)], ..policy() };
    let target = transition(10, 1, Kind::Firing, Warning);
    let source = transition(20, 2, Kind::Firing, Warning);
    let news = [&target, &source].map(|transition| News { transition, project_id: None });
    let told = Desk::default().take(&policy, &news, Timestamp::from_secs(0));
    assert!(told[0].told.is_empty(), "{:?}", told[0].holds);
    assert_eq!(told[1].told, [id(OPS)]);
}

#[test]
fn inhibition_keeps_to_projects_and_equal_groups() {
    use crate::model::GroupField::Workflow;
    let applies = |equal: &[_], source_project, target_project, source_key, target_key| {
        let rule = Inhibition { equal: equal.to_vec(), ..inhibition(2, 1) };
        let (source_key, target_key) = (super::key(source_key), super::key(target_key));
        let (source_key, target_key) = (&source_key, &target_key);
        let source = crate::telling::Firing {
            incident_id: id(20),
            rule_id: id(2),
            project_id: source_project,
            group_key: source_key,
            level: Warning,
        };
        let target = crate::telling::Case {
            incident_id: id(10),
            rule_id: id(1),
            project_id: target_project,
            group_key: target_key,
            level: Warning,
        };
        rule.applies(&source, &target)
    };
    let (a, b) = (Some(id(1)), Some(id(2)));
    let w1: &[_] = &[(Workflow, Some("1"))];
    let w2: &[_] = &[(Workflow, Some("2"))];
    assert!(applies(&[], None, a, &[], &[]));
    assert!(applies(&[], a, a, &[], &[]));
    assert!(!applies(&[], a, b, &[], &[]));
    assert!(!applies(&[], a, None, &[], &[]));
    assert!(applies(&[Workflow], a, a, w1, w1));
    assert!(!applies(&[Workflow], a, a, w1, w2));
    assert!(!applies(&[Workflow], a, a, w1, &[(Workflow, None)]));
    assert!(!applies(&[Workflow], a, a, w1, &[]));
    assert!(applies(&[], a, a, w1, w2));
}

#[test]
fn quiet_hours_let_critical_through_where_they_are_told_to() {
    let night = |allow_critical| QuietHours {
        quiet_hours_id: id(9),
        project_id: None,
        rule_id: Some(id(1)),
        name: "nights".to_owned(),
        kind: QuietKind::Quiet,
        days: (1..=7).collect(),
        starts: "22:00:00".parse().unwrap(),
        ends: "07:00:00".parse().unwrap(),
        time_zone: chrono_tz::Europe::Berlin,
        allow_critical,
    };
    let second = |text: &str| at(text).since(Timestamp::default()).micros() / 1_000_000;
    let (midnight, seven) = (second("2026-06-01T22:00:00Z"), second("2026-06-02T05:00:00Z"));
    let strict = Policy { quiet_hours: vec![night(false)], ..policy() };
    check(
        "all wait for the morning",
        &strict,
        &[
            Take(midnight, 1, Kind::Firing, Warning, "quiet"),
            Take(midnight + 1, 1, Kind::Escalated, Critical, "quiet"),
            Take(midnight + 1, 2, Kind::Firing, Warning, "ops"),
            Settle(seven - 1, ""),
            Settle(seven, "ops firing, pager firing"),
        ],
    );
    let open = Policy { quiet_hours: vec![night(true)], ..policy() };
    check(
        "critical wakes people, and they hear it once",
        &open,
        &[
            Take(midnight, 1, Kind::Firing, Warning, "quiet"),
            Take(midnight + 1, 1, Kind::Escalated, Critical, "ops pager"),
            Settle(seven, ""),
            Take(seven + 1, 1, Kind::Resolved, Critical, "ops pager"),
        ],
    );
    let mut desk = Desk::default();
    let happened = transition(10, 1, Kind::Firing, Warning);
    let news = News { transition: &happened, project_id: None };
    desk.take(&open, &[news], Timestamp::from_secs(midnight));
    assert_eq!(desk.next_look(), Some(Timestamp::from_secs(seven)));
}
