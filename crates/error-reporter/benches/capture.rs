//! What capture costs its caller, and masking and classification in the background.
//!
//! Budgets: `capture` at most 5 µs, masking 2 KB of metadata at most 50 µs. Each figure is the median
//! of many rounds.

#[path = "../../../benches/summary/mod.rs"]
mod summary;

use std::{hint::black_box, time::Duration};

use error_reporter::{
    Circumstances, Context, ErrorFacts, Options, Reporter, classify,
    masking::{mask_document, mask_text},
};
use serde_json::{Map, Value, json};
use tokio::time::Instant;

use summary::{Line, Summary};

/// Of `capture`, on the caller.
const CAPTURE: f64 = 5.0;
/// Of masking 2 KB, in the background.
const MASKING: f64 = 50.0;
const ROUNDS: usize = 51;

fn metadata() -> Map<String, Value> {
    let body = "The service is not available at the moment; please try again later. ".repeat(20);
    let counters: Map<String, Value> =
        (0..15).map(|n| (format!("counter_{n}"), n.into())).collect();
    let document = json!({
        "run_id": "0190b0a0-0000-7000-8000-000000000001",
        "node": { "id": "n-17", "type": "http", "attempt": 3 },
        "request": {
            "method": "POST", "url": "https://api.example.com/v1/things?page=2",
            "headers": { "accept": "*/*", "authorization": "Bearer abcdefghijkl" },
        },
        "response": { "status": 503, "body": body },
        "tags": ["a", "b", "c", "d"],
        "counters": counters,
    });
    match document {
        Value::Object(fields) => fields,
        _ => Map::new(),
    }
}

/// The median time of one piece of work, in microseconds; `prepare` makes what a round works on.
fn median<T>(mut prepare: impl FnMut() -> Vec<T>, mut work: impl FnMut(T)) -> f64 {
    let mut times: Vec<f64> = (0..ROUNDS)
        .map(|_| {
            let items = prepare();
            let count = items.len() as f64;
            let began = Instant::now();
            items.into_iter().for_each(&mut work);
            began.elapsed().as_secs_f64() * 1e6 / count
        })
        .collect();
    times.sort_by(f64::total_cmp);
    times.get(ROUNDS / 2).copied().unwrap_or(f64::NAN)
}

fn many<T>(count: usize, make: impl Fn() -> T) -> impl FnMut() -> Vec<T> {
    move || (0..count).map(|_| make()).collect()
}

/// Keeps the compiler from leaving out what nobody looks at.
fn done<T>(result: T) {
    black_box(result);
}

fn main() {
    if !summary::measuring() {
        return;
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .expect("a runtime");
    let start = || {
        let _inside = runtime.enter();
        // Nothing is sent: what is measured is the caller's part.
        let mut options = Options::new("http://127.0.0.1:1".parse().expect("an address"), "t");
        options.batch_delay = Duration::from_secs(3600);
        options.batch_size = 1_000_000;
        Reporter::start(options).expect("a reporter")
    };
    let with_metadata = || Context { metadata: metadata(), ..Context::default() };
    let mut summary = Summary::new("capture");
    let mut add = |name, budget: Option<f64>, result| {
        let line = Line::new(name, "µs", result);
        summary.add(match budget {
            Some(budget) => line.at_most(budget),
            None => line,
        });
    };

    let error = std::io::Error::from(std::io::ErrorKind::ConnectionRefused);
    let reporter = std::cell::RefCell::new(start());
    // As many as the queue takes, so that none has to go; a new reporter for each round.
    let fresh = || {
        reporter.replace(start());
        many(1_000, with_metadata)()
    };
    add("capture, 2 KB of metadata", Some(CAPTURE), {
        median(fresh, |context| done(reporter.borrow().capture(&error, context)))
    });
    let reporter = start();
    let full = |context| done(reporter.capture(&error, context));
    many(10_000, with_metadata)().into_iter().for_each(full);
    add("capture, 2 KB, queue full of the same", None, median(many(1_000, with_metadata), full));
    let plain = |context| done(reporter.capture(&error, context));
    add("capture, no metadata", Some(CAPTURE), median(many(2_000, Context::default), plain));
    let unknown = std::io::Error::other("something went wrong, and nobody knows what");
    let by_message = |context| done(reporter.capture(&unknown, context));
    let result = median(many(2_000, Context::default), by_message);
    add("capture, classified by its message", Some(CAPTURE), result);
    let long = format!("something went wrong {}", "and nobody knows what ".repeat(90));
    let long = std::io::Error::other(long);
    let by_message = |context| done(reporter.capture(&long, context));
    add("capture, by a message of 2 KB", None, median(many(500, Context::default), by_message));

    let document = Value::Object(metadata());
    let mask = |mut document: Value| {
        mask_document(&mut document);
        black_box(document);
    };
    add("mask 2 KB of metadata", Some(MASKING), median(many(500, || document.clone()), mask));
    let hostile =
        "user@host password=x Bearer abcdefghijk https://u:p@h/ eyJhbGciOi.eyJzdWIi.c2ln ";
    let text = hostile.repeat(25);
    let mask = |()| done(mask_text(black_box(&text)));
    add("mask 2 KB of secrets", None, median(many(200, || ()), mask));

    let circumstances = Circumstances::default();
    let status = ErrorFacts { status: Some(503), ..ErrorFacts::of_message("X", "HTTP 503") };
    let message = ErrorFacts::of_message("X", "something went wrong, and nobody knows what");
    for (name, facts) in [("classify by status", &status), ("classify by message", &message)] {
        let work = |()| done(classify(black_box(facts), &circumstances));
        add(name, Some(CAPTURE), median(many(5_000, || ()), work));
    }
    summary.write();
    runtime.shutdown_background();
}
