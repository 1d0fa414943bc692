//! Decoded events through the engine, at 10 to 100,000 rules and 1 to 1,000,000 active groups, where an
//! event concerns five rules.
//!
//! Budget: at least 1,000,000 events a second at 10,000 rules on one core, and at most 1.5 times the
//! cost of 10 rules. The nearest honest limit is one look-up per rule shape in a hash map: the engine
//! cannot know what an event concerns for less.

use std::{collections::HashMap, hint::black_box};

use criterion::{BatchSize, Criterion, Throughput, criterion_group};
use meshhook_errors::{
    engine::{Engine, Input, Limits, Rates, batch},
    model::{
        ErrorEvent, Filter, GroupField, Metric, NoData, Rule, Severity, Source, Span, Timestamp,
        Transition, TypePattern,
    },
};
use rustc_hash::FxHashMap;
use uuid::Uuid;

mod summary;

use summary::{Line, Summary, criterion::nanoseconds};

const START: Timestamp = Timestamp::from_secs(1_728_000_000);
/// Events a step of the benchmark feeds; enough to reach every project at random.
const EVENTS: usize = 4_096;
const RULES_PER_PROJECT: usize = 5;
const RULES: [usize; 4] = [10, 1_000, 10_000, 100_000];
const GROUPS: [usize; 3] = [1, 10_000, 1_000_000];

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
        for count in RULES {
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
    for count in RULES {
        let (tables, asked) = tables(count);
        group.bench_function(format!("look-ups only/{count} rules"), |b| {
            b.iter(|| {
                let mut found = 0;
                for keys in &asked {
                    for (table, key) in tables.iter().zip(keys) {
                        found += table.get(key).map_or(0, |slot| u64::from(*slot));
                    }
                }
                found
            });
        });
    }
    group.finish();
}

/// One value of each fixed field, as one rule shape asks for it.
type Key = (Uuid, u32, u32);
type Keys = [Key; RULES_PER_PROJECT];

/// A hash map for each of the five shapes, and what each event asks them.
fn tables(rules: usize) -> (Vec<FxHashMap<Key, u32>>, Vec<Keys>) {
    let keys = |project| std::array::from_fn(|shape| (uuid(2, project), 7, shape as u32));
    let mut tables = vec![HashMap::default(); RULES_PER_PROJECT];
    for project in 0..rules / RULES_PER_PROJECT {
        for (table, key) in tables.iter_mut().zip::<Keys>(keys(project)) {
            table.insert(key, project as u32);
        }
    }
    let mut random = Lcg(42);
    let asked = (0..EVENTS).map(|_| keys(random.next(rules / RULES_PER_PROJECT))).collect();
    (tables, asked)
}

/// One rule by fingerprint whose windows hold so many groups; each event hits one of them at random.
fn active_groups(c: &mut Criterion) {
    let mut group = c.benchmark_group("groups");
    group.throughput(Throughput::Elements(EVENTS as u64));
    for count in GROUPS {
        let limits = Limits { groups_per_rule: u32::MAX, groups: usize::MAX };
        let mut engine = Engine::with_limits(limits);
        engine.step(START, Input::Rules(rules(1, 1e12)), &mut Vec::new());
        let mut stream = Stream::new(RULES_PER_PROJECT);
        let fingerprint = |n| Uuid::from_u64_pair(n as u64, 4);
        for first in (0..count).step_by(EVENTS) {
            let ids = first..(first + EVENTS).min(count);
            stream.ids = ids.map(|n| (uuid(2, 0), uuid(1, 0), fingerprint(n))).collect();
            stream.feed(&mut engine);
        }
        assert_eq!(engine.stats().groups, count, "each fingerprint is a group");
        let mut random = Lcg(43);
        group.bench_function(format!("{count} active"), |b| {
            b.iter_batched(
                || {
                    let next = |_| (uuid(2, 0), uuid(1, 0), fingerprint(random.next(count)));
                    (0..EVENTS).map(next).collect()
                },
                |ids| {
                    stream.ids = ids;
                    stream.feed(&mut engine)
                },
                BatchSize::LargeInput,
            );
        });
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

/// Budgets are about events, criterion's figures about [`EVENTS`] of them.
fn report() {
    let per_event = |path: &[&str]| nanoseconds(path).map(|time| time / EVENTS as f64);
    let mut summary = Summary::new("engine");
    let mut of_ten = None;
    for rules in RULES {
        let time = |kind| per_event(&["step", &format!("{kind}/{rules} rules")]);
        let (Some(quiet), Some(limit)) = (time("quiet"), time("look-ups only")) else { continue };
        let ratio = quiet / *of_ten.get_or_insert(quiet);
        let line = Line::new(format!("events, {rules} rules"), "/s", 1e9 / quiet);
        let line = line.limit(quiet / limit);
        summary.add(if rules == 10_000 { line.at_least(1e6) } else { line });
        if rules == 10_000 {
            summary.add(Line::new("10,000 rules against 10", "×", ratio).at_most(1.5));
        }
        if let Some(firing) = time("firing") {
            let name = format!("events, {rules} rules, incidents open");
            summary.add(Line::new(name, "/s", 1e9 / firing).limit(firing / limit));
        }
    }
    for groups in GROUPS {
        if let Some(time) = per_event(&["groups", &format!("{groups} active")]) {
            summary.add(Line::new(format!("events, {groups} active groups"), "/s", 1e9 / time));
        }
    }
    for (name, unit, scale) in
        [("10,000 new rules", "ms", 1e6), ("10,000 unchanged rules", "ms", 1e6)]
    {
        if let Some(time) = nanoseconds(&["others", name]) {
            summary.add(Line::new(name, unit, time / scale));
        }
    }
    if let Some(time) = per_event(&["others", "live rates, 2,000 projects"]) {
        summary.add(Line::new("live rates, 2,000 projects", "ns", time));
    }
    if let Some(time) = per_event(&["others", "batch of 100 rules"]) {
        summary.add(Line::new("back-test, 100 rules", "ns/row", time));
    }
    summary.write();
}

criterion_group!(benches, step, active_groups, others);

fn main() {
    benches();
    if summary::measuring() {
        report();
    }
}
