//! `make bench-e2e`: from the commit of an error to the request at Slack and the mail at the mail server,
//! at 1, 100, 1,000 and 5,000 inserts a second, with Realtime healthy, dead (nobody listens) and
//! black-holed (it accepts everything and brings nothing); and how much can be kept up with.
//!
//! Everything runs on this machine and shares its cores: the database, the stand-in for Supabase, the
//! daemon (a process of its own, whose processor time and memory are read from `/proc`), and whoever
//! inserts. A machine that has less to share is faster. `E2E_SECONDS` sets how long each of the twelve
//! cases takes (10); `E2E_PLOT` writes the plot to that file instead of `target/bench/e2e.svg`.

use std::{path::PathBuf, time::Duration};

use meshhook_errors::sinks::{HttpRequest, Mail};
use rand::Rng as _;
use serde_json::json;
use sqlx::PgPool;
use tokio::time::{Instant, interval, sleep, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

#[path = "e2e/plot.rs"]
mod plot;
mod summary;
#[expect(dead_code, unused_imports, reason = "the integration tests use the rest of it")]
#[path = "../tests/it/support/mod.rs"]
mod support;
#[path = "e2e/usage.rs"]
mod usage;

use plot::Point;
use summary::{Line, Summary};
use support::{
    db::{TestDb, switch},
    eventually,
    process::Process,
    stack::Stack,
};
use usage::Use;

const RATES: [u32; 4] = [1, 100, 1_000, 5_000];
/// Channels that take turns: Slack takes one message a second from each.
const CHANNELS: usize = 25;
/// Probes a second; each is an incident of its own.
const PROBES: f64 = 5.0;
/// Background rows come in bulks so far apart.
const BULK: Duration = Duration::from_millis(50);
/// How long a message may take before it counts as lost.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long the sustained maximum is tried for.
const FLOOD: Duration = Duration::from_secs(10);

/// How Realtime behaves.
#[derive(Clone, Copy, PartialEq)]
enum Realtime {
    Healthy,
    Dead,
    BlackHoled,
}

impl Realtime {
    const ALL: [Self; 3] = [Self::Healthy, Self::Dead, Self::BlackHoled];

    const fn name(self) -> &'static str {
        match self {
            Self::Healthy => "healthy",
            Self::Dead => "dead",
            Self::BlackHoled => "black-holed",
        }
    }

    /// Milliseconds within which half and 99 of 100 messages must be at Slack.
    const fn budgets(self) -> (f64, f64) {
        match self {
            Self::Healthy => (200.0, 600.0),
            Self::Dead | Self::BlackHoled => (250.0, 1_000.0),
        }
    }
}

#[tokio::main]
async fn main() {
    if !summary::measuring() {
        return;
    }
    let seconds = switch("E2E_SECONDS").map_or(10.0, |text| text.parse().expect("a number"));
    let mut summary = Summary::new("e2e");
    let mut points = Vec::new();
    for realtime in Realtime::ALL {
        let stack = stack().await;
        let process = daemon(&stack, realtime).await;
        for rate in RATES {
            let case = Case { stack: &stack, process: &process, realtime, rate };
            points.push(case.run(seconds, &mut summary).await);
        }
        if realtime == Realtime::Healthy {
            sustained(&stack, &process, &mut summary).await;
        }
    }
    summary.write();
    let file = switch("E2E_PLOT").map_or_else(|| summary::folder().join("e2e.svg"), PathBuf::from);
    std::fs::write(&file, plot::svg(&points)).expect("the plot is written");
    println!("plot in {}", file.display());
}

/// Rules and channels: one rule per channel, told to Slack and by mail, and one over everything.
async fn stack() -> Stack {
    let stack = Stack::on(Some(TestDb::new().await), |_| {}).await;
    for number in 0..CHANNELS {
        let slack = stack.channel(&format!("c{number}"), "slack").await;
        let mail = stack.channel(&format!("m{number}"), "email").await;
        let rule = json!({
            // Longer than this takes, so that nothing resolves meanwhile.
            "metric": "count", "window_seconds": 86_400, "warning": 1, "group_by": ["fingerprint"],
            "error_types": [format!("system.c{number}")],
        });
        stack.rule(&format!("rule {number}"), rule, &[slack, mail]).await;
    }
    let all = json!({
        "metric": "count", "window_seconds": 300, "warning": 1e12, "group_by": ["fingerprint"],
    });
    stack.rule("everything", all, &[]).await;
    stack
}

async fn daemon(stack: &Stack, realtime: Realtime) -> Process {
    let mut variables = stack.variables();
    if realtime == Realtime::Dead {
        // Port 9 is RFC 863's, where nobody listens.
        let off = "ws://127.0.0.1:9/websocket".to_owned();
        variables.insert("SUPABASE_REALTIME_URL".to_owned(), off);
    }
    let process = Process::start(variables).await;
    process.until_role("leader").await;
    if realtime != Realtime::Dead {
        eventually("the daemon is subscribed", || async {
            let told: Option<String> =
                sqlx::query_scalar("select socket from public.error_tracker_status")
                    .fetch_optional(&stack.admin)
                    .await
                    .expect("an answer");
            told.filter(|socket| socket == "subscribed")
        })
        .await;
    }
    if realtime == Realtime::BlackHoled {
        stack.faults().expect("the local server").set(|knobs| knobs.deaf = true);
    }
    process
}

/// One rate with one Realtime.
struct Case<'a> {
    stack: &'a Stack,
    process: &'a Process,
    realtime: Realtime,
    rate: u32,
}

impl Case<'_> {
    async fn run(&self, seconds: f64, summary: &mut Summary) -> Point {
        let (requests, mails) = (self.stack.slack.requests().len(), self.stack.mail.mails().len());
        let stop = CancellationToken::new();
        let noise = tokio::spawn(noise(self.stack.admin.clone(), self.rate, stop.clone()));
        // The first seconds warm up what is cold.
        sleep(Duration::from_secs(1)).await;
        let before = Use::of(self.process.id());
        let began = Instant::now();
        let probes = probe(&self.stack.admin, (seconds * PROBES).ceil() as usize).await;
        let took = began.elapsed();
        let after = Use::of(self.process.id());
        stop.cancel();
        let inserted = noise.await.expect("the noise ends");
        let all = probes.len();
        let _ = timeout(PATIENCE, async {
            while self.stack.slack.requests().len() < requests + all
                || self.stack.mail.mails().len() < mails + all
            {
                sleep(Duration::from_millis(20)).await;
            }
        })
        .await;
        let slack = slack_delays(&probes, &self.stack.slack.requests()[requests..]);
        let mail = mail_delays(&probes, &self.stack.mail.mails()[mails..]);
        let case = format!("{}/s, Realtime {}", self.rate, self.realtime.name());
        let (p50, p99) = self.realtime.budgets();
        let slack_p50 = share(&slack, 50);
        let slack_p99 = share(&slack, 99);
        summary.add(Line::new(format!("Slack p50, {case}"), "ms", slack_p50).at_most(p50));
        summary.add(Line::new(format!("Slack p95, {case}"), "ms", share(&slack, 95)));
        summary.add(Line::new(format!("Slack p99, {case}"), "ms", slack_p99).at_most(p99));
        summary.add(Line::new(format!("Slack max, {case}"), "ms", share(&slack, 100)));
        for (name, part) in [("p50", 50), ("p95", 95), ("p99", 99), ("max", 100)] {
            summary.add(Line::new(format!("e-mail {name}, {case}"), "ms", share(&mail, part)));
        }
        let processor = 100.0 * (after.seconds - before.seconds) / took.as_secs_f64();
        summary.add(Line::new(format!("daemon's processor, {case}"), "%", processor));
        summary.add(Line::new(format!("daemon's memory, {case}"), "MB", after.megabytes));
        let lost = slack.iter().filter(|delay| **delay >= PATIENCE.as_secs_f64() * 1e3).count();
        if lost > 0 {
            println!("        {lost} of {all} messages did not come within {PATIENCE:?}");
        }
        let real = f64::from(inserted) / (took.as_secs_f64() + 1.0);
        if self.rate > 1 && real < 0.9 * f64::from(self.rate) {
            println!("        only {real:.0} rows/s could be inserted");
        }
        Point { realtime: self.realtime.name(), rate: self.rate, slack_p50, slack_p99, processor }
    }
}

/// Inserts rows that cross no threshold until it is told to stop; how many there were.
async fn noise(pool: PgPool, rate: u32, stop: CancellationToken) -> u32 {
    let mut tick = interval(BULK);
    let (began, mut inserted) = (Instant::now(), 0);
    while rate > 1 && !stop.is_cancelled() {
        tick.tick().await;
        let due = (began.elapsed().as_secs_f64() * f64::from(rate)) as u32 - inserted;
        bulk(&pool, due).await;
        inserted += due;
    }
    inserted
}

async fn bulk(pool: &PgPool, rows: u32) {
    sqlx::query(
        "insert into public.error_metrics (source, error_type, message) \
         select 'worker', 'execution.noise', 'step ' || chr(97 + n % 26) || chr(97 + n / 26 % 26) || ' answered nothing' \
           from generate_series(1, $1) n",
    )
    .bind(i32::try_from(rows).unwrap_or(i32::MAX))
    .execute(pool)
    .await
    .expect("errors");
}

/// An error that crosses a threshold.
struct Probe {
    channel: usize,
    word: String,
    committed: Instant,
}

/// Commits probes one by one, not in step with the ticks of the reads.
async fn probe(pool: &PgPool, count: usize) -> Vec<Probe> {
    let mut probes = Vec::new();
    let mut due = Instant::now();
    for number in 0..count {
        due += Duration::from_secs_f64(rand::rng().random_range(0.5..1.5) / PROBES);
        sleep_until(due).await;
        let (channel, word) = (number % CHANNELS, word());
        sqlx::query(
            "insert into public.error_metrics (source, error_type, message) values ('worker', $1, $2)",
        )
        .bind(format!("system.c{channel}"))
        .bind(format!("probe {word}"))
        .execute(pool)
        .await
        .expect("an error");
        probes.push(Probe { channel, word, committed: Instant::now() });
    }
    probes
}

/// Letters by chance: digits would not make another fingerprint.
fn word() -> String {
    let mut random = rand::rng();
    (0..12).map(|_| char::from(random.random_range(b'a'..=b'z'))).collect()
}

/// Milliseconds until Slack was asked, sorted; [`PATIENCE`] for what did not come.
fn slack_delays(probes: &[Probe], requests: &[HttpRequest]) -> Vec<f64> {
    let of = |probe: &Probe| {
        let path = format!("/services/c{}", probe.channel);
        let mine =
            |request: &&HttpRequest| request.path == path && request.text().contains(&probe.word);
        requests.iter().find(mine).map(|request| request.received_at)
    };
    delays(probes, of)
}

/// Milliseconds until the mail was there, sorted; [`PATIENCE`] for what did not come.
fn mail_delays(probes: &[Probe], mails: &[Mail]) -> Vec<f64> {
    let of = |probe: &Probe| {
        let to = format!("m{}@example.com", probe.channel);
        // A mail's text may be broken into lines anywhere.
        let mine = |mail: &&Mail| {
            mail.to.contains(&to) && mail.data.replace("=\r\n", "").contains(&probe.word)
        };
        mails.iter().find(mine).map(|mail| mail.received_at)
    };
    delays(probes, of)
}

fn delays(probes: &[Probe], told: impl Fn(&Probe) -> Option<Instant>) -> Vec<f64> {
    let delay = |probe: &Probe| {
        let after = |at: Instant| at.saturating_duration_since(probe.committed);
        told(probe).map_or(PATIENCE, after).as_secs_f64() * 1e3
    };
    let mut delays: Vec<_> = probes.iter().map(delay).collect();
    delays.sort_by(f64::total_cmp);
    delays
}

/// What so many of a hundred do not exceed.
fn share(sorted: &[f64], part: usize) -> f64 {
    sorted[(sorted.len() * part).div_ceil(100).max(1) - 1]
}

/// As many rows as two connections can insert, and the time until the last one is counted.
async fn sustained(stack: &Stack, process: &Process, summary: &mut Summary) {
    let count = || async {
        sqlx::query_scalar::<_, i64>(
            "select coalesce(sum(count), 0)::bigint from public.error_rate_minutes where error_type = 'execution.noise'",
        )
        .fetch_one(&stack.admin)
        .await
        .expect("an answer")
    };
    let stored = || async {
        sqlx::query_scalar::<_, i64>(
            "select count(*) from public.error_metrics where error_type = 'execution.noise'",
        )
        .fetch_one(&stack.admin)
        .await
        .expect("an answer")
    };
    let (already, before, began) = (stored().await, Use::of(process.id()), Instant::now());
    let flood = |pool: PgPool| async move {
        while began.elapsed() < FLOOD {
            bulk(&pool, 1_000).await;
        }
    };
    tokio::join!(flood(stack.admin.clone()), flood(stack.admin.clone()));
    let inserted = began.elapsed().as_secs_f64();
    let all = stored().await;
    eventually("every row is counted", || async { (count().await >= all).then_some(()) }).await;
    let counted = began.elapsed().as_secs_f64();
    let after = Use::of(process.id());
    let rows = (all - already) as f64;
    summary.add(Line::new("sustained: inserted", "rows/s", rows / inserted));
    let line = Line::new("sustained: inserted and counted", "rows/s", rows / counted);
    summary.add(line.limit(counted / inserted));
    let each = (after.seconds - before.seconds) * 1e6 / rows;
    summary.add(Line::new("sustained: daemon's processor a row", "µs", each));
    summary.add(Line::new("sustained: daemon's memory", "MB", after.megabytes));
}
