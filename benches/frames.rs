//! From the bytes of a `postgres_changes` frame to an error event, against bare typed parses of the
//! same bytes by serde_json, which is the nearest honest limit.
//!
//! Budget: at least 400,000 frames/s on one core, and at least 60 % of the bare parse.

use std::{borrow::Cow, hint::black_box};

use criterion::{Criterion, Throughput, criterion_group};
use meshhook_errors::{
    model::{Severity, Source, Timestamp},
    realtime::{Change, decode, decode_change},
};
use serde::Deserialize;
use uuid::Uuid;

mod summary;

use summary::{Line, Summary, criterion::nanoseconds};

/// A frame as Realtime 2.129 sends it to a role that may read the counted columns.
const FRAME: &str = include_str!("frames/error.json");

#[derive(Deserialize)]
struct Typed<'a, R>(
    Option<&'a str>,
    Option<&'a str>,
    &'a str,
    &'a str,
    #[serde(bound(deserialize = "R: Deserialize<'de>"))] Payload<'a, R>,
);

#[derive(Deserialize)]
struct Payload<'a, R> {
    #[serde(borrow, bound(deserialize = "R: Deserialize<'de>"))]
    data: Data<'a, R>,
}

#[derive(Deserialize)]
struct Data<'a, R> {
    schema: &'a str,
    table: &'a str,
    r#type: &'a str,
    record: R,
    errors: Option<Vec<&'a str>>,
}

/// Texts stay texts: what serde_json costs at the least.
#[derive(Deserialize)]
struct Borrowed<'a> {
    seq: i64,
    error_id: &'a str,
    timestamp: &'a str,
    received_at: &'a str,
    source: &'a str,
    error_type: &'a str,
    severity: &'a str,
    project_id: Option<&'a str>,
    workflow_id: Option<&'a str>,
    fingerprint: &'a str,
    #[serde(borrow)]
    message: Cow<'a, str>,
}

/// The same types as an error event has, each by its own serde implementation.
#[derive(Deserialize)]
struct Owned {
    seq: i64,
    error_id: Uuid,
    timestamp: Timestamp,
    received_at: Timestamp,
    source: Source,
    error_type: Box<str>,
    severity: Severity,
    project_id: Option<Uuid>,
    workflow_id: Option<Uuid>,
    fingerprint: Uuid,
    message: Box<str>,
}

fn typed<'a, R: Deserialize<'a>>(frame: &'a str) -> R {
    let Typed(join_ref, reference, topic, event, Payload { data }) =
        serde_json::from_str(frame).expect("frame");
    black_box((join_ref, reference));
    black_box((topic, event, data.schema, data.table, data.r#type, data.errors.is_some()));
    data.record
}

fn event(frame: &str) -> Change {
    decode_change(decode(frame).expect("frame").payload)
}

fn frames(criterion: &mut Criterion) {
    let Change::Error(decoded) = event(FRAME) else { panic!("the frame is not understood") };
    let owned: Owned = typed(FRAME);
    assert_eq!((decoded.seq, decoded.error_id), (owned.seq, owned.error_id));
    assert_eq!((decoded.timestamp, decoded.received_at), (owned.timestamp, owned.received_at));
    assert_eq!((decoded.source, decoded.severity), (owned.source, owned.severity));
    assert_eq!((decoded.project_id, decoded.workflow_id), (owned.project_id, owned.workflow_id));
    assert_eq!((decoded.fingerprint, &decoded.message), (owned.fingerprint, &owned.message));
    assert_eq!(decoded.error_type, owned.error_type);

    let mut group = criterion.benchmark_group("frames");
    group.throughput(Throughput::Elements(1));
    group.bench_function("frame to error event", |b| b.iter(|| event(black_box(FRAME))));
    group.bench_function("serde_json, same types", |b| b.iter(|| typed::<Owned>(black_box(FRAME))));
    group.bench_function("serde_json, texts only", |b| {
        b.iter(|| {
            let row: Borrowed<'_> = typed(black_box(FRAME));
            let ids = (row.error_id, row.project_id, row.workflow_id, row.fingerprint);
            black_box((ids, row.timestamp, row.received_at, row.source, row.severity));
            black_box((row.seq, row.error_type, row.message))
        });
    });
    group.finish();
}

criterion_group!(benches, frames);

fn report() {
    let mut summary = Summary::new("frames");
    let time = |name| nanoseconds(&["frames", name]);
    let ours = time("frame to error event");
    if let (Some(ours), Some(limit)) = (ours, time("serde_json, same types")) {
        let line = Line::new("frame to error event", "/s", 1e9 / ours);
        summary.add(line.at_least(400_000.0).limit(ours / limit));
        let share = 100.0 * limit / ours;
        summary.add(Line::new("of a bare typed parse's speed", "%", share).at_least(60.0));
    }
    if let (Some(ours), Some(limit)) = (ours, time("serde_json, texts only")) {
        summary.add(Line::new("of a parse that keeps texts as texts", "%", 100.0 * limit / ours));
    }
    summary.write();
}

fn main() {
    benches();
    if summary::measuring() {
        report();
    }
}
