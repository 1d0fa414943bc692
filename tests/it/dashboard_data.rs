//! What the dashboard asks for, through HTTP, as the people who ask, against a plain `count(*)`.
//! No rights of tables here (`matrix` has those), and no pages (the browser tests have those).
//! Errors and rollups come from `scene`; answers are compared with the table itself.

mod lists;
mod scene;
mod status;
mod sums;

use serde_json::{Value, json};

use scene::{PEOPLE, PROJECT_A, PROJECT_B, Scene, WORKFLOWS};

/// Filters, and what they mean as a condition on `error_metrics`.
fn filters() -> Vec<(Value, String)> {
    [
        (json!({}), "true"),
        (json!({"project": PROJECT_A}), "project_id = '{A}'"),
        (json!({"project": "none"}), "project_id is null"),
        (json!({"sources": ["worker", "system"]}), "source in ('worker', 'system')"),
        (json!({"types": ["execution"]}), "error_type like 'execution%'"),
        (
            json!({"types": ["execution.http", "system"]}),
            "error_type in ('execution.http', 'system')",
        ),
        (json!({"severities": ["high"], "sources": []}), "severity = 'high'"),
        (json!({"workflows": [WORKFLOWS[0], WORKFLOWS[2]]}), "workflow_id in ('{0}', '{2}')"),
        (
            json!({"project": PROJECT_B, "severities": ["low"], "types": "input"}),
            "project_id = '{B}' and severity = 'low' and error_type like 'input%'",
        ),
    ]
    .into_iter()
    .map(|(filters, condition)| {
        let condition = condition
            .replace("{A}", PROJECT_A)
            .replace("{B}", PROJECT_B)
            .replace("{0}", WORKFLOWS[0])
            .replace("{2}", WORKFLOWS[2]);
        (filters, condition)
    })
    .collect()
}

fn sum(counts: &Value) -> u64 {
    counts.as_array().expect("counts").iter().map(|n| n.as_u64().expect("a count")).sum()
}

/// Compares one series with the table, step by step where `step_by_step`.
async fn check_series(
    scene: &Scene,
    person: (&str, &str, &str),
    arguments: &Value,
    condition: &str,
) {
    let (name, _, may_see) = person;
    let series = scene.answer(name, "error_series", arguments).await;
    let context = format!("{name} {arguments}");
    let (since, until) = (series["since"].as_str().unwrap(), series["until"].as_str().unwrap());
    let (step, column) = (
        series["step_seconds"].as_u64().unwrap(),
        match arguments["dimension"].as_str().unwrap() {
            "severity" => "severity::text",
            "source" => "source",
            "type" => "error_type",
            "workflow" => "coalesce(workflow_id::text, 'none')",
            _ => "'total'",
        },
    );
    let expected = scene
        .ask(&format!(
            "select coalesce(jsonb_object_agg(key, counts), '{{}}') from (
               select key, jsonb_agg(n order by i) as counts from (
                 select k.key, i, (select count(*) from public.error_metrics m
                    where {column} = k.key and {may_see} and {condition}
                      and \"timestamp\" >= '{since}'::timestamptz + i * interval '{step} seconds'
                      and \"timestamp\" < '{since}'::timestamptz + (i + 1) * interval '{step} seconds') as n
                   from (select distinct {column} as key from public.error_metrics) k,
                        generate_series(0, (extract(epoch from '{until}'::timestamptz - '{since}') / {step})::int - 1) as i) s
               group by key having sum(n) > 0) keys"
        ))
        .await;
    let got = series["counts"].as_object().unwrap();
    for (key, counts) in expected.as_object().unwrap() {
        assert_eq!(Some(counts), got.get(key), "{context}: {key}");
        assert_eq!(series["totals"][key], json!(sum(counts)), "{context}: {key}");
    }
    let steps = expected.as_object().unwrap().values().next().map(|c| c.as_array().unwrap().len());
    for (key, counts) in got {
        assert!(expected.get(key).is_some() || sum(counts) == 0, "{context}: {key} {counts}");
        assert!(steps.is_none_or(|n| counts.as_array().unwrap().len() == n), "{context}: {key}");
    }
}

#[tokio::test]
async fn a_series_is_what_the_table_counts() {
    let scene = Scene::new(1_500).await;
    let now = scene.now.clone();
    let long = json!({"since": scene.at(-73.0).await, "until": now, "step_seconds": 21_600});
    let day = json!({"since": scene.at(-23.7).await, "until": now, "step_seconds": 3_600});
    let hour = json!({"since": scene.at(-0.9).await, "until": now, "step_seconds": 60});
    let fine = json!({"since": scene.at(-0.1).await, "until": now, "step_seconds": 7});
    for person in PEOPLE {
        for (range, dimension) in [
            (&long, "severity"),
            (&day, "type"),
            (&hour, "source"),
            (&fine, "none"),
            (&day, "workflow"),
        ] {
            for (filters, condition) in filters() {
                let mut arguments = range.clone();
                arguments["dimension"] = json!(dimension);
                arguments["filters"] = filters;
                check_series(&scene, person, &arguments, &condition).await;
            }
        }
        // Texts are read from the errors themselves, and their signs mean nothing but themselves.
        for (text, condition) in [
            ("alpha", "lower(message) like '%alpha%'"),
            ("100% of_", "message like '%100\\% of\\_%'"),
            ("%", "message like '%\\%%'"),
            ("it's \"q\"", "false"),
        ] {
            let mut arguments = day.clone();
            arguments["dimension"] = json!("severity");
            arguments["filters"] = json!({"text": text});
            check_series(&scene, person, &arguments, condition).await;
        }
    }
}

#[tokio::test]
async fn the_tiles_are_what_the_table_counts() {
    let scene = Scene::new(900).await;
    let admin = &scene.site.admin;
    crate::support::sql(
        admin,
        &format!(
            "insert into public.workflow_runs (project_id, workflow_id, status, started_at)
               select '{PROJECT_A}', '{}', 'running', '{}'::timestamptz - interval '20 minutes' from generate_series(1, 40);
             insert into public.alert_incidents (incident_id, rule_name, project_id, state, level, peak_level, started_at, value, threshold, peak)
               select gen_random_uuid(), 'r', p::uuid, s, 'critical', 'critical', now(), 1, 1, 1
                 from unnest(array['{PROJECT_A}', '{PROJECT_B}', null]) p, unnest(array['firing', 'pending', 'resolved']) s",
            WORKFLOWS[0], scene.now
        ),
    )
    .await;
    for (name, _, may_see) in PEOPLE {
        for (since, previous) in [(-2.0, -4.0), (-60.0, -120.0)] {
            let (from, before) = (scene.at(since).await, scene.at(previous).await);
            let arguments = json!({"since": from, "until": scene.now});
            let tiles = scene.answer(name, "error_overview", &arguments).await;
            let context = format!("{name} {arguments}: {tiles}");
            let count = async |since: &str, until: &str| {
                scene.ask(&format!(
                    "select count(*) from public.error_metrics where {may_see} and \"timestamp\" >= '{since}' and \"timestamp\" < '{until}'")).await
            };
            let first = tiles["since"].as_str().unwrap();
            let whole = tiles["compared"]["until"].as_str().unwrap();
            assert_eq!(tiles["errors"], count(first, &scene.now).await, "{context}");
            assert_eq!(tiles["compared"]["current"], count(first, whole).await, "{context}");
            if since > -24.0 {
                assert_eq!(tiles["compared"]["previous"], count(&before, first).await, "{context}");
                let runs = if name.ends_with("_a") || name == "global_admin" { 40 } else { 0 };
                assert_eq!(tiles["ratio"]["runs"], json!(runs), "{context}");
                assert_eq!(tiles["ratio"]["errors"], tiles["errors"], "{context}");
            }
            let open = match name {
                "global_admin" => 3,
                "outsider" => 0,
                _ => 1,
            };
            for state in ["firing", "pending", "critical"] {
                assert_eq!(tiles["incidents"][state], json!(open), "{context}");
            }
        }
    }
    let day =
        json!({"since": scene.at(-24.0).await, "until": scene.now, "filters": {"text": "alpha"}});
    let tiles = scene.answer("global_admin", "error_overview", &day).await;
    assert_eq!(tiles["compared"]["previous"], json!(null), "{tiles}");
    let alphas = format!(
        "select count(*) from public.error_metrics where lower(message) like '%alpha%' and \"timestamp\" >= '{}' and \"timestamp\" < '{}'",
        tiles["since"].as_str().unwrap(),
        scene.now
    );
    assert_eq!(tiles["errors"], scene.ask(&alphas).await, "{tiles}");
    let mine = json!({"filters": {"project": PROJECT_A}});
    let tiles = scene.answer("global_admin", "error_overview", &mine).await;
    assert_eq!(tiles["incidents"]["firing"], json!(1), "{tiles}");
}

#[tokio::test]
async fn what_cannot_be_answered_is_refused_with_the_fields_name() {
    let scene = Scene::new(10).await;
    let month = json!("2020-01-01T00:00:00Z");
    for (function, arguments, message) in [
        (
            "error_series",
            json!({"filters": {"colour": "red"}}),
            "filters.colour: there is no such filter",
        ),
        (
            "error_series",
            json!({"filters": {"project": "x' or 1=1"}}),
            "filters.project: must be a uuid",
        ),
        (
            "error_series",
            json!({"filters": {"workflows": ["none"]}}),
            "filters.workflows: must be a uuid",
        ),
        ("error_series", json!({"step_seconds": 0}), "step_seconds: must be 1 to 2592000"),
        ("error_series", json!({"step_seconds": 1}), "step_seconds: must make 1 to 2000 steps"),
        ("error_series", json!({"dimension": "colour"}), "dimension: must be"),
        (
            "error_series",
            json!({"since": month, "step_seconds": 2_592_000, "filters": {"text": "x"}}),
            "filters.text: the range must be at most 24 hours",
        ),
        (
            "error_series",
            json!({"since": scene.at(-240.0).await, "step_seconds": 1_800}),
            "step_seconds: must be whole hours",
        ),
        ("error_series", json!({"until": month}), "step_seconds: must make"),
        ("error_overview", json!({"until": month}), "since: must be before until"),
        (
            "error_history",
            json!({"since": month, "filters": {"text": "x"}}),
            "filters.text: the range must be at most 7 days",
        ),
        ("error_top_groups", json!({"since": null}), "since: must be before until"),
    ] {
        let answer = scene.call("owner_a", function, &arguments).await;
        assert_eq!(
            (answer.status, &answer.body["code"]),
            (400, &json!("22023")),
            "{arguments}: {answer:?}"
        );
        let text = answer.body["message"].as_str().unwrap_or_default();
        assert!(text.starts_with(message), "{function} {arguments}: {text}");
    }
    let severities = json!({"filters": {"severities": ["worst"]}});
    let answer = scene.call("owner_a", "error_series", &severities).await;
    assert_eq!((answer.status, &answer.body["code"]), (400, &json!("22P02")), "{answer:?}");
}
