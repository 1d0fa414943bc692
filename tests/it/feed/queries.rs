//! The thin queries around the feed: status, live rates, runs, and who may log in.

use std::time::Duration;

use meshhook_errors::{
    clock::Clock,
    model::{Span, Timestamp},
    store::{
        ErrorKind, PoolOptions,
        feed::{draw_stamp, read_missing},
        live::{self, LiveRates},
        pool::connect,
        runs::{self, RunTally, Runs, Wanted},
        status::{self, Problem, StatusRow},
    },
};
use serde_json::json;
use uuid::Uuid;

use super::harness::*;
use crate::support::{PATIENCE, db::TestDb, eventually};

#[tokio::test]
async fn every_login_works_on_a_database_of_its_own() {
    let (one, other) = (TestDb::new().await, TestDb::new().await);
    for (url, user) in [
        (&one.admin_url, "postgres"),
        (&one.daemon_url, "error_daemon"),
        (&one.authenticator_url, "authenticator"),
    ] {
        let pool = sqlx::PgPool::connect(url).await.unwrap();
        let name: String =
            sqlx::query_scalar("select current_user::text").fetch_one(&pool).await.unwrap();
        assert_eq!(name, user);
    }
    insert(&one.admin().await, 0).await;
    let count = "select count(*) from public.error_metrics";
    assert_eq!(scalar(&one.daemon().await, count).await, 1);
    assert_eq!(scalar(&other.daemon().await, count).await, 0);
    let users = "select count(*) from auth.users";
    assert_eq!(scalar(&TestDb::empty().await.admin().await, users).await, 0);
}

#[tokio::test]
async fn status_rows_are_written_and_forgotten() {
    let test = TestDb::new().await;
    let (admin, db) = (test.admin().await, daemon_db(&test, true));
    let row = |instance_id, problems| StatusRow {
        instance_id,
        name: "one".to_owned(),
        version: "0.1.0".to_owned(),
        leader: true,
        socket: "subscribed".to_owned(),
        started_at: Timestamp::from_secs(1_000),
        low_water: 5,
        last_number: 7,
        open_holes: 1,
        oldest_hole: Span::from_millis(1_500),
        complete_through: Some(Timestamp::from_secs(2_000)),
        rows_counted: u64::MAX,
        rows_repaired: 2,
        canary: Some(Span::from_millis(250)),
        outbox_depth: 3,
        problems,
    };
    let (own, silent) = (Uuid::new_v4(), Uuid::new_v4());
    let problem = Problem { what: "deaf".to_owned(), detail: "since noon".to_owned() };
    status::write(&db, &row(silent, vec![]), PATIENCE).await.unwrap();
    let first = status::write(&db, &row(own, vec![]), PATIENCE).await.unwrap();
    let second = status::write(&db, &row(own, vec![problem]), PATIENCE).await.unwrap();
    assert!(second > first, "each write is a later canary");
    let written = "select count(*) from public.error_tracker_status where problems = '[{\"what\": \"deaf\", \"detail\": \"since noon\"}]'
       and oldest_hole_seconds = 1.5 and canary_ms = 250 and rows_counted = 9223372036854775807";
    assert_eq!(scalar(&admin, written).await, 1);

    assert_eq!(status::forget_silent(&db, own, PATIENCE).await.unwrap(), 0);
    sqlx::query(
        "update public.error_tracker_status set heartbeat_at = now() - interval '61 minutes'",
    )
    .execute(&admin)
    .await
    .unwrap();
    assert_eq!(status::forget_silent(&db, own, PATIENCE).await.unwrap(), 1);
    assert_eq!(scalar(&admin, "select count(*) from public.error_tracker_status").await, 1);
}

#[tokio::test]
async fn live_rates_survive_a_deleted_project() {
    let test = TestDb::new().await;
    let admin = test.admin().await;
    let instance = Instance::start(&test, quick_feed());
    let fence = eventually("it leads", async || instance.leadership.fence()).await;
    let project = Uuid::new_v4();
    sqlx::query("insert into public.projects (id, owner, name) values ($1, $1, 'kept')")
        .bind(project)
        .execute(&admin)
        .await
        .unwrap();
    let rates = [None, Some(Uuid::new_v4()), Some(project)]
        .map(|project_id| LiveRates { project_id, snapshot: json!({ "n": 1 }) });
    for expected in [2, 2] {
        let written = live::write(&instance.db, &fence, &rates, PATIENCE).await.unwrap();
        assert_eq!(written, expected);
    }
    assert_eq!(scalar(&admin, "select count(*) from public.error_rates_live").await, 2);
    assert_eq!(live::write(&instance.db, &fence, &[], PATIENCE).await.unwrap(), 0);
    instance.stop().await;
}

#[tokio::test]
async fn runs_are_tallied_once() {
    let test = TestDb::new().await;
    let (admin, db) = (test.admin().await, daemon_db(&test, false));
    let start = Clock::system().now() - Span::from_secs(60);
    let mut tally = RunTally::new(start, Span::from_secs(30));
    let mut held = admin.begin().await.unwrap();
    sqlx::raw_sql(
        "insert into public.projects (id, owner, name) values ('00000000-0000-0000-0000-000000000001', gen_random_uuid(), 'p');
         insert into public.workflow_definitions (id, project_id, slug, definition)
         values ('00000000-0000-0000-0000-000000000002', '00000000-0000-0000-0000-000000000001', 's', '{}')",
    )
    .execute(&admin)
    .await
    .unwrap();
    let insert = "insert into public.workflow_runs (project_id, workflow_id, status)
        select project_id, id, 'running' from public.workflow_definitions, generate_series(1, 3)";
    sqlx::query(insert).execute(&mut *held).await.unwrap();
    sqlx::query(insert).execute(&admin).await.unwrap();
    let mut poll = async || {
        let until = Clock::system().now() + Span::from_secs(1);
        let wanted = Wanted { by_workflow: true, ..Wanted::default() };
        let stretch = (tally.since(), until);
        let counts =
            runs::count(&db, &wanted, stretch, Span::from_secs(1), PATIENCE).await.unwrap();
        tally.apply(&counts, until).iter().map(|runs| runs.count).sum::<u64>()
    };
    assert_eq!(poll().await, 3);
    assert_eq!(poll().await, 0);
    // Started earlier, visible later.
    held.commit().await.unwrap();
    assert_eq!(poll().await, 3);
    assert_eq!(poll().await, 0);
}

/// A month of runs, one a second, is told in few numbers, none of them twice and none left out.
#[tokio::test]
async fn a_month_of_runs_is_told_in_few_numbers() {
    let test = TestDb::new().await;
    let (admin, db) = (test.admin().await, daemon_db(&test, false));
    let now = Timestamp::from_secs(1_717_372_800);
    sqlx::raw_sql(
        "insert into public.projects (id, owner, name)
         select ('00000000-0000-0000-0000-00000000000' || n)::uuid, gen_random_uuid(), 'p' || n from generate_series(1, 2) n;
         insert into public.workflow_definitions (id, project_id, slug, definition)
         select md5('w' || n)::uuid, ('00000000-0000-0000-0000-00000000000' || 1 + n % 2)::uuid, 's' || n, '{}'
           from generate_series(1, 6) n",
    )
    .execute(&admin)
    .await
    .unwrap();
    // One a minute, so that the test is quick; some on the boundaries of buckets.
    let insert = "insert into public.workflow_runs (project_id, workflow_id, status, started_at)
        select w.project_id, w.id, 'succeeded', $1::timestamptz - n * interval '1 minute'
          from generate_series(1, 43200) n join public.workflow_definitions w on w.id = md5('w' || 1 + n % 6)::uuid";
    sqlx::query(insert).bind(now.to_chrono()).execute(&admin).await.unwrap();
    let sum = |counts: &[Runs]| counts.iter().map(|runs| runs.count).sum::<u64>();
    let month = (now - Span::from_secs(30 * 86_400), now);
    let everything = Wanted { by_workflow: true, ..Wanted::default() };
    let windows = [300, 3_600, 30 * 86_400].map(Span::from_secs);
    let all = runs::count_windows(&db, &everything, (&windows, now), month, PATIENCE);
    let all = all.await.unwrap();
    assert_eq!(sum(&all), 43_200);
    assert!(all.len() < 700, "{}", all.len());
    // Each window holds what it would hold, within one of its buckets.
    for (window, slack) in [(300, 5), (3_600, 60), (86_400, 43_200)] {
        let begin = now - Span::from_secs(window);
        let held = all.iter().filter(|runs| runs.at >= begin).map(|runs| runs.count).sum::<u64>();
        let exact = u64::try_from(window / 60).unwrap();
        assert!(held.abs_diff(exact) <= slack / 60 + 1, "{window}: {held} of {exact}");
    }

    let project = "00000000-0000-0000-0000-000000000001".parse().unwrap();
    let hour = (now - Span::from_secs(3_600), now);
    for (wanted, runs, rows) in [
        (Wanted { projects: Some(vec![project]), ..everything.clone() }, 30, 3),
        (Wanted { projects: Some(vec![project]), ..Wanted::default() }, 30, 1),
        (Wanted { projects: Some(Vec::new()), ..everything.clone() }, 0, 0),
        (Wanted { workflows: Some(vec![all[0].workflow_id.unwrap()]), ..everything }, 10, 1),
    ] {
        let width = Span::from_secs(86_400);
        let found = runs::count(&db, &wanted, hour, width, PATIENCE).await.unwrap();
        assert_eq!((sum(&found), found.len()), (runs, rows), "{wanted:?}");
    }
}

#[tokio::test]
async fn queries_end_in_time_and_errors_say_what_helps() {
    let test = TestDb::new().await;
    let (admin, db) = (test.admin().await, daemon_db(&test, false));
    let mut lock = admin.begin().await.unwrap();
    sqlx::query("lock table public.error_metrics in access exclusive mode")
        .execute(&mut *lock)
        .await
        .unwrap();
    for _ in 0..8 {
        // More often than there are connections: none may be lost to the wait.
        let late =
            read_missing(&db, &[], 1..i64::MAX, 10, Duration::from_millis(30)).await.unwrap_err();
        assert_eq!(late.kind(), ErrorKind::Transient, "{late}");
    }
    lock.rollback().await.unwrap();
    let page = eventually("answers again", async || {
        read_missing(&db, &[], 1..i64::MAX, 10, Duration::from_secs(5)).await.ok()
    })
    .await;
    assert_eq!((page.last_drawn, page.events.len(), page.full), (0, 0, false));
    let stamp = draw_stamp(&db, PATIENCE).await.unwrap();
    // The stamp's own transaction has ended; those of other tests on the server end soon.
    eventually("a snapshot above the stamp", async || {
        let page = read_missing(&db, &[], 1..i64::MAX, 10, PATIENCE).await.unwrap();
        (page.xmin > stamp.xid).then_some(())
    })
    .await;

    let wrong = test.daemon_url.replace("error_daemon", "nobody");
    let wrong = connect(&wrong, &PoolOptions::default()).unwrap();
    let refused = draw_stamp(&wrong, PATIENCE).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Operator, "{refused}");
    sqlx::query("revoke select on error_tracking.error_metrics_seq from error_daemon")
        .execute(&admin)
        .await
        .unwrap();
    let refused = read_missing(&db, &[], 1..i64::MAX, 10, PATIENCE).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Operator, "{refused}");
}
