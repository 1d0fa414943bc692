//! What holds for every path: problems, headers, origins, the document.

use reqwest::{Client, Method, StatusCode};
use serde_json::Value;

use crate::support::stack::Stack;

#[tokio::test]
async fn every_answer_is_a_problem_or_what_was_asked_and_carries_the_headers() {
    let stack = Stack::start().await;
    let page = "https://dashboard.example.com";
    let instance = stack.daemon_with([("API_ALLOWED_ORIGINS", page)]).await;
    let base = format!("http://{}", instance.daemon.address());
    let client = Client::new();
    for (method, path, expected) in [
        (Method::GET, "/api/openapi.json", 200),
        (Method::GET, "/api/nothing-here", 404),
        (Method::DELETE, "/api/openapi.json", 405),
    ] {
        let request = client.request(method.clone(), format!("{base}{path}"));
        let answer = request.header("x-request-id", "of-the-test").send().await.unwrap();
        assert_eq!(answer.status().as_u16(), expected, "{method} {path}");
        let headers = answer.headers().clone();
        assert_eq!(headers["x-request-id"], "of-the-test");
        assert_eq!(headers["x-content-type-options"], "nosniff");
        assert_eq!(headers["cache-control"], "no-store");
        let body: Value = answer.json().await.unwrap();
        if expected >= 400 {
            assert_eq!(headers["content-type"], "application/problem+json");
            assert_eq!(body["status"], expected);
        } else {
            assert_eq!(body["openapi"], "3.1.0");
        }
    }
    for (origin, allowed) in [(page, Some(page)), ("https://elsewhere.example.com", None)] {
        let asked = client
            .request(Method::OPTIONS, format!("{base}/api/openapi.json"))
            .header("origin", origin)
            .header("access-control-request-method", "GET")
            .header("access-control-request-headers", "authorization")
            .send();
        let answer = asked.await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK);
        let said = answer.headers().get("access-control-allow-origin");
        assert_eq!(said.map(|value| value.to_str().unwrap()), allowed, "{origin}");
        assert!(answer.headers().get("access-control-allow-credentials").is_none());
    }
    instance.stop().await;
}
