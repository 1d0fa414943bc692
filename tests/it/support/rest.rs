//! A REST server for a test: ours on a database of its own, or the one that the environment names
//! ([`super::external`]).

use reqwest::Method;
use serde_json::{Value, json};
use sqlx::PgPool;
use supabase_local::{
    jwt::sign_hs256,
    rest::{Rest, RestConfig},
};
use tokio::{net::TcpListener, sync::OwnedMutexGuard, task::JoinSet};

use super::{PATIENCE, db::TestDb, eventually, external::External, sql};

const SECRET: &str = "the tests' secret, long enough for HS256";

/// A REST API over a migrated database without errors, rules or incidents.
pub struct RestSite {
    /// The base of all paths, without a slash at its end.
    url: String,
    secret: String,
    /// What a gateway in front wants to see.
    api_key: Option<String>,
    client: reqwest::Client,
    /// The same database, past row-level security.
    pub admin: PgPool,
    /// Whether the project was named by the environment, so that others' things may be in it.
    pub external: bool,
    _tasks: JoinSet<()>,
    _database: Option<TestDb>,
    _alone: Option<OwnedMutexGuard<()>>,
}

/// What came back.
#[derive(Debug)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// The body; null when it is empty or no JSON.
    pub body: Value,
}

impl RestSite {
    /// Starts the local server, or prepares the project of the environment.
    pub async fn start() -> Self {
        match External::read() {
            Some(external) => Self::external(external).await,
            None => Self::local().await,
        }
    }

    async fn local() -> Self {
        let database = TestDb::new().await;
        let rest = Rest::start(RestConfig::new(&database.authenticator_url, SECRET)).await.unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/rest/v1", listener.local_addr().unwrap());
        let app = axum::Router::new().nest("/rest/v1", rest.router());
        let mut tasks = JoinSet::new();
        tasks.spawn(async move { axum::serve(listener, app).await.unwrap() });
        Self {
            url,
            secret: SECRET.to_owned(),
            api_key: None,
            client: client(),
            admin: database.admin().await,
            external: false,
            _tasks: tasks,
            _database: Some(database),
            _alone: None,
        }
    }

    async fn external(external: External) -> Self {
        let (admin, alone) = external.prepare().await;
        let anon = sign_hs256(&external.jwt_secret, &json!({"role": "anon"})).unwrap();
        let site = Self {
            url: external.rest_url,
            api_key: Some(external.anon_key.unwrap_or(anon)),
            secret: external.jwt_secret,
            client: client(),
            admin,
            external: true,
            _tasks: JoinSet::new(),
            _database: None,
            _alone: Some(alone),
        };
        sql(&site.admin, "notify pgrst, 'reload schema'").await;
        let service = site.token(&json!({"role": "service_role"}));
        eventually("the REST API knows the tables", async || {
            let answer = site.get("/error_metrics?limit=0", Some(&service)).await;
            (answer.status == 200).then_some(())
        })
        .await;
        site
    }

    /// Empties the tables of error tracking, but for the masking rules.
    pub async fn empty(&self) {
        sql(
            &self.admin,
            // The tables are small here, and to truncate them takes ten times as long.
            "delete from public.alert_notifications; delete from public.alert_incidents;
             delete from public.alert_rules; delete from public.alert_channels;
             delete from public.alert_silences; delete from public.error_access;
             delete from public.alert_quiet_hours;
             delete from public.error_metrics; delete from public.error_groups;
             delete from public.error_rate_minutes; delete from public.error_rate_hours;
             delete from public.error_group_hours; delete from error_tracking.canary_delays;
             delete from public.error_rates_live; delete from public.error_tracker_status;",
        )
        .await;
    }

    /// A token with these claims that holds for ten minutes of the machine's clock.
    pub fn token(&self, claims: &Value) -> String {
        let mut claims = claims.clone();
        claims["exp"] = json!(supabase_local::jwt::system_clock()() + 600);
        sign_hs256(&self.secret, &claims).unwrap()
    }

    /// Sends a request and reads the answer.
    pub async fn send(
        &self,
        method: Method,
        path: &str,
        token: Option<&str>,
        headers: &[(&str, &str)],
        body: Option<&Value>,
    ) -> Answer {
        let mut request = self.client.request(method, format!("{}{path}", self.url));
        if let Some(key) = &self.api_key {
            request = request.header("apikey", key);
        }
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if let Some(body) = body {
            request = request.json(body);
        }
        let response = request.send().await.unwrap();
        let status = response.status().as_u16();
        let text = response.text().await.unwrap();
        Answer { status, body: serde_json::from_str(&text).unwrap_or_default() }
    }

    /// Reads.
    pub async fn get(&self, path: &str, token: Option<&str>) -> Answer {
        self.send(Method::GET, path, token, &[], None).await
    }

    /// Inserts or calls a function.
    pub async fn post(&self, path: &str, token: Option<&str>, body: &Value) -> Answer {
        self.send(Method::POST, path, token, &[("prefer", "return=minimal")], Some(body)).await
    }
}

fn client() -> reqwest::Client {
    rustls::crypto::aws_lc_rs::default_provider().install_default().ok();
    reqwest::Client::builder().timeout(PATIENCE).build().unwrap()
}
