use serde_json::json;

use super::{EFFECT, HELD, MESSAGES, Scene};
use crate::support::eventually;

/// The clock of UTC, so many seconds from now.
fn clock(seconds: i64) -> String {
    let now = meshhook_errors::clock::Clock::system().now();
    let then = now + meshhook_errors::model::Span::from_secs(seconds);
    then.to_chrono().format("%H:%M:%S").to_string()
}

#[tokio::test]
async fn quiet_hours_hold_back_until_they_end_and_let_critical_through() {
    let scene = Scene::new().await;
    let rule = scene.rule("Nightly", "execution", json!({"critical": 6})).await;
    let strict = scene.rule("Strict", "input", json!({})).await;
    let window = |rule, ends: i64, critical| {
        json!({
            "rule_id": rule, "project_id": scene.project, "name": "nights", "time_zone": "UTC",
            "starts": clock(-3600), "ends": clock(ends), "allow_critical": critical,
        })
    };
    let path = "alert_quiet_hours";
    let (status, text) = scene.stack.post_as(scene.responder, path, &window(rule, 60, true)).await;
    assert_eq!(status, 403, "{text}");
    for (rule, ends, critical) in [(rule, 3600, true), (strict, 8, false)] {
        let row = window(rule, ends, critical);
        let (status, text) = scene.stack.post_as(scene.admin, path, &row).await;
        assert_eq!(status, 201, "{text}");
    }
    scene.errors(3, "execution").await;
    scene.errors(3, "input").await;
    let (incident, waiting) = (scene.firing(rule).await, scene.firing(strict).await);
    let line = scene.time_line(incident).await;
    let note = &line.iter().find(|(kind, _)| kind == "quiet").expect("an entry").1;
    assert!(note.contains("nobody was told: quiet hours \"nights\" until 20"), "{note}");
    assert_eq!(scene.stack.number(MESSAGES).await, 0);
    assert_eq!(scene.stack.number(HELD).await, 2);
    let until = "select extract(epoch from until - clock_timestamp())::int8 from public.alert_held_back where incident_id = $1";
    let left = scene.stack.number_of(until, waiting).await;
    assert!((0..=9).contains(&left), "{left} s");

    // Critical comes through, and what was owed before is not told again.
    scene.errors(3, "execution").await;
    scene.hears("Now critical: Nightly").await;
    // The other one's window ends by itself.
    scene.hears("Warning: Strict").await;
    assert_eq!(scene.stack.number(HELD).await, 0);
    assert_eq!(scene.kinds(waiting).await, ["firing", "quiet", "told_late"]);
    assert_eq!(scene.heard().len(), 2, "{:?}", scene.heard());
    scene.instance.stop().await;
}

#[tokio::test]
async fn a_maintenance_window_of_the_project_ends_when_it_is_switched_off() {
    let scene = Scene::new().await;
    let rule = scene.rule("Maintained", "system", json!({})).await;
    let row = json!({
        "project_id": scene.project, "kind": "maintenance", "name": "database move",
        "time_zone": "Asia/Tokyo", "starts": "00:00", "ends": "00:00",
    });
    let (status, text) = scene.stack.post_as(scene.admin, "alert_quiet_hours", &row).await;
    assert_eq!(status, 201, "{text}");
    scene.errors(3, "system").await;
    let incident = scene.firing(rule).await;
    let (_, note) = scene.time_line(incident).await.pop().expect("an entry");
    assert!(note.contains("maintenance window \"database move\""), "{note}");
    let off = "update public.alert_quiet_hours set enabled = false where project_id = $1";
    scene.stack.execute(off, scene.project).await;
    let took = scene.hears("Warning: Maintained").await;
    assert!(took < EFFECT, "told {took:?} after it was switched off");
    scene.instance.stop().await;
}

#[tokio::test]
async fn a_rule_keeps_others_quiet_while_it_fires() {
    let scene = Scene::new().await;
    let system = scene.rule("System down", "system", json!({})).await;
    let work = scene.rule("Work fails", "execution", json!({})).await;
    let row = json!({"source_rule_id": system, "target_rule_id": work});
    let path = "alert_inhibitions";
    let (status, text) = scene.stack.post_as(scene.responder, path, &row).await;
    assert_eq!(status, 403, "{text}");
    let (status, text) = scene.stack.post_as(scene.admin, path, &row).await;
    assert_eq!(status, 201, "{text}");
    let circle = json!({"source_rule_id": work, "target_rule_id": system});
    let (status, text) = scene.stack.post_as(scene.admin, path, &circle).await;
    assert!(status == 400 && text.contains("keep each other quiet"), "{status} {text}");

    scene.errors(3, "system").await;
    let cause = scene.firing(system).await;
    scene.hears("Warning: System down").await;
    scene.errors(3, "execution").await;
    let incident = scene.firing(work).await;
    let (kind, note) = scene.time_line(incident).await.pop().expect("an entry");
    assert_eq!(kind, "inhibited");
    assert!(note.contains(&format!("while incident {cause} of another rule fires")), "{note}");
    assert_eq!(scene.heard().len(), 1);
    let disable = "update public.alert_rules set enabled = false where rule_id = $1";
    scene.stack.execute(disable, system).await;
    scene.hears("Resolved: System down").await;
    scene.hears("Warning: Work fails").await;
    eventually("it is settled", || async { (scene.stack.number(HELD).await == 0).then_some(()) })
        .await;
    assert_eq!(scene.kinds(incident).await, ["firing", "inhibited", "told_late"]);
    assert_eq!(scene.heard().len(), 3, "{:?}", scene.heard());
    scene.instance.stop().await;
}
