//! What the ledger costs: a row in order, out of order, repeated, and with thousands of holes open;
//! stamping and proving those holes; and taking out what is to be saved.

use std::hint::black_box;

use criterion::{BatchSize, Criterion, Throughput, criterion_group};
use meshhook_errors::{
    feed::ledger::Ledger,
    model::{RangeSet, Timestamp},
};

mod summary;

use summary::{Line, Summary, criterion::nanoseconds};

const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);
const ROWS: i64 = 100_000;

/// Every tenth number is missing.
fn with_holes() -> Ledger {
    let mut ledger = Ledger::default();
    (1..=ROWS).filter(|seq| seq % 10 != 0).for_each(|seq| {
        ledger.insert(seq, NOW);
    });
    ledger
}

/// Rows as a hundred concurrent writers commit them: blocks of a hundred, each backwards.
fn shuffled() -> Vec<i64> {
    (0..ROWS / 100).flat_map(|block| (1..=100).rev().map(move |seq| block * 100 + seq)).collect()
}

fn rows(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("ledger/rows");
    group.throughput(Throughput::Elements(ROWS.unsigned_abs()));
    let (ordered, shuffled) = ((1..=ROWS).collect::<Vec<_>>(), shuffled());
    for (name, rows) in [("in order", &ordered), ("out of order", &shuffled)] {
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                let mut ledger = Ledger::default();
                rows.iter().filter(|seq| ledger.insert(**seq, NOW)).count()
            });
        });
    }
    let ledger = with_holes();
    group.bench_function("repeated, 10,000 holes", |bencher| {
        bencher.iter_batched_ref(
            || ledger.clone(),
            |ledger| ordered.iter().filter(|seq| ledger.insert(**seq, NOW)).count(),
            BatchSize::LargeInput,
        );
    });
    group.finish();
}

fn holes(criterion: &mut Criterion) {
    let ledger = with_holes();
    let all: RangeSet = std::iter::once(1..ROWS + 1).collect();
    let mut group = criterion.benchmark_group("ledger/10,000 holes");
    group.throughput(Throughput::Elements(u64::try_from(ledger.hole_count()).unwrap_or(0)));
    group.bench_function("stamp and prove", |bencher| {
        bencher.iter_batched_ref(
            || ledger.clone(),
            |ledger| {
                ledger.stamp(7, ROWS);
                ledger.prove(8, &all)
            },
            BatchSize::LargeInput,
        );
    });
    group.bench_function("list what is missing", |bencher| {
        bencher.iter(|| black_box(&ledger).missing().count());
    });
    group.bench_function("take out what is to be saved", |bencher| {
        bencher.iter(|| black_box(&ledger).unsaved(50_000, i64::MAX));
    });
    group.finish();
}

criterion_group!(benches, rows, holes);

fn report() {
    let mut summary = Summary::new("ledger");
    for name in ["in order", "out of order", "repeated, 10,000 holes"] {
        if let Some(time) = nanoseconds(&["ledger/rows", name]) {
            summary.add(Line::new(format!("rows {name}"), "ns", time / ROWS as f64));
        }
    }
    for name in ["stamp and prove", "list what is missing", "take out what is to be saved"] {
        if let Some(time) = nanoseconds(&["ledger/10,000 holes", name]) {
            summary.add(Line::new(format!("10,000 holes: {name}"), "µs", time / 1e3));
        }
    }
    summary.write();
}

fn main() {
    benches();
    if summary::measuring() {
        report();
    }
}
