//! Replays recorded exchanges with a real PostgREST 14 and compares status, headers and body.

#[path = "rest_fixtures/server.rs"]
mod server;
#[path = "rest_fixtures/wider.rs"]
mod wider;

use std::path::{Path, PathBuf};

use axum::{
    Router,
    body::{Body, to_bytes},
    http::{HeaderMap, Request},
};
use serde_json::{Value, json};
use supabase_local::{
    jwt::sign_hs256,
    migrate::run_file,
    postgres::{Binaries, Cluster, ClusterOptions, PostgresChoice, install_embedded},
    rest::{Rest, RestConfig},
};
use tower::ServiceExt;

const SECRET: &str = "0123456789012345678901234567890123456789";
const NOW: i64 = 1_795_000_000;

/// The headers that were recorded where the real server sent them, so their absence counts too.
const RECORDED: [&str; 6] = [
    "content-range",
    "preference-applied",
    "content-type",
    "location",
    "proxy-status",
    "www-authenticate",
];

/// Exchanges that are known to differ, each with the reason; none are.
const DIFFERENT: [(&str, &str); 0] = [];

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures").join(name)
}

#[expect(clippy::disallowed_methods, reason = "test support reads its switches here")]
async fn cluster() -> Cluster {
    let choice = match std::env::var("TEST_POSTGRES").as_deref() {
        Ok("embedded") => {
            let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("embedded-postgres");
            PostgresChoice::Embedded { dir: install_embedded(&target).await.unwrap() }
        }
        _ => PostgresChoice::Auto,
    };
    let binaries = Binaries::find(&choice).unwrap();
    Cluster::start(ClusterOptions::temporary(binaries)).await.unwrap()
}

fn token(who: &str) -> Option<String> {
    let sign = |secret: &str, claims: Value| sign_hs256(secret, &claims).unwrap();
    let user = |digit: char| {
        let part = |n: usize| digit.to_string().repeat(n);
        let sub = format!("{}-{}-4{}-8{}-{}", part(8), part(4), part(3), part(3), part(12));
        json!({"role": "authenticated", "sub": sub})
    };
    match who {
        "alice" => Some(sign(SECRET, user('1'))),
        "bob" => Some(sign(SECRET, user('2'))),
        "reporter" => Some(sign(SECRET, json!({"role": "error_reporter"}))),
        "service" => Some(sign(SECRET, json!({"role": "service_role"}))),
        "badrole" => Some(sign(SECRET, json!({"role": "nobody_here"}))),
        "expired" => Some(sign(SECRET, json!({"role": "authenticated", "exp": NOW - 3600}))),
        "forged" => Some(sign("9876543210987654321098765432109876543210", user('1'))),
        "garbage" => Some("not.a.token".to_owned()),
        "" => None,
        other => panic!("who is {other}?"),
    }
}

/// Writes a recorded path as a client would send it.
fn encode(path: &str) -> String {
    let mut encoded = String::new();
    for byte in path.bytes() {
        match byte {
            b'"' | b'{' | b'}' | b'>' | b'<' | b' ' | b'\\' | b'^' => {
                encoded.push_str(&format!("%{byte:02X}"))
            }
            _ => encoded.push(char::from(byte)),
        }
    }
    encoded
}

async fn send(router: &Router, prefix: &str, exchange: &Value) -> (u16, HeaderMap, String) {
    let request = &exchange["request"];
    let path = format!("{prefix}{}", encode(request["path"].as_str().unwrap()));
    let mut builder = Request::builder().method(request["method"].as_str().unwrap()).uri(path);
    for (name, value) in request["headers"].as_object().unwrap() {
        builder = builder.header(name, value.as_str().unwrap());
    }
    if let Some(token) = token(exchange["as"].as_str().unwrap()) {
        builder = builder.header("authorization", format!("Bearer {token}"));
    }
    let body = match &request["body"] {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        json => json.to_string(),
    };
    let request = builder.body(Body::from(body)).unwrap();
    let response = router.clone().oneshot(request).await.unwrap();
    let (parts, body) = response.into_parts();
    let body = to_bytes(body, usize::MAX).await.unwrap();
    (parts.status.as_u16(), parts.headers, String::from_utf8(body.to_vec()).unwrap())
}

#[tokio::test]
async fn recorded_exchanges_are_answered_alike() {
    let cluster = cluster().await;
    // The recording's database had none of Supabase's default privileges, so it is a plain one.
    cluster.create_database_from_template("recorded", "template0").await.unwrap();
    let admin = cluster.admin_url("recorded");
    let roles = std::env::temp_dir().join(format!("roles-{}.sql", cluster.port()));
    let sql = "create role error_reporter nologin; grant error_reporter to authenticator;";
    std::fs::write(&roles, sql).unwrap();
    run_file(&admin, &roles).await.unwrap();
    std::fs::remove_file(&roles).unwrap();
    run_file(&admin, &fixture("postgrest-schema.sql")).await.unwrap();

    let mut config = RestConfig::new(cluster.url("authenticator", "recorded"), SECRET);
    config.clock = std::sync::Arc::new(|| NOW);
    let rest = Rest::start(config).await.unwrap();
    // Every other exchange goes through the prefix behind which the gateway serves it.
    let router = Router::new().nest("/rest/v1", rest.router()).merge(rest.router());

    let text = std::fs::read_to_string(fixture("postgrest-exchanges.jsonl")).unwrap();
    let mut differences = Vec::new();
    let mut count = 0;
    for (number, line) in text.lines().enumerate() {
        let exchange: Value = serde_json::from_str(line).unwrap();
        let case = exchange["case"].as_str().unwrap();
        let prefix = if number % 2 == 0 { "/rest/v1" } else { "" };
        let (status, headers, body) = send(&router, prefix, &exchange).await;
        count += 1;
        let wanted = &exchange["response"];
        let mut different = Vec::new();
        if Some(u64::from(status)) != wanted["status"].as_u64() {
            different.push(format!("status {status} and not {}", wanted["status"]));
        }
        if Some(body.as_str()) != wanted["body"].as_str() {
            different.push(format!("body {body:?} and not {}", wanted["body"]));
        }
        for name in RECORDED {
            let got = headers.get(name).and_then(|value| value.to_str().ok());
            let wanted = wanted["headers"][name].as_str();
            if got != wanted {
                different.push(format!("{name} {got:?} and not {wanted:?}"));
            }
        }
        let known = DIFFERENT.iter().any(|(name, _)| *name == case);
        if different.is_empty() == known {
            differences.push(format!("{case}: {}", different.join("; ")));
        }
    }
    assert_eq!(count, 83, "the recording is not whole");
    assert!(differences.is_empty(), "{} differ:\n{}", differences.len(), differences.join("\n"));
    rest.close().await;
    cluster.stop().await.unwrap();
}
