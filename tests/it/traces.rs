//! What a collector of OpenTelemetry traces hears of one detection; built with the feature `otel` only.

use meshhook_errors::sinks::HttpSink;
use serde_json::json;
use uuid::Uuid;

use crate::support::{
    eventually,
    process::Process,
    stack::{Stack, burst},
};

/// Whether a message of OTLP holds a span of this name in the trace of an incident, below the incident.
///
/// By the numbers of fields in `opentelemetry/proto/trace/v1/trace.proto`: 1 is the trace's id, 2 the
/// span's, 4 its parent's, 5 the name.
fn has_span(message: &[u8], incident: Uuid, name: &str) -> bool {
    let before = [&[0x0a, 16][..], incident.as_bytes(), &[0x12, 8]].concat();
    let length = u8::try_from(name.len()).unwrap();
    let parent = &incident.as_bytes()[8..];
    let behind = [&[0x22, 8][..], parent, &[0x2a, length], name.as_bytes()].concat();
    message
        .windows(before.len() + 8 + behind.len())
        .any(|part| part.starts_with(&before) && part.ends_with(&behind))
}

#[tokio::test]
async fn one_detection_is_one_trace_from_decision_to_delivery() {
    let stack = Stack::start().await;
    let collector = HttpSink::start().await.expect("a collector");
    let channel = stack.channel("ops", "slack").await;
    let fields = json!({"window_seconds": 60, "warning": 5});
    stack.rule("Any", fields, &[channel]).await;
    let mut variables = stack.variables();
    for (name, value) in [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url("/collector/")),
        ("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Bearer%20for-traces".to_owned()),
        ("OTEL_SERVICE_NAME", "errors-under-test".to_owned()),
    ] {
        variables.insert(name.to_owned(), value);
    }
    let mut process = Process::start(variables).await;
    process.until_role("leader").await;
    stack.reporter(None).insert_errors(&burst(5, "execution", 0)).await.expect("errors");
    eventually("the message is sent", || async {
        process.log().contains("notification sent").then_some(())
    })
    .await;
    process.http("/api/nothing").await.expect("an answer");
    // What is not sent yet is sent at the end.
    process.signal("TERM").await;
    let (status, took) = process.ended().await;
    assert_eq!(status.code(), Some(0), "{}", process.log());
    println!("ended after {took:?}");

    let incident: Uuid = sqlx::query_scalar("select incident_id from public.alert_incidents")
        .fetch_one(&stack.admin)
        .await
        .expect("an incident");
    let heard = collector.requests();
    for request in &heard {
        assert_eq!(request.path, "/collector/v1/traces");
        assert_eq!(request.header("content-type"), Some("application/x-protobuf"));
        assert_eq!(request.header("authorization"), Some("Bearer for-traces"));
        assert!(request.text().contains("errors-under-test"));
    }
    let holds = |name| heard.iter().any(|request| has_span(&request.body, incident, name));
    assert!(holds("decide") && holds("deliver"), "{} messages: {}", heard.len(), process.log());
    let texts: Vec<String> = heard.iter().map(|request| request.text()).collect();
    for attribute in [&*incident.to_string(), "incident_id", "request_id", "ops"] {
        assert!(texts.iter().any(|text| text.contains(attribute)), "{attribute}");
    }
    // Addresses and keys of channels are no part of it.
    assert!(!texts.iter().any(|text| text.contains("/services/")), "a secret in a trace");
}
