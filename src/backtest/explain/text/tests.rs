//! Sentences that people look for in the paragraph.

use uuid::Uuid;

use super::*;
use crate::{
    backtest::explain::{Message, Replayed},
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
    for (change, expected) in cases {
        let mut facts = facts();
        change(&mut facts);
        let text = paragraph(&facts);
        assert!(text.contains(expected), "{expected:?} is not in {text:?}");
    }
}
