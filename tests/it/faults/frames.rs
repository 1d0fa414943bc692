//! Frames that come twice, late, out of order, cut, or full of nonsense, and those that do not come.

use std::time::Duration;

use meshhook_errors::realtime::ChannelKind;
use serde_json::json;
use supabase_local::faults::{Action, Faults};

use super::{Fault, NONE, run};

/// A change of the errors' channel as the server writes it, with some row.
fn change(row: &serde_json::Value) -> String {
    let payload = json!({"ids": [1], "data": {
        "schema": "public", "table": "error_metrics", "type": "INSERT", "errors": null,
        "commit_timestamp": "2026-11-22T11:41:38.797Z", "columns": [], "record": row,
    }});
    json!([null, null, ChannelKind::Errors.topic(), "postgres_changes", payload]).to_string()
}

/// A row that is not in the table.
fn forged(seq: &serde_json::Value) -> serde_json::Value {
    json!({"seq": seq, "error_id": "e73f3543-ac21-4326-a144-c5273ad17c04", "source": "worker",
        "timestamp": "2026-11-22T12:07:47.720301+00:00", "error_type": "execution.timeout",
        "received_at": "2026-11-22T12:07:47.9+00:00", "severity": "high", "project_id": null,
        "workflow_id": null, "fingerprint": "00000000-0000-4000-8000-000000000001",
        "message": "it failed"})
}

/// Numbers from the edges of what a column can hold, and beyond.
fn extremes(faults: &Faults) {
    for number in [i64::MAX, i64::MAX - 1, i64::MIN, -1, 0] {
        faults.act(Action::SendRaw(change(&forged(&json!(number)))));
    }
    for number in ["9223372036854775808", "1e300", "-0.5"] {
        let text = change(&forged(&json!("NUMBER"))).replace("\"NUMBER\"", number);
        faults.act(Action::SendRaw(text));
    }
}

/// What is no frame at all, or one of no known kind.
fn nonsense(faults: &Faults) {
    let topic = ChannelKind::Errors.topic();
    for text in ["", "{", "[]", "null", "[1,2,3,4,5]", "\u{0}", "[\"1\",\"1\",\"x\",\"y\"]"] {
        faults.act(Action::SendRaw(text.to_owned()));
    }
    for event in ["postgres_changes", "system", "phx_reply", "presence_state", "later"] {
        for payload in ["null", "[]", "{}", "7", "{\"data\":{\"table\":[]}}", "\"text\""] {
            let text = format!("[null,null,\"{topic}\",\"{event}\",{payload}]");
            faults.act(Action::SendRaw(text));
        }
    }
}

const WHOLE: &[Fault] = &[
    Fault {
        name: "frames three times over",
        begin: |faults| faults.set(|knobs| knobs.duplicate = 2),
        during: |look| look.seen.frames_sent >= 90,
        after: |look| look.seen.sockets == 0 && look.seen.joins == 0,
        ..NONE
    },
    Fault {
        name: "frames out of order",
        begin: |faults| faults.set(|knobs| knobs.reorder = Some(8)),
        during: |look| look.seen.frames_sent >= 30,
        after: |look| look.seen.sockets == 0 && look.seen.joins == 0,
        ..NONE
    },
    Fault {
        name: "frames three seconds late",
        begin: |faults| faults.set(|knobs| knobs.delay = Some(Duration::from_secs(3))),
        during: |look| look.seen.frames_sent >= 30,
        after: |look| look.grown("rows_repaired_total") < 1.0 && look.seen.joins == 0,
        ..NONE
    },
    Fault {
        name: "every other frame lost",
        begin: |faults| faults.set(|knobs| knobs.drop_fraction = 0.5),
        // What comes proves that the socket is not deaf.
        during: |look| look.seen.frames_lost >= 20 && look.grown("rows_repaired_total") >= 5.0,
        after: |look| look.seen.joins == 0,
        ..NONE
    },
    Fault {
        name: "black hole of the rate limit",
        begin: |faults| faults.set(|knobs| knobs.max_events_per_second = Some(0)),
        during: |look| look.metric("socket_deaf") > 0.0 && look.grown("rows_repaired_total") >= 3.0,
        ..NONE
    },
];

const BROKEN: &[Fault] = &[
    Fault {
        name: "rows cut at 1 MiB",
        begin: |faults| faults.set(|knobs| knobs.truncate_next = 30),
        during: |look| look.metric("socket_gaps_total{reason=\"undecodable\"}") >= 10.0,
        after: |look| look.seen.sockets == 0 && look.seen.joins == 0,
        ..NONE
    },
    Fault {
        name: "numbers at the edge of what a column can hold",
        begin: extremes,
        during: |look| look.metric("socket_gaps_total{reason=\"undecodable\"}") >= 1.0,
        after: |look| look.metric("last_number") < 1_000_000.0 && look.seen.sockets == 0,
        ..NONE
    },
    Fault {
        name: "unknown columns, words and tables",
        begin: |faults| {
            let mut row = forged(&json!(1));
            row["later"] = json!({"a": [1.5, null]});
            faults.act(Action::SendRaw(change(&row)));
            for (column, word) in [("severity", "apocalyptic"), ("source", "satellite")] {
                let mut row = forged(&json!(2));
                row[column] = word.into();
                faults.act(Action::SendRaw(change(&row)));
            }
            let other = change(&forged(&json!(3))).replace("error_metrics", "error_metrics_2");
            faults.act(Action::SendRaw(other));
        },
        during: |look| look.metric("socket_gaps_total{reason=\"undecodable\"}") >= 1.0,
        after: |look| look.seen.sockets == 0 && look.seen.joins == 0,
        ..NONE
    },
    Fault {
        name: "nonsense",
        begin: nonsense,
        during: |look| look.metric("socket_gaps_total{reason=\"undecodable\"}") >= 1.0,
        ..NONE
    },
    Fault {
        name: "a frame just within the server's limit of 5 MB",
        begin: |faults| {
            let mut row = forged(&json!(1));
            row["later"] = "x".repeat(4_990_000).into();
            faults.act(Action::SendRaw(change(&row)));
        },
        during: |look| look.seen.frames_sent >= 30,
        after: |look| {
            look.grown("socket_losses_total") < 1.0
                && look.metric("socket_gaps_total{reason=\"undecodable\"}") < 1.0
                && look.seen.sockets == 0
                && look.seen.joins == 0
        },
        ..NONE
    },
    Fault {
        name: "a frame beyond every limit",
        begin: |faults| {
            faults.act(Action::SendRaw("x".repeat(9_000_000)));
        },
        during: |look| look.grown("socket_losses_total") >= 1.0,
        after: |look| look.seen.sockets == 1,
        ..NONE
    },
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whole_frames() {
    run(WHOLE).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn broken_frames() {
    run(BROKEN).await;
}
