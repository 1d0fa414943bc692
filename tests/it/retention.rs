//! What is older than its retention goes, in batches; what is not counted yet, or needed, stays.

use std::{collections::BTreeMap, time::Duration};

use axum::{Router, extract::State, routing::get};
use meshhook_errors::{
    clock::Clock,
    model::Span,
    rest::NewErrorEvent,
    retention,
    store::retention::{events_pruned_before, prune},
};
use serde_json::json;
use sqlx::PgPool;
use tokio::{net::TcpListener, sync::mpsc};
use tokio_util::sync::CancellationToken;

use crate::{
    feed::harness::{daemon_db, insert},
    support::{
        PATIENCE,
        db::TestDb,
        eventually, process,
        stack::{Stack, event},
    },
};

/// Makes rows of every kind, `days` old each.
async fn rows_of_every_kind(admin: &PgPool, days: i32) {
    let old = |sql: &str| sql.replace("OLD", &format!("now() - interval '{days} days'"));
    for sql in [
        "insert into error_rate_minutes (bucket, source, error_type, severity, count)
         values (date_trunc('minute', OLD), 'worker', 'system', 'low', 1)",
        "insert into error_rate_hours (bucket, source, error_type, severity, count)
         values (date_trunc('hour', OLD), 'worker', 'system', 'low', 1)",
        "insert into error_groups (fingerprint, title, source, error_type, worst_severity, first_seen,
           last_seen, count, sample_error_id)
         values (gen_random_uuid(), 't', 'worker', 'system', 'low', OLD, OLD, 1, gen_random_uuid())",
        "insert into alert_silences (starts_at, ends_at) values (OLD - interval '1 hour', OLD)",
        "with i as (insert into alert_incidents (incident_id, rule_name, state, level, peak_level,
           started_at, resolved_at, value, threshold, peak)
         values (gen_random_uuid(), 'r', 'resolved', 'warning', 'warning', OLD, OLD, 1, 1, 1)
         returning incident_id)
         insert into alert_notifications (incident_id, transition, payload, state, created_at)
         select incident_id, 'firing', '{}', 'sent', OLD from i",
        "insert into alert_incidents (incident_id, rule_name, state, level, peak_level, started_at,
           value, threshold, peak)
         values (gen_random_uuid(), 'open', 'firing', 'warning', 'warning', OLD, 1, 1, 1)",
    ] {
        sqlx::query(sqlx::AssertSqlSafe(old(sql))).execute(admin).await.expect(sql);
    }
}

/// Makes every error arrive so many days earlier than it did; a trigger would refuse that.
async fn age(admin: &PgPool, days: i32) {
    let mut connection = admin.acquire().await.unwrap();
    for sql in [
        "alter table error_metrics disable trigger append_only".to_owned(),
        format!("update error_metrics set received_at = received_at - interval '{days} days'"),
        "alter table error_metrics enable trigger append_only".to_owned(),
    ] {
        sqlx::query(sqlx::AssertSqlSafe(sql)).execute(&mut *connection).await.unwrap();
    }
}

async fn account(admin: &PgPool) {
    sqlx::query(
        "update error_tracking.checkpoint set accounted = \
         (select range_agg(int8range(seq, seq + 1)) from error_metrics)",
    )
    .execute(admin)
    .await
    .unwrap();
}

async fn counts(admin: &PgPool) -> BTreeMap<&'static str, i64> {
    let mut counts = BTreeMap::new();
    for table in [
        "error_metrics",
        "error_rate_minutes",
        "error_rate_hours",
        "error_groups",
        "alert_notifications",
        "alert_incidents",
        "alert_silences",
    ] {
        let sql = sqlx::AssertSqlSafe(format!("select count(*) from {table}"));
        counts.insert(table, sqlx::query_scalar(sql).fetch_one(admin).await.unwrap());
    }
    counts
}

/// What is left of one old row of each kind after a round.
async fn check(days: i32, gone: &[&str]) {
    let test = TestDb::new().await;
    let (admin, db) = (test.admin().await, daemon_db(&test, true));
    insert(&admin, 0).await;
    account(&admin).await;
    age(&admin, days).await;
    rows_of_every_kind(&admin, days).await;
    let before = counts(&admin).await;
    retention::round(&db, &CancellationToken::new(), |_, _| {}).await.unwrap();
    let after = counts(&admin).await;
    for (table, rows) in before {
        let expected = i64::from(gone.contains(&table));
        assert_eq!(rows - after[table], expected, "{table} after {days} days");
    }
    // The open incident stays, however old.
    assert!(after["alert_incidents"] >= 1);
}

#[tokio::test]
async fn each_kind_has_an_age_of_its_own() {
    check(29, &[]).await;
    check(31, &["error_metrics"]).await;
    check(91, &["error_metrics", "error_rate_minutes", "alert_notifications"]).await;
    let most = [
        "error_metrics",
        "error_rate_minutes",
        "alert_notifications",
        "error_groups",
        "alert_silences",
    ];
    check(400, &most).await;
    check(800, &[&most[..], &["error_rate_hours", "alert_incidents"]].concat()).await;
}

#[tokio::test]
async fn a_kind_that_fails_does_not_keep_the_others() {
    let test = TestDb::new().await;
    let (admin, db) = (test.admin().await, daemon_db(&test, true));
    rows_of_every_kind(&admin, 800).await;
    sqlx::raw_sql(
        "create function refuse() returns trigger language plpgsql as
           $$ begin raise exception 'minutes are wanted'; end $$;
         create trigger refuse before delete on error_rate_minutes for each row execute function refuse()",
    )
    .execute(&admin)
    .await
    .unwrap();
    let round = retention::round(&db, &CancellationToken::new(), |_, _| {}).await.unwrap();
    let failed: Vec<_> = round.failed.iter().map(|(kind, why)| format!("{kind}: {why}")).collect();
    assert!(failed.len() == 1 && failed[0].starts_with("minutes: "), "{failed:?}");
    let after = counts(&admin).await;
    assert_eq!((after["error_rate_minutes"], after["error_rate_hours"]), (1, 0), "{after:?}");
    assert_eq!((after["error_groups"], after["alert_silences"]), (0, 0), "{after:?}");
}

/// `deploy/pg_cron.sql` in a database whose extensions are stood in for by tables that note the calls.
async fn with_pg_cron(admin: &PgPool) {
    let stand_ins = "
        create schema cron; create schema net; create schema vault;
        create table cron.job (name text primary key, schedule text, command text);
        create function cron.schedule(name text, schedule text, command text) returns void
          language sql as $$ insert into cron.job values (name, schedule, command)
            on conflict (name) do update set schedule = excluded.schedule, command = excluded.command $$;
        create table net.sent (number int generated always as identity, url text, body jsonb);
        create function net.http_post(url text, body jsonb) returns void
          language sql as $$ insert into net.sent (url, body) values (url, body) $$;
        create table vault.decrypted_secrets (name text, decrypted_secret text);
        insert into vault.decrypted_secrets values ('error_tracker_watch', 'https://hooks.example.com/x')";
    let script = include_str!("../../deploy/pg_cron.sql");
    let script: String = script
        .lines()
        .filter(|line| !line.starts_with("create extension"))
        .map(|l| format!("{l}\n"))
        .collect();
    sqlx::raw_sql(stand_ins).execute(admin).await.unwrap();
    // It says of itself that it may be run again.
    for _ in 0..2 {
        sqlx::raw_sql(sqlx::AssertSqlSafe(script.clone())).execute(admin).await.unwrap();
    }
}

#[tokio::test]
async fn pg_cron_prunes_instead_of_the_daemon() {
    let test = TestDb::new().await;
    let admin = test.admin().await;
    with_pg_cron(&admin).await;
    rows_of_every_kind(&admin, 800).await;
    let command: String =
        sqlx::query_scalar("select command from cron.job where name = 'error-retention'")
            .fetch_one(&admin)
            .await
            .unwrap();
    sqlx::raw_sql(sqlx::AssertSqlSafe(command)).execute(&admin).await.unwrap();
    let after = counts(&admin).await;
    assert_eq!((after["error_rate_minutes"], after["error_rate_hours"]), (0, 0), "{after:?}");
    assert_eq!((after["error_groups"], after["alert_silences"]), (0, 0), "{after:?}");
}

#[tokio::test]
async fn the_database_itself_tells_when_no_instance_lives() {
    let test = TestDb::new().await;
    let admin = test.admin().await;
    with_pg_cron(&admin).await;
    let command: String =
        sqlx::query_scalar("select command from cron.job where name = 'error-tracker-watch'")
            .fetch_one(&admin)
            .await
            .unwrap();
    let beat =
        "insert into error_tracker_status (instance_id, name, version, started_at, heartbeat_at)
                values ($1, 'a', '1', now(), now() - $2)
                on conflict (instance_id) do update set heartbeat_at = excluded.heartbeat_at";
    let instance = uuid::Uuid::from_u128(1);
    // Seconds since the last sign of life, and how many messages there are after the watch looked.
    for (silent, messages) in [(5, 0), (59, 0), (61, 1), (90, 1), (3, 2), (4, 2), (300, 3)] {
        let ago = chrono::Duration::seconds(silent);
        sqlx::query(beat).bind(instance).bind(ago).execute(&admin).await.unwrap();
        sqlx::raw_sql(sqlx::AssertSqlSafe(command.clone())).execute(&admin).await.unwrap();
        let sent: i64 =
            sqlx::query_scalar("select count(*) from net.sent").fetch_one(&admin).await.unwrap();
        assert_eq!(sent, messages, "silent for {silent} s");
    }
    let texts: Vec<String> =
        sqlx::query_scalar("select body ->> 'text' from net.sent order by number")
            .fetch_all(&admin)
            .await
            .unwrap();
    assert!(texts[0].contains("No error tracker is running"), "{texts:?}");
    assert!(texts[1].contains("is back"), "{texts:?}");
}

#[tokio::test]
async fn errors_that_are_not_counted_or_that_a_rule_needs_stay() {
    let test = TestDb::new().await;
    let (admin, db) = (test.admin().await, daemon_db(&test, true));
    let limit = Duration::from_secs(10);
    for number in 0..10 {
        insert(&admin, number).await;
    }
    age(&admin, 40).await;
    // Nothing is counted yet.
    let pruned = prune(&db, "events", 100, limit).await.unwrap();
    assert_eq!((pruned.rows, pruned.finished), (0, true));
    account(&admin).await;
    sqlx::query("update error_tracking.retention set keep = '1 day' where kind = 'events'")
        .execute(&admin)
        .await
        .unwrap();
    // A rule looks back for longer than anything is kept.
    let rule = "insert into alert_rules (name, window_seconds, warning) values ('r', $1, 1)";
    sqlx::query(rule).bind(30 * 86_400).execute(&admin).await.unwrap();
    age(&admin, -12).await;
    assert_eq!(prune(&db, "events", 100, limit).await.unwrap().rows, 0);
    sqlx::query("update alert_rules set enabled = false").execute(&admin).await.unwrap();
    // Batch by batch, oldest number first.
    for (rows, finished) in [(4, false), (4, false), (2, true)] {
        let pruned = prune(&db, "events", 4, limit).await.unwrap();
        assert_eq!((pruned.rows, pruned.finished), (rows, finished));
    }
    let before = events_pruned_before(&db, limit).await.unwrap().expect("something was deleted");
    let age = Clock::system().now().since(before);
    assert!(age >= Span::from_secs(86_000) && age < Span::from_secs(90_000), "{age:?}");
    let unknown = prune(&db, "everything", 4, limit).await.unwrap();
    assert_eq!((unknown.rows, unknown.finished), (0, true));
}

#[tokio::test]
async fn the_leader_prunes_while_it_counts_and_the_proof_holds() {
    let stack = Stack::start().await;
    let instance =
        stack.daemon_as([], |settings| settings.prune_every = Duration::from_millis(200)).await;
    let reporter = stack.reporter(None);
    let happened = Clock::system().now() - Span::from_secs(40 * 86_400);
    let old =
        |_| NewErrorEvent { timestamp: Some(happened), ..event(None, "system.disk", "disk full") };
    let old: Vec<_> = (0..300).map(old).collect();
    reporter.insert_errors(&old).await.expect("inserted");
    counted(&stack, 300).await;
    age(&stack.admin, 40).await;
    reporter.insert_errors(&[event(None, "system.disk", "disk full")]).await.expect("inserted");
    eventually("the old errors are gone", || async {
        (stack.number("select count(*) from error_metrics").await == 1).then_some(())
    })
    .await;
    counted(&stack, 301).await;
    let (_, text) = instance.http("/metrics").await;
    assert!(text.contains("meshhook_errors_rows_pruned_total{kind=\"events\"} 300"), "{text}");
    instance.stop().await;
    let output =
        process::run(&stack.variables(), &["check", "--reconcile", "2026-01-01", "2100-01-01"], "")
            .await;
    assert!(output.out.contains("may be deleted"), "{output:?}");
    assert!(output.status == 0, "{output:?}");
    let listed = process::run(&stack.variables(), &["prune", "--list"], "").await;
    assert!(listed.out.contains("events         kept    30 days, deleted before"), "{listed:?}");
    let again = process::run(&stack.variables(), &["prune", "--json"], "").await;
    let deleted: serde_json::Value = serde_json::from_str(&again.out).expect("JSON");
    assert_eq!(deleted["deleted"]["events"], json!(0));
}

async fn counted(stack: &Stack, errors: i64) {
    eventually("the errors are rolled up", || async {
        let sum = "select coalesce(sum(count), 0)::bigint from error_rate_hours";
        (stack.number(sum).await == errors).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_service_hears_from_the_leader_while_all_is_well() {
    let (heard, mut pings) = mpsc::channel(8);
    let heard_of = |State(heard): State<mpsc::Sender<()>>| async move {
        let _ = heard.try_send(());
    };
    let service = Router::new().route("/ping/secret", get(heard_of)).with_state(heard);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}/ping/secret", listener.local_addr().unwrap());
    let server = tokio::spawn(async move { axum::serve(listener, service).await });
    let stack = Stack::start().await;
    let instance = stack
        .daemon_as([("DEAD_MANS_PING_URL", address.as_str())], |settings| {
            settings.ping_every = Duration::from_millis(50);
        })
        .await;
    let ping = tokio::time::timeout(PATIENCE, pings.recv()).await;
    ping.expect("a ping in time").expect("a ping");
    eventually("the ping is counted", || async {
        let (_, text) = instance.http("/metrics").await;
        text.contains("meshhook_errors_dead_mans_pings_total{outcome=\"heard\"}").then_some(())
    })
    .await;
    instance.stop().await;
    while pings.try_recv().is_ok() {}
    assert!(tokio::time::timeout(Duration::from_millis(300), pings.recv()).await.is_err());
    server.abort();
}
