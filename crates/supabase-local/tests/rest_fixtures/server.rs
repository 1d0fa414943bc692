//! What the server does around statements: headers, a schema that changes, a database that goes.

use std::time::Duration;

use axum::{
    Router,
    body::{Body, to_bytes},
    http::{HeaderMap, Request},
};
use serde_json::json;
use supabase_local::{jwt::sign_hs256, migrate::run_file, postgres::Cluster, rest::Rest};
use tower::ServiceExt;

use super::SECRET;

/// Sends `METHOD /path`, headers and a body as the service role.
pub async fn send(
    router: &Router,
    line: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> (u16, HeaderMap, String) {
    let (method, path) = line.split_once(' ').unwrap();
    let token = sign_hs256(SECRET, &json!({"role": "service_role"})).unwrap();
    let mut request = Request::builder()
        .method(method)
        .uri(super::encode(path))
        // The gateway's way: only an API key.
        .header("apikey", token);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let response =
        router.clone().oneshot(request.body(Body::from(body.to_owned())).unwrap()).await.unwrap();
    let (parts, body) = response.into_parts();
    let body = to_bytes(body, usize::MAX).await.unwrap();
    (parts.status.as_u16(), parts.headers, String::from_utf8(body.to_vec()).unwrap())
}

pub async fn headers(router: &Router) {
    let origin =
        [("origin", "http://localhost:5173"), ("x-sent", "yes"), ("accept-profile", "public")];
    let (status, headers, body) = send(router, "POST /rpc/with_headers", &origin, "").await;
    assert_eq!((status, body.as_str()), (203, "\"POST /rpc/with_headers yes\""));
    assert_eq!(headers.get("x-mood").unwrap(), "good");
    assert_eq!(headers.get("access-control-allow-origin").unwrap(), "*");
    let exposed = headers.get("access-control-expose-headers").unwrap().to_str().unwrap();
    assert!(exposed.contains("Content-Range"), "{exposed}");

    let asked = [
        ("access-control-request-headers", "apikey,prefer"),
        ("access-control-request-method", "POST"),
    ];
    let (status, headers, _) = send(router, "OPTIONS /rules", &asked, "").await;
    assert_eq!(status, 200);
    assert_eq!(headers.get("access-control-allow-headers").unwrap(), "apikey,prefer");

    let exact = [("prefer", "count=exact"), ("accept-profile", "public")];
    let (status, headers, _) =
        send(router, "GET /rules?select=id,projects!inner()&projects.id=eq.1&limit=1", &exact, "")
            .await;
    assert_eq!((status, headers.get("content-range").unwrap().to_str().unwrap()), (206, "0-0/2"));
    assert_eq!(headers.get("content-profile").unwrap(), "public");
    let (_, headers, _) = send(router, "GET /rules?id=eq.1&select=id", &[], "").await;
    assert_eq!(headers.get("content-location").unwrap(), "/rules?id=eq.1&select=id");
}

/// New tables are found at once, changed ones after the notification that every DDL sends.
pub async fn schema_changes(cluster: &Cluster, rest: &Rest, router: &Router) {
    let file = std::env::temp_dir().join(format!("change-{}.sql", cluster.port()));
    let migrate = async |sql: &str| {
        std::fs::write(&file, sql).unwrap();
        run_file(&cluster.url("postgres", "wider"), &file).await.unwrap();
    };
    migrate("create table later (id int primary key, v int); insert into later values (1, 5)")
        .await;
    let (status, _, body) = send(router, "GET /later", &[], "").await;
    assert_eq!((status, body.as_str()), (200, r#"[{"id":1,"v":5}]"#));

    migrate("alter table later alter v type text using 'was ' || v").await;
    let changed = async {
        loop {
            let body = r#"{"id":2,"v":"word"}"#;
            let (status, _, _) = send(router, "POST /later", &[], body).await;
            if status == 201 {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::select! {
        () = rest.watch_schema() => {}
        changed = tokio::time::timeout(Duration::from_secs(10), changed) => {
            changed.expect("the changed column was not noticed");
        }
    }
    std::fs::remove_file(&file).unwrap();
}

/// A database that is gone is told as such, and found again without a restart of the server.
pub async fn outage(cluster: &mut Cluster, router: &Router) {
    cluster.stop_immediate().await.unwrap();
    let (status, headers, body) = send(router, "GET /people", &[], "").await;
    assert_eq!(status, 503, "{body}");
    assert!(
        headers
            .get("proxy-status")
            .unwrap()
            .to_str()
            .unwrap()
            .starts_with("PostgREST; error=PGRST00")
    );
    cluster.restart().await.unwrap();
    let (status, _, body) = send(router, "GET /people?select=id&id=eq.1", &[], "").await;
    assert_eq!((status, body.as_str()), (200, r#"[{"id":1}]"#));
}
