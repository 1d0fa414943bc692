use std::time::Duration;

use meshhook_errors::{
    clock::Clock,
    model::Span,
    notify::{LinkAction, Links},
};
use reqwest::{Client, Method};
use serde_json::json;

use super::Scene;
use crate::support::letters::{mail, readable};

const KEY: &str = "bGlua3MgbGlua3MgbGlua3MgbGlua3MgbGlua3MgISE=";
const PUBLIC: &str = "https://errors.example.com";

async fn ask(scene: &Scene, method: Method, path: &str, who: Option<&str>) -> (u16, String) {
    let url = format!("http://{}{path}", scene.instance.daemon.address());
    let mut request = Client::new().request(method, url);
    if let Some(who) = who {
        let form =
            url::form_urlencoded::Serializer::new(String::new()).append_pair("who", who).finish();
        let kind = "application/x-www-form-urlencoded";
        request = request.header("content-type", kind).body(form);
    }
    let answer = request.send().await.expect("an answer");
    let policy = answer.headers()["content-security-policy"].to_str().unwrap().to_owned();
    assert!(policy.contains("default-src 'none'"), "{policy}");
    (answer.status().as_u16(), answer.text().await.expect("a body"))
}

#[tokio::test]
async fn a_link_in_a_mail_shows_a_page_whose_button_acts_once() {
    let scene = Scene::with([("LINKS_KEY", KEY), ("PUBLIC_URL", PUBLIC)]).await;
    let channel = scene.stack.channel("ada", "email").await;
    let two = "update public.alert_channels set config = '{\"to\": [\"ada@example.com\", \"bob@example.com\"]}' where channel_id = $1";
    scene.stack.execute(two, channel).await;
    let fields = json!({"project_id": scene.project, "warning": 3});
    let rule = scene.stack.rule("Mailed <b>", fields, &[channel]).await;
    scene.errors(3, "execution").await;
    let incident = scene.firing(rule).await;
    let text = readable(&mail(&scene.stack.mail, Duration::from_secs(20), "firing").await);
    let link = |label: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(&format!("{label}: ")));
        let line = line.unwrap_or_else(|| panic!("no {label}: {text}"));
        line.trim().strip_prefix(PUBLIC).expect("below PUBLIC_URL").to_owned()
    };
    let (acknowledge, silence) = (link("Acknowledge"), link("Silence for 1 hour"));
    assert!(text.contains(&format!("<a href=\"{PUBLIC}{acknowledge}\">Acknowledge</a>")), "{text}");

    // Programs that look for malware open every link, some of them twice.
    for method in [Method::GET, Method::HEAD, Method::GET] {
        for path in [&acknowledge, &silence] {
            let (status, page) = ask(&scene, method.clone(), path, None).await;
            assert_eq!(status, 200);
            if method == Method::GET {
                assert!(page.contains("<form method=\"post\">"), "{page}");
                assert!(page.contains("Mailed &lt;b&gt;") && !page.contains("<b>"), "{page}");
                assert!(page.contains("value=\"bob@example.com\""), "{page}");
            }
        }
    }
    assert_eq!(scene.kinds(incident).await, ["firing"], "opening a link does nothing");

    let (status, page) = ask(&scene, Method::POST, &acknowledge, Some("bob@example.com")).await;
    assert!(status == 200 && page.contains("The incident is acknowledged"), "{status} {page}");
    let by = "select acknowledged_by_name from public.alert_incidents where incident_id = $1";
    let taken = scene.stack.text_of(by, incident).await;
    assert_eq!(taken.as_deref(), Some("bob@example.com (mail)"));
    let (status, page) = ask(&scene, Method::POST, &acknowledge, Some("ada@example.com")).await;
    assert!(status == 200 && page.contains("was used before"), "{status} {page}");
    // Whoever did not get the mail is not believed to have.
    let (status, page) = ask(&scene, Method::POST, &silence, Some("eve@example.com")).await;
    assert!(status == 200 && page.contains("silenced for an hour"), "{status} {page}");
    let made = "select created_by_name from public.alert_silences where rule_id = $1";
    let made = scene.stack.text_of(made, rule).await;
    assert_eq!(made.as_deref(), Some("ada@example.com (mail)"));
    assert_eq!(scene.kinds(incident).await, ["firing", "acknowledged", "silenced"]);

    // What is not genuine, and what is too old.
    let (status, page) = ask(&scene, Method::POST, &format!("{acknowledge}x"), None).await;
    assert!(status == 404 && page.contains("not genuine"), "{status} {page}");
    let (status, _) = ask(&scene, Method::GET, "/api/links/nothing", None).await;
    assert_eq!(status, 404);
    let links = Links::new(&KEY.into(), PUBLIC.parse().unwrap()).expect("links");
    let sent = Clock::system().now() - Span::from_secs(73 * 3600);
    let old = links.address(incident, LinkAction::Acknowledge, &[], sent);
    let old = old.strip_prefix(PUBLIC).unwrap();
    for method in [Method::GET, Method::POST] {
        let (status, page) = ask(&scene, method, old, None).await;
        assert!(status == 410 && page.contains("has expired"), "{status} {page}");
    }
    // When it is over there is nothing left to take in hand, and the mail says so.
    let disable = "update public.alert_rules set enabled = false where rule_id = $1";
    scene.stack.execute(disable, rule).await;
    let end = readable(&mail(&scene.stack.mail, Duration::from_secs(20), "resolved").await);
    assert!(!end.contains("/api/links/"), "{end}");
    let now = Clock::system().now();
    let fresh = links.address(incident, LinkAction::Acknowledge, &["x@y.z".to_owned()], now);
    let fresh = fresh.strip_prefix(PUBLIC).unwrap();
    let (status, page) = ask(&scene, Method::POST, fresh, None).await;
    assert!(status == 409 && page.contains("the incident is resolved"), "{status} {page}");
    scene.instance.stop().await;
}
