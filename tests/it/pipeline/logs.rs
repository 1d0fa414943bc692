//! What a daemon logs: every line is one object with ids to follow, whatever names and answers hold.

use std::collections::BTreeSet;

use meshhook_errors::sinks::Answer;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::{
    eventually,
    process::Process,
    stack::{Stack, burst},
};

/// Ends a line, begins a forged one, and moves a terminal's cursor.
const FORGED: &str = "Ops\n{\"level\":\"ERROR\",\"message\":\"forged\"}\r\u{1b}[2K incident_id=7";

/// All lines of a log; each of them must be one of ours.
fn lines(log: &str) -> Vec<Value> {
    let read = |line: &str| -> Value {
        let value: Value =
            serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line:?}"));
        assert!(value["timestamp"].is_string() && value["message"] != "forged", "{line}");
        assert!(!line.contains('\u{1b}'), "{line:?}");
        // A field that is called like one of the line's own would stand there twice.
        for name in ["timestamp", "level", "message", "target", "span"] {
            assert!(line.matches(&format!("\"{name}\":")).count() <= 1, "{name} in {line}");
        }
        value
    };
    log.lines().map(read).collect()
}

#[tokio::test]
async fn lines_carry_the_ids_of_requests_and_incidents_and_cannot_be_forged() {
    let stack = Stack::start().await;
    let channel = stack.channel_to(FORGED, "slack", &stack.slack.url("/services/ops")).await;
    let fields = json!({"window_seconds": 60, "warning": 5});
    stack.rule(&format!("Any {FORGED}"), fields, &[channel]).await;
    stack.slack.script([Answer::new(500, FORGED)]);
    let mut variables = stack.variables();
    variables.insert("LOG_FILTER".to_owned(), "info,meshhook_errors::http=debug".to_owned());
    let process = Process::start(variables).await;
    process.until_role("leader").await;
    stack.reporter(None).insert_errors(&burst(5, "execution", 0)).await.expect("errors");
    eventually("the second try is taken", || async {
        process.log().contains("notification sent").then_some(())
    })
    .await;
    for id in ["my-request.1", "x level=ERROR"] {
        let request = reqwest::Client::new().get(process.url() + "/api/nothing");
        let answer = request.header("x-request-id", id).send().await.expect("an answer");
        assert_eq!(answer.headers()["x-request-id"] == id, id == "my-request.1");
    }
    let log = eventually("both requests are logged", || async {
        let log = process.log();
        (log.matches("\"message\":\"api\"").count() >= 2).then_some(log)
    })
    .await;

    let lines = lines(&log);
    let with = |message: &str| -> Vec<&Value> {
        lines.iter().filter(|line| line["message"] == message).collect()
    };
    let requests: Vec<&Value> =
        with("api").iter().map(|line| &line["span"]["request_id"]).collect();
    assert!(requests.contains(&&json!("my-request.1")), "{requests:?}");
    assert!(requests.iter().all(|id| !id.to_string().contains(' ')), "{requests:?}");

    let incident: Uuid = sqlx::query_scalar("select incident_id from public.alert_incidents")
        .fetch_one(&stack.admin)
        .await
        .expect("an incident");
    let decided = with("incident firing");
    assert_eq!(decided.len(), 1, "{log}");
    assert_eq!(
        (&decided[0]["level"], &decided[0]["alert_level"]),
        (&json!("INFO"), &json!("warning"))
    );
    let told = with("notification sent");
    let failed = with("notification not delivered, will be retried");
    assert_eq!((told.len(), failed.len()), (1, 1), "{log}");
    let ids: BTreeSet<&str> = [decided, told, failed]
        .concat()
        .iter()
        .filter_map(|line| line["incident_id"].as_str())
        .collect();
    assert_eq!(ids, BTreeSet::from([incident.to_string().as_str()]), "{log}");
}
