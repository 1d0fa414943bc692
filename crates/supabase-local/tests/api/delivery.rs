//! Which changes reach whom: row security, privileges, filters, encodings, bulk, and outages.

use std::{collections::HashSet, time::Duration};

use crate::local::{Client, PATIENCE, binaries, cluster, database, sql, start};
use serde_json::{Value, json};
use sqlx::PgPool;
use supabase_local::{
    LocalConfig, LocalSupabase,
    postgres::{Cluster, ClusterOptions},
};
use tokio::time::Instant;

const SCHEMA: &str = include_str!("schema.sql");
const ALICE: &str = "11111111-1111-4111-8111-111111111111";
const BOB: &str = "22222222-2222-4222-8222-222222222222";

async fn joined(server: &LocalSupabase, entry: Value, role: &str, sub: Option<&str>) -> Client {
    let token = server.token(role, sub, 3600).unwrap();
    let mut client = Client::open(server, "2.0.0", server.anon_key()).await;
    client.subscribe("realtime:t", entry, &token).await;
    client
}

fn on(table: &str) -> Value {
    json!({"event": "*", "schema": "public", "table": table})
}

#[tokio::test]
async fn row_security_is_the_databases_decision() {
    let server = start(SCHEMA, |_| {}).await;
    let mut alice = joined(&server, on("todos"), "authenticated", Some(ALICE)).await;
    let mut bob = joined(&server, on("todos"), "authenticated", Some(BOB)).await;
    let mut service = joined(&server, on("todos"), "service_role", None).await;
    let mut anon = joined(&server, on("todos"), "anon", None).await;
    sql(
        &server,
        format!(
            "insert into todos (user_id, title) values ('{ALICE}', 'a1'), ('{BOB}', 'b1'), ('{ALICE}', 'a2')"
        ),
    )
    .await;
    for (client, titles) in [
        (&mut alice, vec!["a1", "a2"]),
        (&mut bob, vec!["b1"]),
        (&mut service, vec!["a1", "b1", "a2"]),
        (&mut anon, vec![]),
    ] {
        for title in titles {
            assert_eq!(client.change().await["record"]["title"], title);
        }
        client.nothing_before_heartbeat().await;
    }
    // An update that gives a row away is shown to its new owner and not to the former one.
    sql(&server, format!("update todos set user_id = '{BOB}' where title = 'a1'")).await;
    for client in [&mut bob, &mut service] {
        let change = client.change().await;
        assert_eq!(
            (&change["type"], &change["record"]["user_id"]),
            (&json!("UPDATE"), &json!(BOB))
        );
        assert_eq!(change["old_record"], json!({"id": 1}));
    }
    alice.nothing_before_heartbeat().await;
    // Whoever may not select the key learns that something happened and nothing else.
    sql(&server, "revoke select on todos from authenticated").await;
    sql(&server, format!("insert into todos (user_id) values ('{ALICE}')")).await;
    let refused = alice.change().await;
    assert_eq!(refused["errors"], json!(["Error 401: Unauthorized"]));
    assert_eq!((&refused["record"], &refused["columns"]), (&json!({}), &json!([])));
    assert_eq!(service.change().await["errors"], Value::Null);
    // A broken policy withholds rows and breaks nothing else.
    sql(&server, "grant select on todos to authenticated").await;
    sql(&server, "create policy broken on todos for select to authenticated using (1 / 0 = 1)")
        .await;
    sql(&server, format!("insert into todos (user_id, title) values ('{BOB}', 'b2')")).await;
    assert_eq!(service.change().await["record"]["title"], "b2");
    alice.nothing_before_heartbeat().await;
    server.stop().await;
}

#[tokio::test]
async fn values_are_encoded_as_the_real_server_does() {
    let server = start(
        "create type mood as enum ('so so');
         create domain positive as int check (value > 0);
         create table kinds (
           id int primary key, i8 int8, num numeric, f8 float8, b bool, t text, j jsonb, e mood,
           at timestamptz, ts timestamp, d date, u uuid, raw bytea, xs int[], ts2 text[], es mood[],
           dom positive, nothing text, c char(3));
         alter publication supabase_realtime add table kinds;",
        |_| {},
    )
    .await;
    let mut client = joined(&server, on("kinds"), "anon", None).await;
    sql(
        &server,
        r#"insert into kinds values (1, 9223372036854775807, 12345678901234567890.123, 'NaN', true,
           'a "b"', '{"a": [1, {"b": null}]}', 'so so', '2026-11-22 12:24:03.476548+01',
           '2026-11-22 11:24:03', '2026-11-22', '11111111-1111-4111-8111-111111111111', '\xdead',
           '{1,NULL,3}', '{a,"b,c"}', '{"so so"}', 7, null, 'ab')"#,
    )
    .await;
    // Compared as text, since a bigint or numeric would lose digits in a JSON parser's floats.
    let (_, _, text) = client.message().await;
    for want in [
        r#""i8":9223372036854775807,"#,
        r#""num":12345678901234567890.123,"#,
        r#""f8":null,"#,
        r#""b":true,"#,
        r#""t":"a \"b\"","#,
        r#""j":{"a": [1, {"b": null}]},"#,
        r#""e":"so so","#,
        r#""at":"2026-11-22T11:24:03.476548+00:00","#,
        r#""ts":"2026-11-22T11:24:03","#,
        r#""d":"2026-11-22","#,
        r#""raw":"dead","#,
        r#""xs":[1,null,3],"#,
        r#""ts2":["a","b,c"],"#,
        r#""es":["so so"],"#,
        r#""dom":7,"#,
        r#""nothing":null,"#,
        r#""c":"a""#,
        r#"{"name":"xs","type":"_int4"}"#,
        r#"{"name":"e","type":"mood"}"#,
    ] {
        assert!(text.contains(want), "{want} in {text}");
    }
    server.stop().await;
}

#[tokio::test]
async fn filters_compare_by_type() {
    let server = start(SCHEMA, |_| {}).await;
    // Of the rows 2, 7, 10, null; as text, "10" would be below "2".
    for (filter, want) in [
        ("n=eq.7", vec![7]),
        ("n=neq.7", vec![2, 10]),
        ("n=gt.7", vec![10]),
        ("n=gte.7", vec![7, 10]),
        ("n=lt.7", vec![2]),
        ("n=lte.7", vec![2, 7]),
        ("n=in.(2,10)", vec![2, 10]),
        ("n=gt.2,body=eq.ten", vec![10]),
        ("body=not.like.t%", vec![7]),
        ("created_at=lt.2020-01-01", vec![]),
    ] {
        let mut entry = on("messages");
        entry["filter"] = json!(filter);
        let mut client = joined(&server, entry, "anon", None).await;
        let insert = "insert into messages (n, body) values (2, 'two'), (7, 'seven'), (10, 'ten'), (null, null)";
        sql(&server, insert).await;
        for n in want {
            assert_eq!(client.change().await["record"]["n"], n, "{filter}");
        }
        // A deletion can only be filtered by its key.
        sql(&server, "delete from messages").await;
        client.nothing_before_heartbeat().await;
        client.socket.close(None).await.unwrap();
    }
    let mut bad = on("messages");
    bad["filter"] = json!("n=eq.seven");
    let mut client = Client::open(&server, "2.0.0", server.anon_key()).await;
    client
        .send("realtime:t", "phx_join", "1", json!({"config": {"postgres_changes": [bad]}}))
        .await;
    client.expect("phx_reply").await;
    let refused = client.expect("system").await["message"].as_str().unwrap().to_owned();
    let want = r#"ERROR 22P02 (invalid_text_representation) invalid input syntax for type integer: "seven""#;
    assert!(refused.ends_with(want), "{refused}");
    server.stop().await;
}

#[tokio::test]
async fn ten_thousand_rows_in_bulk_all_arrive_once() {
    let server = start(SCHEMA, |_| {}).await;
    let mut alice = joined(&server, on("todos"), "authenticated", Some(ALICE)).await;
    // Every tenth row is somebody else's.
    let owner = |n: usize| if n.is_multiple_of(10) { BOB } else { ALICE };
    let rows: Vec<Value> = (0..500).map(|n| json!({"user_id": owner(n), "title": "x"})).collect();
    let mut writers = tokio::task::JoinSet::new();
    for _ in 0..4 {
        let (url, key) =
            (format!("{}/rest/v1/todos", server.url()), server.service_key().to_owned());
        let rows = rows.clone();
        writers.spawn(async move {
            let client = reqwest::Client::new();
            for _ in 0..5 {
                let request = client.post(&url).bearer_auth(&key).json(&rows);
                assert_eq!(request.send().await.unwrap().status().as_u16(), 201);
            }
        });
    }
    let started = Instant::now();
    let mut seen = HashSet::new();
    while seen.len() < 9_000 {
        let change = alice.change().await;
        assert_eq!(change["record"]["user_id"], ALICE);
        assert!(seen.insert(change["record"]["id"].as_i64().unwrap()), "twice: {change}");
    }
    println!("9,000 of 10,000 rows in {:?}", started.elapsed());
    while let Some(written) = writers.join_next().await {
        written.unwrap();
    }
    alice.nothing_before_heartbeat().await;
    server.stop().await;
}

#[tokio::test]
async fn single_rows_arrive_in_order() {
    let server = start(SCHEMA, |_| {}).await;
    let mut client = joined(&server, on("messages"), "anon", None).await;
    let mut took = Vec::new();
    for n in 0..100 {
        let started = Instant::now();
        sql(&server, format!("insert into messages (n) values ({n})")).await;
        assert_eq!(client.change().await["record"]["n"], n);
        took.push(started.elapsed());
    }
    took.sort_unstable();
    println!("insert and event: median {:?}, slowest {:?}", took[50], took[99]);
    server.stop().await;
}

#[tokio::test]
async fn a_table_published_later_is_seen() {
    let server = start(SCHEMA, |config| {
        config.realtime.publication_check = Duration::from_millis(20);
    })
    .await;
    let mut client = joined(&server, on("*"), "anon", None).await;
    sql(&server, "alter publication supabase_realtime add table not_published").await;
    assert_eq!(client.expect("system").await["message"], "Subscribed to PostgreSQL");
    sql(&server, "insert into not_published default values").await;
    assert_eq!(client.change().await["table"], "not_published");
    // A channel that was refused is not revived by it.
    let mut refused = Client::open(&server, "2.0.0", server.anon_key()).await;
    sql(&server, "create table late (id int primary key)").await;
    let config = json!({"config": {"postgres_changes": [on("late")]}});
    refused.send("realtime:t", "phx_join", "1", config).await;
    refused.expect("phx_reply").await;
    assert_eq!(refused.expect("system").await["status"], "error");
    sql(&server, "alter publication supabase_realtime add table late").await;
    assert_eq!(client.expect("system").await["message"], "Subscribed to PostgreSQL");
    for n in 0..5 {
        sql(&server, format!("insert into late values ({n})")).await;
        assert_eq!(client.change().await["record"], json!({ "id": n }));
    }
    refused.nothing_before_heartbeat().await;
    // The shape of a table may change too.
    sql(&server, "alter table not_published add column extra text default 'x'").await;
    sql(&server, "insert into not_published default values").await;
    assert_eq!(client.change().await["record"], json!({"id": 2, "extra": "x"}));
    server.stop().await;
}

#[tokio::test]
async fn channels_outlive_a_database_restart() {
    let options = ClusterOptions::temporary(binaries().await);
    let mut own = Cluster::start(options).await.unwrap();
    let config = LocalConfig::new(&own, &database(&own, SCHEMA).await);
    let server = LocalSupabase::start(config).await.unwrap();
    let mut client = joined(&server, on("messages"), "anon", None).await;
    sql(&server, "insert into messages (n) values (1)").await;
    assert_eq!(client.change().await["record"]["n"], 1);
    // Read before the server goes: the new slot may exist as soon as it is back.
    let slots = server.faults().seen().slots;
    own.stop_immediate().await.unwrap();
    client.nothing_before_heartbeat().await;
    own.restart().await.unwrap();
    let deadline = Instant::now() + PATIENCE;
    while server.faults().seen().slots == slots {
        assert!(Instant::now() < deadline, "no new slot");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let pool = PgPool::connect_lazy(&own.admin_url("postgres")).unwrap();
    let live: i64 = sqlx::query_scalar("select count(*) from pg_replication_slots")
        .fetch_one(&pool)
        .await
        .unwrap();
    assert_eq!(live, 1);
    sql(&server, "insert into messages (n) values (2)").await;
    assert_eq!(client.change().await["record"]["n"], 2);
    server.stop().await;
    own.stop().await.unwrap();
}

/// Between the moment a commit is in the log and the moment others see it lies a gap. Waiting for a
/// synchronous standby that does not exist holds it open.
#[tokio::test]
async fn a_row_that_is_decoded_before_it_is_visible_is_not_lost() {
    let own = Cluster::start(ClusterOptions::temporary(binaries().await)).await.unwrap();
    let mut config = LocalConfig::new(&own, &database(&own, SCHEMA).await);
    config.realtime.poll_interval = Duration::ZERO;
    let server = LocalSupabase::start(config).await.unwrap();
    let mut alice = joined(&server, on("todos"), "authenticated", Some(ALICE)).await;
    let standby = |name: &str| format!("alter system set synchronous_standby_names = '{name}'");
    sql(&server, standby("nobody")).await;
    sql(&server, "select pg_reload_conf()").await;
    let effective = "select current_setting('synchronous_standby_names') = 'nobody'";
    let waiting = "select count(*) filter (where wait_event = 'SyncRep') > 0 \
                   and count(*) filter (where query like '-- Would a new snapshot%') > 0 \
                   from pg_stat_activity";
    until(&server, effective).await;
    let inserting = loop {
        let pool = server.pool().clone();
        let inserting = tokio::spawn(async move {
            let insert = "insert into todos (user_id, title) values ($1, 'late')";
            let owner = ALICE.parse::<uuid::Uuid>().unwrap();
            sqlx::query(insert).bind(owner).execute(&pool).await.unwrap();
        });
        let deadline = Instant::now() + PATIENCE;
        while !inserting.is_finished() && !holds(&server, waiting).await {
            assert!(Instant::now() < deadline, "not in time: {waiting}");
        }
        if !inserting.is_finished() {
            break inserting;
        }
        // The checkpointer, which tells the others whether to wait, had not heard of it yet.
        assert_eq!(alice.change().await["record"]["title"], "late");
    };
    sql(&server, standby("")).await;
    sql(&server, "select pg_reload_conf()").await;
    assert_eq!(alice.change().await["record"]["title"], "late");
    inserting.await.unwrap();
    server.stop().await;
    own.stop().await.unwrap();
}

async fn until(server: &LocalSupabase, question: &'static str) {
    let deadline = Instant::now() + PATIENCE;
    while !holds(server, question).await {
        assert!(Instant::now() < deadline, "not in time: {question}");
    }
}

async fn holds(server: &LocalSupabase, question: &'static str) -> bool {
    sqlx::query_scalar(question).fetch_one(server.pool()).await.unwrap()
}

#[tokio::test]
async fn stopping_closes_sockets_and_frees_port_and_slot() {
    let name = database(cluster().await, SCHEMA).await;
    let server = LocalSupabase::start(LocalConfig::new(cluster().await, &name)).await.unwrap();
    let mut client = joined(&server, on("messages"), "anon", None).await;
    let address = server.address();
    let stopping = tokio::spawn(server.stop());
    assert_eq!(client.next().await, Err(Some(1012)));
    stopping.await.unwrap();
    assert!(tokio::net::TcpStream::connect(address).await.is_err());
    // Nobody is left in the database, so it can be dropped at once.
    cluster().await.drop_database(&name).await.unwrap();
}

#[tokio::test]
async fn a_client_that_does_not_read_is_cut() {
    let server = start(SCHEMA, |config| {
        config.realtime.queue_bytes = 256 * 1024;
        config.realtime.slow_client_patience = Duration::from_millis(50);
    })
    .await;
    let slow = joined(&server, on("messages"), "anon", None).await;
    let mut quick = joined(&server, on("messages"), "service_role", None).await;
    let reading = tokio::spawn(async move {
        for _ in 0..400 {
            quick.change().await;
        }
        quick
    });
    for _ in 0..20 {
        let insert =
            "insert into messages (body) select repeat('x', 50000) from generate_series(1, 20)";
        sql(&server, insert).await;
    }
    let mut quick = reading.await.unwrap();
    quick.nothing_before_heartbeat().await;
    assert_eq!(server.faults().seen().slow_clients, 1);
    drop(slow);
    server.stop().await;
}
