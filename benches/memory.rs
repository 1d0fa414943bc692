//! What the daemon holds: at rest, and per active (rule, group).
//!
//! Budgets: at most 64 MB at rest, and at most 1 KB per active (rule, group). Sizes are those that the
//! operating system counts (`VmRSS`), so allocator and fragmentation are in them.

use meshhook_errors::{
    engine::{Engine, Input, Limits},
    model::{
        ErrorEvent, Filter, GroupField, Metric, NoData, Rule, Severity, Source, Span, Timestamp,
    },
};
use uuid::Uuid;

mod summary;
#[expect(dead_code, unused_imports, reason = "the integration tests use the rest of it")]
#[path = "../tests/it/support/mod.rs"]
mod support;

use summary::{Line, Summary};
use support::{process::Process, stack::Stack};

const START: Timestamp = Timestamp::from_secs(1_728_000_000);
const RULES: usize = 10;
const GROUPS: u64 = 50_000;

#[tokio::main]
async fn main() {
    if !summary::measuring() {
        return;
    }
    let mut summary = Summary::new("memory");
    // A few errors in one minute, and a trickle over the whole window, which fills its buckets.
    for (name, events) in [("3 errors each", 3), ("60 errors each, over the whole window", 60)] {
        let bytes = per_group(events);
        summary.add(Line::new(format!("a rule's group, {name}"), "bytes", bytes).at_most(1_024.0));
    }
    let idle = at_rest().await;
    summary.add(Line::new("the daemon at rest", "MB", idle).at_most(64.0));
    summary.write();
}

/// Bytes per active (rule, group) whose window holds so many errors.
fn per_group(events: u64) -> f64 {
    let limits = Limits { groups_per_rule: u32::MAX, groups: usize::MAX };
    let mut engine = Engine::with_limits(limits);
    let rules = (0..RULES).map(rule).collect();
    engine.step(START, Input::Rules(rules), &mut Vec::new());
    let mut event = ErrorEvent {
        seq: 0,
        error_id: Uuid::nil(),
        timestamp: START,
        received_at: START,
        source: Source::Worker,
        error_type: "execution.timeout".into(),
        severity: Severity::High,
        project_id: None,
        workflow_id: None,
        fingerprint: Uuid::nil(),
        message: "step timed out".into(),
    };
    let before = resident("self");
    for time in 0..events {
        let now = START + Span::from_secs(i64::try_from(time).unwrap_or(0) * 5);
        (event.timestamp, event.received_at) = (now, now);
        for group in 0..GROUPS {
            event.seq += 1;
            event.fingerprint = Uuid::from_u64_pair(group, 7);
            engine.step(now, Input::Event(&event), &mut Vec::new());
        }
    }
    let after = resident("self");
    let groups = engine.stats().groups;
    assert_eq!(groups as u64, RULES as u64 * GROUPS, "each fingerprint is a group of each rule");
    (after - before) / groups as f64
}

fn rule(n: usize) -> Rule {
    Rule {
        id: Uuid::from_u64_pair(n as u64, 9),
        project_id: None,
        name: format!("rule {n}"),
        metric: Metric::Count,
        filter: Filter::default(),
        group_by: vec![GroupField::Fingerprint],
        window: Span::from_secs(300),
        warning: Some(1e12),
        critical: None,
        resolve: None,
        pending: Span::ZERO,
        keep_firing: Span::ZERO,
        reminder: Span::ZERO,
        no_data: NoData::Keep,
        flap: None,
    }
}

/// Megabytes of a daemon that leads, listens, and has nothing to do.
async fn at_rest() -> f64 {
    let stack = Stack::start().await;
    let process = Process::start(stack.variables()).await;
    process.until_role("leader").await;
    // Whatever a start needs for a moment is given back, or it is no moment.
    tokio::time::sleep(std::time::Duration::from_secs(10)).await;
    resident(&process.id().to_string()) / 1e6
}

/// Bytes of a process that are in memory.
fn resident(process: &str) -> f64 {
    let text = std::fs::read_to_string(format!("/proc/{process}/status")).expect("Linux");
    let line = text.lines().find(|line| line.starts_with("VmRSS:")).expect("its memory");
    let kilobytes = line.split_whitespace().nth(1).and_then(|word| word.parse::<f64>().ok());
    kilobytes.expect("a number") * 1024.0
}
