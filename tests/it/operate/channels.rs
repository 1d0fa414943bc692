use reqwest::{Client, Method};
use serde_json::{Value, json};
use uuid::Uuid;

use super::Scene;

async fn ask(
    scene: &Scene,
    user: Option<Uuid>,
    method: Method,
    path: &str,
    body: Option<&Value>,
) -> (u16, Value) {
    let url = format!("http://{}/api/alert-channels/{path}", scene.instance.daemon.address());
    let mut request = Client::new().request(method, url);
    if let Some(user) = user {
        request = request.bearer_auth(scene.stack.user_token(user));
    }
    if let Some(body) = body {
        request = request.json(body);
    }
    let answer = request.send().await.expect("an answer");
    (answer.status().as_u16(), answer.json().await.unwrap_or_default())
}

#[tokio::test]
async fn an_admin_keeps_a_channels_secret_and_tries_it() {
    let scene = Scene::new().await;
    let id = Uuid::new_v4();
    let row =
        json!({"channel_id": id, "project_id": scene.project, "name": "team", "kind": "slack"});
    let (status, text) = scene.stack.post_as(scene.admin, "alert_channels", &row).await;
    assert_eq!(status, 201, "{text}");
    let (secret, test) = (format!("{id}/secret"), format!("{id}/test"));
    let body = json!({"webhook_url": scene.stack.slack.url("/services/team")});
    let body = Some(&body);
    let admin = Some(scene.admin);

    for (who, expected) in [
        (None, 401),
        (Some(Uuid::new_v4()), 404),
        (Some(scene.viewer), 403),
        (Some(scene.responder), 403),
    ] {
        assert_eq!(ask(&scene, who, Method::PUT, &secret, body).await.0, expected);
        assert_eq!(ask(&scene, who, Method::DELETE, &secret, None).await.0, expected);
        assert_eq!(ask(&scene, who, Method::POST, &test, None).await.0, expected);
    }
    let (status, answer) = ask(&scene, admin, Method::POST, &test, None).await;
    assert_eq!((status, &answer["state"]), (200, &json!("failed")), "{answer}");
    for (wrong, field) in [
        (json!({}), ""),
        (json!({"webhook_url": "x", "bot_token": "y"}), ""),
        (json!({"signing_secret": "x"}), "signing_secret"),
        (json!({"webhook_url": "not an address"}), "webhook_url"),
        (json!({"webhook_url": ""}), "webhook_url"),
        (json!({"webhook_url": 7}), "webhook_url"),
    ] {
        let (status, answer) = ask(&scene, admin, Method::PUT, &secret, Some(&wrong)).await;
        assert_eq!((status, &answer["errors"][0]["field"]), (400, &json!(field)), "{answer}");
    }

    assert_eq!(ask(&scene, admin, Method::PUT, &secret, body).await.0, 204);
    let has = "select has_secret::text from public.alert_channels where channel_id = $1";
    assert_eq!(scene.stack.text_of(has, id).await.as_deref(), Some("true"));
    let (status, answer) = ask(&scene, admin, Method::POST, &test, None).await;
    assert_eq!((status, &answer["state"]), (200, &json!("sent")), "{answer}");
    assert_eq!(scene.stack.slack.requests().len(), 1);
    assert!(scene.heard()[0].contains("Test"), "{:?}", scene.heard());

    assert_eq!(ask(&scene, admin, Method::DELETE, &secret, None).await.0, 204);
    assert_eq!(scene.stack.text_of(has, id).await.as_deref(), Some("false"));
    let (_, answer) = ask(&scene, admin, Method::POST, &test, None).await;
    assert_eq!(answer["state"], "failed", "{answer}");
    assert!(answer["detail"].as_str().unwrap_or_default().contains("no secret"), "{answer}");
    // The platform's own channels are not a project's.
    let (status, _) =
        ask(&scene, admin, Method::DELETE, &format!("{}/secret", scene.channel), None).await;
    assert_eq!(status, 404);
    scene.instance.stop().await;
}
