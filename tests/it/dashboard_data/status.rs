//! The tracker's state, and the names of things and people.

use serde_json::json;
use uuid::Uuid;

use super::scene::{PEOPLE, PROJECT_A, Scene, WORKFLOWS};
use crate::support::sql;

#[tokio::test]
async fn the_status_tells_of_the_leader_and_of_the_last_hour() {
    let scene = Scene::new(5).await;
    let (leader, standby) = (Uuid::new_v4(), Uuid::new_v4());
    let none = scene.answer("viewer_a", "tracker_status", &json!({})).await;
    assert_eq!((&none["leader"], &none["age_seconds"]), (&json!(null), &json!(null)), "{none}");
    sql(
        &scene.site.admin,
        &format!(
            "insert into public.error_tracker_status (instance_id, name, version, leader, started_at, heartbeat_at, canary_ms)
               values ('{leader}', 'one', '1', true, now(), now(), null), ('{standby}', 'two', '1', false, now(), now() - interval '1 minute', null)"
        ),
    )
    .await;
    // One measurement is a day old, and the same one written again is no other.
    for (age, delay) in [
        ("25 hours", 9.0),
        ("2 hours", 9000.0),
        ("3 minutes", 100.0),
        ("2 minutes", 100.0),
        ("1 minute", 300.0),
        ("0", 200.0),
    ] {
        sql(
            &scene.site.admin,
            &format!(
                "update public.error_tracker_status set canary_ms = {delay}, heartbeat_at = now() - interval '{age}' where instance_id = '{leader}'"
            ),
        )
        .await;
    }
    for person in ["owner_a", "viewer_a", "global_admin"] {
        let status = scene.answer(person, "tracker_status", &json!({})).await;
        assert_eq!(status["leader"]["name"], json!("one"), "{status}");
        assert_eq!(status["instances"].as_array().map(Vec::len), Some(2), "{status}");
        assert!(status["age_seconds"].as_f64().unwrap() < 30.0, "{status}");
        let canary = &status["canary"];
        assert_eq!(
            (&canary["samples"], canary["p50"].as_f64(), canary["max"].as_f64()),
            (&json!(3), Some(200.0), Some(300.0)),
            "{status}"
        );
        assert!(status["canary_minutes"].as_array().unwrap().len() >= 3, "{status}");
    }
    let kept = scene.ask("select count(*) from error_tracking.canary_delays").await;
    assert_eq!(kept, json!(4), "the last day's");
    let refused = scene.call("outsider", "tracker_status", &json!({})).await;
    assert_eq!((refused.status, &refused.body["code"]), (403, &json!("42501")), "{refused:?}");
}

#[tokio::test]
async fn names_are_for_those_who_see_the_errors() {
    let scene = Scene::new(5).await;
    for (person, project, role, workflows) in [
        ("owner_a", Some(PROJECT_A), "admin", 2),
        ("viewer_a", Some(PROJECT_A), "viewer", 2),
        ("outsider", None, "", 0),
    ] {
        let scopes = scene.answer(person, "error_scopes", &json!({})).await;
        let expected = project
            .map_or(json!([]), |id| json!([{"project_id": id, "name": "Scene", "role": role}]));
        assert_eq!(scopes["projects"], expected, "{person}");
        assert_eq!(scopes["global_role"], json!(null));
        assert_eq!(
            scopes["workflows"].as_array().map(Vec::len),
            Some(workflows),
            "{person}: {scopes}"
        );
    }
    let all = scene.answer("global_admin", "error_scopes", &json!({})).await;
    assert_eq!(all["global_role"], json!("admin"));
    let ids: Vec<_> = all["workflows"]
        .as_array()
        .unwrap()
        .iter()
        .map(|w| w["workflow_id"].as_str().unwrap())
        .collect();
    assert!(WORKFLOWS.iter().all(|id| ids.contains(id)), "{all}");

    let users = scene.ask("select to_regclass('auth.users') is not null").await;
    if users == json!(true) {
        let mut script = String::new();
        for (name, id, _) in PEOPLE {
            script.push_str(&format!(
                "insert into auth.users (id, aud, role, email, raw_user_meta_data) values
                   ('{id}', 'authenticated', 'authenticated', '{name}@example.com', '{{\"name\": \"{name}\"}}') on conflict (id) do nothing;"
            ));
        }
        sql(&scene.site.admin, &script).await;
    }
    let everybody: Vec<&str> = PEOPLE.iter().map(|(_, id, _)| *id).collect();
    for (person, known) in [
        ("viewer_a", vec!["global_admin", "owner_a", "viewer_a"]),
        ("owner_b", vec!["global_admin", "owner_b"]),
        ("outsider", vec![]),
    ] {
        let answer = scene.answer(person, "error_people", &json!({"ids": everybody})).await;
        let mut names: Vec<&str> =
            answer.as_array().unwrap().iter().map(|row| row["name"].as_str().unwrap()).collect();
        names.sort_unstable();
        assert_eq!(names, if users == json!(true) { known } else { vec![] }, "{person}");
    }
}
