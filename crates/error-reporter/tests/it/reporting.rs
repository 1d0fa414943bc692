//! From `capture` to a row.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use error_reporter::{
    Context, Direction, ErrorFacts, ErrorLayer, Flushed, Options, OptionsError, Reporter, Severity,
    Source, Token, classify,
};
use futures_util::FutureExt;
use serde_json::{Value, json};
use tracing_subscriber::layer::SubscriberExt;
use uuid::Uuid;

use crate::support::{
    Boom, boom, options,
    postgrest::{Fault, Postgrest, header},
    reporter, until,
};

const ALL: Flushed = Flushed { delivered: true, pending: 0 };
const SOON: Duration = Duration::from_secs(8);

#[tokio::test]
async fn an_error_becomes_a_row_masked_with_what_was_said_of_it() {
    let server = Postgrest::start().await;
    let mut options = options(&server);
    options.defaults.context.insert("release".to_owned(), "r1".into());
    let reporter = Reporter::start(options).unwrap();
    let (workflow, project) = (Uuid::new_v4(), Uuid::new_v4());
    let error = boom("GET https://u:hunter22@api.example.com failed: HTTP 503");
    let context = Context::new()
        .workflow(workflow)
        .project(project)
        .attempt(5, 5)
        .with("run_id", "r-1")
        .with("headers", json!({ "Authorization": "Bearer abcdefgh123", "accept": "*/*" }));
    let id = reporter.capture(&error, context).unwrap();
    let line = line!() - 1;
    assert_eq!(reporter.flush(SOON).await, ALL);

    let head = server.with(|state| state.requests[0].1.clone());
    assert!(
        head.starts_with("POST /rest/v1/error_metrics?on_conflict=error_id HTTP/1.1"),
        "{head}"
    );
    for (name, value) in [
        ("prefer", "return=minimal,resolution=ignore-duplicates"),
        ("authorization", "Bearer a-token"),
        ("apikey", "an-apikey"),
    ] {
        assert_eq!(header(&head, name).as_deref(), Some(value));
    }
    let mut row = server.rows().remove(0);
    let timestamp = row["timestamp"].take();
    assert!(timestamp.as_str().unwrap().parse::<chrono::DateTime<chrono::Utc>>().is_ok());
    let metadata = row["metadata"].take();
    assert_eq!(
        row,
        json!({
            "error_id": id, "timestamp": null, "source": "worker", "metadata": null,
            "error_type": "execution.http_status", "severity": "high", "workflow_id": workflow,
            "project_id": project, "message": "GET https://[masked]@api.example.com failed: HTTP 503",
        })
    );
    assert_eq!(metadata["release"], "r1");
    assert_eq!(metadata["run_id"], "r-1");
    assert_eq!(metadata["headers"], json!({ "Authorization": "[masked]", "accept": "*/*" }));
    assert_eq!(metadata["exception"]["name"], "Boom");
    let location = format!("reporting.rs:{line}:");
    assert!(metadata["exception"]["location"].as_str().unwrap().contains(&location));
}

#[tokio::test]
async fn whatever_is_said_of_an_error_can_be_stored() {
    let server = Postgrest::start().await;
    let reporter = reporter(&server);
    let deep = (0..200).fold(json!("end"), |inner, _| json!([inner]));
    let many: Value = (0..5000).map(|n| (format!("key{n}"), json!("value ".repeat(20)))).collect();
    for (key, value) in [
        ("nul", json!({ "a\0b": "c\0d" })),
        ("deep", deep),
        ("many", many),
        ("long", json!("word ".repeat(1_000_000))),
        ("blob", json!("x".repeat(1_000_000))),
        ("huge", json!(1e300)),
    ] {
        reporter.capture(&boom(format!("{key}\0")), Context::new().with(key, value)).unwrap();
    }
    reporter.capture(&boom(""), Context::new().error_type("no such class")).unwrap();
    reporter
        .capture(&boom("é".repeat(100_000)), Context::new().error_type("input.x-1.y_2"))
        .unwrap();
    assert_eq!(reporter.flush(SOON).await, ALL);
    let rows = server.rows();
    assert_eq!(rows.len(), 8);
    for row in &rows {
        let text = row.to_string();
        assert!(text.len() < 45_000, "{}", text.len());
        assert!(!text.contains("\\u0000"));
    }
    let odd = rows.iter().find(|row| !row["metadata"]["_tracker"]["invalid_error_type"].is_null());
    assert_eq!(odd.unwrap()["error_type"], "system.unknown");
    assert!(
        rows.iter().any(|row| row["error_type"] == "input.x-1.y_2" && row["severity"] == "low")
    );
}

#[tokio::test]
async fn ten_thousand_errors_of_one_moment_are_ten_thousand_rows_in_batches() {
    let server = Postgrest::start().await;
    let mut options = options(&server);
    options.batch_size = 500;
    let reporter = Reporter::start(options).unwrap();
    for number in 0..10_000 {
        reporter.capture(&boom("same"), Context::new().with("i", number));
    }
    assert_eq!(reporter.flush(Duration::from_secs(60)).await, ALL);
    assert_eq!(server.count(), 10_000);
    server.with(|state| {
        assert_eq!(state.repeated, 0);
        assert!(state.requests.len() <= 30, "{}", state.requests.len());
    });
}

#[tokio::test]
async fn equal_errors_become_one_event_with_a_count_only_where_that_is_asked_for() {
    for (collapse, rows, count) in [(false, 5, Value::Null), (true, 1, json!(5))] {
        let server = Postgrest::start().await;
        let mut options = options(&server);
        options.collapse_repeats = collapse;
        let reporter = Reporter::start(options).unwrap();
        for _ in 0..5 {
            reporter.capture(&boom("again"), Context::new());
        }
        assert_eq!(reporter.flush(SOON).await, ALL);
        assert_eq!(server.count(), rows);
        assert_eq!(server.rows()[0]["metadata"]["count"], count);
    }
}

#[tokio::test]
async fn a_full_queue_drops_the_least_severe_first_and_says_how_many() {
    let server = Postgrest::start().await;
    let mut options = options(&server);
    options.max_queue_events = 10;
    let reporter = Reporter::start(options).unwrap();
    for severity in [Severity::Low, Severity::High, Severity::Medium] {
        for number in 0..6 {
            let context = Context::new().severity(severity);
            reporter.capture(&boom(format!("{} {number}", severity.as_str())), context);
        }
    }
    assert_eq!(reporter.flush(SOON).await, ALL);
    let rows = server.rows();
    let (reports, others): (Vec<_>, Vec<_>) =
        rows.iter().partition(|row| row["error_type"] == "system.reporter");
    assert_eq!(reports[0]["metadata"]["dropped"], json!({ "low": 6, "medium": 2, "high": 0 }));
    assert_eq!(reports[0]["message"], "error reporter dropped 8 events");
    assert_eq!(reports[0]["severity"], "high");
    let mut kept: Vec<_> = others.iter().map(|row| row["message"].as_str().unwrap()).collect();
    kept.sort_unstable();
    let expected = [
        "high 0", "high 1", "high 2", "high 3", "high 4", "high 5", "medium 2", "medium 3",
        "medium 4", "medium 5",
    ];
    assert_eq!(kept, expected);
    assert_eq!(reporter.stats().dropped, 8);
}

#[tokio::test]
async fn an_error_inside_the_reporter_does_not_loop_back_into_it() {
    let server = Postgrest::start().await;
    server.with(|state| state.refuse = Some(Box::new(|_| Some((400, json!({ "code": "23514" }))))));
    let asked = Arc::new(AtomicUsize::new(0));
    let own: Arc<Mutex<Option<Reporter>>> = Arc::default();
    let mut options = options(&server);
    options.token = Token::Ask({
        let (asked, own) = (Arc::clone(&asked), Arc::clone(&own));
        Arc::new(move |_| {
            asked.fetch_add(1, Ordering::AcqRel);
            let reporter = own.lock().unwrap().clone();
            async move {
                let captured =
                    reporter.and_then(|own| own.capture(&boom("inside"), Context::new()));
                assert_eq!(captured, None);
                Ok("a-token".into())
            }
            .boxed()
        })
    });
    let reporter = Reporter::start(options).unwrap();
    *own.lock().unwrap() = Some(reporter.clone());
    reporter.capture(&boom("outside"), Context::new());
    until("the refusal", || reporter.stats().refused == 1).await;
    let stats = reporter.stats();
    assert_eq!((stats.captured, stats.pending, asked.load(Ordering::Acquire)), (1, 0, 1));
}

#[tokio::test]
async fn error_events_of_tracing_are_captured_with_their_fields() {
    let server = Postgrest::start().await;
    let reporter = reporter(&server);
    let subscriber = tracing_subscriber::registry().with(ErrorLayer::new(reporter.clone()));
    let workflow = Uuid::new_v4();
    tracing::subscriber::with_default(subscriber, || {
        tracing::warn!("not this");
        tracing::error!(target: "error_reporter", "nor what the reporter itself says");
        tracing::error!(target: "reqwest::connect", "nor what it works with");
        let cause = std::io::Error::from(std::io::ErrorKind::ConnectionRefused);
        let error: &(dyn std::error::Error + 'static) = &cause;
        tracing::error!(error, workflow_id = %workflow, attempt = 3, "step failed");
        tracing::error!(password = "hunter22", "database is down: deadlock detected");
    });
    assert_eq!(reporter.flush(SOON).await, ALL);
    let mut rows = server.rows();
    rows.sort_by_key(|row| row["message"].as_str().unwrap().to_owned());
    let [database, step] = rows.try_into().unwrap();
    assert_eq!(database["error_type"], "system.database");
    assert_eq!(database["metadata"]["password"], "[masked]");
    assert_eq!(step["message"], "step failed: connection refused");
    assert_eq!(step["error_type"], "execution.connection");
    assert_eq!(step["workflow_id"], json!(workflow));
    assert_eq!(step["metadata"]["attempt"], 3);
    assert!(step["metadata"]["location"].as_str().unwrap().contains("reporting.rs:"));
}

#[tokio::test]
async fn errors_that_libraries_really_make() {
    let server = Postgrest::start().await;
    server.with(|state| state.fault = Some(Fault::Hang));
    let silent = server.url();
    let client = || reqwest::Client::builder().timeout(Duration::from_millis(50)).build().unwrap();
    let cases: [(ErrorFacts, &str); 12] = [
        (
            ErrorFacts::of(&client().get("http://127.0.0.1:1/").send().await.unwrap_err()),
            "execution.connection",
        ),
        (
            ErrorFacts::of(&client().post(silent).body("[]").send().await.unwrap_err()),
            "execution.http_timeout",
        ),
        (
            ErrorFacts::of(
                &reqwest::Client::new()
                    .get("http://no-such-host.invalid/")
                    .send()
                    .await
                    .unwrap_err(),
            ),
            "system.dns",
        ),
        (ErrorFacts::of(&client().get("nonsense").send().await.unwrap_err()), "input.url"),
        (ErrorFacts::of(&serde_json::from_str::<Value>("{\"a\":").unwrap_err()), "input.json"),
        (ErrorFacts::of(&"x".parse::<Uuid>().unwrap_err()), "input.validation"),
        (ErrorFacts::of(&"x".parse::<u8>().unwrap_err()), "input.validation"),
        (ErrorFacts::of(&String::from_utf8(vec![0xff]).unwrap_err()), "input.encoding"),
        (ErrorFacts::of(&std::fs::read("/no/such/file").unwrap_err()), "system.filesystem"),
        (
            ErrorFacts::of(
                &tokio::time::timeout(Duration::ZERO, std::future::pending::<()>())
                    .await
                    .unwrap_err(),
            ),
            "execution.timeout",
        ),
        (
            ErrorFacts::of(&tokio::spawn(async { panic!("boom") }).await.unwrap_err()),
            "system.panic",
        ),
        (ErrorFacts::of(&Boom("nothing known".to_owned())), "system.unknown"),
    ];
    for (facts, expected) in cases {
        assert_eq!(classify(&facts, &Default::default()).error_type, expected, "{facts:?}");
    }
}

#[tokio::test]
async fn only_wrong_options_fail_and_they_are_named() {
    let good = || Options::new("http://127.0.0.1:1".parse().unwrap(), "t");
    let with = |change: fn(&mut Options)| {
        let mut options = good();
        change(&mut options);
        Reporter::start(options).map(|_| ()).unwrap_err()
    };
    assert!(matches!(with(|o| o.url = "mailto:x".parse().unwrap()), OptionsError::Url));
    assert!(matches!(with(|o| o.batch_size = 0), OptionsError::Zero("batch_size")));
    assert!(matches!(with(|o| o.apikey = Some("a\nb".into())), OptionsError::Apikey));
    let outside = std::thread::spawn(move || Reporter::start(good()).map(|_| ()).unwrap_err());
    assert!(matches!(outside.join().unwrap(), OptionsError::NoRuntime));
}

#[tokio::test]
async fn a_webhook_is_judged_as_inbound_unless_said_otherwise() {
    let server = Postgrest::start().await;
    let reporter = reporter(&server);
    let facts = || ErrorFacts { status: Some(404), ..ErrorFacts::of_message("X", "x") };
    reporter.capture_facts(facts(), Context::new().source(Source::Webhook));
    let outbound = Context { direction: Some(Direction::Outbound), ..Context::new() };
    reporter.capture_facts(facts(), outbound.source(Source::Webhook));
    assert_eq!(reporter.close(SOON).await, ALL);
    let mut types: Vec<_> =
        server.rows().iter().map(|row| row["error_type"].as_str().unwrap().to_owned()).collect();
    types.sort();
    assert_eq!(types, ["execution.http_status", "input.not_found"]);
    assert_eq!(reporter.capture(&boom("after close"), Context::new()), None);
}

#[cfg(feature = "sqlx")]
#[tokio::test]
async fn errors_of_sqlx_are_read_by_kind() {
    use sqlx::Connection;
    let refused = sqlx::PgConnection::connect("postgres://u:p@127.0.0.1:1/x").await.unwrap_err();
    for (error, expected) in [
        (sqlx::Error::PoolTimedOut, "system.database"),
        (sqlx::Error::RowNotFound, "system.database"),
        (sqlx::Error::Tls("handshake".into()), "system.tls"),
        (refused, "system.database"),
    ] {
        let facts = ErrorFacts::of(&error);
        assert_eq!(facts.name, "sqlx::Error");
        assert_eq!(classify(&facts, &Default::default()).error_type, expected, "{facts:?}");
    }
}

#[tokio::test]
async fn a_field_that_panics_costs_one_event_of_tracing_and_not_all_that_follow() {
    struct Broken;
    impl std::fmt::Debug for Broken {
        fn fmt(&self, _: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            panic!("cannot be shown")
        }
    }
    let server = Postgrest::start().await;
    let reporter = reporter(&server);
    let subscriber = tracing_subscriber::registry().with(ErrorLayer::new(reporter.clone()));
    tracing::subscriber::with_default(subscriber, || {
        let shown = std::panic::catch_unwind(|| tracing::error!(field = ?Broken, "broken"));
        assert!(shown.is_err());
        tracing::error!("after it");
    });
    assert_eq!(reporter.flush(SOON).await, ALL);
    assert_eq!(server.rows()[0]["message"], "after it");
}

#[tokio::test]
async fn a_time_that_nobody_means_is_taken_for_now() {
    let server = Postgrest::start().await;
    let reporter = reporter(&server);
    // In the year 20000, in 1969, in 2100.
    for seconds in [568_971_820_800, -86_400, 4_102_531_200] {
        let timestamp = chrono::DateTime::from_timestamp_secs(seconds);
        assert!(timestamp.is_some());
        reporter.capture(&boom("x"), Context { timestamp, ..Context::new() });
    }
    assert_eq!(reporter.flush(SOON).await, ALL);
    let (before, after) = ("2025", "2100");
    for row in server.rows() {
        let timestamp = row["timestamp"].as_str().unwrap();
        assert!((before..after).contains(&timestamp), "{row}");
    }
}

#[tokio::test]
async fn causes_and_small_values_count_as_memory() {
    let server = Postgrest::start().await;
    server.with(|state| state.fault = Some(Fault::Hang));
    let with_causes = || {
        let mut facts = ErrorFacts::of_message("X", "x");
        facts.causes = vec![ErrorFacts::of_message("Y", &"word ".repeat(1600)); 5];
        (facts, Context::new())
    };
    let with_values = || {
        let values: Value = (0..1000).map(|n| (n.to_string(), Value::from(n))).collect();
        (ErrorFacts::of_message("X", "x"), Context::new().with("values", values))
    };
    for event in [with_causes as fn() -> (ErrorFacts, Context), with_values] {
        let mut options = options(&server);
        options.max_queue_bytes = 1 << 20;
        options.batch_delay = Duration::from_secs(60);
        let reporter = Reporter::start(options).unwrap();
        for _ in 0..100 {
            let (facts, context) = event();
            reporter.capture_facts(facts, context);
        }
        let waiting = reporter.stats().pending;
        assert!((5..=30).contains(&waiting), "{waiting} of about 40 KiB each");
    }
}
