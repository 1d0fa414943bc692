//! Three days of errors of two tenants and of nobody, counted as the daemon counts them.

use serde_json::{Value, json};
use sqlx::AssertSqlSafe;

use crate::support::{
    rest::{Answer, RestSite},
    sql,
};

pub const PROJECT_A: &str = "aaaaaaaa-0000-4000-8000-00000000000a";
pub const PROJECT_B: &str = "bbbbbbbb-0000-4000-8000-00000000000b";
pub const WORKFLOWS: [&str; 3] = [
    "f1000000-0000-4000-8000-000000000001",
    "f1000000-0000-4000-8000-000000000002",
    "f1000000-0000-4000-8000-000000000003",
];

/// Who asks: a name, a user id, and the condition on `error_metrics` that says what they may see.
pub const PEOPLE: [(&str, &str, &str); 5] = [
    (
        "owner_a",
        "0a000000-0000-4000-8000-000000000001",
        "project_id = 'aaaaaaaa-0000-4000-8000-00000000000a'",
    ),
    (
        "viewer_a",
        "0a000000-0000-4000-8000-000000000002",
        "project_id = 'aaaaaaaa-0000-4000-8000-00000000000a'",
    ),
    (
        "owner_b",
        "0b000000-0000-4000-8000-000000000001",
        "project_id = 'bbbbbbbb-0000-4000-8000-00000000000b'",
    ),
    ("global_admin", "0c000000-0000-4000-8000-000000000001", "true"),
    ("outsider", "0d000000-0000-4000-8000-000000000001", "false"),
];

/// A REST API over the scene.
pub struct Scene {
    pub site: RestSite,
    /// The end of the three days, a whole minute of UTC.
    pub now: String,
}

impl Scene {
    /// `errors` errors, most of them recent, and all of them counted.
    pub async fn new(errors: u32) -> Self {
        let site = RestSite::start().await;
        let mut script = String::from("begin;");
        for (project, owner) in [(PROJECT_A, PEOPLE[0].1), (PROJECT_B, PEOPLE[2].1)] {
            script.push_str(&format!(
                "insert into public.projects (id, owner, name) values ('{project}', '{owner}', 'Scene')
                   on conflict (id) do nothing;"
            ));
        }
        let projects = [PROJECT_A, PROJECT_A, PROJECT_B];
        for (i, (workflow, project)) in WORKFLOWS.iter().zip(projects).enumerate() {
            script.push_str(&format!(
                "insert into public.workflow_definitions (id, project_id, slug, definition, name)
                   values ('{workflow}', '{project}', 'scene-{i}', '{{}}', 'Scene {i}')
                   on conflict (id) do nothing;"
            ));
        }
        script.push_str(&format!(
            "insert into public.error_access (project_id, user_id, role) values
               ('{PROJECT_A}', '{}', 'viewer'), (null, '{}', 'admin');
             commit;",
            PEOPLE[1].1, PEOPLE[3].1
        ));
        sql(&site.admin, &script).await;
        let now: String = sqlx::query_scalar(
            "select to_char(date_trunc('minute', now()) at time zone 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"')",
        )
        .fetch_one(&site.admin)
        .await
        .unwrap();
        let scene = Self { site, now };
        scene.insert(errors).await;
        scene.roll_up().await;
        sql(&scene.site.admin, "analyze public.error_metrics").await;
        scene
    }

    /// Errors of every kind; the same number gives the same errors, relative to now.
    pub async fn insert(&self, errors: u32) {
        let script = format!(
            "insert into public.error_metrics (\"timestamp\", source, error_type, severity, project_id, workflow_id, message)
             select '{}'::timestamptz - interval '3 days' * power((i * 7919 % 10007) / 10007.0, 3) - interval '1 microsecond' * i,
                    (array['worker', 'webhook', 'system'])[1 + i % 3],
                    (array['execution.http', 'execution.timeout', 'input.schema', 'system', 'execution.code.js'])[1 + i % 5],
                    (array['low', 'medium', 'high', 'medium'])[1 + i % 4]::public.error_severity,
                    (array['{PROJECT_A}', '{PROJECT_B}', null])[1 + i % 3]::uuid,
                    case i % 6 when 0 then '{}' when 3 then '{}' when 1 then '{}' end::uuid,
                    (array['HTTP 502 from Alpha', 'could not reach 100% of_peers', 'beta failed'])[1 + i % 4 % 3]
               from generate_series(1, {errors}) as i",
            self.now, WORKFLOWS[0], WORKFLOWS[1], WORKFLOWS[2]
        );
        sql(&self.site.admin, &script).await;
    }

    /// Counts what has not been counted yet, with the daemon's own statement.
    pub async fn roll_up(&self) {
        let ranges: String = sqlx::query_scalar(
            "select (int8multirange(int8range(1, last_value + 1)) - c.accounted)::text
               from error_tracking.error_metrics_seq, error_tracking.checkpoint c",
        )
        .fetch_one(&self.site.admin)
        .await
        .unwrap();
        sqlx::query(include_str!("../../../sql/roll_up.sql"))
            .bind(ranges)
            .execute(&self.site.admin)
            .await
            .unwrap();
    }

    /// Calls a function as one of [`PEOPLE`].
    pub async fn call(&self, person: &str, function: &str, arguments: &Value) -> Answer {
        let (_, id, _) = PEOPLE.iter().find(|(name, ..)| *name == person).expect("a person");
        let token = self.site.token(&json!({"role": "authenticated", "sub": id}));
        let path = format!("/rpc/{function}");
        self.site.send(reqwest::Method::POST, &path, Some(&token), &[], Some(arguments)).await
    }

    /// Calls a function that must succeed.
    pub async fn answer(&self, person: &str, function: &str, arguments: &Value) -> Value {
        let answer = self.call(person, function, arguments).await;
        assert_eq!(answer.status, 200, "{person} {function} {arguments}: {answer:?}");
        answer.body
    }

    /// One value from the database, past row-level security.
    pub async fn ask(&self, query: &str) -> Value {
        let query = format!("select to_jsonb(({query}))");
        sqlx::query_scalar::<_, Option<Value>>(AssertSqlSafe(query.clone()))
            .fetch_one(&self.site.admin)
            .await
            .unwrap_or_else(|error| panic!("{error}\n{query}"))
            .unwrap_or_default()
    }

    /// The end of the three days moved by some hours.
    pub async fn at(&self, hours: f64) -> String {
        let moved = format!("'{}'::timestamptz + interval '1 hour' * {hours}", self.now);
        self.ask(&moved).await.as_str().expect("a time").to_owned()
    }
}
