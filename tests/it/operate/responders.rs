use serde_json::json;
use uuid::Uuid;

use super::{Scene, eventually};

#[tokio::test]
async fn an_escalation_takes_the_acknowledgement_back() {
    let scene = Scene::new().await;
    let rule = scene.rule("Grows", "execution", json!({"critical": 6})).await;
    scene.errors(3, "execution").await;
    let incident = scene.firing(rule).await;
    let body = json!({"incident_id": incident, "note": "mine"});
    scene.refused(scene.viewer, "acknowledge_incident", body.clone(), 403, "responder").await;
    scene.call(scene.responder, "acknowledge_incident", body).await;
    let by = "select acknowledged_by::text || ' ' || acknowledge_note from public.alert_incidents where incident_id = $1";
    let taken = scene.stack.text_of(by, incident).await;
    assert_eq!(taken, Some(format!("{} mine", scene.responder)));
    scene.errors(3, "execution").await;
    scene.hears("Now critical: Grows").await;
    let none = "select count(*) from public.alert_incidents where incident_id = $1 \
                 and acknowledged_at is null and acknowledged_by is null and acknowledge_note is null";
    assert_eq!(scene.stack.number_of(none, incident).await, 1);
    let line = scene.time_line(incident).await;
    let kinds: Vec<&str> = line.iter().map(|(kind, _)| kind.as_str()).collect();
    assert_eq!(kinds[..2], ["firing", "acknowledged"]);
    let mut rest = kinds[2..].to_vec();
    rest.sort_unstable();
    assert_eq!(rest, ["escalated", "unacknowledged"], "{line:?}");
    // Whoever takes it in hand now keeps it.
    scene.call(scene.responder, "acknowledge_incident", json!({"incident_id": incident})).await;
    scene.errors(3, "execution").await;
    scene.instance.counted(rule, 9).await;
    assert_eq!(scene.stack.number_of(none, incident).await, 0);
    scene.instance.stop().await;
}

#[tokio::test]
async fn comments_stand_in_the_time_line() {
    let scene = Scene::new().await;
    let rule = scene.rule("Discussed", "execution", json!({})).await;
    scene.errors(3, "execution").await;
    let incident = scene.firing(rule).await;
    let body = json!({"incident_id": incident, "note": " It is the new partner. "});
    scene.refused(scene.viewer, "comment_incident", body.clone(), 403, "responder").await;
    let empty = json!({"incident_id": incident, "note": " "});
    scene.refused(scene.responder, "comment_incident", empty, 400, "note: must have").await;
    let unknown = json!({"incident_id": Uuid::new_v4(), "note": "x"});
    scene.refused(scene.responder, "comment_incident", unknown, 403, "no such incident").await;
    scene.call(scene.responder, "comment_incident", body).await;
    let entry = scene.time_line(incident).await.pop();
    assert_eq!(entry, Some(("comment".to_owned(), "It is the new partner.".to_owned())));
    scene.instance.stop().await;
}

#[tokio::test]
async fn a_resolved_group_opens_again_when_it_comes_back() {
    let scene = Scene::new().await;
    scene.errors(2, "execution").await;
    let of = "select fingerprint::text from public.error_groups where project_id = $1";
    let fingerprint = eventually("the group", || scene.stack.text_of(of, scene.project)).await;
    let body = json!({"project_id": scene.project, "fingerprint": fingerprint});
    let version = "select version from error_tracking.config_version";
    let before = scene.stack.number(version).await;
    for function in ["resolve_group", "ignore_group", "reopen_group"] {
        scene.refused(scene.viewer, function, body.clone(), 403, "responder").await;
        let unknown = json!({"project_id": scene.project, "fingerprint": Uuid::new_v4()});
        scene.refused(scene.responder, function, unknown, 403, "no such group").await;
    }
    let status = "select status || ' ' || coalesce(status_changed_by::text, 'nobody') from public.error_groups where project_id = $1";
    for (function, expected) in
        [("ignore_group", "ignored"), ("reopen_group", "open"), ("resolve_group", "resolved")]
    {
        scene.call(scene.responder, function, body.clone()).await;
        let got = scene.stack.text_of(status, scene.project).await;
        assert_eq!(got, Some(format!("{expected} {}", scene.responder)));
    }
    assert!(scene.stack.number(version).await >= before + 3, "the daemon is told to look");
    scene.errors(1, "execution").await;
    eventually("the group is open again", || async {
        let got = scene.stack.text_of(status, scene.project).await;
        (got.as_deref() == Some("open nobody")).then_some(())
    })
    .await;
    let back = "select count(*) from public.error_groups where project_id = $1 and regressed_at is not null and count = 3";
    assert_eq!(scene.stack.number_of(back, scene.project).await, 1);
    scene.instance.stop().await;
}
