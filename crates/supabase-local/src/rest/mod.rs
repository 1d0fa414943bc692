//! What PostgREST 14 does, as far as this project and the official clients use it, on `/rest/v1`.
//! Parsing requests, writing their SQL and wording answers live here; running PostgreSQL, Realtime
//! and Auth may not.
//! HTTP requests come in through [`Rest::router`], statements go to the database as the token's
//! role, and PostgreSQL itself builds the JSON that goes out.
//!
//! ```no_run
//! # async fn example(database_url: &str) -> Result<(), supabase_local::rest::RestError> {
//! use supabase_local::rest::{Rest, RestConfig};
//!
//! let rest = Rest::start(RestConfig::new(database_url, "secret of at least 32 characters")).await?;
//! let app: axum::Router = axum::Router::new().nest("/rest/v1", rest.router());
//! // Own this future: it reads the schema again after `notify pgrst`, until it is dropped.
//! let watch = rest.watch_schema();
//! # let _ = (app, watch); Ok(()) }
//! ```
//!
//! A request runs in one transaction: `search_path`, role, claims and request are set locally, then
//! one statement reads or writes and returns the finished body. What this server cannot do answers
//! 501 with the code `LOCAL501`, never something that the real server would not say.
//!
//! | part | what |
//! |---|---|
//! | `request`, `query`, `prefer`, `media`, `range`, `payload` | reading requests |
//! | `cache`, `embed`, `function` | what exists, and what a name means |
//! | `plan`, `sql`, `quote` | writing the statement |
//! | `auth`, `execute`, `respond`, `error`, `database_error`, `cors` | running and answering |

mod auth;
mod cache;
mod cors;
mod database_error;
mod embed;
mod error;
mod execute;
mod function;
mod hint;
mod media;
mod payload;
mod plan;
mod prefer;
mod query;
mod quote;
mod range;
mod request;
mod respond;
mod service;
mod sql;

use std::{sync::Arc, time::Duration};

use axum::{Router, extract::DefaultBodyLimit};
use sqlx::{
    ConnectOptions,
    postgres::{PgConnectOptions, PgListener, PgPoolOptions},
};

use crate::jwt;
use cache::SharedCache;
pub use error::ApiError;
use plan::Limits;
pub use query::Query;
use service::Service;

/// The largest body that is read, in bytes.
const LARGEST_BODY: usize = 64 << 20;
/// The pause before listening again after the connection was lost.
const LISTEN_AGAIN_AFTER: Duration = Duration::from_millis(500);

/// How to serve a database.
#[derive(Clone)]
pub struct RestConfig {
    /// The address with which `authenticator` logs in.
    pub database_url: String,
    /// The HS256 secret of the project's tokens.
    pub jwt_secret: String,
    /// The served schemas; the first is the default.
    pub schemas: Vec<String>,
    /// The role of requests without a token.
    pub anon_role: String,
    /// The most rows that one answer has; Supabase's default is 1000.
    pub max_rows: Option<u64>,
    /// The most connections to the database.
    pub pool_size: u32,
    /// How long a request waits for a free connection before it is answered with 503 or 504.
    pub acquire_timeout: Duration,
    /// Whether updates and deletes without a filter are refused, as on Supabase.
    pub safe_update: bool,
    /// What tokens expire by.
    pub clock: jwt::Clock,
}

impl RestConfig {
    /// The settings of a new Supabase project.
    #[must_use]
    pub fn new(database_url: impl Into<String>, jwt_secret: impl Into<String>) -> Self {
        Self {
            database_url: database_url.into(),
            jwt_secret: jwt_secret.into(),
            schemas: vec!["public".to_owned()],
            anon_role: "anon".to_owned(),
            max_rows: Some(1000),
            pool_size: 10,
            acquire_timeout: Duration::from_secs(10),
            safe_update: true,
            clock: jwt::system_clock(),
        }
    }
}

impl std::fmt::Debug for RestConfig {
    /// Leaves out the address and the secret.
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("RestConfig")
            .field("schemas", &self.schemas)
            .field("anon_role", &self.anon_role)
            .field("max_rows", &self.max_rows)
            .field("pool_size", &self.pool_size)
            .finish_non_exhaustive()
    }
}

/// Why the server could not be started.
#[derive(Debug, thiserror::Error)]
pub enum RestError {
    /// The address is not one.
    #[error("the database address of the REST server is not valid")]
    Address,
    /// The schema could not be read.
    #[error("cannot read the schema for the REST server: {0}")]
    Database(#[from] sqlx::Error),
}

/// A running REST server without a listener of its own.
#[derive(Clone)]
pub struct Rest {
    service: Arc<Service>,
}

impl Rest {
    /// Connects and reads the schema.
    ///
    /// # Errors
    /// When the database cannot be reached or read.
    pub async fn start(config: RestConfig) -> Result<Self, RestError> {
        let options: PgConnectOptions =
            config.database_url.parse().map_err(|_| RestError::Address)?;
        let options = options
            .application_name("supabase-local rest")
            .statement_cache_capacity(0)
            .disable_statement_logging();
        let pool = PgPoolOptions::new()
            .max_connections(config.pool_size.max(1))
            .acquire_timeout(config.acquire_timeout)
            .connect_with(options)
            .await?;
        let cache = SharedCache::start(&pool, config.schemas.clone()).await?;
        let limits = Limits { max_rows: config.max_rows, safe_update: config.safe_update };
        Ok(Self { service: Arc::new(Service { pool, cache, limits, config }) })
    }

    /// The routes, to be nested below `/rest/v1` or served at the root.
    pub fn router(&self) -> Router {
        Router::new()
            .fallback(service::handle)
            .layer(DefaultBodyLimit::max(LARGEST_BODY))
            .with_state(Arc::clone(&self.service))
    }

    /// Reads the schema again whenever somebody sends `notify pgrst`; never returns.
    ///
    /// Without it a look-up that fails reads the schema again, so new tables, columns and functions
    /// are found all the same, and only changed ones go unnoticed.
    pub async fn watch_schema(&self) {
        loop {
            let lost = self.watch_once().await;
            tracing::debug!(error = %lost, "the schema is no longer watched");
            tokio::time::sleep(LISTEN_AGAIN_AFTER).await;
        }
    }

    /// Reads the schema now.
    ///
    /// # Errors
    /// When the database cannot be read; the old schema then stays in use.
    pub async fn reload_schema(&self) -> Result<(), RestError> {
        let (seen, _) = self.service.cache.get();
        self.service.cache.newer_than(&self.service.pool, seen).await?;
        Ok(())
    }

    /// Closes the connections; requests after this answer 503.
    pub async fn close(&self) {
        self.service.pool.close().await;
    }

    async fn watch_once(&self) -> sqlx::Error {
        let listen = async {
            let mut listener = PgListener::connect(&self.service.config.database_url).await?;
            listener.listen("pgrst").await?;
            // What changed before the connection stood was not announced to it.
            loop {
                let (seen, _) = self.service.cache.get();
                self.service.cache.newer_than(&self.service.pool, seen).await?;
                loop {
                    match listener.try_recv().await? {
                        Some(notification)
                            if !matches!(notification.payload(), "" | "reload schema") => {}
                        // Nothing at all means that the connection was lost and stands again.
                        _ => break,
                    }
                }
            }
        };
        let result: Result<std::convert::Infallible, sqlx::Error> = listen.await;
        match result {
            Ok(never) => match never {},
            Err(error) => error,
        }
    }
}
