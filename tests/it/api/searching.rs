//! `GET /api/error-metrics` where no rollup or index answers by itself: texts, and series of groups.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::timeout;

use super::rig::{Rig, event};
use crate::support::{eventually, stack::Stack};

async fn read(rig: &Rig, query: &str) -> Value {
    let answer = rig.read(&rig.a.viewer, query).await;
    assert_eq!(answer.status, 200, "{query}: {}", answer.text);
    answer.json()
}

fn messages(page: &Value) -> Vec<&str> {
    let events = page["events"].as_array().expect("events");
    events.iter().map(|event| event["message"].as_str().expect("a message")).collect()
}

/// Two groups in three minutes of one hour and in the next day, and one of long ago.
async fn given(rig: &Rig) -> String {
    let project = rig.a.project;
    let event = |message: &str, severity: &str, timestamp: &str| {
        event(
            json!({"project_id": project, "message": message, "severity": severity, "timestamp": timestamp}),
        )
    };
    let events = json!([
        event("Orders: time-out", "low", "2026-01-31T10:00:30Z"),
        event("orders: time-out", "high", "2026-01-31T10:02:30Z"),
        event("payments are down", "high", "2026-01-31T10:02:40Z"),
        event("orders: time-out", "medium", "2026-02-01T00:00:00Z"),
        event("orders: time-out", "low", "2026-01-01T00:00:00Z"),
    ]);
    assert_eq!(rig.report(&rig.a.owner, &events).await.status, 201);
    let theirs = json!({"project_id": rig.b.project, "message": "orders: time-out", "timestamp": "2026-01-31T10:00:30Z"});
    assert_eq!(rig.report(&rig.b.owner, &super::rig::event(theirs)).await.status, 201);
    let page = read(rig, "?from=2026-02-01T00:00:00Z").await;
    page["events"][0]["fingerprint"].as_str().expect("a fingerprint").to_owned()
}

#[tokio::test]
async fn a_text_is_looked_for_in_a_week_and_the_answer_says_in_which() {
    let rig = Rig::start().await;
    given(&rig).await;
    let new = event(json!({"project_id": rig.a.project, "message": "Orders: none today"}));
    assert_eq!(rig.report(&rig.a.owner, &new).await.status, 201);

    let page = read(&rig, "?text=ORDERS").await;
    assert_eq!(
        messages(&page),
        ["Orders: none today"],
        "what is older than a week is not searched"
    );
    let since = page["searched_from"].as_str().expect("since when");
    assert!(since < page["events"][0]["timestamp"].as_str().unwrap(), "{since}");
    let page = read(&rig, "?text=orders&to=2026-01-31T10:02:00Z").await;
    assert_eq!(messages(&page), ["Orders: time-out"]);
    assert_eq!(page["searched_from"], "2026-01-24T10:02:00.000000Z");
    let page = read(&rig, "?text=orders&from=2026-01-26T00:00:00Z&to=2026-02-02T00:00:00Z").await;
    assert_eq!(messages(&page).len(), 3);
    assert!(
        page.get("searched_from").is_none() && read(&rig, "").await.get("searched_from").is_none()
    );

    let answer = rig
        .read(&rig.a.viewer, "?text=orders&from=2026-01-25T23:59:59Z&to=2026-02-02T00:00:00Z")
        .await;
    assert_eq!((answer.status, answer.wrong()), (400, vec![(None, "from".to_owned())]));
    assert!(answer.json()["detail"].as_str().unwrap().contains("7 days"), "{}", answer.text);
    rig.instance.stop().await;
}

#[tokio::test]
async fn series_of_a_group_and_of_a_text_count_what_reading_them_finds() {
    let rig = Rig::start().await;
    let group = given(&rig).await;
    let days = "from=2026-01-30T00:00:00Z&to=2026-02-03T00:00:00Z";
    let hour = "from=2026-01-31T10:00:00Z&to=2026-01-31T11:00:00Z";
    eventually("the rollups hold all of ours", async || {
        (read(&rig, "?group=day&from=2026-01-01T00:00:00Z&to=2026-02-03T00:00:00Z").await["total"]
            == 5)
            .then_some(())
    })
    .await;
    for (query, total) in [
        (format!("group=day&fingerprint={group}&{days}"), 3),
        (format!("group=day&fingerprint={group}&{days}&severity=high,low"), 2),
        (
            format!(
                "group=day&fingerprint={group}&from=2026-01-01T00:00:00Z&to=2026-02-03T00:00:00Z"
            ),
            4,
        ),
        (format!("group=hour&fingerprint={group}&{hour}"), 2),
        (format!("group=minute&fingerprint={group}&{hour}"), 2),
        (format!("group=minute&fingerprint={group}&{hour}&source=webhook"), 0),
        (format!("group=minute&fingerprint={group}&{hour}&type=execution"), 2),
        (format!("group=day&text=TIME-OUT&{days}"), 3),
        (format!("group=hour&text=time-out&{hour}"), 2),
        (format!("group=minute&text=o&{hour}"), 3),
        (format!("group=minute&text=o&{hour}&fingerprint={group}"), 2),
        (format!("group=minute&text=o&{hour}&project={}", rig.b.project), 0),
        // A text is a text and no pattern.
        (format!("group=day&text=%25&{days}"), 0),
        (format!("group=day&text=.&{days}"), 0),
    ] {
        let series = read(&rig, &format!("?{query}")).await;
        assert_eq!(series["total"], total, "{query}");
        let listed = query.split_once('&').expect("more than the group").1;
        assert_eq!(messages(&read(&rig, &format!("?{listed}")).await).len(), total, "{listed}");
    }
    let minutes = read(&rig, &format!("?group=minute&fingerprint={group}&{hour}")).await;
    let bucket = |minute: usize| {
        let bucket = &minutes["buckets"][minute];
        (bucket["low"].as_u64(), bucket["medium"].as_u64(), bucket["high"].as_u64())
    };
    assert_eq!(bucket(0), (Some(1), Some(0), Some(0)));
    assert_eq!(bucket(2), (Some(0), Some(0), Some(1)));
    // Where nothing is said about the period, there is one that may be asked for.
    for query in ["?group=day&text=orders", "?group=minute&text=orders"] {
        assert_eq!(read(&rig, query).await["total"], 0, "{query}");
    }
    rig.instance.stop().await;
}

#[tokio::test]
async fn a_query_that_takes_too_long_is_told_what_to_narrow() {
    let stack = Stack::with(|config| {
        let between = if config.authenticator_url.contains('?') { '&' } else { '?' };
        config.authenticator_url += &format!("{between}options=-c%20statement_timeout%3D1000");
    })
    .await;
    if stack.faults().is_none() {
        println!("not run: another's server has time-outs of its own");
        return;
    }
    let rig = Rig::on(stack, &[]).await;
    let mut lock = rig.stack.admin.begin().await.expect("a transaction");
    sqlx::query("lock table public.error_metrics in access exclusive mode")
        .execute(&mut *lock)
        .await
        .expect("a lock");
    for query in ["?text=x", "?group=hour&text=x"] {
        let answer = timeout(Duration::from_secs(10), rig.read(&rig.a.viewer, query))
            .await
            .expect("an answer");
        assert_eq!(answer.status, 503, "{}", answer.text);
        assert!(
            answer.json()["detail"].as_str().unwrap().contains("shorter period"),
            "{}",
            answer.text
        );
        assert!(!answer.header("retry-after").is_empty());
    }
    lock.rollback().await.expect("the lock is let go");
    assert!(messages(&read(&rig, "?text=x").await).is_empty());
    rig.instance.stop().await;
}
