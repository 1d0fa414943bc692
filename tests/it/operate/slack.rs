use std::time::Duration;

use aws_lc_rs::hmac;
use serde_json::{Value, json};
use tokio::time::Instant;
use uuid::Uuid;

use super::Scene;
use crate::support::{letters::request, stalls::net_since};

const SECRET: &str = "8f742231b10e8888abcd99yyyzzz85a5";

/// Presses a button as Slack tells it: the status of the answer. `age` is how many seconds ago Slack
/// signed it, `key` what with.
async fn press(scene: &Scene, key: &str, age: i64, payload: &Value) -> u16 {
    let now = meshhook_errors::clock::Clock::system().now().micros() / 1_000_000 - age;
    let body = url::form_urlencoded::Serializer::new(String::new())
        .append_pair("payload", &payload.to_string())
        .finish();
    send(scene, key, now, body).await
}

async fn send(scene: &Scene, key: &str, time: i64, body: String) -> u16 {
    let tag = signature(key, time, &body);
    send_signed(scene, &tag, time, body).await
}

fn signature(key: &str, time: i64, body: &str) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, key.as_bytes());
    let tag = hmac::sign(&key, format!("v0:{time}:{body}").as_bytes());
    tag.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

async fn send_signed(scene: &Scene, tag: &str, time: i64, body: String) -> u16 {
    let url = format!("http://{}/api/slack/interactivity", scene.instance.daemon.address());
    let answer = reqwest::Client::new()
        .post(url)
        .header("content-type", "application/x-www-form-urlencoded")
        .header("x-slack-request-timestamp", time.to_string())
        .header("x-slack-signature", format!("v0={tag}"))
        .body(body)
        .send()
        .await
        .expect("an answer");
    answer.status().as_u16()
}

#[tokio::test]
async fn a_button_in_slack_acknowledges_and_silences() {
    let scene = Scene::with([("SLACK_SIGNING_SECRET", SECRET)]).await;
    let rule = scene.rule("Pressed", "execution", json!({})).await;
    scene.errors(3, "execution").await;
    let incident = scene.firing(rule).await;
    let message = request(&scene.stack.slack, Duration::from_secs(20), |_| true).await.json();
    let blocks = message["blocks"].as_array().expect("blocks");
    let actions = blocks.iter().find(|block| block["type"] == "actions").expect("buttons");
    let labels: Vec<_> =
        actions["elements"].as_array().unwrap().iter().map(|b| &b["text"]["text"]).collect();
    assert_eq!(labels, ["Acknowledge", "Silence for 1 hour"]);
    let payload = |button: usize, response: String| {
        json!({
            "type": "block_actions",
            "user": {"id": "U0ADA", "username": "ada", "name": "ada", "team_id": "T0MESH"},
            "actions": [actions["elements"][button]], "message": message, "response_url": response,
        })
    };
    let answers = scene.stack.webhook.url("/response");
    let acknowledge = payload(0, answers.clone());

    // Nobody but Slack may press, and nobody may repeat what they overheard.
    assert_eq!(press(&scene, "another secret", 0, &acknowledge).await, 401);
    assert_eq!(press(&scene, SECRET, 301, &acknowledge).await, 401);
    assert_eq!(press(&scene, SECRET, -302, &acknowledge).await, 401);
    assert_eq!(scene.kinds(incident).await, ["firing"]);

    let began = Instant::now();
    let time = meshhook_errors::clock::Clock::system().now().micros() / 1_000_000;
    let body = url::form_urlencoded::Serializer::new(String::new())
        .append_pair("payload", &acknowledge.to_string())
        .finish();
    assert_eq!(send(&scene, SECRET, time, body.clone()).await, 200);
    assert!(net_since(began) < Duration::from_secs(3), "Slack waits 3 s");
    assert_eq!(send(&scene, SECRET, time, body.clone()).await, 200, "and may send it again");
    let loud = signature(SECRET, time, &body).to_uppercase();
    assert_eq!(send_signed(&scene, &loud, time, body).await, 200, "and however it is written");
    let by = "select acknowledged_by_name from public.alert_incidents where incident_id = $1";
    let taken = scene.stack.text_of(by, incident).await;
    assert_eq!(taken.as_deref(), Some("ada (Slack U0ADA)"));
    assert_eq!(scene.kinds(incident).await, ["firing", "acknowledged"]);
    let changed = request(&scene.stack.webhook, Duration::from_secs(20), |_| true).await.json();
    assert_eq!(changed["replace_original"], true);
    let text = changed["blocks"].to_string();
    assert!(text.contains("<@U0ADA> acknowledged this"), "{text}");
    assert!(!text.contains("errors_acknowledge") && text.contains("errors_silence_1h"), "{text}");
    assert_eq!(scene.stack.webhook.requests().len(), 1);

    // The address of the answer is not believed: it may lead nowhere but to the public internet.
    let silence = payload(1, "http://169.254.169.254/latest/meta-data".to_owned());
    assert_eq!(press(&scene, SECRET, 0, &silence).await, 200);
    let hour = "select count(*) from public.alert_silences where rule_id = $1 and created_by is null \
                 and created_by_name = 'ada (Slack U0ADA)' \
                 and ends_at between now() + interval '59 min' and now() + interval '1 h'";
    assert_eq!(scene.stack.number_of(hour, rule).await, 1);
    assert_eq!(scene.kinds(incident).await, ["firing", "acknowledged", "silenced"]);

    // Of what cannot be done only whoever pressed hears.
    let mut unknown = payload(0, answers);
    unknown["actions"][0]["value"] = json!(Uuid::new_v4());
    assert_eq!(press(&scene, SECRET, 0, &unknown).await, 200);
    let said = request(&scene.stack.webhook, Duration::from_secs(20), |_| true).await.json();
    assert_eq!(said["response_type"], "ephemeral");
    assert_eq!(said["text"], "That cannot be done: there is no such incident.");
    scene.instance.stop().await;
}

#[tokio::test]
async fn without_a_signing_secret_there_are_no_buttons() {
    let scene = Scene::new().await;
    scene.rule("Plain", "execution", json!({})).await;
    scene.errors(3, "execution").await;
    let message = request(&scene.stack.slack, Duration::from_secs(20), |_| true).await.json();
    assert!(!message["blocks"].to_string().contains("\"actions\""), "{message}");
    assert_eq!(press(&scene, SECRET, 0, &json!({"type": "block_actions"})).await, 404);
    scene.instance.stop().await;
}
