//! `POST /api/error-events`.

use reqwest::Method;
use serde_json::{Value, json};
use uuid::Uuid;

use super::rig::{Rig, event};

#[tokio::test]
async fn events_are_stored_once_however_often_they_are_sent() {
    let rig = Rig::start().await;
    let (first, second) = (Uuid::now_v7(), Uuid::now_v7());
    let one = event(json!({"error_id": first, "workflow_id": rig.a.workflow, "severity": "high",
        "message": "login failed", "metadata": {"password": "hunter2", "step": 3},
        "timestamp": "2026-01-31T12:00:00.123456Z"}));
    for (round, new) in [(0, 1), (1, 0)] {
        let answer = rig.report(&rig.a.reporter, &one).await;
        assert_eq!(answer.status, 201, "round {round}: {answer:?}");
        assert_eq!(answer.json(), json!({"ids": [first], "new": new}));
    }
    let batch = json!([one, event(json!({"error_id": second})), event(json!({}))]);
    let answer = rig.report(&rig.a.reporter, &batch).await;
    assert_eq!((answer.status, &answer.json()["new"]), (201, &json!(2)), "{answer:?}");
    assert_eq!(answer.json()["ids"].as_array().unwrap()[..2], [json!(first), json!(second)]);
    assert_eq!(rig.rows("true").await, 3);
    let stored: Value =
        sqlx::query_scalar("select to_jsonb(e) from public.error_metrics e where error_id = $1")
            .bind(first)
            .fetch_one(&rig.stack.admin)
            .await
            .unwrap();
    assert_eq!(stored["metadata"], json!({"password": "[masked]", "step": 3}));
    assert_eq!(stored["project_id"], json!(rig.a.project));
    assert!(stored["timestamp"].as_str().unwrap().starts_with("2026-01-31T12:00:00.123456"));
    let full: Value =
        (0..1_000).map(|n| event(json!({"message": format!("number {n}")}))).collect();
    let answer = rig.report(&rig.a.owner, &full).await;
    assert_eq!(answer.status, 403, "an owner reports for projects, not for none: {}", answer.text);
    let project = rig.a.project;
    let full: Value = (0..1_000).map(|_| event(json!({"project_id": project}))).collect();
    let answer = rig.report(&rig.a.owner, &full).await;
    assert_eq!((answer.status, &answer.json()["new"]), (201, &json!(1_000)));
    rig.instance.stop().await;
}

#[tokio::test]
async fn what_is_wrong_is_named_and_costs_only_itself() {
    let rig = Rig::start().await;
    let good = || event(json!({"project_id": rig.a.project}));
    let foreign = || event(json!({"project_id": rig.b.project}));
    let crossed = || event(json!({"project_id": rig.a.project, "workflow_id": rig.b.workflow}));
    let wrong = || event(json!({"severity": "critical", "extra": 1}));
    let one = |field: &str| vec![(None, field.to_owned())];
    let at = |list: &[(u64, &str)]| -> Vec<(Option<u64>, String)> {
        list.iter().map(|(index, field)| (Some(*index), (*field).to_owned())).collect()
    };
    let (reporter, owner, viewer) = (&rig.a.reporter, &rig.a.owner, &rig.a.viewer);
    let unpinned = &rig.stack.token("error_reporter", &[], 600);
    let mut stored = 0;
    for (token, body, status, new, errors) in [
        (reporter, wrong(), 400, 0, vec![(None, "severity".into()), (None, "extra".into())]),
        (reporter, json!([wrong()]), 400, 0, at(&[(0, "severity"), (0, "extra")])),
        (reporter, json!([]), 400, 0, one("")),
        (reporter, json!("text"), 400, 0, one("")),
        (reporter, json!([good(), wrong()]), 207, 1, at(&[(1, "severity"), (1, "extra")])),
        (
            reporter,
            json!([good(), foreign(), good(), json!(7)]),
            207,
            2,
            at(&[(1, "project_id"), (3, "")]),
        ),
        (reporter, foreign(), 403, 0, one("project_id")),
        (
            reporter,
            json!([foreign(), foreign()]),
            403,
            0,
            at(&[(0, "project_id"), (1, "project_id")]),
        ),
        (unpinned, json!([crossed(), good()]), 207, 1, at(&[(0, "workflow_id")])),
        (unpinned, crossed(), 400, 0, one("workflow_id")),
        (owner, good(), 201, 1, vec![]),
        (owner, foreign(), 403, 0, one("project_id")),
        (viewer, good(), 403, 0, one("project_id")),
    ] {
        let answer = rig.report(token, &body).await;
        assert_eq!((answer.status, answer.wrong()), (status, errors), "{body}: {}", answer.text);
        let problem = answer.header("content-type") == "application/problem+json";
        assert_eq!(problem, status >= 400, "{body}");
        if status < 400 {
            let ids = answer.json()["ids"].as_array().unwrap().clone();
            assert_eq!(ids.iter().filter(|id| id.is_string()).count(), new, "{}", answer.text);
        }
        stored += i64::try_from(new).unwrap();
        assert_eq!(rig.rows("true").await, stored, "{body}");
    }
    rig.instance.stop().await;
}

#[tokio::test]
async fn requests_that_cannot_be_served_say_why() {
    let rig = Rig::start().await;
    let good = event(json!({"project_id": rig.a.project})).to_string().into_bytes();
    let json = ("content-type", "application/json");
    let expired = rig.stack.token("error_reporter", &[], -120);
    let (anon, daemon) =
        (rig.stack.token("anon", &[], 60), rig.stack.token("error_daemon", &[], 60));
    let forged = format!("{}x", rig.a.reporter);
    let reporter = Some(rig.a.reporter.as_str());
    let many: Value = (0..1_001).map(|_| event(json!({}))).collect();
    let padded = |length: usize| {
        let mut body = event(json!({"message": ""})).to_string();
        let inside = body.find("\"message\":\"").unwrap() + "\"message\":\"".len();
        body.insert_str(inside, &"x".repeat(length - body.len()));
        Some(body.into_bytes())
    };
    for (what, token, headers, body, status) in [
        ("no token", None, &[json][..], Some(good.clone()), 401),
        ("no JWT", Some("garbage"), &[json], Some(good.clone()), 401),
        ("a forged one", Some(forged.as_str()), &[json], Some(good.clone()), 401),
        ("an expired one", Some(expired.as_str()), &[json], Some(good.clone()), 401),
        ("nobody", Some(anon.as_str()), &[json], Some(good.clone()), 401),
        ("the daemon", Some(daemon.as_str()), &[json], Some(good.clone()), 403),
        ("text", reporter, &[("content-type", "text/plain")], Some(good.clone()), 415),
        ("no type", reporter, &[], Some(good.clone()), 415),
        ("gzip", reporter, &[json, ("content-encoding", "gzip")], Some(good.clone()), 415),
        ("half JSON", reporter, &[json], Some(b"{\"source\":".to_vec()), 400),
        ("two JSONs", reporter, &[json], Some(b"{} {}".to_vec()), 400),
        ("no UTF-8", reporter, &[json], Some(vec![b'"', 0xff, b'"']), 400),
        ("too deep", reporter, &[json], Some("[".repeat(10_000).into_bytes()), 400),
        ("too many", reporter, &[json], Some(many.to_string().into_bytes()), 400),
        ("1 MiB", reporter, &[json], padded(1024 * 1024), 201),
        ("more", reporter, &[json], padded(1024 * 1024 + 1), 413),
    ] {
        let answer = rig.send(Method::POST, "/api/error-events", token, headers, body).await;
        assert_eq!(answer.status, status, "{what}: {}", answer.text);
        if status >= 400 {
            assert_eq!(answer.header("content-type"), "application/problem+json", "{what}");
            assert_eq!(answer.json()["status"], status);
            assert!(!answer.json()["detail"].as_str().unwrap().is_empty());
        }
        assert_eq!(answer.header("www-authenticate"), if status == 401 { "Bearer" } else { "" });
    }
    assert_eq!(rig.rows("true").await, 1);
    rig.instance.stop().await;
}

#[tokio::test]
async fn who_calls_too_often_waits_and_an_outage_says_so() {
    let rig = Rig::with(&[("API_REQUESTS_PER_MINUTE", "60")]).await;
    let body = event(json!({}));
    let mut refused = None;
    for _ in 0..40 {
        let answer = rig.report(&rig.a.reporter, &body).await;
        if answer.status == 429 {
            refused = Some(answer);
            break;
        }
        assert_eq!(answer.status, 201);
    }
    let refused = refused.expect("forty requests at once are more than sixty a minute allow");
    assert_eq!(refused.header("retry-after"), "1");
    assert_eq!(rig.report(&rig.b.reporter, &body).await.status, 201, "others are not concerned");
    rig.instance.stop().await;

    let rig = Rig::with(&[("SUPABASE_REST_URL", "http://127.0.0.1:9/rest/v1")]).await;
    let answer = rig.report(&rig.a.reporter, &body).await;
    assert_eq!((answer.status, answer.header("retry-after")), (503, "5"), "{}", answer.text);
    rig.instance.stop().await;
}
