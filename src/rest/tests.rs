use axum::{
    Router,
    body::Bytes,
    http::{HeaderMap, Method, StatusCode, Uri},
    response::{IntoResponse, Response},
};
use serde::Deserialize;
use serde_json::json;
use tokio::sync::mpsc;

use super::*;
use crate::{
    clock::Clock,
    model::Span,
    token::{Claims, TokenSource},
};

/// One request as the server saw it.
struct Seen {
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
}

/// A server that gives `answers` in turn, the last one for ever, and tells what it was asked.
async fn server(answers: Vec<(u16, String)>) -> (Url, mpsc::UnboundedReceiver<Seen>) {
    let (seen_sender, seen) = mpsc::unbounded_channel();
    let answers = Arc::new(std::sync::Mutex::new(answers));
    let answer = move |method: Method, uri: Uri, headers: HeaderMap, body: Bytes| {
        let (answers, seen_sender) = (Arc::clone(&answers), seen_sender.clone());
        async move {
            seen_sender.send(Seen { method, uri, headers, body }).expect("test is listening");
            let mut answers = answers.lock().expect("not poisoned");
            let next = if answers.len() > 1 { answers.remove(0) } else { answers[0].clone() };
            match next {
                (0, _) => None,
                (status, body) => {
                    let status = StatusCode::from_u16(status).expect("status");
                    Some((status, [("location", "/elsewhere")], body).into_response())
                }
            }
        }
    };
    let handler = move |method: Method, uri: Uri, headers: HeaderMap, body: Bytes| {
        let answer = answer(method, uri, headers, body);
        async move {
            match answer.await {
                Some(response) => response,
                None => std::future::pending::<Response>().await,
            }
        }
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("listener");
    let address = listener.local_addr().expect("address");
    tokio::spawn(async move { axum::serve(listener, Router::new().fallback(handler)).await });
    (format!("http://{address}/rest/v1").parse().expect("url"), seen)
}

fn minter() -> Arc<Minter> {
    let source = TokenSource::hs256(&"x".repeat(32).into()).expect("secret");
    let claims = Claims { role: "error_reporter".to_owned(), ..Claims::default() };
    Arc::new(Minter::new(source, claims, Span::from_secs(600), Clock::system()))
}

fn client(url: Url) -> RestClient {
    rustls::crypto::aws_lc_rs::default_provider().install_default().ok();
    RestClient::new(RestConfig::new(url, Some("anon-key".into())), minter()).expect("client")
}

fn event() -> NewErrorEvent {
    NewErrorEvent {
        error_id: Uuid::from_u128(7),
        timestamp: Some(Timestamp::from_secs(1_795_000_000)),
        source: Source::Worker,
        error_type: "execution.timeout".to_owned(),
        severity: None,
        workflow_id: None,
        project_id: None,
        message: None,
        metadata: json!({"step": 3}),
    }
}

#[tokio::test]
async fn inserts_ask_for_nothing_back_and_ignore_duplicates() {
    let (url, mut seen) = server(vec![(201, String::new())]).await;
    let client = client(url);
    client.insert_errors(&[event(), event()]).await.expect("insert");
    let request = seen.recv().await.expect("request");
    assert_eq!(request.method, Method::POST);
    assert_eq!(request.uri.to_string(), "/rest/v1/error_metrics?on_conflict=error_id");
    let header = |name: &str| request.headers.get(name).and_then(|v| v.to_str().ok());
    assert_eq!(header("prefer"), Some("return=minimal,resolution=ignore-duplicates"));
    assert_eq!(request.headers.get_all("prefer").iter().count(), 1);
    assert_eq!(header("content-type"), Some("application/json"));
    assert_eq!(header("apikey"), Some("anon-key"));
    assert_eq!(header("user-agent"), Some(crate::USER_AGENT));
    assert!(header("authorization").is_some_and(|value| value.starts_with("Bearer eyJ")));
    let body: Value = serde_json::from_slice(&request.body).expect("JSON");
    let row = json!({"error_id": "00000000-0000-0000-0000-000000000007",
        "timestamp": "2026-11-18T11:06:40.000000Z", "source": "worker",
        "error_type": "execution.timeout", "severity": null, "workflow_id": null,
        "project_id": null, "message": null, "metadata": {"step": 3}});
    assert_eq!(body, json!([row, row]));
    client.insert_json(&[]).await.expect("nothing to do");
    client.insert_json(&[json!({"n": 9_007_199_254_740_993_i64})]).await.expect("insert");
    let request = seen.recv().await.expect("request");
    assert_eq!(request.body, "[{\"n\":9007199254740993}]", "and no request for the empty list");
}

#[tokio::test]
async fn selects_are_bounded_and_quoted() {
    let (url, mut seen) = server(vec![(200, "[{\"a\":1}]".to_owned())]).await;
    let client = client(url);
    let select = Select {
        table: "error_groups",
        columns: "a,b",
        filters: &[
            Condition::Equals("title", "a,b & (c)"),
            Condition::OneOf("status", &["open", "a,b", "x\"y\\"]),
            Condition::AtLeast("n", "3"),
            Condition::IsNull("project_id"),
        ],
        order: "n.desc",
        limit: 5_000,
    };
    assert_eq!(client.select(&select).await.expect("rows"), [json!({"a": 1})]);
    let request = seen.recv().await.expect("request");
    assert_eq!(request.method, Method::GET);
    let url = Url::parse(&format!("http://h{}", request.uri)).expect("url");
    let query: Vec<_> = url.query_pairs().map(|(k, v)| format!("{k}={v}")).collect();
    assert_eq!(
        query,
        [
            "select=a,b",
            "title=eq.a,b & (c)",
            "status=in.(open,\"a,b\",\"x\\\"y\\\\\")",
            "n=gte.3",
            "project_id=is.null",
            "order=n.desc"
        ]
    );
    assert_eq!(request.headers["range"], "0-999");
    assert!(!request.headers.contains_key("prefer"));
    for table in ["", "a/b", "a?b"] {
        let refused = client.select(&Select { table, filters: &[], ..select }).await;
        assert!(matches!(refused, Err(RestError::Config(_))), "{table}");
    }
}

#[tokio::test]
async fn an_expired_token_is_replaced_once() {
    let expired = json!({"code": "PGRST303", "message": "JWT expired"}).to_string();
    let (url, mut seen) = server(vec![(401, expired.clone()), (201, String::new())]).await;
    client(url).insert_errors(&[event()]).await.expect("the second attempt");
    assert!(seen.recv().await.is_some() && seen.recv().await.is_some());
    let (url, _seen) = server(vec![(401, expired)]).await;
    let error = client(url).insert_errors(&[event()]).await.expect_err("refused");
    assert!(!error.is_transient(), "{error}");
}

#[tokio::test]
async fn silence_redirects_and_absence_are_errors() {
    let (url, _seen) = server(vec![(0, String::new())]).await;
    let mut config = RestConfig::new(url, None);
    config.timeout = Duration::from_millis(200);
    let silent = RestClient::new(config, minter()).expect("client");
    let error = silent.insert_errors(&[event()]).await.expect_err("no answer");
    assert!(matches!(error, RestError::TimedOut) && error.is_transient(), "{error}");

    let (url, mut seen) = server(vec![(307, "moved".to_owned())]).await;
    let error = client(url).insert_errors(&[event()]).await.expect_err("a redirect");
    assert!(matches!(&error, RestError::Refused(e) if e.status == 307), "{error}");
    seen.recv().await.expect("request");
    assert!(seen.try_recv().is_err(), "the redirect was not followed");

    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("listener");
    let url = format!("http://{}/rest/v1", listener.local_addr().expect("address"));
    drop(listener);
    let error =
        client(url.parse().expect("url")).insert_errors(&[event()]).await.expect_err("gone");
    assert!(matches!(error, RestError::Transport(_)) && error.is_transient(), "{error}");
    assert!(!error.to_string().contains("/rest/v1"), "{error}");
}

#[test]
fn bad_settings_are_refused_instead_of_panicking() {
    let url = |text: &str| -> Url { text.parse().expect("url") };
    let refused = |url, key: Option<&str>| {
        let key = key.map(SecretString::from);
        RestClient::new(RestConfig::new(url, key), minter()).err().map(|e| e.to_string())
    };
    for address in ["ftp://h/", "http://u:p@h/", "http://h/?a=1", "http://h/#a"] {
        assert!(refused(url(address), None).is_some(), "{address}");
    }
    for key in ["a\nb", "a\rb", "a\0b", "käse"] {
        assert!(refused(url("http://h/"), Some(key)).is_some_and(|e| e.contains("API key")));
    }
    let client = client(url("http://h/rest/v1/"));
    for token in ["a\nb", "ä"] {
        let built = client.builder.from("t").select("a");
        assert!(request::convert(built, &token.into(), None).is_err());
    }
}

#[test]
fn values_are_quoted_where_they_must_be() {
    let cases = [
        ("open", "open"),
        ("", "\"\""),
        ("a.b", "\"a.b\""),
        ("a b", "\"a b\""),
        ("(a)", "\"(a)\""),
        ("a\"b\\c", "\"a\\\"b\\\\c\""),
        ("grün", "grün"),
    ];
    for (value, expected) in cases {
        assert_eq!(quote(value), expected);
    }
}

/// Every error that a real PostgREST answered in the captured exchanges is permanent, since
/// nothing but a changed request or grant would help; outages are not.
#[test]
fn errors_are_read_and_judged() {
    #[derive(Deserialize)]
    struct Exchange {
        case: String,
        response: Captured,
    }
    #[derive(Deserialize)]
    struct Captured {
        status: u16,
        body: String,
    }
    let mut count = 0;
    for line in include_str!("../../tests/fixtures/postgrest-exchanges.jsonl").lines() {
        let exchange: Exchange = serde_json::from_str(line).expect("fixture line");
        if exchange.response.status < 400 {
            continue;
        }
        count += 1;
        let body: Value = serde_json::from_str(&exchange.response.body).expect("error body");
        let error = RestError::refused(exchange.response.status, exchange.response.body.as_bytes());
        assert!(!error.is_transient(), "{}: {error}", exchange.case);
        let RestError::Refused(error) = error else { panic!("{error}") };
        assert_eq!(body["code"], error.code, "{}", exchange.case);
        assert_eq!(body["message"], error.message, "{}", exchange.case);
        assert_eq!(body["details"].as_str(), error.details.as_deref(), "{}", exchange.case);
        assert_eq!(body["hint"].as_str(), error.hint.as_deref(), "{}", exchange.case);
    }
    assert!(count > 30, "only {count} errors");
    let cases = [
        (503, r#"{"code":"PGRST001","message":"Database client error"}"#, true),
        (504, r#"{"code":"PGRST003","message":"Timed out acquiring connection"}"#, true),
        (500, r#"{"code":"40001","message":"could not serialize"}"#, true),
        (500, r#"{"code":"57014","message":"canceling statement due to timeout"}"#, true),
        (503, r#"{"code":"53300","message":"too many connections"}"#, true),
        (500, r#"{"code":"XX000","message":"internal"}"#, false),
        (502, "<html>bad gateway</html>", true),
        (429, "", true),
        (413, "too large", false),
    ];
    for (status, body, transient) in cases {
        assert_eq!(RestError::refused(status, body.as_bytes()).is_transient(), transient, "{body}");
    }
}
