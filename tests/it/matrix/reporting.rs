//! What reporters may send, repeat and see.

use reqwest::Method;
use serde_json::{Value, json};

use super::{
    assert_refused, count,
    world::{id, project, reset, token},
};
use crate::support::rest::RestSite;

const IDEMPOTENT: (&str, &str) = ("prefer", "return=minimal,resolution=ignore-duplicates");

#[tokio::test]
async fn a_reporter_may_repeat_a_bulk_insert() {
    let site = RestSite::start().await;
    reset(&site).await;
    for role in ["reporter", "reporter_a"] {
        let token = token(&site, role);
        let before = count(&site, "public.error_metrics").await;
        let batch = |from: u32| -> Value {
            (from..from + 100)
                .map(|n| {
                    json!({"error_id": id(0x500 + n, role.chars().last().unwrap()), "source": "worker",
                        "error_type": "execution.http", "severity": "high", "project_id": project('A'),
                        "message": format!("HTTP 500 in step {n}"), "metadata": {"attempt": n}})
                })
                .collect()
        };
        for (from, expected) in [(0, 100), (0, 100), (50, 150)] {
            let path = "/error_metrics?on_conflict=error_id";
            let answer = site
                .send(Method::POST, path, token.as_deref(), &[IDEMPOTENT], Some(&batch(from)))
                .await;
            assert!(matches!(answer.status, 200 | 201), "{role}: {answer:?}");
            assert_eq!(count(&site, "public.error_metrics").await - before, expected, "{role}");
        }
    }
}

#[tokio::test]
async fn a_reporter_reads_nothing_back() {
    let site = RestSite::start().await;
    reset(&site).await;
    for role in ["reporter", "reporter_a"] {
        let token = token(&site, role);
        let answer = site.get("/error_metrics?select=error_id", token.as_deref()).await;
        assert_eq!((answer.status, &answer.body), (200, &json!([])), "{role}");
        for query in [
            "select=*",
            "select=message",
            "select=error_id&project_id=not.is.null",
            "select=error_id&order=seq",
        ] {
            let answer = site.get(&format!("/error_metrics?{query}"), token.as_deref()).await;
            assert_refused(&answer, &format!("{role} {query}"));
        }
        // Representation needs the right to read, so nothing is inserted either.
        let before = count(&site, "public.error_metrics").await;
        let row =
            json!({"source": "worker", "error_type": "execution", "project_id": project('A')});
        let headers = [("prefer", "return=representation")];
        let answer =
            site.send(Method::POST, "/error_metrics", token.as_deref(), &headers, Some(&row)).await;
        assert_refused(&answer, role);
        assert_eq!(count(&site, "public.error_metrics").await, before);
    }
    let token = token(&site, "error_daemon");
    for (query, allowed) in
        [("select=seq,message,fingerprint", true), ("select=metadata", false), ("select=*", false)]
    {
        let answer = site.get(&format!("/error_metrics?{query}"), token.as_deref()).await;
        assert_eq!(answer.status == 200, allowed, "{query}: {answer:?}");
    }
}

#[tokio::test]
async fn the_servers_columns_and_others_projects_are_out_of_reach() {
    let site = RestSite::start().await;
    reset(&site).await;
    let row = |extra: Value| {
        let mut row = json!({"source": "worker", "error_type": "execution"});
        row.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        row
    };
    let before = count(&site, "public.error_metrics").await;
    for role in ["reporter", "reporter_a", "owner_a"] {
        for extra in [
            json!({"seq": 1}),
            json!({"received_at": "2020-01-01T00:00:00Z"}),
            json!({"fingerprint": id(1, 'A')}),
        ] {
            let mut row = row(extra);
            row["project_id"] = json!(project('A'));
            let answer = site.post("/error_metrics", token(&site, role).as_deref(), &row).await;
            assert_refused(&answer, &format!("{role} {row}"));
        }
    }
    for (role, extra, status, says) in [
        ("reporter_a", json!({"project_id": project('B')}), 403, "row-level security"),
        ("owner_a", json!({"project_id": project('B')}), 403, "row-level security"),
        ("admin_a", json!({"project_id": project('A')}), 403, "row-level security"),
        ("owner_a", json!({}), 403, "row-level security"),
        // The workflow says whose event it is, so it cannot be smuggled in through one.
        ("reporter_a", json!({"workflow_id": id(0x300, 'B')}), 403, "row-level security"),
        ("owner_a", json!({"workflow_id": id(0x300, 'B')}), 403, "row-level security"),
        (
            "reporter_a",
            json!({"project_id": project('A'), "workflow_id": id(0x300, 'B')}),
            400,
            "workflow_id: workflow",
        ),
        (
            "reporter",
            json!({"project_id": project('A'), "workflow_id": id(0x300, 'B')}),
            400,
            "workflow_id: workflow",
        ),
        ("reporter", json!({"source": "cron"}), 400, "source_must_be_worker_webhook_or_system"),
        (
            "reporter",
            json!({"source": "a source that is longer than sixteen"}),
            400,
            "source_must_be_worker_webhook_or_system",
        ),
        ("reporter", json!({"source": null}), 400, "source: must be worker, webhook or system"),
        ("reporter", json!({"error_type": null}), 400, "error_type: must be"),
        (
            "reporter",
            json!({"error_type": "timeout"}),
            400,
            "error_type_must_be_system_execution_or_input_with_detail",
        ),
        (
            "reporter",
            json!({"error_type": format!("system.{}", "x".repeat(200))}),
            400,
            "error_type_must_have_at_most_128_characters",
        ),
        ("reporter", json!({"severity": "fatal"}), 400, "error_severity"),
    ] {
        let answer =
            site.post("/error_metrics", token(&site, role).as_deref(), &row(extra.clone())).await;
        let message = answer.body["message"].as_str().unwrap_or_default();
        assert!(answer.status == status && message.contains(says), "{role} {extra}: {answer:?}");
    }
    assert_eq!(count(&site, "public.error_metrics").await, before, "all of it was refused");
    // Without a project, the pin or the workflow gives it one.
    for (role, extra) in
        [("reporter_a", json!({})), ("reporter", json!({"workflow_id": id(0x300, 'A')}))]
    {
        let mut row = row(extra);
        row["error_id"] = json!(id(0x600, role.chars().last().unwrap()));
        let answer = site.post("/error_metrics", token(&site, role).as_deref(), &row).await;
        assert_eq!(answer.status, 201, "{role}: {answer:?}");
        let of: Option<String> = sqlx::query_scalar(
            "select project_id::text from public.error_metrics where error_id = $1::uuid",
        )
        .bind(row["error_id"].as_str())
        .fetch_one(&site.admin)
        .await
        .unwrap();
        assert_eq!(of.as_deref(), project('A'), "{role}");
    }
    // A pin that is no project's id pins to nothing at all.
    for pin in [json!("nonsense"), json!(null), json!(""), json!({"a": 1}), json!(id(9, 'X'))] {
        let token = site.token(&json!({"role": "error_reporter", "project_id": pin}));
        for extra in [json!({}), json!({"project_id": project('A')})] {
            let answer = site.post("/error_metrics", Some(&token), &row(extra)).await;
            assert!(matches!(answer.status, 403 | 409), "{pin}: {answer:?}");
        }
    }
}
