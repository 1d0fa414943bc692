//! Sentences that people look for in the paragraph.

use uuid::Uuid;

use super::*;
use crate::{
    backtest::explain::{Message, Replayed},
    model::NoData,
    store::explain::Leader,
};

fn at(second: i64) -> Timestamp {
    Timestamp::from_secs(1_717_372_800 + second)
}

fn facts() -> Facts {
    Facts {
        rule_id: Uuid::nil(),
        rule: "Workers fail".to_owned(),
        metric: "count",
        window_seconds: 300,
        counted_over_seconds: 300,
        fires: false,
        threshold: None,
        detail: None,
        objective: None,
        min_count: None,
        no_data: NoData::Keep,
        below_since: None,
        keep_seconds: 0,
        flapping: false,
        known_since: None,
        enabled: true,
        at: at(100),
        now: true,
        group: None,
        value: Some(3.0),
        errors: 3,
        errors_of_any_kind: 12,
        runs: None,
        min_runs: None,
        warning: Some(10.0),
        critical: Some(50.0),
        resolve: 10.0,
        pending_seconds: 60,
        replayed: None,
        incident: None,
        holds: Vec::new(),
        channels: vec![Channel {
            name: "Ops".to_owned(),
            kind: "slack".to_owned(),
            min_level: Level::Warning,
            enabled: true,
            broken: None,
        }],
        leader: Some(Leader {
            name: "a".to_owned(),
            heartbeat_at: at(98),
            complete_through: Some(at(99)),
        }),
    }
}

fn incident() -> Incident {
    Incident {
        incident_id: Uuid::nil(),
        started_at: at(10),
        fired_at: Some(at(70)),
        acknowledged_at: None,
        level: Level::Critical,
        messages: vec![Message {
            channel: Some("Ops".to_owned()),
            transition: "firing".to_owned(),
            state: "sent".to_owned(),
            sent_at: Some(at(71)),
            last_error: None,
        }],
    }
}

#[test]
fn a_whole_paragraph() {
    assert_eq!(
        paragraph(&facts()),
        "Rule \"Workers fail\" does not fire at 2024-06-03 00:01:40 UTC. The value (count) is 3; 3 \
         matching errors lie in the window of 5m. It warns from 10, is critical from 50 and resolves \
         below 10. In that time 12 errors happened in all; the others are not what it counts. a \
         decides, and has counted everything up to 2024-06-03 00:01:39 UTC."
    );
}

/// What is different from [`facts`].
type Change = fn(&mut Facts);

#[test]
fn each_reason_has_its_sentence() {
    let cases: &[(Change, &str)] = &[
        (|f| f.enabled = false, "is not enabled, so it is not evaluated."),
        (
            |f| f.incident = Some(incident()),
            "fires (critical) at 2024-06-03 00:01:40 UTC: since 2024-06-03 00:01:10 UTC, after the \
             threshold was first reached at 2024-06-03 00:00:10 UTC.",
        ),
        (
            |f| f.incident = Some(incident()),
            "Messages: firing to Ops sent at 2024-06-03 00:01:11 UTC.",
        ),
        (
            |f| {
                f.replayed =
                    Some(Replayed { started_at: at(90), fired_at: None, level: Level::Warning });
            },
            "does not fire yet at 2024-06-03 00:01:40 UTC: the threshold was reached at 2024-06-03 \
             00:01:30 UTC, and must hold for 1m, until 2024-06-03 00:02:30 UTC.",
        ),
        (
            |f| (f.metric, f.value, f.runs, f.min_runs) = ("ratio", None, Some(7), Some(20)),
            "There is no value: 3 matching errors and 7 workflow runs lie in the window of 5m, and \
             fewer than 20 runs say nothing.",
        ),
        (
            |f| f.holds = vec!["silenced until 9:00: deploy".to_owned()],
            "Nobody is told at that time: silenced until 9:00: deploy.",
        ),
        (|f| f.channels.clear(), "It has no channel, so nobody is ever told."),
        (
            |f| f.channels[0].broken = Some("channel_not_found".to_owned()),
            "Channels: Ops is broken (channel_not_found).",
        ),
        (
            |f| f.channels[0].min_level = Level::Critical,
            "Channels: all its channels want critical incidents only.",
        ),
        (|f| f.leader = None, "No instance leads, so nothing is decided."),
        (|f| f.at = at(200), "The leader, a, has been silent for 1m42s."),
        (
            |f| {
                f.incident = Some(Incident {
                    acknowledged_at: Some(at(80)),
                    messages: vec![],
                    ..incident()
                });
            },
            "Nobody was told of it. It was acknowledged at 2024-06-03 00:01:20 UTC, which stops reminders.",
        ),
    ];
    every(cases);
}

/// A rule that fires since second 70, and would not begin to now.
fn fires_on(f: &mut Facts) {
    f.replayed =
        Some(Replayed { started_at: at(70), fired_at: Some(at(70)), level: Level::Warning });
}

#[test]
fn each_kind_of_rule_says_what_its_value_does_not() {
    every(&[
        (
            |f| {
                (f.metric, f.value, f.counted_over_seconds) = ("burn_rate", Some(3.0), 259_200);
                (f.runs, f.min_runs, f.objective) = (Some(5_000), Some(20), Some(0.995));
                (f.warning, f.critical, f.threshold) = (None, None, Some(14.4));
                f.detail = Some(Detail::Burn { long_seconds: 3_600, short_seconds: 300 });
            },
            "The value (burn_rate) is 3; 3 matching errors and 5000 workflow runs lie in the window of \
             3d. Its objective is that 99.5 % of runs succeed. The pair of 1h and 5m decides, which \
             fires from 14.4 on.",
        ),
        (
            |f| {
                (f.metric, f.value, f.min_count) = ("change", Some(200.0), Some(10));
                f.detail = Some(Detail::Earlier { errors: 1, seconds: 86_400 });
            },
            "The same window 1d earlier held 1 error. With fewer than 10 errors in the window it does \
             not fire.",
        ),
        (
            |f| (f.metric, f.value) = ("change", None),
            "What the same window held earlier is not known.",
        ),
        (
            |f| {
                (f.metric, f.value, f.errors) = ("absence", Some(0.0), 0);
                f.detail = Some(Detail::Silence { of: AbsenceOf::Runs });
            },
            "It waits for runs; a value of 1 is a silence of 5m.",
        ),
        (
            |f| (f.metric, f.known_since) = ("new_group", Some(at(5))),
            "This error group is not new: it was last seen at 2024-06-03 00:00:05 UTC.",
        ),
        (
            |f| f.metric = "new_group",
            "In that time 12 errors happened in all; the others belong to error groups that are known \
             already, or are not what it counts.",
        ),
    ]);
}

#[test]
fn what_still_fires_says_why() {
    every(&[
        (
            |f| {
                fires_on(f);
                (f.below_since, f.keep_seconds) = (Some(at(90)), 120);
            },
            "The value has been low enough since 2024-06-03 00:01:30 UTC; it is over when that has \
             lasted for 2m, at 2024-06-03 00:03:30 UTC.",
        ),
        (
            |f| {
                fires_on(f);
                (f.flapping, f.keep_seconds) = (true, 3_600);
            },
            "It comes and goes: it is held open until it has stayed away for 1h, and there are no \
             reminders until then.",
        ),
        (
            |f| {
                fires_on(f);
                (f.metric, f.value, f.runs, f.min_runs) = ("ratio", None, Some(7), Some(20));
            },
            "Without a value what fires goes on firing (no_data is keep).",
        ),
        (fires_on, "It would not begin to fire now, but is not below what resolves it either."),
    ]);
}

#[test]
fn of_the_past_only_the_past_is_told() {
    let mut facts = facts();
    (facts.now, facts.at, facts.leader) = (false, at(5_000), None);
    let text = paragraph(&facts);
    assert!(!text.contains("leads") && !text.contains("silent"), "{text}");
    facts.channels.clear();
    let text = paragraph(&facts);
    assert!(text.contains("It has no channel now, so nobody is ever told."), "{text}");
}

fn every(cases: &[(Change, &str)]) {
    for (change, expected) in cases {
        let mut facts = facts();
        change(&mut facts);
        let text = paragraph(&facts);
        assert!(text.contains(expected), "{expected:?} is not in {text:?}");
    }
}
