//! Previews and explanations of rules, through the API.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};

use super::rig::{Answer, Rig};
use crate::support::{eventually, stack::event};

const PREVIEW: &str = "/api/alert-rules/preview";

impl Rig {
    async fn preview(&self, token: Option<&str>, body: &Value) -> Answer {
        let body = serde_json::to_vec(body).expect("JSON");
        let headers = [("content-type", "application/json")];
        self.send(Method::POST, PREVIEW, token, &headers, Some(body)).await
    }
}

fn hour_ago(minutes: i64) -> String {
    let now = meshhook_errors::clock::Clock::system().now();
    (now - meshhook_errors::model::Span::from_secs(minutes * 60)).to_string()
}

fn wish(rule: Value) -> Value {
    json!({"rule": rule, "from": hour_ago(60), "to": hour_ago(-60), "suggest": true})
}

#[tokio::test]
async fn a_preview_shows_incidents_messages_and_the_value() {
    let rig = Rig::start().await;
    let events: Vec<_> = (0..6)
        .map(|n| event(Some(rig.a.project), "execution.timeout", &format!("no {n}")))
        .collect();
    rig.stack.reporter(Some(rig.a.project)).insert_errors(&events).await.expect("errors");
    let channel = rig.stack.channel("Ops", "webhook").await;
    let rule = json!({"name": "r", "project_id": rig.a.project, "warning": 3, "critical": 6});
    let mut body = wish(rule.clone());
    body["channels"] = json!([{"channel_id": channel, "min_level": "critical"}]);
    for token in [&rig.a.viewer, &rig.a.owner] {
        let answer = rig.preview(Some(token), &body).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        let report = answer.json();
        let incidents = report["incidents"].as_array().expect("incidents");
        assert_eq!(incidents.len(), 1, "{report}");
        assert_eq!(
            (&incidents[0]["level"], &incidents[0]["peak"]),
            (&json!("critical"), &json!(6.0))
        );
        assert_eq!(
            (&incidents[0]["resolved_at"], &incidents[0]["group"]),
            (&json!(null), &json!({}))
        );
        let messages = report["messages"].as_array().expect("messages");
        assert_eq!(messages[0]["channel_id"], json!(channel));
        assert_eq!((&messages[0]["count"], &messages[0]["escalated"]), (&json!(1), &json!(1)));
        assert_eq!(report["thresholds"], json!({"warning": 3.0, "critical": 6.0, "resolve": 3.0}));
        let series = report["series"].as_array().expect("a series");
        assert!((10..=400).contains(&series.len()), "{}", series.len());
        let highest = series.iter().filter_map(|p| p["value"].as_f64()).fold(0.0, f64::max);
        assert!((highest - 6.0).abs() < 1e-9, "{highest}");
        assert_eq!(report["suggestion"]["max"], json!(6.0), "{report}");
        assert_eq!(report["events_read"], json!(6));
    }

    // Nobody sees another project's errors, nor those of all projects, by a preview.
    for (token, rule, expected) in [
        (Some(&rig.b.owner), rule.clone(), 403),
        (Some(&rig.a.owner), json!({"name": "r", "warning": 3}), 403),
        (Some(&rig.a.reporter), rule.clone(), 403),
        (None, rule.clone(), 401),
    ] {
        let answer = rig.preview(token.map(String::as_str), &wish(rule)).await;
        assert_eq!(answer.status, expected, "{}", answer.text);
    }
    let wrong =
        json!({"name": "", "project_id": rig.a.project, "window_seconds": 61, "metric": "x"});
    let answer = rig.preview(Some(&rig.a.owner), &wish(wrong)).await;
    assert_eq!(answer.status, 400);
    let fields: Vec<String> = answer.wrong().into_iter().map(|(_, field)| field).collect();
    for field in ["rule.name", "rule.window_seconds", "rule.metric"] {
        assert!(fields.iter().any(|known| known == field), "{field} in {fields:?}");
    }
    let mut backwards = wish(rule);
    backwards["to"] = json!(hour_ago(120));
    let answer = rig.preview(Some(&rig.a.owner), &backwards).await;
    assert_eq!(answer.wrong(), [(None, "to".to_owned())], "{}", answer.text);
}

#[tokio::test]
async fn a_check_says_what_is_wrong_with_a_rule_and_its_templates() {
    let rig = Rig::start().await;
    let send = async |token: Option<&str>, rule: Value| {
        let body = serde_json::to_vec(&json!({ "rule": rule })).expect("JSON");
        let headers = [("content-type", "application/json")];
        rig.send(Method::POST, "/api/alert-rules/check", token, &headers, Some(body)).await
    };
    let project = rig.a.project;
    let good = json!({
        "name": "r", "project_id": project, "warning": 3, "group_by": ["workflow"],
        "title_template": "{{ rule.name }} in {{ group.workflow }}",
    });
    let wrong = json!({
        "name": "r", "project_id": project, "window_seconds": 61, "warning": 3,
        "title_template": "{{ rule.nmae }}", "body_template": "{% for %}",
    });
    for (rule, expected) in [
        (good.clone(), vec![]),
        (wrong, vec!["rule.window_seconds", "rule.title_template", "rule.body_template"]),
    ] {
        let answer = send(Some(&rig.a.viewer), rule).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        let fields: Vec<String> = answer.wrong().into_iter().map(|(_, field)| field).collect();
        assert_eq!(fields, expected, "{}", answer.text);
    }
    for (token, rule, expected) in [
        (Some(&rig.b.owner), good.clone(), 403),
        (Some(&rig.a.owner), json!({"name": "r", "warning": 3}), 403),
        (Some(&rig.a.reporter), good.clone(), 403),
        (None, good, 401),
        (Some(&rig.a.owner), json!({"name": "r", "project_id": "mine", "warning": 3}), 200),
        (Some(&"junk".to_owned()), json!({"name": "r", "project_id": "mine"}), 401),
    ] {
        let answer = send(token.map(String::as_str), rule.clone()).await;
        assert_eq!(answer.status, expected, "{rule}: {}", answer.text);
    }
}

#[tokio::test]
async fn explanations_and_previews_look_at_rules_that_keep_this_one_quiet() {
    let rig = Rig::start().await;
    let of = |kind: &str| json!({"project_id": rig.a.project, "error_types": [kind], "warning": 2, "window_seconds": 3600});
    let channel = rig.stack.channel("Ops", "webhook").await;
    let system = rig.stack.rule("System down", of("system"), &[]).await;
    let work = rig.stack.rule("Work fails", of("execution"), &[channel]).await;
    let sql = "insert into public.alert_inhibitions (source_rule_id, target_rule_id) \
               select rule_id, $1 from public.alert_rules where name = 'System down'";
    rig.stack.execute(sql, work).await;
    let reporter = rig.stack.reporter(Some(rig.a.project));
    let fires = async |rule: uuid::Uuid, kind: &str| {
        let events: Vec<_> = (0..3).map(|_| event(Some(rig.a.project), kind, "no")).collect();
        reporter.insert_errors(&events).await.expect("errors");
        let path = format!("/api/alert-rules/{rule}/explain");
        eventually("the rule fires", || {
            let (rig, path) = (&rig, &path);
            async move {
                let answer = rig.send(Method::GET, path, Some(&rig.a.owner), &[], None).await;
                let answer = answer.json();
                answer["facts"]["incident"]["fired_at"].is_string().then_some(answer)
            }
        })
        .await
    };
    let cause = fires(system, "system").await;
    assert_eq!(cause["facts"]["holds"], json!([]), "{cause}");
    let incident = cause["facts"]["incident"]["incident_id"].as_str().expect("an id").to_owned();
    let quiet = fires(work, "execution").await;
    let text = quiet["text"].as_str().expect("a text");
    let why = format!("kept quiet while incident {incident} of another rule fires");
    assert!(text.contains(&why), "{text}");

    let mut rule = of("execution");
    rule["rule_id"] = json!(work);
    rule["name"] = json!("Work fails");
    let mut body = wish(rule.clone());
    body["channels"] = json!([{ "channel_id": channel }]);
    let report = rig.preview(Some(&rig.a.owner), &body).await.json();
    let messages = &report["messages"][0];
    assert_eq!((&messages["count"], &messages["held_back"]), (&json!(0), &json!(1)), "{report}");
    // A rule that is not saved yet is kept quiet by nobody.
    body["rule"]["rule_id"] = json!(uuid::Uuid::new_v4());
    let report = rig.preview(Some(&rig.a.owner), &body).await.json();
    assert_eq!(report["messages"][0]["count"], json!(1), "{report}");
}

#[tokio::test]
async fn an_explanation_is_for_those_who_may_see_the_rule() {
    let rig = Rig::start().await;
    let fields = json!({"project_id": rig.a.project, "warning": 2, "window_seconds": 3600});
    let rule = rig.stack.rule("Burst", fields, &[]).await;
    let path = format!("/api/alert-rules/{rule}/explain");
    let before = rig.send(Method::GET, &path, Some(&rig.a.viewer), &[], None).await;
    assert_eq!(before.status, 200, "{}", before.text);
    let text = before.json()["text"].as_str().expect("a text").to_owned();
    assert!(text.contains("Rule \"Burst\" does not fire at"), "{text}");
    assert!(text.contains("It warns from 2 and resolves below 2."), "{text}");
    assert!(text.contains("It has no channel, so nobody is ever told."), "{text}");

    let events: Vec<_> = (0..3).map(|_| event(Some(rig.a.project), "execution", "no")).collect();
    rig.stack.reporter(Some(rig.a.project)).insert_errors(&events).await.expect("errors");
    eventually("the rule fires", || {
        let (rig, path) = (&rig, &path);
        async move {
            let answer = rig.send(Method::GET, path, Some(&rig.a.owner), &[], None).await;
            let fires = answer.json()["facts"]["incident"]["fired_at"].is_string();
            tokio::time::sleep(Duration::from_millis(50)).await;
            fires.then_some(())
        }
    })
    .await;
    let after = rig.send(Method::GET, &path, Some(&rig.a.viewer), &[], None).await.json();
    let text = after["text"].as_str().expect("a text");
    assert!(text.contains("fires (warning)"), "{text}");
    assert_eq!((&after["facts"]["value"], &after["facts"]["now"]), (&json!(3.0), &json!(true)));
    let past = format!("{path}?at={}", hour_ago(30));
    let past = rig.send(Method::GET, &past, Some(&rig.a.viewer), &[], None).await.json();
    assert!(past["text"].as_str().is_some_and(|text| text.contains("does not fire")), "{past}");

    for (token, path, expected) in [
        (Some(&rig.b.owner), path.clone(), 404),
        (None, path.clone(), 401),
        (Some(&rig.a.owner), format!("/api/alert-rules/{}/explain", rig.a.project), 404),
        (Some(&rig.a.owner), format!("{path}?group=nonsense"), 400),
        (Some(&rig.a.owner), format!("{path}?at=yesterday"), 400),
    ] {
        let answer = rig.send(Method::GET, &path, token.map(String::as_str), &[], None).await;
        assert_eq!(answer.status, expected, "{path}: {}", answer.text);
    }
}

#[tokio::test]
async fn many_explanations_leave_the_daemon_its_own_connections() {
    let rig = Rig::start().await;
    let rule = rig.stack.rule("Burst", json!({"project_id": rig.a.project, "warning": 2}), &[]);
    let path = format!("/api/alert-rules/{}/explain", rule.await);
    let asked = (0..40).map(|_| rig.send(Method::GET, &path, Some(&rig.a.viewer), &[], None));
    for answer in futures_util::future::join_all(asked).await {
        assert!(matches!(answer.status, 200 | 503), "{}", answer.text);
    }
    let connections = "select count(*) from pg_stat_activity
        where application_name like '% api' and datname = current_database()";
    let used = rig.stack.number(connections).await;
    assert!((1..=3).contains(&used), "{used} connections of the API");
}
