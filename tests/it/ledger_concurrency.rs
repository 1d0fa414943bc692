//! The ledger among concurrent writers, open transactions and a crashing PostgreSQL.

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use meshhook_errors::{
    clock::Clock,
    feed::ledger::Ledger,
    store::feed::{draw_stamp, read_missing},
};
use rand::{Rng, SeedableRng, rngs::StdRng};
use sqlx::{PgPool, Postgres, Transaction};
use tokio::{
    task::JoinSet,
    time::{Instant, sleep, timeout},
};

use crate::{
    feed::harness::{Instance, assert_exact, daemon_db, insert, insert_within, quick_feed, scalar},
    support::{
        PATIENCE,
        db::{OwnServer, pool},
        stalls::net_since,
    },
};

/// How long the writers write.
const WRITING: Duration = Duration::from_secs(24);
/// When the server crashes.
const CRASH_AT: Duration = Duration::from_secs(10);
/// How long one of the writers keeps its transaction open, after the crash has ended its first one.
const HELD: Duration = Duration::from_secs(20);
const WRITERS: u64 = 14;
/// A count behind the newest commit may lag this much.
const IN_TIME: Duration = Duration::from_secs(2);

/// What the writers share.
struct Chaos {
    url: String,
    stop: AtomicBool,
    /// Whether the server is down, and writers wait.
    down: AtomicBool,
    commits: AtomicU64,
    failures: AtomicU64,
}

impl Chaos {
    fn stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    async fn connect(&self) -> PgPool {
        while self.down.load(Ordering::Relaxed) {
            sleep(Duration::from_millis(20)).await;
        }
        pool(&self.url).await
    }
}

/// One transaction of a kind that `random` decides on; an error is the crash's.
async fn transact(pool: &PgPool, random: &mut StdRng, n: usize) -> Result<(), sqlx::Error> {
    let mut transaction = pool.begin().await?;
    let pause = |random: &mut StdRng| Duration::from_millis(random.random_range(0..25));
    match random.random_range(0..10) {
        0..5 => {
            for row in 0..random.random_range(1..6) {
                write(&mut transaction, n + row).await?;
                sleep(pause(random)).await;
            }
        }
        5..7 => {
            let rows = random.random_range(50..400);
            sqlx::query(
                "insert into public.error_metrics (source, error_type, message)
                 select 'worker', 'execution.timeout', 'bulk ' || n % 7 from generate_series(1, $1) n",
            )
            .bind(rows)
            .execute(&mut *transaction)
            .await?;
        }
        7 => {
            // Each repeated row draws a number and adds nothing; the new one stays.
            sqlx::query(
                "insert into public.error_metrics (error_id, source, error_type)
                 (select error_id, 'worker', 'input' from public.error_metrics
                   order by seq desc limit 5)
                 union all select gen_random_uuid(), 'worker', 'input'
                 on conflict (error_id) do nothing",
            )
            .execute(&mut *transaction)
            .await?;
        }
        8 => {
            write(&mut transaction, n).await?;
            sqlx::raw_sql("savepoint s").execute(&mut *transaction).await?;
            write(&mut transaction, n).await?;
            sqlx::raw_sql("rollback to s").execute(&mut *transaction).await?;
            write(&mut transaction, n).await?;
        }
        _ => sleep(pause(random)).await,
    }
    if random.random_bool(0.25) { transaction.rollback().await } else { transaction.commit().await }
}

async fn write(transaction: &mut Transaction<'_, Postgres>, n: usize) -> Result<(), sqlx::Error> {
    sqlx::query("insert into public.error_metrics (source, error_type, message) values ('worker', 'input', $1)")
        .bind(["disk full", "no route", "bad token"][n % 3])
        .execute(&mut **transaction)
        .await?;
    Ok(())
}

async fn writer(chaos: Arc<Chaos>, seed: u64) {
    let mut random = StdRng::seed_from_u64(seed);
    let mut pool = chaos.connect().await;
    let mut n = 0;
    while !chaos.stopped() {
        n += 1;
        match timeout(PATIENCE, transact(&pool, &mut random, n)).await.expect("no writer hangs") {
            Ok(()) => drop(chaos.commits.fetch_add(1, Ordering::Relaxed)),
            Err(_) => {
                chaos.failures.fetch_add(1, Ordering::Relaxed);
                pool = chaos.connect().await;
            }
        }
        sleep(Duration::from_millis(random.random_range(0..60))).await;
    }
}

/// A row in a transaction that stays open for long; the crash ends the first such one.
async fn holder(chaos: Arc<Chaos>) {
    loop {
        let pool = chaos.connect().await;
        let mut transaction = pool.begin().await.expect("a transaction");
        insert_within(&mut transaction, 1, None).await;
        let begun = Instant::now();
        while begun.elapsed() < HELD
            && sqlx::raw_sql("select").execute(&mut *transaction).await.is_ok()
        {
            sleep(Duration::from_millis(50)).await;
        }
        if begun.elapsed() >= HELD {
            return transaction.commit().await.expect("the long transaction commits");
        }
    }
}

/// The longest that a row was in the table and had not been given out, less what the machine took.
async fn watch_lateness(chaos: Arc<Chaos>, instance: &Instance) -> Duration {
    let (mut waiting, mut worst) = (Vec::<(i64, Instant)>::new(), Duration::ZERO);
    let mut known = BTreeSet::new();
    let mut pool = chaos.connect().await;
    let (mut highest, mut grace) = (0_i64, Instant::now());
    while !chaos.stopped() {
        let down = chaos.down.load(Ordering::Relaxed);
        let seen = Instant::now();
        let rows: Result<Vec<i64>, _> =
            sqlx::query_scalar("select seq from public.error_metrics where seq > $1 - 3000")
                .bind(highest)
                .fetch_all(&pool)
                .await;
        let Ok(rows) = rows else {
            pool = chaos.connect().await;
            grace = Instant::now();
            continue;
        };
        for seq in rows {
            if known.insert(seq) {
                highest = highest.max(seq);
                waiting.push((seq, seen.max(grace)));
            }
        }
        let counted: BTreeSet<i64> = instance.new_numbers().into_iter().collect();
        waiting.retain(|(seq, since)| {
            if !down {
                worst = worst.max(net_since(*since));
            }
            !counted.contains(seq)
        });
        sleep(Duration::from_millis(100)).await;
    }
    worst
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_missed_or_doubled_among_writers_and_a_crash() {
    let (mut server, db) = OwnServer::start().await;
    let admin = pool(&db.admin_url).await;
    let instance = Instance::start(&db, quick_feed());
    instance.status_shows("caught up", |status| status.caught_up).await;
    let chaos = Arc::new(Chaos {
        url: db.admin_url.clone(),
        stop: AtomicBool::new(false),
        down: AtomicBool::new(false),
        commits: AtomicU64::new(0),
        failures: AtomicU64::new(0),
    });
    let mut tasks = JoinSet::new();
    for seed in 0..WRITERS {
        tasks.spawn(writer(Arc::clone(&chaos), seed));
    }
    let mut long = JoinSet::new();
    long.spawn(holder(Arc::clone(&chaos)));
    let begun = Instant::now();
    let conductor = async {
        sleep(CRASH_AT).await;
        chaos.down.store(true, Ordering::Relaxed);
        server.crash().await;
        server.restart().await;
        chaos.down.store(false, Ordering::Relaxed);
        sleep(WRITING.saturating_sub(begun.elapsed())).await;
        chaos.stop.store(true, Ordering::Relaxed);
    };
    let (worst, ()) = tokio::join!(watch_lateness(Arc::clone(&chaos), &instance), conductor);
    while let Some(ended) = tasks.join_next().await {
        ended.expect("no writer panics");
    }
    // The long transaction is still open: every other row is out, and its hole is not closed.
    assert!(instance.status.borrow().missing > 0, "the long transaction's number is open");
    while let Some(ended) = long.join_next().await {
        ended.expect("the long transaction ends");
    }
    drop(admin);
    let admin = pool(&db.admin_url).await;
    instance.settled(&admin).await;
    // A hole that was closed and filled later would be in the table and not among these.
    assert_exact(&admin, &instance.new_numbers()).await;
    let status = instance.status.borrow().clone();
    let rows = instance.new_numbers().len();
    eprintln!(
        "{rows} rows in {} commits, {} numbers proven empty, {} failures at the crash, worst delay {worst:?}",
        chaos.commits.load(Ordering::Relaxed),
        status.proven_empty,
        chaos.failures.load(Ordering::Relaxed),
    );
    assert_eq!(status.rows_counted, rows as u64);
    assert!(status.proven_empty > 100 && rows > 1_000, "{status:?}");
    assert!(chaos.failures.load(Ordering::Relaxed) > 0, "the crash hit nobody");
    assert!(worst < IN_TIME, "a row waited for {worst:?}");
    assert_eq!((status.epoch, status.rows_differing), (1, 0), "{:?}", status.problems);
    assert!(status.problems.is_empty(), "{:?}", status.problems);
    instance.stop().await;
}

/// What a crash takes back: numbers that were drawn and seen, but not on the disk.
#[tokio::test]
async fn numbers_that_a_crash_took_back_are_not_proven_empty() {
    let (mut server, db) = OwnServer::start().await;
    let superuser = pool(&db.superuser_url).await;
    // Else the server itself brings everything to the disk within a moment.
    sqlx::raw_sql("alter system set wal_writer_delay = '10s'").execute(&superuser).await.unwrap();
    sqlx::raw_sql("select pg_reload_conf()").execute(&superuser).await.unwrap();
    let (reader, clock) = (daemon_db(&db, false), Clock::system());
    let mut ledger = Ledger::default();
    let admin = pool(&db.admin_url).await;
    assert_eq!(insert(&admin, 0).await, 1);
    sleep(Duration::from_millis(500)).await;

    // Forty draws of a transaction that never ends: the server writes its log 33 numbers ahead.
    let mut lost = admin.begin().await.unwrap();
    for n in 0..40 {
        insert_within(&mut lost, n, None).await;
    }
    let page = read_missing(&reader, &[], 1..i64::MAX, 1_000, PATIENCE).await.unwrap();
    assert_eq!((page.last_drawn, page.events.len()), (41, 1));
    ledger.insert(1, clock.now());
    ledger.observe(page.last_drawn, clock.now());
    server.crash().await;
    server.restart().await;
    drop((admin, superuser, reader, lost));

    let reader = daemon_db(&db, false);
    let stamp = draw_stamp(&reader, PATIENCE).await.unwrap();
    assert!(stamp.last_drawn < 41, "the crash took nothing back, so nothing is tested: {stamp:?}");
    ledger.stamp(stamp.xid, ledger.observed().min(stamp.last_drawn));
    // The numbers are drawn again, by a transaction that is younger than the stamp.
    let admin = pool(&db.admin_url).await;
    let mut again = admin.begin().await.unwrap();
    let mut numbers = Vec::new();
    while numbers.last().is_none_or(|last| *last < 50) {
        numbers.push(insert_within(&mut again, 0, None).await);
    }
    assert!(numbers[0] <= 41, "{numbers:?}");
    let read = async |ledger: &mut Ledger| {
        let wanted: Vec<_> = ledger.missing().collect();
        let tail = ledger.observed() + 1;
        let page = read_missing(&reader, &wanted, tail..i64::MAX, 1_000, PATIENCE).await.unwrap();
        let new = page.events.iter().filter(|event| ledger.insert(event.seq, clock.now())).count();
        ledger.observe(page.last_drawn, clock.now());
        (new, ledger.prove(page.xmin, &page.read))
    };
    let (new, proven) = read(&mut ledger).await;
    assert_eq!((new, proven), (0, (numbers[0] - 2).unsigned_abs()), "only what the old log holds");
    again.commit().await.unwrap();
    assert_eq!(read(&mut ledger).await.0, numbers.len(), "every row that was drawn again");
    assert_eq!(ledger.missing_count(), 0);

    // A stamp that was told to us is on the disk: no transaction after the crash gets a lower id.
    let stamp = draw_stamp(&reader, PATIENCE).await.unwrap();
    server.crash().await;
    server.restart().await;
    let after =
        scalar(&pool(&db.admin_url).await, "select pg_current_xact_id()::text::bigint").await;
    assert!(after.unsigned_abs() > stamp.xid, "{after} after {stamp:?}");
}
