//! A deployment with a daemon, a writer that never stops, and a record of how late each row counted.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use meshhook_errors::{backoff::Backoff, cli::run::Settings, realtime::Timing};
use serde_json::{Value, json};
use sqlx::Row;
use supabase_local::faults::{Faults, Seen};
use tokio::time::{Instant, sleep, timeout};
use tokio_util::task::AbortOnDropHandle;

use crate::{
    feed::harness::assert_rollups,
    support::{
        PATIENCE, eventually,
        stack::{Instance, Stack},
        stalls::net,
    },
};

/// A row is to be counted this soon after its commit, or after the database is back.
pub const IN_TIME: Duration = Duration::from_secs(2);
/// An alert is to reach Slack this soon after the row that causes it; generous, because a dozen
/// deployments share the machine. The benchmarks measure it alone.
const ALERT_IN_TIME: Duration = Duration::from_secs(5);
/// The rule fires at this many rows.
pub const THRESHOLD: usize = 30;
/// Rows that are written before the fault begins.
const CALM: usize = 8;
/// Time between rows.
const PACE: Duration = Duration::from_millis(80);

/// Waits that make a client go through its troubles in seconds; those of its schedule and of rate
/// limits stay as they are.
pub fn quick_socket(settings: &mut Settings) {
    let millis = Duration::from_millis;
    settings.socket = Timing {
        heartbeat: millis(3_000),
        connect: millis(3_000),
        join: millis(4_000),
        subscribe: millis(4_000),
        retry: Backoff::new(&[millis(200), millis(500), millis(1_000)], 0.2).expect("a schedule"),
        slow_retry: millis(1_000),
        probe: millis(1_000),
        overlap: millis(300),
        ..Timing::default()
    };
}

/// A deployment under test.
pub struct Rig {
    pub stack: Stack,
    pub instance: Instance,
    pub faults: Faults,
    /// Numbers with the time at which their commit was known.
    rows: Mutex<Vec<(i64, Instant)>>,
    /// When the low-water mark reached which number.
    marks: Arc<Mutex<Vec<(Instant, i64)>>>,
    before: Mutex<Option<(Seen, BTreeMap<String, f64>)>>,
    _sampler: AbortOnDropHandle<()>,
}

/// How it stands: what the server saw since the fault began, and what the daemon says of itself.
#[derive(Debug)]
pub struct Look {
    /// What the server counted, since the fault began.
    pub seen: Seen,
    /// `/metrics`.
    metrics: BTreeMap<String, f64>,
    /// The same when the fault began.
    before: BTreeMap<String, f64>,
    /// The status row's word for the socket.
    pub socket: String,
    /// Names of the status row's problems.
    pub problems: Vec<String>,
    /// Rows that were committed.
    pub rows: usize,
}

impl Look {
    /// A metric's value; 0 where there is none.
    pub fn metric(&self, name: &str) -> f64 {
        self.metrics.get(&format!("meshhook_errors_{name}")).copied().unwrap_or_default()
    }

    /// By how much a metric has grown since the fault began.
    pub fn grown(&self, name: &str) -> f64 {
        let before = self.before.get(&format!("meshhook_errors_{name}"));
        self.metric(name) - before.copied().unwrap_or_default()
    }

    /// All is well: subscribed, not deaf, without a problem.
    pub fn is_well(&self) -> bool {
        self.socket == "subscribed"
            && self.metric("socket_subscribed") > 0.0
            && self.metric("socket_deaf") < 1.0
            && self.problems.is_empty()
    }
}

/// The lines of `/metrics`, by name with labels.
fn metrics(text: &str) -> BTreeMap<String, f64> {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let pairs = lines.filter_map(|line| line.rsplit_once(' '));
    pairs.filter_map(|(name, value)| Some((name.to_owned(), value.parse().ok()?))).collect()
}

impl Rig {
    /// Starts a daemon that is to alert once.
    pub async fn start(stack: Stack, adjust: impl FnOnce(&mut Settings)) -> Self {
        let slack = stack.channel("alerts", "slack").await;
        let threshold = json!({"metric": "count", "window_seconds": 3600, "critical": THRESHOLD});
        stack.rule("many errors", threshold, &[slack]).await;
        let instance = stack
            .daemon_as([], |settings| {
                quick_socket(settings);
                adjust(settings);
            })
            .await;
        let marks: Arc<Mutex<Vec<(Instant, i64)>>> = Arc::default();
        let (mut feed, noted) = (instance.daemon.feed(), Arc::clone(&marks));
        let sampler = tokio::spawn(async move {
            while feed.changed().await.is_ok() {
                let mark = feed.borrow_and_update().low_water;
                noted.lock().unwrap().push((Instant::now(), mark));
            }
        });
        let faults = stack.faults().expect("the local server");
        Self {
            stack,
            instance,
            faults,
            rows: Mutex::default(),
            marks,
            before: Mutex::default(),
            _sampler: AbortOnDropHandle::new(sampler),
        }
    }

    /// Writes rows until `done` is, and returns its value. No write is broken off: nobody would know
    /// whether its row was committed.
    pub async fn write_until<T>(&self, done: impl Future<Output = T>) -> T {
        let stop = AtomicBool::new(false);
        let writing = async {
            while !stop.load(Ordering::Relaxed) {
                self.write_one().await;
                sleep(PACE).await;
            }
        };
        let done = async {
            let value = done.await;
            stop.store(true, Ordering::Relaxed);
            value
        };
        tokio::join!(done, writing).0
    }

    /// Writes one row, unless the database is away.
    pub async fn write_one(&self) {
        let insert = sqlx::query(
            "insert into public.error_metrics (source, error_type, message)
             values ('worker', 'execution.timeout', 'it failed') returning seq",
        );
        if let Ok(Ok(row)) = timeout(IN_TIME, insert.fetch_one(&self.stack.admin)).await {
            self.committed([row.get::<i64, _>(0)]);
        }
    }

    /// Notes that rows were committed just now.
    pub fn committed(&self, numbers: impl IntoIterator<Item = i64>) {
        let now = Instant::now();
        self.rows.lock().unwrap().extend(numbers.into_iter().map(|seq| (seq, now)));
    }

    /// Writes the rows before the fault, and remembers how it stands.
    pub async fn calm(&self) {
        let feed = self.instance.daemon.feed();
        let counted = eventually("the first rows are counted", || {
            let counted = feed.borrow().rows_counted as usize;
            async move { (counted >= CALM).then_some(()) }
        });
        self.write_until(counted).await;
        let (_, text) = self.instance.http("/metrics").await;
        *self.before.lock().unwrap() = Some((self.faults.seen(), metrics(&text)));
    }

    pub async fn look(&self) -> Option<Look> {
        let (before_seen, before) = self.before.lock().unwrap().clone().expect("calm came first");
        let (_, text) = self.instance.http("/metrics").await;
        let row = sqlx::query(
            "select socket, problems from public.error_tracker_status where instance_id = $1",
        )
        .bind(self.instance.daemon.instance())
        .fetch_one(&self.stack.admin);
        // Without a database there is nothing to look at.
        let row = timeout(IN_TIME, row).await.ok()?.ok()?;
        let problems: Value = row.get("problems");
        let words = problems.as_array().into_iter().flatten();
        let seen = self.faults.seen();
        Some(Look {
            seen: Seen {
                handshakes: seen.handshakes - before_seen.handshakes,
                sockets: seen.sockets - before_seen.sockets,
                joins: seen.joins - before_seen.joins,
                heartbeats: seen.heartbeats - before_seen.heartbeats,
                token_refreshes: seen.token_refreshes - before_seen.token_refreshes,
                frames_sent: seen.frames_sent - before_seen.frames_sent,
                frames_lost: seen.frames_lost - before_seen.frames_lost,
                slow_clients: seen.slow_clients - before_seen.slow_clients,
                slots: seen.slots - before_seen.slots,
            },
            metrics: metrics(&text),
            before,
            socket: row.get("socket"),
            problems: words.filter_map(|p| Some(p["what"].as_str()?.to_owned())).collect(),
            rows: self.rows.lock().unwrap().len(),
        })
    }

    /// Waits until a look shows what is expected.
    pub async fn shows(&self, what: &str, expected: impl Fn(&Look) -> bool) -> Look {
        let (deadline, mut last) = (Instant::now() + PATIENCE, None);
        while Instant::now() < deadline {
            if let Some(look) = self.look().await {
                if expected(&look) {
                    return look;
                }
                last = Some(look);
            }
            sleep(Duration::from_millis(100)).await;
        }
        panic!("not within {PATIENCE:?}: {what}; last {last:#?}");
    }

    /// The most that a row waited to be counted, less what the machine took; one committed before
    /// `excused` waits from then on.
    pub fn worst_delay(&self, excused: Option<Instant>) -> Duration {
        let (rows, marks) = (self.rows.lock().unwrap(), self.marks.lock().unwrap());
        let delay = |(seq, committed): &(i64, Instant)| {
            let counted = marks.iter().find(|(_, mark)| mark >= seq).map(|(at, _)| *at);
            let counted = counted.unwrap_or_else(|| panic!("row {seq} was never counted"));
            let from = excused.map_or(*committed, |end| end.max(*committed));
            net(from, counted)
        };
        rows.iter().map(delay).max().unwrap_or_default()
    }

    /// Everything was counted exactly once and in time, and one alert went out in time; returns the
    /// worst delay of a row and that of the alert.
    pub async fn is_exact(&self, excused: Option<Instant>) -> (Duration, Duration) {
        // A short fault on a slow machine leaves too few rows for an alert.
        while self.rows.lock().unwrap().len() < THRESHOLD {
            self.write_one().await;
        }
        let rows = self.rows.lock().unwrap().clone();
        let last = rows.iter().map(|(seq, _)| *seq).max().expect("rows were written");
        let mut feed = self.instance.daemon.feed();
        let settled = feed.wait_for(|feed| feed.low_water >= last && feed.unsaved == 0);
        drop(timeout(PATIENCE, settled).await.expect("every number settles").expect("it runs"));
        let committed = self.stack.number("select count(*) from public.error_metrics").await;
        let feed = self.instance.daemon.feed().borrow().clone();
        assert_eq!(feed.rows_counted.cast_signed(), committed, "counted and committed differ");
        assert_eq!((feed.rows_differing, feed.rows_unreadable, feed.epoch), (0, 0, 1));
        let inspection = self.instance.inspect().await;
        let windows: Vec<u64> = inspection.total_by_rule.values().copied().collect();
        assert_eq!(windows, [committed.unsigned_abs()], "the rule's window and committed differ");
        assert_rollups(&self.stack.admin).await;
        self.shows("metrics say the same", |look| {
            look.metric("rows_counted_total") == feed.rows_counted as f64
                && look.metric("rows_rolled_up_total") == feed.rows_saved as f64
        })
        .await;

        let worst = self.worst_delay(excused);
        assert!(worst <= IN_TIME, "a row waited {worst:?} to be counted");
        let first = self.stack.slack.next(PATIENCE).await.expect("an alert");
        let (_, cause) = rows[THRESHOLD - 1];
        let cause = excused.map_or(cause, |end| end.max(cause));
        let alert = net(cause, first.received_at);
        assert!(alert <= ALERT_IN_TIME, "the alert took {alert:?}");
        let messages: Vec<_> = self.stack.slack.requests().iter().map(|r| r.text()).collect();
        assert_eq!(messages.len(), 1, "{messages:#?}");
        let incidents = self
            .stack
            .number("select count(*) from public.alert_incidents where rule_id is not null")
            .await;
        assert_eq!(incidents, 1);
        (worst, alert)
    }
}
