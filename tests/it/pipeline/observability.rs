//! What a running daemon tells of itself: its HTTP server, its status row, the live rates.

use serde_json::Value;
use url::Url;
use uuid::Uuid;

use crate::support::{
    eventually,
    proxy::Proxy,
    stack::{Instance, Stack, burst},
};

/// Waits until `/readyz` answers with this status, and returns the body.
async fn readyz(instance: &Instance, status: u16) -> Value {
    eventually(&format!("/readyz answers {status}"), || async {
        let (got, body) = instance.http("/readyz").await;
        (got == status).then(|| serde_json::from_str(&body).expect("JSON"))
    })
    .await
}

#[tokio::test]
async fn readiness_follows_the_database() {
    let stack = Stack::start().await;
    let direct: Url = stack.variables()["DATABASE_URL"].parse().expect("an address");
    let proxy = Proxy::to(&direct).await;
    let through = proxy.through(&direct).to_string();
    let instance = stack.daemon_with([("DATABASE_URL", through.as_str())]).await;
    let reporter = stack.reporter(None);
    let body = readyz(&instance, 200).await;
    assert_eq!((&body["ready"], &body["role"]), (&true.into(), &"leader".into()));
    assert_eq!(body["problems"], serde_json::json!([]));
    assert_eq!(instance.http("/healthz").await, (200, "ok\n".to_owned()));

    proxy.set_up(false);
    let body = readyz(&instance, 503).await;
    assert!(body["problems"].to_string().contains("database"), "{body}");
    let password = direct.password().expect("a password");
    assert!(!body.to_string().contains(password), "a secret in {body}");
    assert_eq!(instance.http("/healthz").await.0, 200, "it is alive, there is no use in a restart");
    reporter.insert_errors(&burst(7, "system", 0)).await.expect("errors");
    proxy.set_up(true);
    readyz(&instance, 200).await;
    let feed = instance.daemon.feed();
    eventually("what came meanwhile is counted", || {
        let counted = feed.borrow().rows_counted;
        async move { (counted == 7).then_some(()) }
    })
    .await;
    instance.stop().await;
}

/// One line of `/metrics` without labels.
fn metric(text: &str, name: &str) -> Option<f64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '))?;
    line.trim().parse().ok()
}

#[tokio::test]
async fn status_row_live_rates_and_metrics_tell_what_is() {
    let stack = Stack::start().await;
    let project = stack.project("Acme").await;
    let instance = stack.daemon().await;
    let id = instance.daemon.instance();
    stack.reporter(Some(project)).insert_errors(&burst(30, "system", 0)).await.expect("errors");
    stack.reporter(None).insert_errors(&burst(12, "input", 0)).await.expect("errors");
    stack.reporter(None).insert_errors(&burst(3, "input", 600)).await.expect("errors");

    let row = "select row_to_json(s)::text from public.error_tracker_status s \
               where instance_id = $1";
    let row = async || -> Value {
        let text = stack.text_of(row, id).await.unwrap_or_default();
        serde_json::from_str(&text).unwrap_or_default()
    };
    let status = eventually("the status row tells of all errors and of the canary", || async {
        let row = row().await;
        (row["rows_counted"] == 45 && row["canary_ms"].is_number()).then_some(row)
    })
    .await;
    println!("a status row came back through Realtime after {} ms", status["canary_ms"]);
    let last = stack.number("select max(seq) from public.error_metrics").await;
    let told = |name: &str| status[name].clone();
    assert_eq!(told("name"), "test");
    assert_eq!(told("leader"), true);
    assert_eq!(told("socket"), "subscribed");
    assert_eq!((told("low_water"), told("last_number")), (last.into(), last.into()));
    assert_eq!((told("open_holes"), told("outbox_depth")), (0.into(), 0.into()));
    assert_eq!(told("problems"), serde_json::json!([]));

    for (whose, expected) in [(Some(project), (30, 30)), (None, (15, 12))] {
        let snapshot = live_rates(&stack, whose, expected.0).await;
        let sum = |part: &str| -> u64 {
            let lanes = snapshot[part].as_object().expect("lanes").values();
            lanes.flat_map(|lane| lane.as_array().expect("numbers")).filter_map(Value::as_u64).sum()
        };
        assert_eq!((sum("by_severity"), sum("by_source")), (expected.0, expected.0));
        assert_eq!(snapshot["by_source"]["worker"].as_array().map(Vec::len), Some(60));
        assert!(snapshot["total_1m"] == expected.1, "{snapshot}");
    }

    // Numbers are published every second.
    for (name, expected) in [
        ("rows_counted_total", 45.0),
        ("rows_rolled_up_total", 45.0),
        ("low_water", status["low_water"].as_f64().expect("a number")),
        ("holes_open", 0.0),
        ("leader", 1.0),
        ("socket_subscribed", 1.0),
        ("rules", 0.0),
    ] {
        eventually(&format!("the metric {name} is {expected}"), || async {
            let (status, metrics) = instance.http("/metrics").await;
            let value = metric(&metrics, &format!("meshhook_errors_{name}"));
            (status == 200 && value == Some(expected)).then_some(())
        })
        .await;
    }
    instance.stop().await;
    let after = row().await;
    assert_eq!((&after["leader"], &after["socket"]), (&false.into(), &"stopped".into()));
}

/// The snapshot of a project, once it tells of `total` errors.
async fn live_rates(stack: &Stack, project: Option<Uuid>, total: u64) -> Value {
    eventually(&format!("live rates tell of {total} errors"), || async {
        let snapshot: Option<Value> = sqlx::query_scalar(
            "select snapshot from public.error_rates_live where project_id is not distinct from $1",
        )
        .bind(project)
        .fetch_optional(&stack.admin)
        .await
        .expect("a snapshot");
        snapshot.filter(|snapshot| snapshot["total_60m"] == total)
    })
    .await
}
