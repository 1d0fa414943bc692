//! Fifty thousand rows while Realtime discards nearly all of them, as above a plan's limit.

use sqlx::Row;
use tokio::{
    task::JoinSet,
    time::{Instant, timeout},
};

use super::{SEATS, rig::Rig};
use crate::support::{PATIENCE, db::OwnServer, stack::Stack};

const WRITERS: usize = 4;
const BULKS: usize = 50;
const BULK: i32 = 250;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_storm_is_counted_while_realtime_discards_it() {
    // It uses the machine as a whole, more or less.
    let _seats = SEATS.acquire_many(3).await.expect("seats");
    let (_server, db) = OwnServer::start().await;
    let rig = std::sync::Arc::new(Rig::start(Stack::on(Some(db), |_| {}).await, |_| {}).await);
    rig.calm().await;
    rig.faults.set(|knobs| knobs.max_events_per_second = Some(100));
    let begun = Instant::now();
    let mut writers = JoinSet::new();
    for _ in 0..WRITERS {
        let rig = std::sync::Arc::clone(&rig);
        writers.spawn(async move {
            for _ in 0..BULKS {
                let rows = sqlx::query(
                    "insert into public.error_metrics (source, error_type, message)
                     select 'worker', 'execution.timeout', 'storm ' || n % 5
                       from generate_series(1, $1) n returning seq",
                )
                .bind(BULK)
                .fetch_all(&rig.stack.admin)
                .await
                .expect("a bulk insert");
                rig.committed(rows.iter().map(|row| row.get::<i64, _>(0)));
            }
        });
    }
    writers.join_all().await;
    let wrote = begun.elapsed();
    let total = WRITERS * BULKS * usize::try_from(BULK).expect("a size");
    let mut feed = rig.instance.daemon.feed();
    let counted = feed.wait_for(|feed| feed.rows_counted as usize >= total);
    drop(timeout(PATIENCE, counted).await.expect("all are counted").expect("it runs"));
    let after = rig.shows("frames were discarded", |look| look.seen.frames_lost > 20_000).await;
    rig.faults.clear();
    rig.shows("all is well", |look| look.is_well()).await;
    let (worst, alert) = rig.is_exact(None).await;
    let rate = total as f64 / wrote.as_secs_f64();
    eprintln!(
        "storm: {total} rows in {:.1} s ({rate:.0}/s), worst delay {} ms, alert after {} ms, {:?}",
        wrote.as_secs_f64(),
        worst.as_millis(),
        alert.as_millis(),
        after.seen
    );
    // What came through proved that the socket was not deaf; on a slow machine it may look so once.
    assert!(after.seen.joins <= 2 && after.seen.sockets == 0, "{:?}", after.seen);
}
