//! Groups, workflows, single errors.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::scene::{PEOPLE, PROJECT_A, Scene, WORKFLOWS};

#[tokio::test]
async fn groups_and_workflows_are_what_the_table_counts() {
    let scene = Scene::new(1_200).await;
    for (name, _, may_see) in PEOPLE {
        for hours in [-2.0, -24.0, -80.0] {
            for (filters, condition) in [
                (json!({}), "true"),
                (
                    json!({"severities": ["medium"], "types": ["execution"]}),
                    "severity = 'medium' and error_type like 'execution%'",
                ),
            ] {
                let arguments = json!({"since": scene.at(hours).await, "until": scene.now, "filters": filters, "page_size": 100});
                let top = scene.answer(name, "error_top_groups", &arguments).await;
                let within = format!(
                    "{may_see} and {condition} and \"timestamp\" >= '{}' and \"timestamp\" < '{}'",
                    top["since"].as_str().unwrap(),
                    scene.now
                );
                let expected = scene.ask(&format!(
                    "select coalesce(jsonb_agg(jsonb_build_array(project_id, fingerprint, count) order by count desc, fingerprint, project_id), '[]')
                       from (select project_id, fingerprint, count(*) from public.error_metrics where {within} group by 1, 2) s")).await;
                let mut got: Vec<Value> = Vec::new();
                for group in top["groups"].as_array().unwrap() {
                    assert_eq!(
                        json!(super::sum(&group["spark"])),
                        group["count"],
                        "{name} {group}"
                    );
                    assert!(group["spark"].as_array().unwrap().len() <= 25, "{group}");
                    got.push(json!([group["project_id"], group["fingerprint"], group["count"]]));
                }
                let sorted =
                    |rows: &[Value]| rows.iter().map(Value::to_string).collect::<BTreeSet<_>>();
                assert_eq!(
                    sorted(&got),
                    sorted(expected.as_array().unwrap()),
                    "{name} {arguments}"
                );
                let total: u64 = got.iter().map(|row| row[2].as_u64().unwrap()).sum();
                assert_eq!(top["total"], json!(total), "{name} {arguments}");

                let rates = scene.answer(name, "error_workflow_rates", &arguments).await;
                let within = format!(
                    "{may_see} and {condition} and \"timestamp\" >= '{}' and \"timestamp\" < '{}'",
                    rates["since"].as_str().unwrap(),
                    scene.now
                );
                for row in rates["workflows"].as_array().unwrap() {
                    let workflow = row["workflow_id"]
                        .as_str()
                        .map_or("workflow_id is null".to_owned(), |id| {
                            format!("workflow_id = '{id}'")
                        });
                    let project =
                        row["project_id"].as_str().map_or("project_id is null".to_owned(), |id| {
                            format!("project_id = '{id}'")
                        });
                    let expected = scene.ask(&format!(
                        "select jsonb_build_array(count(*), count(*) filter (where severity = 'high'))
                           from public.error_metrics where {within} and {workflow} and {project}")).await;
                    assert_eq!(json!([row["errors"], row["high"]]), expected, "{name} {row}");
                    assert_eq!(row["name"].is_null(), row["workflow_id"].is_null(), "{row}");
                    assert_eq!(
                        row["runs"].is_null(),
                        hours < -24.0 || row["workflow_id"].is_null(),
                        "{row}"
                    );
                }
                let errors = rates["workflows"]
                    .as_array()
                    .unwrap()
                    .iter()
                    .map(|row| row["errors"].as_u64().unwrap())
                    .sum::<u64>();
                assert_eq!(
                    json!(errors),
                    scene
                        .ask(&format!("select count(*) from public.error_metrics where {within}"))
                        .await
                );
            }
        }
    }
    let top = scene
        .answer(
            "global_admin",
            "error_top_groups",
            &json!({"since": scene.at(-80.0).await, "page_size": 1}),
        )
        .await;
    assert_eq!(top["groups"].as_array().map(Vec::len), Some(1));
    let fingerprint = top["groups"][0]["fingerprint"].as_str().unwrap();
    for (name, _, may_see) in PEOPLE {
        for hours in [-3.0, -80.0] {
            let detail = scene.answer(name, "error_group_detail",
                &json!({"fingerprint": fingerprint, "since": scene.at(hours).await, "until": scene.now})).await;
            let within = format!(
                "{may_see} and fingerprint = '{fingerprint}' and \"timestamp\" >= '{}' and \"timestamp\" < '{}'",
                detail["since"].as_str().unwrap(),
                scene.now
            );
            let expected = scene.ask(&format!("select jsonb_build_array(count(*), (select coalesce(jsonb_object_agg(severity, n), '{{}}') from (
                select severity, count(*) as n from public.error_metrics where {within} group by 1) s)) from public.error_metrics where {within}")).await;
            assert_eq!(json!([detail["count"], detail["severities"]]), expected, "{name} {detail}");
            let groups = scene.ask(&format!("select count(distinct coalesce(project_id::text, '')) from public.error_metrics
                where {may_see} and fingerprint = '{fingerprint}'")).await;
            assert_eq!(
                json!(detail["groups"].as_array().unwrap().len()),
                groups,
                "{name} {detail}"
            );
        }
    }
}

/// Reads all pages, with `between` after each.
async fn pages(scene: &Scene, person: &str, arguments: &Value, between: u32) -> Vec<Value> {
    let mut all: Vec<Value> = Vec::new();
    loop {
        let mut arguments = arguments.clone();
        if let Some(last) = all.last() {
            arguments["before_at"] = last["timestamp"].clone();
            arguments["before_seq"] = last["seq"].clone();
        }
        let page = scene.answer(person, "error_history", &arguments).await;
        let page = page.as_array().unwrap().clone();
        if page.is_empty() {
            return all;
        }
        all.extend(page);
        if between > 0 {
            scene.insert(between).await;
        }
    }
}

#[tokio::test]
async fn pages_do_not_move_while_errors_arrive() {
    let scene = Scene::new(400).await;
    let as_of = scene.ask("select max(seq) from public.error_metrics").await;
    let since = scene.at(-80.0).await;
    for (name, _, may_see) in PEOPLE {
        for (filters, condition) in [
            (json!({}), "true".to_owned()),
            (json!({"severities": ["high"]}), "severity = 'high'".to_owned()),
            (json!({"workflows": [WORKFLOWS[0]]}), format!("workflow_id = '{}'", WORKFLOWS[0])),
            (
                json!({"project": PROJECT_A, "text": "ALPHA"}),
                format!("project_id = '{PROJECT_A}' and message ilike '%alpha%'"),
            ),
        ] {
            let arguments =
                json!({"since": since, "filters": filters, "as_of": as_of, "page_size": 37});
            let rows = pages(&scene, name, &arguments, 5).await;
            let ids: Vec<&Value> = rows.iter().map(|row| &row["error_id"]).collect();
            let expected = scene.ask(&format!(
                "select coalesce(jsonb_agg(error_id order by \"timestamp\" desc, seq desc), '[]') from public.error_metrics
                  where {may_see} and {condition} and seq <= {as_of} and \"timestamp\" >= '{since}'")).await;
            assert_eq!(json!(ids), expected, "{name} {arguments}");
        }
    }
}

#[tokio::test]
async fn the_feed_goes_on_where_it_was() {
    let scene = Scene::new(60).await;
    let first = scene.answer("owner_a", "error_feed", &json!({"page_size": 500})).await;
    let rows = first["rows"].as_array().unwrap();
    assert!(
        rows.iter()
            .all(|row| row["project_id"] == json!(PROJECT_A) && row.get("metadata").is_none()),
        "{first}"
    );
    assert_eq!(first["more"], json!(false));
    let mut seen: BTreeSet<i64> = BTreeSet::new();
    let mut cursor = first["last_seq"].clone();
    for _ in 0..3 {
        scene.insert(30).await;
        let next = scene.answer("owner_a", "error_feed", &json!({"after_seq": cursor})).await;
        assert_eq!(next["rows"].as_array().unwrap().len(), 10, "{next}");
        seen.extend(
            next["rows"].as_array().unwrap().iter().map(|row| row["seq"].as_i64().unwrap()),
        );
        cursor = next["last_seq"].clone();
    }
    assert_eq!(seen.len(), 30);
    let little = json!({"after_seq": first["last_seq"], "page_size": 4});
    let next = scene.answer("owner_a", "error_feed", &little).await;
    assert_eq!((next["more"].clone(), next["rows"].as_array().unwrap().len()), (json!(true), 4));
    assert_eq!(next["rows"][0]["seq"], cursor, "the latest are kept: {next}");
    let nothing = scene.answer("outsider", "error_feed", &json!({})).await;
    assert_eq!((nothing["rows"].clone(), nothing["last_seq"].clone()), (json!([]), json!(0)));
}
