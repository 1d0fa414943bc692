//! Servers that fail, and events that are at fault.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use chrono::{DateTime, TimeDelta, Utc};
use error_reporter::{Context, Flushed, Reporter, Severity, Token};
use futures_util::FutureExt;
use serde_json::{Value, json};

use crate::support::{
    Folder, boom, options,
    postgrest::{Fault, Postgrest},
    until,
};

const ALL: Flushed = Flushed { delivered: true, pending: 0 };
const SOON: Duration = Duration::from_secs(10);

#[tokio::test]
async fn whatever_the_server_does_each_event_arrives_once_in_the_end() {
    let status = |status, code: &str| Fault::Status(status, json!({ "code": code }));
    let cases: [(&str, Vec<Fault>); 13] = [
        ("500", vec![status(500, ""), status(500, "")]),
        ("503 of PostgREST", vec![status(503, "PGRST000")]),
        ("a gateway", vec![Fault::Status(502, json!("<html>"))]),
        ("429", vec![Fault::Header(429, "retry-after", "0")]),
        ("a missing table", vec![status(404, "PGRST205")]),
        ("an unknown column", vec![status(400, "PGRST204")]),
        ("a redirect", vec![Fault::Header(302, "location", "http://127.0.0.1:1/")]),
        ("a deadlock", vec![status(500, "40P01")]),
        ("a statement time-out", vec![status(500, "57014")]),
        ("a reset", vec![Fault::Reset, Fault::Reset]),
        ("silence", vec![Fault::Hang]),
        ("a refused token, twice", vec![status(401, ""), status(401, ""), status(401, "")]),
        ("rights that are missing at first", vec![status(403, "42501")]),
    ];
    for spooled in [false, true] {
        for (about, faults) in &cases {
            let server = Postgrest::start().await;
            server.with(|state| state.faults = faults.clone().into());
            let folder = Folder::new();
            let mut options = options(&server);
            options.timeout = Duration::from_millis(300);
            options.spool_dir = spooled.then(|| folder.0.clone());
            let reporter = Reporter::start(options).unwrap();
            for number in 0..3 {
                reporter.capture(&boom(format!("event {number}")), Context::new());
            }
            assert_eq!(reporter.flush(SOON).await, ALL, "{about}");
            assert_eq!((server.count(), reporter.stats().refused), (3, 0), "{about}");
            assert_eq!(server.with(|state| state.repeated), 0, "{about}");
            assert_eq!(reporter.close(SOON).await, ALL, "{about}");
        }
    }
}

#[tokio::test]
async fn one_bad_event_does_not_hold_up_the_others() {
    let server = Postgrest::start().await;
    server.with(|state| {
        state.refuse = Some(Box::new(|row| {
            let status = u16::try_from(row["metadata"]["bad"].as_u64()?).ok()?;
            Some((status, json!({ "code": row["metadata"]["code"] })))
        }));
    });
    let cases =
        [(400, "23514"), (400, "22P05"), (409, "23503"), (413, ""), (403, "42501"), (500, "54001")];
    for (bad, code) in cases {
        for total in [2, 7, 100] {
            server.with(|state| state.rows.clear());
            let mut options = options(&server);
            options.batch_size = 100;
            let reporter = Reporter::start(options).unwrap();
            for number in 0..total {
                let mut context = Context::new();
                if number == total / 2 {
                    context = context.with("bad", bad).with("code", code);
                }
                reporter.capture(&boom(format!("event {number}")), context);
            }
            assert_eq!(reporter.flush(SOON).await, ALL, "{bad} of {total}");
            assert_eq!(server.count(), total - 1, "{bad} of {total}");
            assert_eq!(reporter.stats().refused, 1, "{bad} of {total}");
        }
    }
}

#[tokio::test]
async fn an_internal_error_that_one_event_causes_again_and_again_is_found() {
    let server = Postgrest::start().await;
    server.with(|state| {
        state.refuse = Some(Box::new(|row| {
            row["metadata"]["bad"].as_bool()?.then(|| (500, json!({ "code": "XX000" })))
        }));
    });
    let mut options = options(&server);
    options.max_backoff = Duration::from_millis(20);
    let reporter = Reporter::start(options).unwrap();
    for number in 0..5 {
        let context = Context::new().with("bad", number == 2);
        reporter.capture(&boom(format!("event {number}")), context);
    }
    until("the others", || server.count() == 4 && reporter.stats().refused == 1).await;
}

#[tokio::test]
async fn a_reporter_without_rights_loses_nothing() {
    let server = Postgrest::start().await;
    let forbidden = Fault::Status(403, json!({ "code": "42501" }));
    server.with(|state| state.fault = Some(forbidden));
    let mut options = options(&server);
    options.batch_size = 50;
    let reporter = Reporter::start(options).unwrap();
    for number in 0..120 {
        reporter.capture(&boom(format!("event {number}")), Context::new());
    }
    assert!(!reporter.flush(Duration::from_millis(300)).await.delivered);
    assert_eq!(reporter.stats().refused, 0);
    server.with(|state| state.fault = None);
    assert_eq!(reporter.flush(SOON).await, ALL);
    assert_eq!(server.count(), 120);
}

#[tokio::test]
async fn a_token_that_expires_is_asked_for_again_and_the_batch_goes_out_at_once() {
    let server = Postgrest::start().await;
    server.with(|state| state.token = Some("new".to_owned()));
    let asked: Arc<Mutex<Vec<bool>>> = Arc::default();
    let mut options = options(&server);
    (options.min_backoff, options.max_backoff) = (Duration::from_secs(60), Duration::from_secs(60));
    options.token = Token::Ask({
        let asked = Arc::clone(&asked);
        Arc::new(move |refresh| {
            asked.lock().unwrap().push(refresh);
            async move { Ok(if refresh { "new" } else { "old" }.into()) }.boxed()
        })
    });
    let reporter = Reporter::start(options).unwrap();
    reporter.capture(&boom("x"), Context::new());
    assert_eq!(reporter.flush(SOON).await, ALL);
    assert_eq!(*asked.lock().unwrap(), [false, true]);
}

#[tokio::test]
async fn retry_after_is_honoured() {
    let server = Postgrest::start().await;
    server.with(|state| state.faults.push_back(Fault::Header(429, "retry-after", "0.25")));
    let mut options = options(&server);
    options.max_backoff = Duration::from_millis(100);
    let reporter = Reporter::start(options).unwrap();
    reporter.capture(&boom("x"), Context::new());
    assert_eq!(reporter.flush(SOON).await, ALL);
    let waited = server.with(|state| state.requests[1].0 - state.requests[0].0);
    assert!(waited >= Duration::from_millis(240), "{waited:?}");
}

#[tokio::test]
async fn during_an_outage_events_go_to_disk_and_come_back_with_their_own_times() {
    let server = Postgrest::start().await;
    let folder = Folder::new();
    let mut options = options(&server);
    options.batch_size = 20;
    options.spool_dir = Some(folder.0.clone());
    let reporter = Reporter::start(options).unwrap();
    server.stop().await;
    let mut times: Vec<DateTime<Utc>> = Vec::new();
    let start: DateTime<Utc> = "2026-11-22T10:00:00.123456Z".parse().unwrap();
    for number in 0..100 {
        let at = start + TimeDelta::seconds(number);
        times.push(at);
        let severity = Severity::ALL[usize::try_from(number).unwrap() % 3];
        let context = Context { timestamp: Some(at), ..Context::new() }.severity(severity);
        reporter.capture(&boom(format!("event {number} of jane@example.com")), context);
    }
    until("all on disk", || folder.lines() == 100).await;
    for file in folder.files() {
        assert!(!std::fs::read_to_string(file).unwrap().contains("jane@"), "masked on disk too");
    }
    let back = Postgrest::on(server.port()).await;
    assert_eq!(reporter.flush(SOON).await, ALL);
    let stored = |row: &Value| row["timestamp"].as_str().unwrap().parse::<DateTime<Utc>>().unwrap();
    let mut stored: Vec<_> = back.rows().iter().map(stored).collect();
    stored.sort();
    assert_eq!(stored, times);
    assert_eq!(back.with(|state| state.repeated), 0);
    reporter.close(SOON).await;
    assert_eq!(std::fs::read_dir(&folder.0).unwrap().count(), 0, "nothing is left behind");
}
