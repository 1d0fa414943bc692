//! What the daemon asks of the database: catching up by numbered reads, beginning with an hour of
//! history, and counting into rollups; on a server of its own with `FEED_ROWS` errors (1,000,000).
//!
//! Budgets: at least 200,000 rows/s of catch-up, and a start with a million rows of history within 10 s.
//! The nearest honest limit of a read is `copy` of the same columns into a file.

use std::{io::Write as _, time::Duration};

use futures_util::TryStreamExt as _;
use meshhook_errors::{
    clock::Clock,
    feed::ledger::Ledger,
    model::{RangeSet, Span},
    store::{
        Fence, PoolOptions,
        feed::{HistoryPage, read_history, read_missing},
        lease,
        pool::connect,
        rollup::{Portion, Saved, roll_up},
    },
};
use serde_json::json;
use sqlx::postgres::PgPoolCopyExt as _;
use tokio::time::Instant;
use uuid::Uuid;

mod summary;
#[expect(dead_code, unused_imports, reason = "the integration tests use the rest of it")]
#[path = "../tests/it/support/mod.rs"]
mod support;

use summary::{Line, Summary};
use support::{
    db::{OwnServer, TestDb, switch},
    process::Process,
    stack::Stack,
};

/// Rows of one read, as the daemon asks for them.
const PAGE: u32 = 20_000;
const LIMIT: Duration = Duration::from_secs(60);

#[tokio::main]
async fn main() {
    if !summary::measuring() {
        return;
    }
    let rows: i64 = switch("FEED_ROWS").map_or(1_000_000, |rows| rows.parse().expect("a number"));
    let mut summary = Summary::new("feed");
    let (_server, db) = OwnServer::start().await;
    fill(&db, rows).await;
    let copied = copy(&db).await;
    let caught_up = catch_up(&db, rows).await;
    let speed = |time: f64| rows as f64 / time;
    summary.add(Line::new("copy of the same rows to a file", "rows/s", speed(copied)));
    let line = Line::new("catch-up by numbered reads, ledger included", "rows/s", speed(caught_up));
    summary.add(line.at_least(200_000.0).limit(caught_up / copied));
    let read = history(&db, rows).await;
    let line = Line::new("history, read page by page", "rows/s", speed(read));
    summary.add(line.limit(read / copied));
    for portion in [100, 1_000, 10_000] {
        let time = count(&db, portion).await;
        let line = Line::new(format!("rollup transaction of {portion} rows"), "ms", time * 1e3);
        // Once a second: more than half of it would leave no room.
        summary.add(if portion == 10_000 { line.at_most(500.0) } else { line });
    }
    let started = start(db).await;
    let name = format!("start with {rows} rows of history in the windows");
    summary.add(Line::new(name, "s", started).at_most(10.0));
    summary.write();
}

/// Errors of the last hour, as the trigger would have left them; none is counted yet.
async fn fill(db: &TestDb, rows: i64) {
    let superuser = support::db::pool(&db.superuser_url).await;
    let sql = format!(
        "begin;
         set local session_replication_role = replica;
         insert into public.error_metrics (error_id, \"timestamp\", source, error_type, severity, metadata, message,
           fingerprint, received_at, seq)
         select gen_random_uuid(), at, 'worker', 'execution.http_timeout', 'high', '{{}}',
                'POST https://api.example.com/v1/orders timed out after 30000 ms', md5('group ' || i % 100)::uuid, at, i
           from (select i, now() - interval '59 minutes' * (1 - i / {rows}.0) as at from generate_series(1, {rows}) i) e;
         select setval('error_tracking.error_metrics_seq', {rows});
         commit;
         vacuum analyze public.error_metrics"
    );
    for statement in sql.split(";\n").collect::<Vec<_>>().chunks(5) {
        support::sql(&superuser, &statement.join(";\n")).await;
    }
}

/// Seconds that the columns that the daemon reads take as a file.
async fn copy(db: &TestDb) -> f64 {
    let pool = support::db::pool(&db.superuser_url).await;
    let path = std::env::temp_dir().join(format!("meshhook-errors-{}.copy", Uuid::new_v4()));
    let mut file = std::fs::File::create(&path).expect("a file");
    let began = Instant::now();
    let mut rows = pool
        .copy_out_raw(
            "copy (select seq, error_id, \"timestamp\", received_at, source, error_type, severity, project_id, \
             workflow_id, fingerprint, message from public.error_metrics order by seq) to stdout (format binary)",
        )
        .await
        .expect("a copy");
    while let Some(bytes) = rows.try_next().await.expect("rows") {
        file.write_all(&bytes).expect("the file takes them");
    }
    file.flush().expect("the file takes them");
    let time = began.elapsed().as_secs_f64();
    std::fs::remove_file(path).expect("the file goes");
    time
}

fn store(db: &TestDb) -> meshhook_errors::store::Db {
    connect(&db.daemon_url, &PoolOptions::default()).expect("an address")
}

/// Seconds from the first number to the last, each entered into the ledger.
async fn catch_up(db: &TestDb, rows: i64) -> f64 {
    let (store, now) = (store(db), Clock::system().now());
    let mut ledger = Ledger::default();
    let (mut next, mut read) = (1, 0);
    let began = Instant::now();
    while next <= rows {
        let tail = next..next + i64::from(PAGE) * 4;
        let page = read_missing(&store, &[], tail, PAGE, LIMIT).await.expect("a page");
        read += page.events.iter().filter(|event| ledger.insert(event.seq, now)).count();
        next = page.events.last().map_or(i64::MAX, |event| event.seq + 1);
    }
    let time = began.elapsed().as_secs_f64();
    assert_eq!(i64::try_from(read).ok(), Some(rows), "every row is read");
    time
}

/// Seconds that the windows' rows take at a start.
async fn history(db: &TestDb, rows: i64) -> f64 {
    let store = store(db);
    let since = Clock::system().now() - Span::from_secs(7_200);
    let mut page = HistoryPage { from: 1, to: rows, since, project: None, most_rows: PAGE };
    let mut read = 0;
    let began = Instant::now();
    loop {
        let (events, more) = read_history(&store, &page, LIMIT).await.expect("a page");
        read += events.len();
        let Some(last) = more else { break };
        page.from = last + 1;
    }
    let time = began.elapsed().as_secs_f64();
    assert_eq!(i64::try_from(read).ok(), Some(rows), "every row is read");
    time
}

/// The median of the seconds that counting so many rows takes, in one transaction under the fence.
async fn count(db: &TestDb, portion: i64) -> f64 {
    const TIMES: i64 = 5;
    let (store, admin) = (store(db), db.admin().await);
    let holder = Uuid::new_v4();
    let taken = lease::acquire(&store, holder, LIMIT, LIMIT).await.expect("an answer");
    let fence: Fence = taken.expect("nobody else leads").fence;
    let counted: i64 =
        sqlx::query_scalar("select coalesce(upper(accounted), 1) from error_tracking.checkpoint")
            .fetch_one(&admin)
            .await
            .expect("a checkpoint");
    let mut times = Vec::new();
    for time in 0..TIMES {
        let from = counted + time * portion;
        let ranges: RangeSet = std::iter::once(from..from + portion).collect();
        let rows = portion.unsigned_abs();
        let portion = Portion { epoch: 1, ranges, rows, known: 0, accept_difference: false };
        let began = Instant::now();
        let saved = roll_up(&store, &fence, &portion, LIMIT).await.expect("an answer");
        times.push(began.elapsed().as_secs_f64());
        assert_eq!(saved, Saved::Yes { rows });
    }
    lease::release(&store, &fence, LIMIT).await.expect("an answer");
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

/// Seconds from the start of a daemon until it leads and has counted everything, where a rule's window
/// holds all rows and the checkpoint says that they are counted.
async fn start(db: TestDb) -> f64 {
    let admin = db.admin().await;
    support::sql(
        &admin,
        "update error_tracking.checkpoint set accounted = int8multirange(int8range(1, \
         (select last_value + 1 from error_tracking.error_metrics_seq)))",
    )
    .await;
    let stack = Stack::on(Some(db), |_| {}).await;
    let rule = json!({
        "metric": "count", "window_seconds": 7_200, "warning": 1e12, "group_by": ["fingerprint"],
    });
    stack.rule("All of it", rule, &[]).await;
    let began = Instant::now();
    let process = Process::start(stack.variables()).await;
    process.until_role("leader").await;
    began.elapsed().as_secs_f64()
}
