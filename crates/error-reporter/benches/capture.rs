//! What capture costs its caller, and masking and classification in the background.
//!
//! Budgets: `capture` at most 5 µs, masking 2 KB of metadata at most 50 µs.

use std::{hint::black_box, time::Duration};

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use error_reporter::{
    Circumstances, Context, ErrorFacts, Options, Reporter, classify,
    masking::{mask_document, mask_text},
};
use serde_json::{Map, Value, json};
use tokio::time::Instant;

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

fn bench(criterion: &mut Criterion) {
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
    let error = std::io::Error::from(std::io::ErrorKind::ConnectionRefused);
    let with_metadata = || Context { metadata: metadata(), ..Context::default() };

    criterion.bench_function("capture, 2 KB of metadata", |bencher| {
        bencher.iter_custom(|captures| {
            let mut spent = Duration::ZERO;
            let mut left = captures;
            while left > 0 {
                // As many as the queue takes, so that none has to go.
                let round = left.min(2_000);
                left -= round;
                let reporter = start();
                let contexts: Vec<_> = (0..round).map(|_| with_metadata()).collect();
                let began = Instant::now();
                for context in contexts {
                    reporter.capture(&error, context);
                }
                spent += began.elapsed();
            }
            spent
        });
    });
    let reporter = start();
    criterion.bench_function("capture, 2 KB of metadata, queue full of the same", |bencher| {
        bencher.iter_batched(
            with_metadata,
            |context| reporter.capture(&error, context),
            BatchSize::SmallInput,
        );
    });
    criterion.bench_function("capture, no metadata", |bencher| {
        bencher.iter(|| reporter.capture(&error, Context::default()));
    });
    let unknown = std::io::Error::other("something went wrong, and nobody knows what");
    criterion.bench_function("capture, classified by its message", |bencher| {
        bencher.iter(|| reporter.capture(&unknown, Context::default()));
    });

    let document = Value::Object(metadata());
    criterion.bench_function("mask 2 KB of metadata", |bencher| {
        bencher.iter_batched_ref(|| document.clone(), mask_document, BatchSize::SmallInput);
    });
    let hostile =
        "user@host password=x Bearer abcdefghijk https://u:p@h/ eyJhbGciOi.eyJzdWIi.c2ln ";
    criterion.bench_function("mask 2 KB of secrets", |bencher| {
        let text = hostile.repeat(25);
        bencher.iter(|| mask_text(black_box(&text)));
    });
    let facts = ErrorFacts { status: Some(503), ..ErrorFacts::of_message("X", "HTTP 503") };
    criterion.bench_function("classify by status", |bencher| {
        bencher.iter(|| classify(black_box(&facts), &Circumstances::default()));
    });
    let facts = ErrorFacts::of_message("X", "something went wrong, and nobody knows what");
    criterion.bench_function("classify by message", |bencher| {
        bencher.iter(|| classify(black_box(&facts), &Circumstances::default()));
    });
    runtime.shutdown_background();
}

criterion_group!(benches, bench);
criterion_main!(benches);
