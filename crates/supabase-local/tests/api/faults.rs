//! Every fault does what it says, to a server that is already serving.

use std::time::Duration;

use crate::local::{Client, PATIENCE, sql, start};
use serde_json::{Value, json};
use supabase_local::{
    LocalSupabase,
    faults::{Action, Faults, Seen},
};
use tokio::time::{Instant, sleep};

const SCHEMA: &str = include_str!("schema.sql");

async fn joined(server: &LocalSupabase) -> Client {
    let mut client = Client::open(server, "2.0.0", server.anon_key()).await;
    client.subscribe("realtime:t", entry(), server.anon_key()).await;
    client
}

fn entry() -> Value {
    json!({"event": "INSERT", "schema": "public", "table": "messages"})
}

async fn insert(server: &LocalSupabase, numbers: &[i64]) {
    for n in numbers {
        sql(server, format!("insert into messages (n) values ({n})")).await;
    }
}

async fn numbers<const N: usize>(client: &mut Client) -> [i64; N] {
    let mut got = [0; N];
    for n in &mut got {
        *n = client.change().await["record"]["n"].as_i64().unwrap();
    }
    got
}

async fn seen(faults: &Faults, holds: impl Fn(Seen) -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds(faults.seen()) {
        assert!(Instant::now() < deadline, "{:?}", faults.seen());
        sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn change_frames_are_lost_repeated_held_and_shuffled() {
    let server = start(SCHEMA, |_| {}).await;
    let faults = server.faults();
    let mut client = joined(&server).await;

    faults.set(|k| k.drop_next = 2);
    insert(&server, &[1, 2, 3]).await;
    assert_eq!(numbers(&mut client).await, [3]);

    faults.set(|k| k.drop_fraction = 0.5);
    insert(&server, &[4, 5, 6, 7]).await;
    assert_eq!(numbers(&mut client).await, [4, 6]);
    seen(&faults, |seen| seen.frames_lost == 4).await;
    faults.clear();

    faults.set(|k| k.duplicate = 1);
    insert(&server, &[8]).await;
    assert_eq!(numbers(&mut client).await, [8, 8]);
    faults.clear();

    faults.set(|k| k.reorder = Some(3));
    insert(&server, &[10, 11, 12, 13]).await;
    assert_eq!(numbers(&mut client).await, [12, 11, 10, 13]);
    faults.clear();

    faults.set(|k| k.delay = Some(Duration::from_millis(300)));
    let started = Instant::now();
    insert(&server, &[14]).await;
    assert_eq!(numbers(&mut client).await, [14]);
    assert!(started.elapsed() >= Duration::from_millis(300));
    faults.clear();

    faults.set(|k| k.truncate_next = 1);
    let long = "insert into messages (n, body) values (15, repeat('x', 100))";
    sql(&server, long).await;
    let change = client.change().await;
    assert_eq!(change["errors"], json!(["Error 413: Payload Too Large"]));
    assert_eq!((&change["record"]["n"], change["record"].get("body")), (&json!(15), None));

    let lost = faults.seen().frames_lost;
    faults.set(|k| k.max_events_per_second = Some(10));
    sql(&server, "insert into messages (n) select generate_series(100, 129)").await;
    seen(&faults, |seen| seen.frames_lost == lost + 20).await;
    assert_eq!(numbers::<10>(&mut client).await, std::array::from_fn(|n| 100 + n as i64));
    faults.clear();

    let lost = faults.seen().frames_lost;
    faults.set(|k| k.deaf = true);
    insert(&server, &[200, 201]).await;
    seen(&faults, |seen| seen.frames_lost == lost + 2).await;
    client.nothing_before_heartbeat().await;
    faults.clear();
    insert(&server, &[202]).await;
    assert_eq!(numbers(&mut client).await, [202]);
    server.stop().await;
}

#[tokio::test]
async fn a_lost_slot_loses_what_happens_meanwhile_and_says_nothing() {
    let server = start(SCHEMA, |_| {}).await;
    let faults = server.faults();
    let mut client = joined(&server).await;
    faults.set(|k| k.slot_lost = true);
    let slots = "select count(*) from pg_replication_slots where database = current_database()";
    let deadline = Instant::now() + PATIENCE;
    while sqlx::query_scalar::<_, i64>(slots).fetch_one(server.pool()).await.unwrap() > 0 {
        assert!(Instant::now() < deadline, "the slot is still there");
        sleep(Duration::from_millis(10)).await;
    }
    insert(&server, &[1, 2]).await;
    faults.clear();
    seen(&faults, |seen| seen.slots == 2).await;
    insert(&server, &[3]).await;
    assert_eq!(numbers(&mut client).await, [3]);
    server.stop().await;
}

#[tokio::test]
async fn joins_and_tokens_go_wrong() {
    let server = start(SCHEMA, |_| {}).await;
    let faults = server.faults();
    let mut client = Client::open(&server, "1.0.0", server.anon_key()).await;
    let config = json!({"config": {"postgres_changes": [entry()]}});

    faults.set(|k| k.refuse_join = Some("RealtimeRestarting: please standby".into()));
    client.send("realtime:a", "phx_join", "1", config.clone()).await;
    let reply = client.expect("phx_reply").await;
    assert_eq!(reply["response"]["reason"], "RealtimeRestarting: please standby");
    faults.clear();

    faults.set(|k| k.mute_join = true);
    client.send("realtime:a", "phx_join", "1", config.clone()).await;
    client.nothing_before_heartbeat().await;
    faults.clear();

    client.send("realtime:a", "phx_join", "1", config.clone()).await;
    let right = client.expect("phx_reply").await["response"]["postgres_changes"][0]["id"].clone();
    client.expect("system").await;
    faults.set(|k| k.wrong_ids = true);
    client.send("realtime:b", "phx_join", "1", config.clone()).await;
    let wrong = client.expect("phx_reply").await["response"]["postgres_changes"][0]["id"].clone();
    client.expect("system").await;
    assert_ne!(right, wrong);
    faults.clear();

    faults.set(|k| k.system_twice = true);
    client.send("realtime:c", "phx_join", "1", config.clone()).await;
    client.expect("phx_reply").await;
    client.expect("system").await;
    client.expect("system").await;
    faults.clear();

    faults.act(Action::Resubscribe);
    for _ in ["a", "b", "c"] {
        assert_eq!(client.expect("system").await["message"], "Subscribed to PostgreSQL");
    }

    faults.set(|k| k.ignore_access_token = true);
    client.send("realtime:a", "access_token", "2", json!({"access_token": "garbage"})).await;
    client.nothing_before_heartbeat().await;
    faults.clear();
    client.send("realtime:a", "access_token", "2", json!({"access_token": "garbage"})).await;
    assert_eq!(client.expect("system").await["message"], "The token provided is not a valid JWT");
    client.expect("phx_close").await;

    faults.act(Action::ExpireTokens);
    for _ in ["b", "c"] {
        let system = client.expect("system").await;
        assert_eq!((&system["status"], &system["extension"]), (&json!("error"), &json!("system")));
        client.expect("phx_close").await;
    }
    faults.set(|k| k.join_without_system = true);
    client.send("realtime:d", "phx_join", "1", config).await;
    client.expect("phx_reply").await;
    insert(&server, &[1]).await;
    client.nothing_before_heartbeat().await;
    faults.act(Action::CrashChannels);
    client.expect("phx_error").await;
    server.stop().await;
}

#[tokio::test]
async fn sockets_go_wrong() {
    let server = start(SCHEMA, |config| {
        config.realtime.idle_timeout = Duration::from_millis(700);
    })
    .await;
    let faults = server.faults();
    for code in [1000, 1001, 1012] {
        let mut client = joined(&server).await;
        assert_eq!(faults.act(Action::Close(code)), 1);
        assert_eq!(client.next().await, Err(Some(code)));
    }
    let mut client = joined(&server).await;
    faults.act(Action::Abort);
    assert_eq!(client.next().await, Err(None));

    let mut client = joined(&server).await;
    faults.act(Action::SendRaw("{not json".into()));
    assert_eq!(client.next().await, Ok("{not json".into()));
    let beats = faults.seen().heartbeats;
    faults.set(|k| k.swallow_heartbeats = true);
    client.send("phoenix", "heartbeat", "9", json!({})).await;
    seen(&faults, |seen| seen.heartbeats == beats + 1).await;
    faults.clear();
    client.nothing_before_heartbeat().await;
    assert_eq!(client.next().await, Err(Some(1000)), "silence ends a socket");

    let mut client = joined(&server).await;
    faults.act(Action::Freeze);
    client.send("phoenix", "heartbeat", "9", json!({})).await;
    let silence = tokio::time::timeout(Duration::from_millis(900), client.next()).await;
    assert!(silence.is_err(), "half-open: neither an answer nor an end");

    for status in [401, 403, 404, 429, 500] {
        faults.set(|k| k.refuse_handshake = Some(status));
        let url = format!("{}/realtime/v1/websocket?vsn=2.0.0", server.url());
        let answer = reqwest::get(url).await.unwrap();
        assert_eq!(answer.status().as_u16(), status);
        let body: Value = serde_json::from_str(&answer.text().await.unwrap()).unwrap();
        assert!(body["error"].is_string());
    }
    server.stop().await;
}

#[tokio::test]
async fn plain_requests_fail_and_wait() {
    let server = start(SCHEMA, |_| {}).await;
    let faults = server.faults();
    let get = |path: &str| {
        let request = reqwest::Client::new().get(format!("{}{path}", server.url()));
        let request = request.bearer_auth(server.service_key());
        async { request.send().await.unwrap().status().as_u16() }
    };
    let (rest, auth) = ("/rest/v1/messages", "/auth/v1/health");
    assert_eq!((get(rest).await, get(auth).await), (200, 200));
    faults.set(|k| k.rest_status = Some(503));
    assert_eq!((get(rest).await, get(auth).await), (503, 200));
    faults.clear();
    faults.set(|k| k.auth_status = Some(500));
    assert_eq!((get(rest).await, get(auth).await), (200, 500));
    faults.clear();
    faults.set(|k| k.rest_delay = Some(Duration::from_millis(200)));
    let started = Instant::now();
    assert_eq!(get(rest).await, 200);
    assert!(started.elapsed() >= Duration::from_millis(200));
    server.stop().await;
}
