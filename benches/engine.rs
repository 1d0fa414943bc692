//! Decoded events through the engine, at 10, 1,000 and 10,000 rules, where an event concerns five.
//!
//! Budget: at least 1,000,000 events a second at 10,000 rules on one core, and at most 1.5 times the
//! cost of 10 rules. `cargo bench --bench engine` prints the time of one event.

use std::hint::black_box;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use meshhook_errors::{
    engine::{Engine, Input, Rates, batch},
    model::{
        ErrorEvent, Filter, GroupField, Metric, NoData, Rule, Severity, Source, Span, Timestamp,
        Transition, TypePattern,
    },
};
use uuid::Uuid;

const START: Timestamp = Timestamp::from_secs(1_728_000_000);
/// Events a step of the benchmark feeds; enough to reach every project at random.
const EVENTS: usize = 4_096;
const RULES_PER_PROJECT: usize = 5;

/// A fixed sequence that looks random, so that runs can be compared.
struct Lcg(u64);

impl Lcg {
    fn next(&mut self, below: usize) -> usize {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap_or(0) % below.max(1)
    }
}

fn uuid(kind: u8, n: usize) -> Uuid {
    Uuid::new_v5(&Uuid::NAMESPACE_OID, format!("{kind} {n}").as_bytes())
}

/// Five rules of one project: all, by severity, by class and source, by exact type, by workflow.
fn rules(count: usize, threshold: f64) -> Vec<Rule> {
    (0..count)
        .map(|n| {
            let (project, which) = (n / RULES_PER_PROJECT, n % RULES_PER_PROJECT);
            let mut filter = Filter::default();
            let mut group_by = Vec::new();
            match which {
                0 => group_by.push(GroupField::Fingerprint),
                1 => filter.severities = vec![Severity::Medium, Severity::High],
                2 => {
                    filter.sources = vec![Source::Worker];
                    filter.error_types = vec![TypePattern::parse("execution")];
                }
                3 => filter.error_types = vec![TypePattern::parse("execution.timeout")],
                _ => filter.workflow_ids = vec![uuid(1, project)],
            }
            Rule {
                id: uuid(0, n),
                project_id: Some(uuid(2, project)),
                name: format!("rule {n}"),
                metric: Metric::Count,
                filter,
                group_by,
                window: Span::from_secs(300),
                warning: Some(threshold),
                critical: None,
                resolve: None,
                pending: Span::ZERO,
                keep_firing: Span::ZERO,
                reminder: Span::ZERO,
                no_data: NoData::Keep,
                flap: None,
            }
        })
        .collect()
}

/// Events as they leave the decoder: the structures are few and warm, what they say differs.
struct Stream {
    events: Vec<ErrorEvent>,
    /// Project, workflow and fingerprint of each event to come.
    ids: Vec<(Uuid, Uuid, Uuid)>,
    now: Timestamp,
}

impl Stream {
    fn new(rules: usize) -> Self {
        let mut random = Lcg(42);
        let ids = (0..EVENTS)
            .map(|_| {
                let project = random.next(rules / RULES_PER_PROJECT);
                (uuid(2, project), uuid(1, project), uuid(4, random.next(3)))
            })
            .collect();
        let event = |n: usize| ErrorEvent {
            seq: i64::try_from(n).unwrap_or(0) + 1,
            error_id: uuid(3, n),
            timestamp: START,
            received_at: START,
            source: Source::Worker,
            error_type: "execution.timeout".into(),
            severity: Severity::High,
            project_id: None,
            workflow_id: None,
            fingerprint: Uuid::nil(),
            message: "step timed out after 30 seconds".into(),
        };
        Self { events: (0..64).map(event).collect(), ids, now: START }
    }

    /// Feeds all events once, one microsecond apart, and returns how many transitions there were.
    fn feed(&mut self, engine: &mut Engine) -> usize {
        let mut out: Vec<Transition> = Vec::new();
        let count = self.events.len();
        for (n, (project, workflow, fingerprint)) in self.ids.iter().enumerate() {
            self.now = self.now + Span::from_micros(1);
            let event = &mut self.events[n % count];
            (event.timestamp, event.received_at) = (self.now, self.now);
            (event.project_id, event.workflow_id) = (Some(*project), Some(*workflow));
            event.fingerprint = *fingerprint;
            engine.step(self.now, Input::Event(event), &mut out);
        }
        out.len()
    }

    /// All events of the stream as a table.
    fn table(&self, apart: Span) -> Vec<ErrorEvent> {
        let mut now = START;
        let row = |(n, (project, workflow, fingerprint)): (usize, &(Uuid, Uuid, Uuid))| {
            now = now + apart;
            ErrorEvent {
                seq: i64::try_from(n).unwrap_or(0) + 1,
                project_id: Some(*project),
                workflow_id: Some(*workflow),
                fingerprint: *fingerprint,
                timestamp: now,
                received_at: now,
                ..self.events[n % self.events.len()].clone()
            }
        };
        self.ids.iter().enumerate().map(row).collect()
    }
}

fn engine_with(rules: Vec<Rule>) -> Engine {
    let mut engine = Engine::new();
    engine.step(START, Input::Rules(rules), &mut Vec::new());
    engine
}

fn step(c: &mut Criterion) {
    let mut group = c.benchmark_group("step");
    group.throughput(Throughput::Elements(EVENTS as u64));
    for (name, threshold) in [("quiet", 1e12), ("firing", 1.0)] {
        for count in [10, 1_000, 10_000] {
            let mut engine = engine_with(rules(count, threshold));
            let mut stream = Stream::new(count);
            stream.feed(&mut engine);
            let stats = engine.stats();
            assert_eq!(stats.matched, 5 * stats.events, "an event concerns five rules");
            group.bench_function(format!("{name}/{count} rules"), |b| {
                b.iter(|| black_box(stream.feed(&mut engine)));
            });
        }
    }
    group.finish();
}

fn others(c: &mut Criterion) {
    let mut group = c.benchmark_group("others");
    group.bench_function("10,000 new rules", |b| {
        b.iter_batched(|| rules(10_000, 1e12), engine_with, BatchSize::LargeInput);
    });
    group.bench_function("10,000 unchanged rules", |b| {
        let mut engine = engine_with(rules(10_000, 1e12));
        b.iter_batched(
            || rules(10_000, 1e12),
            |rules| engine.step(START, Input::Rules(rules), &mut Vec::new()),
            BatchSize::LargeInput,
        );
    });
    group.throughput(Throughput::Elements(EVENTS as u64));
    group.bench_function("live rates, 2,000 projects", |b| {
        let mut rates = Rates::default();
        let events = Stream::new(10_000).table(Span::ZERO);
        b.iter(|| events.iter().for_each(|event| rates.count(START, event)));
    });
    group.bench_function("batch of 100 rules", |b| {
        let events = Stream::new(100).table(Span::from_millis(100));
        let until = START + Span::from_secs(3_600);
        b.iter_batched(
            || rules(100, 3.0),
            |rules| batch::evaluate(rules, &events, &[], until),
            BatchSize::LargeInput,
        );
    });
    group.finish();
}

criterion_group!(benches, step, others);
criterion_main!(benches);
