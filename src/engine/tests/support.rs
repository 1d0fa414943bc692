//! Rules, events and random ones of both.

use proptest::prelude::*;
use uuid::Uuid;

use crate::{
    engine::{Engine, Input, RunCount},
    model::{
        ErrorEvent, Filter, GroupField, Metric, NoData, Rule, Severity, Source, Span, Timestamp,
        Transition, TypePattern,
    },
};

/// Second 0 of all scripts; a boundary of every window.
pub(crate) const BASE: Timestamp = Timestamp::from_secs(1_728_000_000);

pub(crate) fn id(n: u128) -> Uuid {
    Uuid::from_u128(n)
}

/// An error that happened and was received at `at`.
pub(crate) fn event(at: Timestamp, seq: i64) -> ErrorEvent {
    ErrorEvent {
        seq,
        error_id: id(u128::try_from(seq).unwrap_or(0)),
        timestamp: at,
        received_at: at,
        source: Source::Worker,
        error_type: "execution.timeout".into(),
        severity: Severity::Medium,
        project_id: None,
        workflow_id: None,
        fingerprint: id(1),
        message: "step timed out".into(),
    }
}

/// Three errors in a minute are a warning, six critical; nothing else.
pub(crate) fn rule(n: u128) -> Rule {
    Rule {
        id: id(n),
        project_id: None,
        name: format!("rule {n}"),
        metric: Metric::Count,
        filter: Filter::default(),
        group_by: Vec::new(),
        window: Span::from_secs(60),
        warning: Some(3.0),
        critical: Some(6.0),
        resolve: None,
        pending: Span::ZERO,
        keep_firing: Span::ZERO,
        reminder: Span::ZERO,
        no_data: NoData::Keep,
        flap: None,
    }
}

fn some_id() -> impl Strategy<Value = Uuid> {
    (1_u128..4).prop_map(id)
}

fn error_type() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec![
        "system",
        "system.db",
        "execution",
        "execution.timeout",
        "execution.oom",
        "input",
        "input.json.depth",
        "executioner",
    ])
}

fn message() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec!["Step TIMED out", "ÄRGER ὈΔΥΣΣΕΎΣ", "", "timed", "deadlock"])
}

/// Any event out of a small world, so that rules and events often meet.
pub(crate) fn any_event() -> impl Strategy<Value = ErrorEvent> {
    (
        prop::option::of(some_id()),
        prop::option::of(some_id()),
        prop::sample::select(Source::ALL),
        prop::sample::select(Severity::ALL),
        error_type(),
        message(),
        some_id(),
    )
        .prop_map(|(project_id, workflow_id, source, severity, error_type, message, print)| {
            ErrorEvent {
                source,
                severity,
                error_type: error_type.into(),
                project_id,
                workflow_id,
                fingerprint: print,
                message: message.into(),
                ..event(BASE, 1)
            }
        })
}

fn any_filter() -> impl Strategy<Value = Filter> {
    let list = |most| 0_usize..most;
    (
        prop::collection::vec(prop::sample::select(Source::ALL), list(4)),
        prop::collection::vec(error_type().prop_map(TypePattern::parse), list(5)),
        prop::collection::vec(prop::sample::select(Severity::ALL), list(4)),
        prop_oneof![
            4 => prop::collection::vec(some_id(), 0..3),
            1 => Just((2..90).map(id).collect::<Vec<_>>()),
        ],
        prop::option::weighted(0.3, message()),
    )
        .prop_map(|(sources, error_types, severities, workflow_ids, text)| Filter {
            sources,
            error_types,
            severities,
            workflow_ids,
            message_contains: text.map(Into::into),
        })
}

/// Any rule over the world of [`any_event`]; its thresholds and periods are those of [`rule`].
pub(crate) fn any_rule() -> impl Strategy<Value = Rule> {
    (prop::option::of(some_id()), any_filter(), any::<u64>(), any_fields()).prop_map(
        |(project_id, filter, n, group_by)| Rule {
            project_id,
            filter,
            group_by,
            ..rule(u128::from(n) + 1_000)
        },
    )
}

pub(crate) fn any_fields() -> impl Strategy<Value = Vec<GroupField>> {
    prop::sample::subsequence(GroupField::ALL, 0..4)
}

/// A time line: one engine, fed by lines such as `10 error x3 project=1`, whose transitions are
/// written as `10 firing warning 3/3`.
pub(crate) struct Script {
    pub engine: Engine,
    seq: i64,
    pub told: Vec<Transition>,
}

impl Script {
    pub fn new(rules: Vec<Rule>) -> Self {
        Self::with(Engine::new(), rules)
    }

    pub fn with(engine: Engine, rules: Vec<Rule>) -> Self {
        let mut script = Self { engine, seq: 0, told: Vec::new() };
        script.input(0.0, Input::Rules(rules));
        script
    }

    pub fn input(&mut self, second: f64, input: Input<'_>) {
        self.engine.step(at(second), input, &mut self.told);
    }

    /// Runs lines separated by newlines or semicolons.
    ///
    /// `T error|replay [xN] [ts=T] [field=…]…`, `T runs|replayruns N [ts=T] [project=…]`, `T tick`,
    /// `T ack`, `T unack` (every open incident), `T complete`.
    #[track_caller]
    pub fn run(&mut self, lines: &str) -> &mut Self {
        for line in lines.split([';', '\n']).map(str::trim).filter(|line| !line.is_empty()) {
            let mut words = line.split_whitespace();
            let second: f64 = words.next().and_then(|w| w.parse().ok()).expect(line);
            let verb = words.next().expect(line);
            let mut times = 1;
            let mut error = event(at(second), 0);
            for word in words {
                match word.split_once('=') {
                    Some(("ts", v)) => error.timestamp = at(v.parse().expect(line)),
                    Some(("project", v)) => error.project_id = Some(id(v.parse().expect(line))),
                    Some(("workflow", v)) => error.workflow_id = Some(id(v.parse().expect(line))),
                    Some(("print", v)) => error.fingerprint = id(v.parse().expect(line)),
                    Some(("source", v)) => error.source = v.parse().expect(line),
                    Some(("severity", v)) => error.severity = v.parse().expect(line),
                    Some(("type", v)) => error.error_type = v.into(),
                    Some(("message", v)) => error.message = v.into(),
                    _ => times = word.trim_start_matches('x').parse().expect(line),
                }
            }
            let runs = [RunCount {
                project_id: error.project_id,
                workflow_id: error.workflow_id,
                started_at: error.timestamp,
                count: times,
            }];
            match verb {
                "error" | "replay" => {
                    for _ in 0..times {
                        self.seq += 1;
                        (error.seq, error.error_id) =
                            (self.seq, id(self.seq.unsigned_abs().into()));
                        let input = if verb == "error" { Input::Event } else { Input::Replay };
                        self.input(second, input(&error));
                    }
                }
                "runs" => self.input(second, Input::Runs(&runs)),
                "replayruns" => self.input(second, Input::ReplayRuns(&runs)),
                "runscomplete" => self.input(second, Input::RunsComplete { through: at(second) }),
                "tick" => self.input(second, Input::Tick),
                "complete" => self.input(second, Input::HistoryComplete { rule_id: None }),
                "ack" | "unack" => {
                    for (open, _) in self.engine.open_incidents() {
                        let (incident_id, acknowledged) = (open.incident_id, verb == "ack");
                        self.input(second, Input::Acknowledged { incident_id, acknowledged });
                    }
                }
                _ => panic!("no such verb: {line}"),
            }
        }
        self
    }

    /// What was told since the last call.
    #[track_caller]
    pub fn expect(&mut self, lines: &str) -> &mut Self {
        let told: Vec<String> = self.told.drain(..).map(|told| line(&told)).collect();
        let expected: Vec<&str> =
            lines.split([';', '\n']).map(str::trim).filter(|line| !line.is_empty()).collect();
        assert_eq!(told, expected);
        self
    }
}

pub(crate) fn at(second: f64) -> Timestamp {
    #[expect(clippy::cast_possible_truncation, reason = "scripts have small numbers")]
    let micros = (second * 1e6).round() as i64;
    BASE + Span::from_micros(micros)
}

fn line(told: &Transition) -> String {
    let second = told.at.since(BASE).as_secs_f64();
    let mut line = format!(
        "{second} {} {} {}/{}",
        told.kind,
        told.level,
        (told.value * 1e3).round() / 1e3,
        told.threshold
    );
    if told.reminder > 0 {
        line += &format!(" #{}", told.reminder);
    }
    if told.rule_id != id(1) {
        line += &format!(" rule={}", told.rule_id.as_u128());
    }
    for (field, value) in told.group_key.iter() {
        let value = value.map_or("null".to_owned(), |value| {
            Uuid::parse_str(value).map_or(value.to_owned(), |id| id.as_u128().to_string())
        });
        line += &format!(" {field}={value}");
    }
    line
}
