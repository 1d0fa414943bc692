//! Every committed row is counted once, whatever its writer does.

use std::time::Duration;

use meshhook_errors::feed::{FeedInput, FeedOptions};
use rand::{Rng, SeedableRng, rngs::StdRng};
use tokio::{task::JoinSet, time::Instant};
use uuid::Uuid;

use super::harness::*;
use crate::support::{db::TestDb, eventually, sql, stalls::net_since};

/// Writers that commit out of order, roll back, repeat themselves and use savepoints.
async fn write_chaos(test: &TestDb, writers: u64, transactions: usize) {
    let mut tasks = JoinSet::new();
    for writer in 0..writers {
        let admin = test.admin().await;
        tasks.spawn(async move {
            let mut random = StdRng::seed_from_u64(writer);
            for n in 0..transactions {
                let mut transaction = admin.begin().await.unwrap();
                for row in 0..random.random_range(1..6) {
                    insert_within(&mut transaction, n + row, None).await;
                    if random.random_bool(0.2) {
                        tokio::time::sleep(Duration::from_millis(random.random_range(0..8))).await;
                    }
                }
                if random.random_bool(0.2) {
                    sqlx::raw_sql(
                        "savepoint s; insert into public.error_metrics (source, error_type) values ('worker', 'input'); rollback to s",
                    )
                    .execute(&mut *transaction)
                    .await
                    .unwrap();
                }
                if random.random_bool(0.25) {
                    transaction.rollback().await.unwrap();
                    continue;
                }
                transaction.commit().await.unwrap();
                if random.random_bool(0.3) {
                    // The repeat draws a number and adds nothing.
                    sqlx::query(
                        "insert into public.error_metrics (error_id, source, error_type)
                         select error_id, 'worker', 'input' from public.error_metrics limit 3
                         on conflict (error_id) do nothing",
                    )
                    .execute(&admin)
                    .await
                    .unwrap();
                }
            }
        });
    }
    while let Some(done) = tasks.join_next().await {
        done.unwrap();
    }
}

/// The same promise with tiny pages, through a pooler, and while connections are cut.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn chaos_is_counted_exactly() {
    let tiny = FeedOptions { page_rows: 7, page_ranges: 3, save_rows: 11, ..quick_feed() };
    for (what, options, pooler, cut) in [
        ("plain", quick_feed(), false, false),
        ("tiny pages", tiny, false, false),
        ("pooler, connections cut", quick_feed(), true, true),
    ] {
        let test = TestDb::new().await;
        let admin = test.admin().await;
        let instance = Instance::with_db(daemon_db(&test, pooler), options);
        let cutter = admin.clone();
        let mut background = JoinSet::new();
        if cut {
            background.spawn(async move {
                loop {
                    tokio::time::sleep(Duration::from_millis(150)).await;
                    scalar(
                        &cutter,
                        "select count(pg_terminate_backend(pid)) from pg_stat_activity
                       where usename = 'error_daemon' and datname = current_database()",
                    )
                    .await;
                }
            });
        }
        write_chaos(&test, 6, 25).await;
        background.shutdown().await;
        instance.settled(&admin).await;
        assert!(instance.status.borrow().proven_empty > 0, "{what}: nothing was proven empty");
        assert_exact(&admin, &instance.new_numbers()).await;
        let counted = instance.status.borrow().rows_counted;
        assert_eq!(counted, instance.new_numbers().len() as u64, "{what}");
        instance.stop().await;
    }
}

/// Where reading a row takes two milliseconds and a read three seconds at most, no page of thousands
/// ever comes.
#[tokio::test]
async fn pages_become_smaller_until_they_come_in_time() {
    let test = TestDb::new().await;
    let admin = test.admin().await;
    let slow = "
        create function public.slow() returns boolean language plpgsql volatile as
          $$ begin perform pg_catalog.pg_sleep(0.001); return true; end $$;
        grant execute on function public.slow() to error_daemon;
        create policy slow on public.error_metrics as restrictive for select to error_daemon
          using (public.slow());
        insert into public.error_metrics (source, error_type) select 'worker', 'input' from generate_series(1, 2500)";
    let options =
        FeedOptions { page_rows: 4_000, query_limit: Duration::from_secs(3), ..quick_feed() };
    let instance = Instance::with_db(daemon_db(&test, false), options);
    instance.status_shows("nothing to count", |status| status.caught_up).await;
    let began = Instant::now();
    sql(&admin, slow).await;
    instance.status_shows("all are counted", |status| status.rows_counted == 2_500).await;
    assert!(began.elapsed() > Duration::from_secs(6), "pages of 4000 and 2000 came in time");
    sql(&admin, "drop policy slow on public.error_metrics").await;
    instance.settled(&admin).await;
    assert_exact(&admin, &instance.new_numbers()).await;
    instance.stop().await;
}

/// A database that is too slow for what is to be counted at once counts it bit by bit.
#[tokio::test]
async fn rollups_become_smaller_until_the_database_can_take_them() {
    let test = TestDb::new().await;
    let admin = test.admin().await;
    let slow = "
        create sequence public.failures;
        create function public.slow() returns trigger language plpgsql security definer set search_path = '' as $$
        begin
          if (select count(*) from fresh) > 400 then
            perform nextval('public.failures');
            raise exception 'too many' using errcode = 'query_canceled';
          end if;
          return null;
        end $$;
        create trigger slow after insert on public.error_rate_minutes
          referencing new table as fresh for each statement execute function public.slow();
        insert into public.error_metrics (source, error_type)
          select 'worker', 'execution.t' || n from generate_series(1, 2000) n";
    sql(&admin, slow).await;
    let instance = Instance::with_db(daemon_db(&test, false), quick_feed());
    instance.settled(&admin).await;
    assert_exact(&admin, &instance.new_numbers()).await;
    let failures = scalar(&admin, "select last_value from public.failures").await;
    assert!((3..=12).contains(&failures), "2000, 1000 and 500 are too many: {failures}");
    instance.stop().await;
}

#[tokio::test]
async fn a_long_transaction_holds_back_only_its_own_rows() {
    let test = TestDb::new().await;
    let admin = test.admin().await;
    let instance = Instance::start(&test, quick_feed());
    instance.status_shows("caught up", |status| status.caught_up).await;

    let mut long = admin.begin().await.unwrap();
    let held = insert_within(&mut long, 0, None).await;
    let mut undone = admin.begin().await.unwrap();
    insert_within(&mut undone, 0, None).await;
    undone.rollback().await.unwrap();
    let mut others = Vec::new();
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_millis(2_500) {
        others.push(insert(&admin, others.len()).await);
        let known = others.len();
        eventually("a committed row is given out", async || {
            (instance.new_numbers().len() == known).then_some(())
        })
        .await;
    }
    // The others' rows are out and even counted in rollups; the mark waits for the long one.
    assert_eq!(instance.new_numbers(), others);
    instance.status_shows("rows saved", |status| status.unsaved == 0).await;
    assert_rollups(&admin).await;
    {
        let status = instance.status.borrow();
        assert_eq!((status.low_water, status.missing), (held - 1, 2), "{status:?}");
        assert!(status.proven_empty == 0 && status.oldest_hole.is_some(), "{status:?}");
    }
    long.commit().await.unwrap();
    instance.settled(&admin).await;
    assert_exact(&admin, &instance.new_numbers()).await;
    assert_eq!(instance.status.borrow().proven_empty, 1);
    instance.stop().await;
}

#[tokio::test]
async fn what_the_socket_brings_counts_once() {
    let test = TestDb::new().await;
    let admin = test.admin().await;
    // Only the socket and what it wakes may bring anything.
    let slow = Duration::from_secs(3_600);
    let options = FeedOptions { tick_quiet: slow, tick_busy: slow, ..quick_feed() };
    let instance = Instance::start(&test, options);
    instance.status_shows("caught up", |status| status.caught_up).await;
    let send = async |input| instance.inputs.send(input).await.unwrap();
    let is_new = async |expected: &[i64]| {
        let what = format!("{expected:?} given out");
        eventually(&what, async || (instance.new_numbers() == expected).then_some(())).await;
    };

    // In order and repeated: no read is needed.
    let [one, two] = [insert(&admin, 1).await, insert(&admin, 2).await];
    for seq in [one, two, one, two] {
        send(socket_event(seq)).await;
    }
    is_new(&[one, two]).await;
    // A row above a hole wakes a read, which brings what the socket lost.
    let three = insert(&admin, 3).await;
    let four = insert(&admin, 4).await;
    send(socket_event(four)).await;
    is_new(&[one, two, four, three]).await;
    send(socket_event(three)).await;
    // Something that could not be read does too, and so does each subscription.
    let five = insert(&admin, 5).await;
    send(FeedInput::Wake).await;
    is_new(&[one, two, four, three, five]).await;
    let six = insert(&admin, 6).await;
    send(FeedInput::Subscribed).await;
    is_new(&[one, two, four, three, five, six]).await;

    // The socket may be ahead of our snapshots: the rollup waits until the row is visible.
    instance.status_shows("six saved", |status| status.unsaved == 0).await;
    let mut ahead = admin.begin().await.unwrap();
    let seven = insert_within(&mut ahead, 7, None).await;
    send(socket_event(seven)).await;
    is_new(&[one, two, four, three, five, six, seven]).await;
    tokio::time::sleep(Duration::from_millis(400)).await;
    assert!(instance.status.borrow().unsaved > 0, "saved what nobody can see");
    assert_rollups(&admin).await;
    ahead.commit().await.unwrap();
    instance.status_shows("saved", |status| status.unsaved == 0).await;
    assert_exact(&admin, &instance.new_numbers()).await;
    assert_eq!(instance.status.borrow().rows_by_socket, 4);
    assert_eq!(instance.status.borrow().rows_differing, 0);
    instance.stop().await;
}

/// What is committed while the server still sets up its slot comes by no socket and wakes nobody: each
/// subscription is followed by a read at once, after 2 s and after 10 s, counted from the last one.
#[tokio::test]
async fn each_subscription_is_followed_by_three_reads() {
    let test = TestDb::new().await;
    let admin = test.admin().await;
    let slow = Duration::from_secs(3_600);
    let options = FeedOptions { tick_quiet: slow, tick_busy: slow, ..quick_feed() };
    let instance = Instance::start(&test, options);
    instance.status_shows("caught up", |status| status.caught_up).await;
    eventually("it leads", async || instance.leadership.fence()).await;
    let mut known = 0;
    for reads in [&[0, 2][..], &[0, 2, 10]] {
        // Each row is there before the read that is to bring it, and after the one before.
        insert(&admin, known).await;
        let subscribed = Instant::now();
        instance.inputs.send(FeedInput::Subscribed).await.unwrap();
        for (number, after) in reads.iter().map(|after| Duration::from_secs(*after)).enumerate() {
            if number > 0 {
                insert(&admin, known).await;
            }
            known += 1;
            eventually("the row is given out", async || {
                (instance.new_numbers().len() == known).then_some(())
            })
            .await;
            let (took, net) = (subscribed.elapsed(), net_since(subscribed));
            assert!(took >= after, "row {known} after {took:?}, by what?");
            assert!(net < after + Duration::from_secs(1), "row {known} after {net:?}");
        }
    }
    instance.stop().await;
}

/// A leader looks more often while its socket is down, or subscribed and deaf.
#[tokio::test]
async fn ticks_are_closer_while_the_socket_brings_nothing() {
    const QUIET: Duration = Duration::from_secs(2);
    const READS: u64 = 10;
    let test = TestDb::new().await;
    let admin = test.admin().await;
    let instance = Instance::start(&test, FeedOptions { tick_quiet: QUIET, ..quick_feed() });
    eventually("it leads", async || instance.leadership.fence()).await;
    let send = async |input| instance.inputs.send(input).await.unwrap();
    // So many reads, and how long the machine let them take.
    let reads = async |number: u64| {
        let (begun, before) = (Instant::now(), instance.status.borrow().reads);
        instance.status_shows("some reads", move |status| status.reads >= before + number).await;
        net_since(begun)
    };
    let closely = async |what: &str| {
        let took = reads(READS).await;
        assert!(took < QUIET * 2, "{what}: {READS} reads in {took:?}");
    };
    let seldom = async |what: &str| {
        // The first may be under way.
        reads(1).await;
        let begun = Instant::now();
        reads(2).await;
        assert!(begun.elapsed() > QUIET, "{what}: two reads in {:?}", begun.elapsed());
    };
    closely("no socket yet").await;
    send(FeedInput::Subscribed).await;
    // The reads that follow a subscription are over then.
    tokio::time::sleep(Duration::from_secs(11)).await;
    seldom("subscribed").await;
    send(FeedInput::SocketDown).await;
    reads(1).await;
    closely("down").await;

    // Subscribed, and rows come by reads alone: deaf.
    send(FeedInput::Subscribed).await;
    let mut n = 0;
    while !instance.status.borrow().deaf {
        n += 1;
        insert(&admin, n).await;
        tokio::time::sleep(Duration::from_millis(500)).await;
        assert!(n < 200, "it is deaf and does not notice");
    }
    // No row flows any more, which alone would make the ticks close.
    tokio::time::sleep(Duration::from_secs(3)).await;
    closely("deaf").await;
    let last = insert(&admin, n).await;
    send(socket_event(last)).await;
    instance.status_shows("it hears", |status| !status.deaf).await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    seldom("it hears again").await;
    instance.stop().await;
}

/// A project takes its errors with it; what was counted and not saved must not block the rest.
#[tokio::test]
async fn a_deleted_project_does_not_stop_rollups() {
    let test = TestDb::new().await;
    let admin = test.admin().await;
    let project = Uuid::new_v4();
    sqlx::query("insert into public.projects (id, owner, name) values ($1, $2, 'gone')")
        .bind(project)
        .bind(Uuid::new_v4())
        .execute(&admin)
        .await
        .unwrap();
    let patience = Duration::from_millis(800);
    let options = FeedOptions { save_patience: patience, ..quick_feed() };
    let instance = Instance::start(&test, options);
    instance.status_shows("caught up", |status| status.caught_up).await;
    // Held, so that nothing is saved between counting and deleting.
    let mut lock = admin.begin().await.unwrap();
    sqlx::query("select from error_tracking.checkpoint for update")
        .execute(&mut *lock)
        .await
        .unwrap();
    let mut transaction = admin.begin().await.unwrap();
    for n in 0..3 {
        insert_within(&mut transaction, n, Some(project)).await;
    }
    insert_within(&mut transaction, 3, None).await;
    transaction.commit().await.unwrap();
    instance.status_shows("four counted", |status| status.rows_counted == 4).await;
    sqlx::query("delete from public.projects").execute(&admin).await.unwrap();
    lock.commit().await.unwrap();

    instance.status_shows("accepted", |status| status.rows_differing == 3).await;
    let problems = instance.status.borrow().problems.clone();
    assert!(problems.iter().any(|problem| problem.what == "rollups"), "{problems:?}");
    insert(&admin, 9).await;
    instance.settled(&admin).await;
    assert_rollups(&admin).await;
    instance.stop().await;
}
