//! What happens to the database itself: crashes, restores, open transactions, a schema of tomorrow.

use std::time::Duration;

use meshhook_errors::cli::run::Settings;
use sqlx::{AssertSqlSafe, PgPool};
use tokio::time::{Instant, sleep, timeout};

use super::{
    SEATS,
    rig::{IN_TIME, Rig, THRESHOLD},
};
use crate::{
    feed::harness::assert_rollups,
    support::{
        PATIENCE,
        db::{OwnServer, TestDb, pool},
        eventually,
        stack::Stack,
        stalls::net_since,
    },
};

/// PostgreSQL crashes, stays away for a while, and comes back without Realtime's slot.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_server_crashes() {
    let _seat = SEATS.acquire().await.expect("a seat");
    let (mut server, db) = OwnServer::start().await;
    let rig = Rig::start(Stack::on(Some(db), |_| {}).await, |_| {}).await;
    rig.calm().await;
    rig.write_until(async {
        server.crash().await;
        sleep(Duration::from_secs(3)).await;
    })
    .await;
    let (status, body) = rig.instance.http("/readyz").await;
    assert_eq!((status, body.contains("database")), (503, true), "{body}");
    server.restart().await;
    let back = Instant::now();
    let well = rig.shows("after", |look| {
        look.is_well() && look.seen.slots >= 1 && look.grown("database_failures_total") >= 1.0
    });
    let after = rig.write_until(well).await;
    while rig.look().await.is_none_or(|look| look.rows <= THRESHOLD) {
        rig.write_one().await;
    }
    assert_eq!(rig.instance.http("/readyz").await.0, 200);
    let (worst, alert) = rig.is_exact(Some(back)).await;
    eprintln!(
        "the server crashes: worst delay {} ms, alert after {} ms; {} rows, {:?}",
        worst.as_millis(),
        alert.as_millis(),
        after.rows,
        after.seen
    );
    rig.instance.stop().await;
}

/// Ends every connection to `database` and lets nobody in until `allow`.
async fn lock_out(superuser: &PgPool, database: &str, allow: bool) {
    let sql = format!("alter database {database} allow_connections {allow}");
    sqlx::raw_sql(AssertSqlSafe(sql)).execute(superuser).await.expect("the superuser may");
    if !allow {
        let left = "with ended as (select pg_terminate_backend(pid) from pg_stat_activity
               where datname = $1) select count(*) from ended";
        eventually("nobody is connected", || async {
            let left: i64 =
                sqlx::query_scalar(left).bind(database).fetch_one(superuser).await.ok()?;
            (left == 0).then_some(())
        })
        .await;
    }
}

fn tell_the_operators(settings: &mut Settings) {
    settings.upkeep.system_channels = Some(vec!["operators".to_owned()]);
}

/// The whole database is restored from a backup while everything runs: what the daemon knows is then
/// about rows that are gone, and their numbers come again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_is_restored() {
    let _seat = SEATS.acquire().await.expect("a seat");
    let (server, db) = OwnServer::start().await;
    let name = db.name.clone();
    let superuser = pool(&server.url("supabase_admin", "postgres")).await;
    let run = async |sql: String| {
        sqlx::raw_sql(AssertSqlSafe(sql)).execute(&superuser).await.expect("the superuser may");
    };
    let stack = Stack::on(Some(db), |_| {}).await;
    stack.channel("operators", "webhook").await;
    let rig = Rig::start(stack, tell_the_operators).await;
    rig.calm().await;
    let feed = rig.instance.daemon.feed();
    let saved = async || {
        eventually("everything is saved", || {
            let feed = feed.borrow().clone();
            async move { (feed.unsaved == 0 && feed.missing == 0).then_some(feed.low_water) }
        })
        .await
    };
    let in_backup = saved().await;
    lock_out(&superuser, &name, false).await;
    run(format!("create database backup template {name} owner postgres")).await;
    lock_out(&superuser, &name, true).await;

    // More happens, an alert goes out, and then all of it is gone.
    while rig.look().await.is_none_or(|look| look.rows < THRESHOLD + 5) {
        rig.write_one().await;
    }
    rig.stack.slack.next(PATIENCE).await.expect("an alert");
    assert!(saved().await > in_backup);
    lock_out(&superuser, &name, false).await;
    run(format!(
        "select pg_drop_replication_slot(slot_name) from pg_replication_slots
          where database = '{name}' and not active"
    ))
    .await;
    run(format!("drop database {name} with (force)")).await;
    run(format!("alter database backup rename to {name}")).await;
    run(format!("alter database {name} allow_connections true")).await;
    let look = rig
        .shows("it says so", |look| {
            look.metric("set_back") > 0.0 && look.problems.contains(&"epoch".to_owned())
        })
        .await;
    // The backup's own checkpoint fits its rows, so the epoch stays.
    assert_eq!(look.metric("epoch"), 1.0);
    eventually("it is caught up", || {
        let feed = feed.borrow().clone();
        async move { (feed.caught_up && feed.low_water == in_backup).then_some(()) }
    })
    .await;
    let rule = "select count(*) from public.error_metrics";
    let rows = rig.stack.number(rule).await;
    assert!(rows < THRESHOLD as i64, "{rows}");
    for _ in 0..THRESHOLD {
        rig.write_one().await;
    }
    // In the restored database nothing has fired yet, so this is news.
    rig.stack.slack.next(PATIENCE).await.expect("another alert");
    saved().await;
    assert_rollups(&rig.stack.admin).await;
    let committed = rig.stack.number(rule).await.unsigned_abs();
    let windows = rig.instance.inspect().await.total_by_rule;
    assert_eq!(windows.values().copied().collect::<Vec<_>>(), [committed]);
    let incidents = "select count(*) from public.alert_incidents where rule_id is not null";
    let incidents = rig.stack.number(incidents).await;
    assert_eq!((incidents, rig.stack.slack.requests().len()), (1, 2));
    tells_of_it(&rig).await;
    rig.instance.stop().await;
}

/// Only the rows and the sequence are set back: the checkpoint is ahead, and a new epoch begins.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_sequence_falls_behind_the_checkpoint() {
    let _seat = SEATS.acquire().await.expect("a seat");
    let stack = Stack::on(Some(TestDb::new().await), |_| {}).await;
    stack.channel("operators", "webhook").await;
    let rig = Rig::start(stack, tell_the_operators).await;
    rig.calm().await;
    let mut feed = rig.instance.daemon.feed();
    let saved = feed.wait_for(|feed| feed.unsaved == 0 && feed.low_water >= 8);
    drop(timeout(PATIENCE, saved).await.expect("saved").expect("it runs"));
    rig.stack
        .alter(
            "begin; lock table error_tracking.checkpoint;
             alter table public.error_metrics disable trigger user;
             delete from public.error_metrics where seq > 4;
             alter table public.error_metrics enable trigger user;
             delete from public.error_groups g where not exists (
               select from public.error_metrics m where m.fingerprint = g.fingerprint);
             select setval('error_tracking.error_metrics_seq', 4); commit",
        )
        .await;
    rig.shows("a new epoch", |look| {
        look.metric("epoch") == 2.0
            && look.metric("set_back") == 1.0
            && look.problems.contains(&"epoch".to_owned())
    })
    .await;
    for _ in 0..THRESHOLD {
        rig.write_one().await;
    }
    rig.stack.slack.next(PATIENCE).await.expect("an alert");
    let rows = THRESHOLD as i64 + 4;
    let settled = feed.wait_for(|feed| feed.unsaved == 0 && feed.low_water == rows);
    drop(timeout(PATIENCE, settled).await.expect("settled").expect("it runs"));
    assert_rollups(&rig.stack.admin).await;
    let minutes = "select sum(count)::bigint from public.error_rate_minutes";
    assert_eq!(rig.stack.number(minutes).await, rows);
    assert_eq!(rig.stack.slack.requests().len(), 1);
    tells_of_it(&rig).await;
    rig.instance.stop().await;
}

/// A database that went back is an incident of the tracker itself, told once to who is to know. While
/// the database was away the lease may have ended, which is another.
async fn tells_of_it(rig: &Rig) {
    let told = || {
        let messages = rig.stack.webhook.requests().into_iter().map(|request| request.json());
        let of_it = messages.filter(|message| {
            message["data"]["incident"]["rule"]["name"] == "system: the database went back"
        });
        of_it.map(|message| message["type"].clone()).collect::<Vec<_>>()
    };
    eventually("the operators are told", || {
        let any = !told().is_empty();
        async move { any.then_some(()) }
    })
    .await;
    let fired = "select count(*) from public.alert_incident_events e
       join public.alert_incidents i using (incident_id)
      where i.rule_id is null and i.group_key = '{\"condition\":\"set_back\"}' and e.kind = 'firing'";
    assert_eq!(rig.stack.number(fired).await, 1);
    assert_eq!(told(), ["incident.firing"]);
}

/// A transaction that stays open for two minutes keeps its own rows back, and nothing else.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_transaction_stays_open() {
    const OPEN: Duration = Duration::from_secs(125);
    let _seat = SEATS.acquire().await.expect("a seat");
    // A server of its own, because no slot can be made on one while a transaction stays open there.
    let (_server, db) = OwnServer::start().await;
    let rig = Rig::start(Stack::on(Some(db), |_| {}).await, |_| {}).await;
    rig.calm().await;
    let mut open = rig.stack.admin.begin().await.expect("a transaction");
    let held: i64 = sqlx::query_scalar(
        "insert into public.error_metrics (source, error_type, message)
         values ('worker', 'execution.timeout', 'it failed') returning seq",
    )
    .fetch_one(&mut *open)
    .await
    .expect("a row");
    let begun = Instant::now();
    let mut behind = None;
    let mut worst = Duration::ZERO;
    let watch = async {
        while begun.elapsed() < OPEN {
            let rows = rig.stack.number("select count(*) from public.error_metrics").await;
            let minutes = "select coalesce(sum(count), 0)::bigint from public.error_rate_minutes";
            let rolled_up = rig.stack.number(minutes).await;
            // Since when the rollups have lacked some row that was there then.
            behind = behind.filter(|(seen, _)| rolled_up < *seen);
            if rolled_up < rows {
                let (_, since) = *behind.get_or_insert((rows, Instant::now()));
                worst = worst.max(net_since(since));
            }
            sleep(Duration::from_millis(50)).await;
        }
    };
    rig.write_until(watch).await;
    assert!(worst < IN_TIME, "rollups stood still for {worst:?}");
    let feed = rig.instance.daemon.feed();
    assert_eq!(feed.borrow().low_water, held - 1);
    let shown = rig
        .write_until(rig.shows("the hole", |look| {
            look.metric("holes_open") >= 1.0 && look.metric("hole_oldest_seconds") >= 120.0
        }))
        .await;
    // Operators are told why the mark stands still.
    assert_eq!(shown.problems, ["horizon"]);
    open.commit().await.expect("it commits");
    rig.committed([held]);
    let ended = Instant::now();
    rig.write_until(rig.shows("all is well", super::rig::Look::is_well)).await;
    let (closed, _) = rig.is_exact(Some(ended)).await;
    eprintln!(
        "a transaction stays open: rollups at most {} ms behind, its row counted {} ms after its end",
        worst.as_millis(),
        closed.as_millis()
    );
    rig.instance.stop().await;
}

/// A later migration brings columns and words that this daemon does not know.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_schema_is_of_tomorrow() {
    let _seat = SEATS.acquire().await.expect("a seat");
    let rig = Rig::start(Stack::on(Some(TestDb::new().await), |_| {}).await, |_| {}).await;
    rig.calm().await;
    rig.stack
        .alter(
            "alter table public.error_metrics add column later numeric default 12345678901234567890.5;
             grant select (later) on public.error_metrics to error_daemon",
        )
        .await;
    rig.stack.alter("alter type public.error_severity add value 'apocalyptic'").await;
    rig.stack
        .alter(
            "insert into public.error_metrics (source, error_type, severity)
             select 'worker', 'input', 'apocalyptic' from generate_series(1, 3)",
        )
        .await;
    // Their numbers are accounted for and rollups count them; rules cannot judge them, and it says so.
    let look = rig.write_until(rig.shows("it says so", |look| {
        look.metric("rows_unreadable") == 3.0
            && look.problems.contains(&"unreadable".to_owned())
            && look.rows > THRESHOLD
            && look.socket == "subscribed"
    }));
    look.await;
    let mut feed = rig.instance.daemon.feed();
    let settled = feed.wait_for(|feed| feed.unsaved == 0 && feed.missing == 0);
    drop(timeout(PATIENCE, settled).await.expect("settled").expect("it runs"));
    assert_rollups(&rig.stack.admin).await;
    rig.stack.slack.next(PATIENCE).await.expect("an alert");
    assert_eq!(rig.stack.slack.requests().len(), 1);
    assert!(rig.worst_delay(None) <= IN_TIME);
    rig.instance.stop().await;
}
