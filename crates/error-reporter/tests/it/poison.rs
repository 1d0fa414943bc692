//! Events that are refused, alone and in company: they are given up, and keep nothing else waiting.

use std::{
    io::Write,
    sync::{Arc, LazyLock, Mutex},
    time::Duration,
};

use error_reporter::{Context, ErrorFacts, Flushed, Reporter, Severity};
use serde_json::json;
use tracing::Dispatch;
use tracing_subscriber::fmt::MakeWriter;

use crate::support::{
    Folder, boom, options,
    postgrest::{Fault, Postgrest},
    until,
};

const ALL: Flushed = Flushed { delivered: true, pending: 0 };
const SOON: Duration = Duration::from_secs(10);

/// What the reporter logs while this is the subscriber of the test's own thread.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }

    /// Until the guard is dropped.
    fn listen(&self) -> tracing::subscriber::DefaultGuard {
        // While there is just one subscriber, tracing asks only that of the thread that first comes by a
        // place, which in another test is none, and remembers the answer for all threads.
        static ANOTHER: LazyLock<Dispatch> =
            LazyLock::new(|| Dispatch::new(tracing_subscriber::registry()));
        LazyLock::force(&ANOTHER);
        let subscriber = tracing_subscriber::fmt().with_ansi(false).with_writer(self.clone());
        tracing::subscriber::set_default(subscriber.finish())
    }
}

impl Write for Log {
    fn write(&mut self, text: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend(text);
        Ok(text.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

async fn refusing(status: u16, code: &'static str) -> Postgrest {
    let server = Postgrest::start().await;
    server.with(|state| {
        state.refuse = Some(Box::new(move |row| {
            row["metadata"]["bad"].as_bool()?.then(|| (status, json!({ "code": code })))
        }));
    });
    server
}

#[tokio::test]
async fn events_that_are_refused_alone_block_nothing_and_are_given_up_when_others_are_stored() {
    for (status, code) in [(403, "42501"), (500, "54001"), (500, "XX000")] {
        for (spooled, stored_before, bad) in [
            (false, false, 1),
            (false, true, 1),
            (false, false, 2),
            (false, true, 2),
            (true, false, 1),
            (true, true, 2),
        ] {
            let about = format!("{status} {code}, {spooled}, {stored_before}, {bad}");
            let server = refusing(status, code).await;
            let folder = Folder::new();
            let mut options = options(&server);
            options.spool_dir = spooled.then(|| folder.0.clone());
            options.max_backoff = Duration::from_millis(20);
            let reporter = Reporter::start(options).unwrap();
            if stored_before {
                reporter.capture(&boom("before"), Context::new());
                assert_eq!(reporter.flush(SOON).await, ALL, "{about}");
            }
            for _ in 0..bad {
                let seen = server.with(|state| state.requests.len());
                let context = Context::new().severity(Severity::High).with("bad", true);
                reporter.capture(&boom("bad"), context);
                until("the refusal", || server.with(|state| state.requests.len()) > seen).await;
            }
            // An internal error is suspected only when it comes again and again. Where the good ones
            // are stored before that, the bad ones are kept until another is.
            let mut good = 0;
            while good < 3 || reporter.flush(Duration::from_millis(500)).await != ALL {
                assert!(good < 10, "{about}: {:?}", reporter.stats());
                let seen = server.count();
                let context = Context::new().severity(Severity::Low);
                reporter.capture(&boom(format!("good {good}")), context);
                until(&about, || server.count() > seen).await;
                good += 1;
            }
            assert_eq!(reporter.stats().refused, bad, "{about}");
            assert_eq!(server.count(), good + usize::from(stored_before), "{about}");
            assert_eq!(folder.lines(), 0, "{about}");
        }
    }
}

#[tokio::test]
async fn a_batch_of_nothing_but_suspects_makes_room_for_what_is_new() {
    let server = refusing(403, "42501").await;
    let mut options = options(&server);
    options.batch_size = 10;
    let reporter = Reporter::start(options).unwrap();
    for _ in 0..10 {
        reporter.capture(&boom("bad"), Context::new().with("bad", true));
    }
    until("the refusals", || server.with(|state| state.requests.len()) >= 10).await;
    reporter.capture(&boom("good"), Context::new());
    assert_eq!(reporter.flush(SOON).await, ALL);
    assert_eq!((server.count(), reporter.stats().refused), (1, 10));
}

#[tokio::test]
async fn without_rights_suspects_on_disk_are_kept_until_the_rights_are_there() {
    let server = Postgrest::start().await;
    server.with(|state| state.fault = Some(Fault::Status(403, json!({ "code": "42501" }))));
    let folder = Folder::new();
    let mut options = options(&server);
    options.spool_dir = Some(folder.0.clone());
    let reporter = Reporter::start(options).unwrap();
    for number in 0..9 {
        let context = Context::new().severity(Severity::ALL[number % 3]);
        reporter.capture(&boom(format!("event {number}")), context);
    }
    until("several attempts", || server.with(|state| state.requests.len()) > 100).await;
    assert_eq!((reporter.stats().refused, reporter.stats().pending), (0, 9));
    server.with(|state| state.fault = None);
    assert_eq!(reporter.flush(SOON).await, ALL);
    assert_eq!(server.count(), 9);
}

#[tokio::test]
async fn a_refused_event_is_logged_once_with_its_id() {
    let log = Log::default();
    let _listening = log.listen();
    let server = refusing(400, "23514").await;
    let reporter = Reporter::start(options(&server)).unwrap();
    let bad = reporter.capture(&boom("bad"), Context::new().with("bad", true)).unwrap();
    for number in 0..20 {
        reporter.capture(&boom(format!("event {number}")), Context::new());
    }
    assert_eq!(reporter.flush(SOON).await, ALL);
    let text = log.text();
    let lines: Vec<_> = text.lines().filter(|line| line.contains("event refused")).collect();
    assert_eq!(lines.len(), 1, "{text}");
    for part in [&format!("error_id={bad}"), "status=400", "code=\"23514\""] {
        assert!(lines[0].contains(part), "{part}: {text}");
    }
}

#[tokio::test]
async fn no_secret_is_in_the_log_or_on_the_disk() {
    let log = Log::default();
    let _listening = log.listen();
    let server = refusing(400, "23514").await;
    server.with(|state| {
        state.faults = vec![
            Fault::Reset,
            Fault::Status(401, json!({ "message": "bad key sk-planted-answer" })),
            Fault::Status(401, json!({})),
            Fault::Status(503, json!({ "details": "sk-planted-answer" })),
        ]
        .into();
    });
    let folder = Folder::new();
    let mut options = options(&server);
    options.spool_dir = Some(folder.0.clone());
    options.token = "planted-token-7f3a".into();
    options.apikey = Some("planted-apikey-91bc".into());
    let reporter = Reporter::start(options).unwrap();
    let mut facts = ErrorFacts::of_message("X", "login with password=planted-pass-1 failed");
    facts.causes.push(ErrorFacts::of_message("Y", "GET https://u:planted-pass-2@example.com/"));
    let context = Context::new()
        .with("bad", true)
        .with("api_key", "planted-key-3")
        .with("headers", json!({ "Authorization": "Bearer planted-bearer-4" }));
    reporter.capture_facts(facts, context);
    let mut on_disk = String::new();
    until("the refusal", || {
        let texts =
            folder.files().into_iter().filter_map(|file| std::fs::read_to_string(file).ok());
        on_disk.extend(texts);
        reporter.stats().refused == 1
    })
    .await;
    let log = log.text();
    assert!(log.contains("server not reached") && log.contains("event refused"), "{log}");
    assert!(on_disk.contains("[masked]"), "it was on disk in the meantime: {on_disk}");
    for text in [log, on_disk] {
        assert!(!text.contains("planted-"), "{text}");
    }
}
