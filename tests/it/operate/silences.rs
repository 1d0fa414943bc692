use serde_json::json;

use super::{EFFECT, HELD, MESSAGES, Scene};
use crate::support::eventually;

const DISABLE: &str = "update public.alert_rules set enabled = false where rule_id = $1";

#[tokio::test]
async fn a_silence_that_ends_while_it_fires_is_made_up_for_once() {
    let scene = Scene::new().await;
    let rule = scene.rule("Silenced", "execution", json!({})).await;
    let other = scene.rule("Over soon", "input", json!({})).await;
    let silence = json!({
        "project_id": scene.project, "matchers": {"error_type": ["execution", "input"]},
        "ends_at": "2126-01-01T00:00:00Z", "reason": "partner maintenance",
    });
    let (status, text) = scene.stack.post_as(scene.viewer, "alert_silences", &silence).await;
    assert_eq!(status, 403, "{text}");
    let (status, text) = scene.stack.post_as(scene.responder, "alert_silences", &silence).await;
    assert_eq!(status, 201, "{text}");
    scene.errors(3, "execution.http").await;
    scene.errors(3, "input").await;
    let (incident, over) = (scene.firing(rule).await, scene.firing(other).await);
    let line = scene.time_line(incident).await;
    let note = &line.iter().find(|(kind, _)| kind == "silenced").expect("an entry").1;
    assert!(note.contains("silenced until 2126-01-01 00:00:00 UTC: partner maintenance"), "{note}");
    assert_eq!(scene.stack.number(HELD).await, 2);
    assert_eq!(scene.stack.number(MESSAGES).await, 0, "nobody is told");

    // One of them ends beneath the silence: of that nobody ever hears.
    scene.stack.execute(DISABLE, other).await;
    eventually("it is over", || async {
        (scene.kinds(over).await.last()? == "resolved").then_some(())
    })
    .await;
    assert_eq!(scene.stack.number(HELD).await, 1);

    let id = "select silence_id::text from public.alert_silences where project_id = $1";
    let silence = json!({"silence_id": scene.stack.text_of(id, scene.project).await});
    scene.refused(scene.viewer, "expire_silence", silence.clone(), 403, "responder").await;
    scene.call(scene.responder, "expire_silence", silence.clone()).await;
    let took = scene.hears("Warning: Silenced").await;
    assert!(took < EFFECT, "told {took:?} after the silence ended");
    scene.call(scene.responder, "expire_silence", silence).await;
    assert_eq!(scene.stack.number(HELD).await, 0);
    assert_eq!(scene.kinds(incident).await, ["firing", "silenced", "told_late"]);

    scene.stack.execute(DISABLE, rule).await;
    scene.hears("Resolved: Silenced").await;
    assert_eq!(scene.heard().len(), 2, "{:?}", scene.heard());
    scene.instance.stop().await;
}

#[tokio::test]
async fn an_incident_is_snoozed_for_its_group_only() {
    let scene = Scene::new().await;
    let fields = json!({"group_by": ["error_type"], "critical": 6});
    let rule = scene.rule("Grouped", "execution", fields).await;
    scene.errors(3, "execution.http").await;
    let incident = scene.firing(rule).await;
    scene.hears("Warning: Grouped").await;
    let about = |more: serde_json::Value| {
        let mut body = json!({"incident_id": incident, "reason": "known"});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        body
    };
    let (responder, viewer) = (scene.responder, scene.viewer);
    scene
        .refused(viewer, "silence_incident", about(json!({"seconds": 60})), 403, "responder")
        .await;
    for (more, words) in [
        (json!({}), "give exactly one of"),
        (json!({"seconds": 60, "tomorrow_at": "09:00"}), "give exactly one of"),
        (json!({"seconds": 5}), "seconds: must be 60 to 31536000"),
        (json!({"until": "2020-01-01T00:00:00Z"}), "until: must be in the future"),
        (json!({"tomorrow_at": "09:00", "time_zone": "Mars/Olympus"}), "time_zone: Mars/Olympus"),
    ] {
        scene.refused(responder, "silence_incident", about(more), 400, words).await;
    }
    scene.call(responder, "silence_incident", about(json!({"seconds": 3600}))).await;
    // The same group becomes critical, which is held back; another group is told.
    scene.errors(3, "execution.http").await;
    scene.errors(3, "execution.timeout").await;
    eventually("the other group is told", || async { (scene.heard().len() == 2).then_some(()) })
        .await;
    eventually("the silence is noted with the escalation", || async {
        let kinds = scene.kinds(incident).await;
        (kinds == ["firing", "silenced", "escalated", "silenced"]).then_some(())
    })
    .await;
    assert_eq!(scene.stack.number(HELD).await, 1);
    assert!(scene.heard().iter().all(|text| text.contains("Warning")), "{:?}", scene.heard());

    // Until nine o'clock tomorrow, by a clock.
    let body = about(json!({"tomorrow_at": "09:00", "time_zone": "Europe/Berlin"}));
    scene.call(responder, "silence_incident", body).await;
    let ends = "select count(*) from public.alert_silences \
                 where rule_id = $1 and created_by is not null and matchers = '{\"error_type\": \"execution.http\"}' \
                   and (ends_at at time zone 'Europe/Berlin')::time = '09:00' \
                   and (ends_at at time zone 'Europe/Berlin')::date = (now() at time zone 'Europe/Berlin')::date + 1";
    assert_eq!(scene.stack.number_of(ends, rule).await, 1);
    let end_all = "delete from public.alert_silences where rule_id = $1";
    scene.stack.execute(end_all, rule).await;
    scene.hears("Now critical: Grouped").await;
    scene.instance.stop().await;
}

#[tokio::test]
async fn what_is_held_back_outlives_the_daemon() {
    let scene = Scene::new().await;
    let rule = scene.rule("Kept", "execution", json!({})).await;
    let silence = "insert into public.alert_silences (rule_id, project_id, ends_at) \
                   select rule_id, project_id, now() + interval '1 day' from public.alert_rules where rule_id = $1";
    scene.stack.execute(silence, rule).await;
    scene.errors(3, "execution").await;
    scene.firing(rule).await;
    let Scene { stack, instance, .. } = scene;
    instance.stop().await;
    stack
        .alter(
            "update public.alert_silences set starts_at = now() - interval '1 h', ends_at = now()",
        )
        .await;
    let instance = stack.daemon().await;
    eventually("the next daemon tells", || async {
        let told = "select count(*) from public.alert_notifications where state = 'sent' and transition = 'firing'";
        (stack.number(told).await == 1).then_some(())
    })
    .await;
    assert_eq!(stack.number(HELD).await, 0);
    assert_eq!(stack.slack.requests().len(), 1);
    instance.stop().await;
}
