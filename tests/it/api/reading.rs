//! `GET /api/error-metrics`.

use std::collections::HashSet;

use reqwest::Method;
use serde_json::{Value, json};

use super::rig::{Rig, event};
use crate::support::eventually;

/// Reports events for tenant A as its owner.
async fn given(rig: &Rig, events: Vec<Value>) {
    for part in events.chunks(1_000) {
        let answer = rig.report(&rig.a.owner, &json!(part)).await;
        assert_eq!(answer.status, 201, "{}", answer.text);
    }
}

fn messages(page: &Value) -> Vec<String> {
    let events = page["events"].as_array().expect("events");
    events.iter().map(|event| event["message"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn filters_find_what_they_say_and_nothing_of_others() {
    let rig = Rig::start().await;
    let project = rig.a.project;
    let at = |minute: u32| format!("2026-01-31T12:{minute:02}:00Z");
    given(
        &rig,
        vec![
            event(json!({"project_id": project, "message": "one: 50% *of* [it]", "timestamp": at(1)})),
            event(json!({"project_id": project, "message": "two", "timestamp": at(2), "severity": "high",
                "source": "webhook", "error_type": "input.signature"})),
            event(json!({"workflow_id": rig.a.workflow, "message": "three", "timestamp": at(3),
                "error_type": "execution", "severity": "low"})),
            event(json!({"project_id": project, "message": "four", "timestamp": at(4),
                "error_type": "execution.test.more", "source": "system"})),
        ],
    )
    .await;
    rig.report(&rig.b.owner, &event(json!({"project_id": rig.b.project, "message": "theirs"})))
        .await;
    let (viewer, workflow) = (&rig.a.viewer, rig.a.workflow);
    let all = rig.read(viewer, "").await;
    assert_eq!(all.status, 200, "{}", all.text);
    assert_eq!(all.json()["next_cursor"], Value::Null);
    let fingerprint = all.json()["events"][0]["fingerprint"].as_str().unwrap().to_owned();
    let theirs = rig.b.project;
    let day = "from=2026-01-31T00:00:00Z&to=2026-02-01T00:00:00Z";
    for (query, expected) in [
        (String::new(), &["four", "three", "two", "one: 50% *of* [it]"][..]),
        ("?source=webhook,system".into(), &["four", "two"]),
        ("?type=execution".into(), &["four", "three", "one: 50% *of* [it]"]),
        ("?type=execution.test".into(), &["one: 50% *of* [it]"]),
        ("?type=input,execution.test.more".into(), &["four", "two"]),
        ("?severity=low,high".into(), &["three", "two"]),
        (format!("?workflow={workflow}"), &["three"]),
        (format!("?project={project}&severity=high"), &["two"]),
        (format!("?project={theirs}"), &[]),
        (format!("?fingerprint={fingerprint}"), &["four"]),
        (format!("?text=ONE%3A%2050%25%20*of*%20%5Bit%5D&{day}"), &["one: 50% *of* [it]"]),
        (format!("?text=50%25%20*xof&{day}"), &[]),
        (format!("?text=.&{day}"), &[]),
        ("?from=2026-01-31T12:02:00Z&to=2026-01-31T12:04:00Z".into(), &["three", "two"]),
        ("?from=2026-01-31T13:02:00%2B01:00&to=2026-01-31T12:02:00.000001Z".into(), &["two"]),
        ("?limit=1&type=execution".into(), &["four"]),
    ] {
        let answer = rig.read(viewer, &query).await;
        assert_eq!(answer.status, 200, "{query}: {}", answer.text);
        assert_eq!(messages(&answer.json()), expected, "{query}");
    }
    for (query, field) in [
        ("?limit=0", "limit"),
        ("?limit=1001", "limit"),
        ("?cursor=nonsense", "cursor"),
        ("?from=today", "from"),
        ("?source=cron", "source"),
        ("?group=week", "group"),
        ("?group=day&limit=5", "limit"),
        ("?text=x&from=2026-01-01T00:00:00Z", "from"),
        ("?sort=asc", "sort"),
        ("?limit=1&limit=2", ""),
    ] {
        let answer = rig.read(viewer, query).await;
        assert_eq!(
            (answer.status, answer.wrong()),
            (400, vec![(None, field.to_owned())]),
            "{query}"
        );
    }
    for (token, status) in [(&rig.a.reporter, 403), (&rig.stack.token("anon", &[], 60), 401)] {
        for query in ["", "?group=hour"] {
            assert_eq!(rig.read(token, query).await.status, status, "{query}");
        }
    }
    let accept = [("accept", "image/png")];
    let answer = rig.send(Method::GET, "/api/error-metrics", Some(viewer), &accept, None).await;
    assert_eq!(answer.status, 406);
    rig.instance.stop().await;
}

#[tokio::test]
async fn pages_hold_every_event_once_while_others_arrive() {
    let rig = Rig::start().await;
    // Many of one instant, so that only the number tells them apart.
    let old = |n: u32| {
        let timestamp = format!("2026-01-31T12:00:{:02}Z", n / 20);
        event(
            json!({"project_id": rig.a.project, "message": format!("old {n}"), "timestamp": timestamp}),
        )
    };
    given(&rig, (0..100).map(old).collect()).await;
    let (mut seen, mut cursor, mut pages) = (Vec::new(), String::new(), 0);
    loop {
        let page = rig.read(&rig.a.viewer, &format!("?limit=7{cursor}")).await.json();
        seen.extend(messages(&page));
        pages += 1;
        // Some of now, and some that come late.
        let new =
            |n: u32| event(json!({"project_id": rig.a.project, "message": format!("new {n}")}));
        let late = event(json!({"project_id": rig.a.project, "message": "late",
            "timestamp": "2026-01-31T12:00:04.5Z"}));
        given(&rig, vec![new(1), new(2), late]).await;
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    let old: Vec<&String> = seen.iter().filter(|message| message.starts_with("old")).collect();
    assert_eq!(old.len(), 100, "{pages} pages");
    assert_eq!(old.iter().collect::<HashSet<_>>().len(), 100);
    let newest_first: Vec<String> = (0..100).rev().map(|n| format!("old {n}")).collect();
    assert_eq!(old, newest_first.iter().collect::<Vec<_>>());
    rig.instance.stop().await;
}

#[tokio::test]
async fn pages_that_would_be_too_long_are_shorter() {
    let rig = Rig::start().await;
    // Together 30 MB, of which one answer of PostgREST may carry 16.
    sqlx::query(
        "insert into error_metrics (source, error_type, project_id, message, metadata)
         select 'worker', 'execution', $1, 'large ' || n, jsonb_build_object('dump', repeat('x ', 15000))
           from generate_series(1, 1000) as n",
    )
    .bind(rig.a.project)
    .execute(&rig.stack.admin)
    .await
    .expect("large errors");
    let (mut read, mut cursor) = (HashSet::new(), None::<String>);
    loop {
        let after = cursor.map(|cursor| format!("&cursor={cursor}")).unwrap_or_default();
        let page = rig.read(&rig.a.viewer, &format!("?limit=1000{after}")).await;
        assert_eq!(page.status, 200, "{}", page.text.get(..300).unwrap_or_default());
        read.extend(messages(&page.json()));
        cursor = page.json()["next_cursor"].as_str().map(str::to_owned);
        if cursor.is_none() {
            break;
        }
    }
    assert_eq!(read.len(), 1_000);
    let csv = [("accept", "text/csv")];
    let path = "/api/error-metrics";
    let answer = rig.send(Method::GET, path, Some(&rig.a.viewer), &csv, None).await;
    assert_eq!(answer.text.lines().count(), 1_001);
    rig.instance.stop().await;
}

#[tokio::test]
async fn all_events_are_streamed_as_csv() {
    let rig = Rig::start().await;
    let row = |n: u32| {
        event(json!({"project_id": rig.a.project, "message": format!("=number {n}, \"quoted\"")}))
    };
    given(&rig, (0..2_345).map(row).collect()).await;
    let csv = [("accept", "text/csv")];
    let read = async |query: &str| {
        let path = format!("/api/error-metrics{query}");
        rig.send(Method::GET, &path, Some(&rig.a.viewer), &csv, None).await
    };
    let answer = read("").await;
    assert_eq!(answer.header("content-type"), "text/csv; charset=utf-8; header=present");
    let lines: Vec<&str> = answer.text.split("\r\n").collect();
    assert_eq!(lines.len(), 1 + 2_345 + 1, "a header, the rows, and nothing behind the last line");
    assert!(lines[0].starts_with("error_id,timestamp,received_at,seq,source,error_type,severity"));
    let ids: HashSet<&str> = lines[1..2_346].iter().map(|line| &line[..36]).collect();
    assert_eq!(ids.len(), 2_345);
    assert!(
        lines[1].contains("\"'=number ") && lines[1].contains(", \"\"quoted\"\"\""),
        "{}",
        lines[1]
    );
    assert_eq!(read("?limit=3").await.text.lines().count(), 4);
    assert_eq!(read("?severity=high").await.text.lines().count(), 1);
    assert_eq!(read("?limit=x").await.status, 400);
    rig.instance.stop().await;
}

#[tokio::test]
async fn a_series_counts_from_rollups_and_has_no_gaps() {
    let rig = Rig::start().await;
    let project = rig.a.project;
    let at = |hour: u32, minute: u32, severity: &str| {
        event(json!({"project_id": project, "severity": severity,
            "timestamp": format!("2026-01-31T{hour:02}:{minute:02}:30Z")}))
    };
    let mut events =
        vec![at(10, 5, "low"), at(10, 5, "high"), at(12, 0, "medium"), at(23, 59, "high")];
    events
        .push(event(json!({"project_id": project, "source": "system", "error_type": "system.dns",
        "workflow_id": rig.a.workflow, "timestamp": "2026-01-31T12:30:00Z"})));
    given(&rig, events).await;
    let period = "from=2026-01-31T10:30:00Z&to=2026-02-01T00:00:00Z";
    let series = async |token: &str, query: &str| {
        let answer = rig.read(token, &format!("?{query}")).await;
        assert_eq!(answer.status, 200, "{query}: {}", answer.text);
        answer.json()
    };
    eventually("the rollups hold all five", async || {
        let total = series(&rig.a.viewer, &format!("group=day&{period}")).await["total"].clone();
        (total == 5).then_some(())
    })
    .await;
    let hours = series(&rig.a.viewer, &format!("group=hour&{period}")).await;
    let buckets = hours["buckets"].as_array().unwrap();
    assert_eq!(buckets.len(), 14, "from 10:00, the bucket that the period begins in, to midnight");
    assert_eq!(hours["from"], "2026-01-31T10:00:00.000000Z");
    let counts: Vec<u64> = buckets.iter().map(|bucket| bucket["count"].as_u64().unwrap()).collect();
    assert_eq!(counts, [2, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
    let first =
        json!({"at": "2026-01-31T10:00:00.000000Z", "count": 2, "low": 1, "medium": 0, "high": 1});
    assert_eq!(buckets[0], first);
    let minutes = "from=2026-01-31T10:00:00Z&to=2026-01-31T10:10:00Z";
    let minutes = series(&rig.a.viewer, &format!("group=minute&{minutes}")).await;
    assert_eq!((minutes["buckets"].as_array().unwrap().len(), &minutes["total"]), (10, &json!(2)));
    assert_eq!(minutes["buckets"][5]["count"], 2);
    let workflow = rig.a.workflow;
    for (filter, expected) in [
        ("source=system".to_owned(), 1),
        ("type=system".to_owned(), 1),
        ("type=execution".to_owned(), 4),
        ("type=system.dns,execution.test".to_owned(), 5),
        ("severity=high,low".to_owned(), 3),
        (format!("workflow={workflow}"), 1),
        (format!("project={project}"), 5),
        (format!("project={}", rig.b.project), 0),
    ] {
        let series = series(&rig.a.viewer, &format!("group=day&{period}&{filter}")).await;
        assert_eq!(series["total"], expected, "{filter}");
    }
    assert_eq!(series(&rig.b.owner, &format!("group=day&{period}")).await["total"], 0);
    let csv = [("accept", "text/csv")];
    let path = format!("/api/error-metrics?group=hour&{period}");
    let answer = rig.send(Method::GET, &path, Some(&rig.a.viewer), &csv, None).await;
    let line = answer.text.lines().nth(1);
    assert_eq!(line, Some("2026-01-31T10:00:00.000000Z,2,1,0,1"));
    rig.instance.stop().await;
}
