//! A deployment with two projects, whose people call the API.

use reqwest::{Client, Method, header::HeaderMap};
use serde_json::{Value, json};
use sqlx::AssertSqlSafe;
use uuid::Uuid;

use crate::support::stack::{Instance, Stack};

/// A daemon in front of two projects, each with a workflow and an owner.
pub struct Rig {
    pub stack: Stack,
    pub instance: Instance,
    pub a: Tenant,
    pub b: Tenant,
    client: Client,
}

/// A project and its people.
pub struct Tenant {
    pub project: Uuid,
    pub workflow: Uuid,
    /// Token of the owner.
    pub owner: String,
    /// Token of somebody who may read.
    pub viewer: String,
    /// Token of a worker that may report for this project only.
    pub reporter: String,
}

/// What came back.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub text: String,
}

impl Answer {
    /// The body as JSON; null where it is none.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_default()
    }

    /// A header; empty where it is missing.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// Index and field of each error.
    pub fn wrong(&self) -> Vec<(Option<u64>, String)> {
        let errors = self.json()["errors"].as_array().cloned().unwrap_or_default();
        errors
            .iter()
            .map(|error| (error["index"].as_u64(), error["field"].as_str().unwrap().to_owned()))
            .collect()
    }
}

impl Rig {
    pub async fn start() -> Self {
        Self::with(&[]).await
    }

    /// With some variables of the daemon's environment replaced.
    pub async fn with(variables: &[(&str, &str)]) -> Self {
        Self::on(Stack::start().await, variables).await
    }

    /// In front of a deployment of the test's own.
    pub async fn on(stack: Stack, variables: &[(&str, &str)]) -> Self {
        let instance = stack.daemon_with(variables.iter().copied()).await;
        let (a, b) = (tenant(&stack, "a").await, tenant(&stack, "b").await);
        Self { stack, instance, a, b, client: Client::new() }
    }

    /// Sends a request to the daemon.
    pub async fn send(
        &self,
        method: Method,
        path: &str,
        token: Option<&str>,
        headers: &[(&str, &str)],
        body: Option<Vec<u8>>,
    ) -> Answer {
        let url = format!("http://{}{path}", self.instance.daemon.address());
        let mut request = self.client.request(method, url);
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if let Some(body) = body {
            request = request.body(body);
        }
        let answer = request.send().await.expect("an answer");
        let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
        Answer { status, headers, text: answer.text().await.expect("a body") }
    }

    /// Reports events.
    pub async fn report(&self, token: &str, body: &Value) -> Answer {
        let json = [("content-type", "application/json")];
        let body = Some(body.to_string().into_bytes());
        self.send(Method::POST, "/api/error-events", Some(token), &json, body).await
    }

    /// Reads events or a series.
    pub async fn read(&self, token: &str, query: &str) -> Answer {
        let path = format!("/api/error-metrics{query}");
        self.send(Method::GET, &path, Some(token), &[], None).await
    }

    /// How many rows of `error_metrics` fulfil a condition.
    pub async fn rows(&self, condition: &str) -> i64 {
        let sql = format!("select count(*) from public.error_metrics where {condition}");
        sqlx::query_scalar(AssertSqlSafe(sql)).fetch_one(&self.stack.admin).await.unwrap()
    }
}

async fn tenant(stack: &Stack, name: &str) -> Tenant {
    let (owner, viewer) = (Uuid::new_v4(), Uuid::new_v4());
    let project = stack.project(name).await;
    let workflow = stack.workflow(project, name).await;
    sqlx::query("update public.projects set owner = $1 where id = $2")
        .bind(owner)
        .bind(project)
        .execute(&stack.admin)
        .await
        .unwrap();
    sqlx::query(
        "insert into public.error_access (project_id, user_id, role) values ($1, $2, 'viewer')",
    )
    .bind(project)
    .bind(viewer)
    .execute(&stack.admin)
    .await
    .unwrap();
    let user = |id: Uuid| stack.token("authenticated", &[("sub", id.to_string())], 3600);
    let reporter = stack.token("error_reporter", &[("project_id", project.to_string())], 3600);
    Tenant { project, workflow, owner: user(owner), viewer: user(viewer), reporter }
}

/// An event with these fields besides source and type.
pub fn event(fields: Value) -> Value {
    let mut event = json!({"source": "worker", "error_type": "execution.test"});
    let Value::Object(fields) = fields else { panic!("fields are an object") };
    event.as_object_mut().unwrap().extend(fields);
    event
}
