//! A running feed with an engine that only remembers, and writers that make errors.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use meshhook_errors::{
    clock::Clock,
    feed::{FeedHandle, FeedInput, FeedOptions, FeedOutput, FeedStatus, feed},
    lease::{Leadership, LeaseOptions, lease},
    model::{ErrorEvent, Severity, Source, Span},
    store::{Db, PoolOptions, pool::connect},
};
use sqlx::{PgPool, Postgres, Transaction};
use tokio::{sync::mpsc, sync::watch, task::JoinSet};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::support::{PATIENCE, db::TestDb, stalls};

/// Everything the feed gave out, in order.
pub type Outputs = Arc<Mutex<Vec<FeedOutput>>>;

/// One instance: lease, feed, and the memory of its outputs.
pub struct Instance {
    pub db: Db,
    pub leadership: Leadership,
    pub inputs: mpsc::Sender<FeedInput>,
    pub status: watch::Receiver<FeedStatus>,
    pub outputs: Outputs,
    feed: JoinSet<()>,
    lease: JoinSet<()>,
    feed_cancel: CancellationToken,
    lease_cancel: CancellationToken,
}

/// Short times, so that takeovers and patience can be tested.
pub fn quick_lease() -> LeaseOptions {
    LeaseOptions {
        ttl: Duration::from_millis(1_500),
        renew_every: Duration::from_millis(300),
        retry_every: Duration::from_millis(100),
        margin: Duration::from_millis(200),
    }
}

pub fn quick_feed() -> FeedOptions {
    FeedOptions {
        initial_window: Span::from_secs(3_600),
        tick_quiet: Duration::from_millis(50),
        tick_busy: Duration::from_millis(20),
        save_every: Duration::from_millis(100),
        ..FeedOptions::default()
    }
}

/// Connections of the daemon's role; `pooler` makes every statement a transaction.
pub fn daemon_db(test: &TestDb, pooler: bool) -> Db {
    let options = PoolOptions { transaction_pooler: Some(pooler), ..PoolOptions::default() };
    connect(&test.daemon_url, &options).unwrap()
}

impl Instance {
    pub fn start(test: &TestDb, options: FeedOptions) -> Self {
        Self::with_db(daemon_db(test, false), options)
    }

    pub fn with_db(db: Db, options: FeedOptions) -> Self {
        stalls::watch();
        let (keeper, leadership) = lease(db.clone(), Uuid::new_v4(), quick_lease());
        let (feed, handle) = feed(db.clone(), Clock::system(), leadership.clone(), options);
        let FeedHandle { inputs, outputs: mut stream, commands: _, status } = handle;
        let (feed_cancel, lease_cancel) = (CancellationToken::new(), CancellationToken::new());
        let (mut feeds, mut leases) = (JoinSet::new(), JoinSet::new());
        leases.spawn(keeper.run(lease_cancel.clone()));
        feeds.spawn(feed.run(feed_cancel.clone()));
        let outputs = Outputs::default();
        let memory = Arc::clone(&outputs);
        feeds.spawn(async move {
            while let Some(output) = stream.recv().await {
                memory.lock().unwrap().push(output);
            }
        });
        Self {
            db,
            leadership,
            inputs,
            status,
            outputs,
            feed: feeds,
            lease: leases,
            feed_cancel,
            lease_cancel,
        }
    }

    /// A clean stop: the feed saves, then the lease is given back.
    pub async fn stop(mut self) {
        self.feed_cancel.cancel();
        while let Some(ended) = self.feed.join_next().await {
            ended.unwrap();
        }
        self.lease_cancel.cancel();
        while let Some(ended) = self.lease.join_next().await {
            ended.unwrap();
        }
    }

    /// As `kill -9`: nothing is saved and nothing is given back.
    pub async fn kill(mut self) {
        self.feed.shutdown().await;
        self.lease.shutdown().await;
    }

    /// Only the lease dies; the feed goes on as if nothing had happened.
    pub async fn lose_lease(&mut self) {
        self.lease.shutdown().await;
    }

    /// Numbers given out as new, in order.
    pub fn new_numbers(&self) -> Vec<i64> {
        let outputs = self.outputs.lock().unwrap();
        let new = outputs.iter().filter_map(|output| match output {
            FeedOutput::New(events) => Some(events),
            _ => None,
        });
        new.flatten().map(|event| event.seq).collect()
    }

    /// Numbers replayed under this id, in order; none before the replay has ended.
    pub fn replayed(&self, wanted: u64) -> Option<Vec<i64>> {
        let outputs = self.outputs.lock().unwrap();
        outputs.contains(&FeedOutput::ReplayEnd { id: wanted }).then(|| {
            let pages = outputs.iter().filter_map(|output| match output {
                FeedOutput::Replay { id, events } if *id == wanted => Some(events),
                _ => None,
            });
            pages.flatten().map(|event| event.seq).collect()
        })
    }

    pub async fn status_shows(&self, what: &str, shows: impl Fn(&FeedStatus) -> bool) {
        let mut status = self.status.clone();
        if tokio::time::timeout(PATIENCE, status.wait_for(|status| shows(status))).await.is_err() {
            panic!("not within {PATIENCE:?}: {what}; {:#?}", status.borrow());
        }
    }

    /// Waits until every number that was drawn is accounted for and saved.
    pub async fn settled(&self, admin: &PgPool) {
        let drawn: i64 = scalar(
            admin,
            "select case when is_called then last_value else 0 end from error_tracking.error_metrics_seq",
        )
        .await;
        self.status_shows(&format!("all {drawn} numbers settled"), |status| {
            status.low_water >= drawn && status.unsaved == 0 && status.open_holes == 0
        })
        .await;
    }
}

pub async fn scalar(pool: &PgPool, sql: &'static str) -> i64 {
    sqlx::query_scalar(sql).fetch_one(pool).await.unwrap()
}

const INSERT: &str =
    "insert into public.error_metrics (source, error_type, severity, message, project_id)
  values ($1, $2, $3::public.error_severity, $4, $5) returning seq";

/// Inserts one error of kind `n` and returns its number.
pub async fn insert(pool: &PgPool, n: usize) -> i64 {
    let mut transaction = pool.begin().await.unwrap();
    let seq = insert_within(&mut transaction, n, None).await;
    transaction.commit().await.unwrap();
    seq
}

pub async fn insert_within(
    transaction: &mut Transaction<'_, Postgres>,
    n: usize,
    project: Option<Uuid>,
) -> i64 {
    sqlx::query_scalar(INSERT)
        .bind(["worker", "webhook", "system"][n % 3])
        .bind(["execution.timeout", "input", "system.storage"][n / 3 % 3])
        .bind(["low", "medium", "high"][n / 9 % 3])
        .bind(["disk full", "no route", "bad token", "out of range"][n % 4])
        .bind(project)
        .fetch_one(&mut **transaction)
        .await
        .unwrap()
}

/// An event as the socket would bring it; only its number matters to the feed.
pub fn socket_event(seq: i64) -> FeedInput {
    let now = Clock::system().now();
    FeedInput::Event(ErrorEvent {
        seq,
        error_id: Uuid::new_v4(),
        timestamp: now,
        received_at: now,
        source: Source::Worker,
        error_type: "input".into(),
        severity: Severity::Low,
        project_id: None,
        workflow_id: None,
        fingerprint: Uuid::nil(),
        message: "by the socket".into(),
    })
}

/// What the promise is: every committed row was given out once, and rollups and groups say what
/// `count(*)` says, in every dimension.
pub async fn assert_exact(admin: &PgPool, new: &[i64]) {
    let committed: Vec<i64> =
        sqlx::query_scalar("select seq from public.error_metrics order by seq")
            .fetch_all(admin)
            .await
            .unwrap();
    let mut times: HashMap<i64, u32> = HashMap::new();
    new.iter().for_each(|seq| *times.entry(*seq).or_default() += 1);
    let repeated: Vec<_> = times.iter().filter(|(_, times)| **times != 1).collect();
    assert_eq!(repeated, [], "given out more than once");
    let mut once: Vec<i64> = times.into_keys().collect();
    once.sort_unstable();
    assert_eq!(once, committed, "given out and committed differ");
    assert_rollups(admin).await;
}

/// Rollups and groups against the table, both ways.
pub async fn assert_rollups(admin: &PgPool) {
    for (what, sql) in [
        ("minutes", include_str!("minutes_differ.sql")),
        ("hours", include_str!("hours_differ.sql")),
        ("groups", include_str!("groups_differ.sql")),
    ] {
        assert_eq!(scalar(admin, sql).await, 0, "{what} differ from count(*)");
    }
}
