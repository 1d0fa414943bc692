//! The shapes of everything Realtime sends, compared with frames captured from the real server.

use std::collections::BTreeMap;

use crate::local::{Client, PATIENCE, sql, start};
use chrono::DateTime;
use serde_json::{Value, json};
use supabase_local::LocalSupabase;

const SCHEMA: &str = include_str!("schema.sql");
const FRAMES: &str = include_str!("../../../../tests/fixtures/realtime-frames.jsonl");
const ALICE: &str = "11111111-1111-4111-8111-111111111111";
const MALLORY: &str = "22222222-2222-4222-8222-222222222222";

/// The captured lines by case, in order.
fn cases() -> BTreeMap<String, Vec<Value>> {
    let mut cases: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    for line in FRAMES.lines() {
        let line: Value = serde_json::from_str(line).unwrap();
        cases.entry(line["case"].as_str().unwrap().to_owned()).or_default().push(line);
    }
    cases
}

/// Compares keys and types at every depth, and the text of every string that is not a moment in
/// time or a random id.
fn compare(path: &str, want: &Value, got: &Value) {
    match (want, got) {
        (Value::Object(want), Value::Object(got)) => {
            let keys =
                |map: &serde_json::Map<String, Value>| map.keys().cloned().collect::<Vec<_>>();
            assert_eq!(keys(want), keys(got), "keys of {path}");
            for (key, want) in want {
                compare(&format!("{path}.{key}"), want, &got[key]);
            }
        }
        (Value::Array(want), Value::Array(got)) => {
            assert_eq!(want.len(), got.len(), "length of {path}");
            for (at, (want, got)) in want.iter().zip(got).enumerate() {
                compare(&format!("{path}[{at}]"), want, got);
            }
        }
        (Value::String(want), Value::String(got)) => compare_text(path, want, got),
        (Value::Number(want), Value::Number(got)) => {
            assert_eq!(want.is_i64(), got.is_i64(), "{path}");
        }
        (want, got) => assert_eq!(want, got, "{path}"),
    }
}

fn compare_text(path: &str, want: &str, got: &str) {
    let moment = |text: &str| DateTime::parse_from_rfc3339(text).is_ok();
    let tail = |text: &str| text.get(text.len() - 6..).unwrap_or_default().to_owned();
    if path.ends_with("commit_timestamp") {
        assert!(moment(got) && got.len() == want.len() && got.ends_with('Z'), "{path}: {got}");
    } else if moment(want) {
        assert!(moment(got) && tail(got) == tail(want), "{path}: {got}");
    } else if path.ends_with(".error_id") || path.ends_with(".phx_ref") {
        assert!(!got.is_empty());
    } else {
        // Only the age of a token may differ from run to run.
        let without_digits = |text: &str| text.replace(|c: char| c.is_ascii_digit(), "");
        if want.contains("Token has expired") {
            assert_eq!(without_digits(want), without_digits(got), "{path}");
        } else {
            assert_eq!(want, got, "{path}");
        }
    }
}

/// What was behind each `<JWT>` of a case, in order.
fn tokens(server: &LocalSupabase, case: &str) -> Vec<String> {
    let make = |role: &str, sub, seconds| server.token(role, sub, seconds).unwrap();
    let good = make("authenticated", Some(ALICE), 3600);
    let claims = json!({"role": "authenticated", "exp": 4_000_000_000_i64});
    let forged = supabase_local::jwt::sign_hs256("another secret", &claims).unwrap();
    let expired = make("authenticated", Some(ALICE), -60);
    let base = case.trim_end_matches("_v1.0.0").trim_end_matches("_v2.0.0");
    match base {
        "basic" => vec![good, make("authenticated", Some(ALICE), 3700)],
        "refresh_expired_token" => vec![good, expired],
        "refresh_wrong_signature" => vec![good, forged],
        "token_expires_while_joined" => vec![make("authenticated", Some(ALICE), 3)],
        "join_expired_token" => vec![expired],
        "join_wrong_signature" => vec![forged],
        "rls_anon_sees_nothing" => vec![make("anon", None, 3600)],
        "unknown_role" => vec![make("no_such_role", None, 3600)],
        _ => vec![good],
    }
}

/// Does to the database what brings about a captured change.
async fn bring_about(server: &LocalSupabase, case: &str, data: &Value) {
    let table = data["table"].as_str().unwrap();
    let statement = match (table, data["type"].as_str().unwrap()) {
        ("messages", "INSERT") => {
            let record = &data["record"];
            let body =
                record["body"].as_str().map_or("repeat('x', 1100000)".into(), |b| format!("'{b}'"));
            format!("insert into messages (body, n) values ({body}, {})", record["n"])
        }
        ("messages", "UPDATE") => {
            let body = data["record"]["body"].as_str().unwrap();
            format!("update messages set body = '{body}' where id = (select max(id) from messages)")
        }
        ("todos", "INSERT") => format!(
            "insert into todos (user_id, title) values ('{MALLORY}', 'not mine'), ('{ALICE}', 'mine')"
        ),
        ("em3", "INSERT") => "insert into em3 default values".into(),
        // Somebody else's row: a deletion is not held back by row security.
        ("todos", "DELETE") => format!(
            "insert into todos (user_id) values ('{MALLORY}'); delete from todos where id = lastval()"
        ),
        (table, "DELETE") => {
            format!("delete from {table} where id = (select max(id) from {table})")
        }
        other => panic!("{case}: {other:?}"),
    };
    sql(server, statement).await;
}

/// Plays a captured case against our server and compares every frame that comes back.
async fn replay(server: &LocalSupabase, case: &str, lines: &[Value]) {
    let vsn = if case.ends_with("_v2.0.0") { "2.0.0" } else { "1.0.0" };
    let mut client = Client::open(server, vsn, server.anon_key()).await;
    let mut tokens = tokens(server, case).into_iter();
    let mut token = String::new();
    if !lines.iter().any(|line| line["dir"] == "send") {
        client.send_raw(&join_for(case, lines, &tokens.next().unwrap())).await;
    }
    for line in lines {
        let raw = line["raw"].as_str().unwrap_or_default();
        match line["dir"].as_str().unwrap() {
            "send" => {
                if raw.contains("<JWT>") {
                    token = tokens.next().unwrap_or(token);
                }
                client.send_raw(&raw.replace("<JWT>", &token)).await;
            }
            "recv" => {
                let want: Value = serde_json::from_str(raw).unwrap();
                let payload = if vsn == "1.0.0" { &want["payload"] } else { &want[4] };
                if payload.get("ids").is_some() {
                    bring_about(server, case, &payload["data"]).await;
                }
                let got = client.next().await.unwrap_or_else(|end| panic!("{case}: {end:?}"));
                compare(case, &want, &serde_json::from_str(&got).unwrap());
            }
            "close" => client.nothing_before_heartbeat().await,
            _ => {}
        }
    }
}

/// Three cases were captured without what the client sent; their topic says what it was.
fn join_for(case: &str, lines: &[Value], token: &str) -> String {
    let first: Value = serde_json::from_str(lines[0]["raw"].as_str().unwrap()).unwrap();
    let mut entry = json!({"event": "INSERT", "schema": "public", "table": "em3"});
    if case.starts_with("select_column_not") {
        entry["select"] = json!(["error_id", "metadata"]);
    } else if case.starts_with("select_columns") {
        entry["select"] = json!(["error_id", "seq", "ts", "sev", "project_id"]);
    }
    let payload = json!({"config": {"postgres_changes": [entry]}, "access_token": token});
    json!(["1", "1", first[2], "phx_join", payload]).to_string()
}

#[tokio::test]
async fn frames_have_the_shapes_of_the_real_server() {
    let server = start(SCHEMA, |_| {}).await;
    let mut played = 0;
    for (case, lines) in cases() {
        let elsewhere = case.starts_with("broadcast_and_presence")
            || case.starts_with("connect_")
            || case.starts_with("server_")
            || case.starts_with("postgres_");
        if elsewhere {
            continue;
        }
        println!("{case}");
        let lines: Vec<Value> = if case.starts_with("select_column_not") {
            // The reply was not captured.
            let mut lines = lines;
            let raw = r#"["1","1","realtime:select_denied","phx_reply",{"status":"ok","response":{"postgres_changes":[{"id":1,"event":"INSERT","schema":"public","table":"em3","select":["error_id","metadata"]}]}}]"#;
            lines.insert(0, json!({"dir": "recv", "raw": raw}));
            lines
        } else {
            lines
        };
        tokio::time::timeout(PATIENCE, replay(&server, &case, &lines)).await.expect(&case);
        played += 1;
    }
    assert_eq!(played, 35, "cases of the fixture");
    server.stop().await;
}

#[tokio::test]
async fn handshakes_are_refused_in_the_real_servers_words() {
    let server = start(SCHEMA, |_| {}).await;
    let good = server.anon_key().to_owned();
    let expired = server.token("anon", None, -60).unwrap();
    let no_role =
        supabase_local::jwt::sign_hs256(server.jwt_secret(), &json!({"exp": 4_000_000_000_i64}));
    let forged = supabase_local::jwt::sign_hs256("another", &json!({"role": "anon", "exp": 1}));
    let keys: BTreeMap<&str, (Option<String>, &str)> = BTreeMap::from([
        ("connect_expired_apikey", (Some(expired), "1.0.0")),
        ("connect_wrong_signature_apikey", (Some(forged.unwrap()), "1.0.0")),
        ("connect_garbage_apikey", (Some("garbage".into()), "1.0.0")),
        ("connect_no_role_claim", (Some(no_role.unwrap()), "1.0.0")),
        ("connect_missing_apikey", (None, "1.0.0")),
        ("connect_unknown_vsn", (Some(good), "9.0.0")),
    ]);
    let captured = cases();
    for (case, (key, vsn)) in keys {
        let key = key.map(|key| format!("apikey={key}&")).unwrap_or_default();
        let url = format!("{}/realtime/v1/websocket?{key}vsn={vsn}", server.url());
        let answer = reqwest::Client::new()
            .get(url)
            .header("connection", "upgrade")
            .header("upgrade", "websocket")
            .header("sec-websocket-version", "13")
            .header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==")
            .send()
            .await
            .unwrap();
        let want = &captured[case][0];
        assert_eq!(answer.status().as_u16(), want["status"], "{case}");
        assert_eq!(answer.text().await.unwrap(), want["body"].as_str().unwrap(), "{case}");
    }
    server.stop().await;
}

#[tokio::test]
async fn broadcast_and_presence_reach_the_others() {
    let server = start(SCHEMA, |_| {}).await;
    let captured = cases();
    let (lines_a, lines_b) =
        (&captured["broadcast_and_presence_A"], &captured["broadcast_and_presence_B"]);
    let mut a = Client::open(&server, "1.0.0", server.anon_key()).await;
    let mut b = Client::open(&server, "1.0.0", server.anon_key()).await;
    let raw = |line: &Value| line["raw"].as_str().unwrap().replace("<JWT>", server.anon_key());
    let pick = |lines: &[Value], dir: &str| -> Vec<String> {
        lines.iter().filter(|line| line["dir"] == dir).map(raw).collect()
    };
    let (send_a, want_a) = (pick(lines_a, "send"), pick(lines_a, "recv"));
    let (send_b, want_b) = (pick(lines_b, "send"), pick(lines_b, "recv"));
    async fn check(client: &mut Client, want: &str) {
        let got = serde_json::from_str(&client.next().await.unwrap()).unwrap();
        compare("broadcast", &serde_json::from_str(want).unwrap(), &got);
    }
    a.send_raw(&send_a[0]).await;
    check(&mut a, &want_a[0]).await;
    check(&mut a, &want_a[1]).await;
    b.send_raw(&send_b[0]).await;
    check(&mut b, &want_b[0]).await;
    check(&mut b, &want_b[1]).await;
    a.send_raw(&send_a[1]).await;
    check(&mut a, &want_a[2]).await;
    check(&mut a, &want_a[3]).await;
    check(&mut b, &want_b[2]).await;
    a.send_raw(&send_a[2]).await;
    check(&mut a, &want_a[4]).await;
    check(&mut b, &want_b[3]).await;
    drop(a);
    check(&mut b, &want_b[4]).await;
    server.stop().await;
}
