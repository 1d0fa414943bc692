//! The whole API on one listener: `/rest/v1`, `/realtime/v1`, `/auth/v1`.

use std::{io, net::SocketAddr, time::Duration};

use axum::{
    Router,
    extract::{Request, State},
    http::StatusCode,
    middleware::{Next, from_fn, from_fn_with_state},
    response::{IntoResponse, Response},
};
use serde_json::{Value, json};
use sqlx::{PgPool, postgres::PgPoolOptions};
use tokio::{net::TcpListener, task::JoinHandle, time::timeout};
use tokio_util::sync::CancellationToken;

use crate::{
    auth::Auth,
    cors,
    faults::Faults,
    jwt,
    postgres::Cluster,
    realtime::{Realtime, RealtimeConfig, Start},
    rest::{Rest, RestConfig, RestError},
};

/// The secret that every local Supabase uses; it protects nothing.
pub const LOCAL_JWT_SECRET: &str = "super-secret-jwt-token-with-at-least-32-characters-long";
/// The life of the anon and service keys: ten years.
const KEY_SECONDS: i64 = 10 * 365 * 24 * 3600;
const STOP_TIMEOUT: Duration = Duration::from_secs(5);

/// What [`LocalSupabase::start`] needs.
#[derive(Clone, Debug)]
pub struct LocalConfig {
    /// Where to listen; port 0 takes a free one.
    pub listen: SocketAddr,
    /// The database's address for a superuser with the replication privilege (`supabase_admin`).
    pub admin_url: String,
    /// The database's address for the role that becomes the others (`authenticator`).
    pub authenticator_url: String,
    /// The HS256 secret of all tokens.
    pub jwt_secret: String,
    /// The life of a user's access token, in seconds.
    pub token_seconds: i64,
    /// How Realtime paces itself.
    pub realtime: RealtimeConfig,
    /// At most this many connections for Realtime and Auth together.
    pub max_connections: u32,
    /// At most this many connections for REST.
    pub rest_connections: u32,
    /// The most rows of one REST answer.
    pub max_rows: Option<u64>,
}

impl LocalConfig {
    /// A free port on 127.0.0.1 in front of a database of `cluster`.
    #[must_use]
    pub fn new(cluster: &Cluster, database: &str) -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            admin_url: cluster.admin_url(database),
            authenticator_url: cluster.url("authenticator", database),
            jwt_secret: LOCAL_JWT_SECRET.into(),
            token_seconds: 3600,
            realtime: RealtimeConfig::default(),
            max_connections: 5,
            rest_connections: 10,
            max_rows: Some(1000),
        }
    }
}

/// A server that did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The address is taken or not ours.
    #[error("cannot listen on {0}: {1}")]
    Listen(SocketAddr, io::Error),
    /// The database cannot be reached or prepared.
    #[error("cannot use the database: {0}")]
    Database(#[from] sqlx::Error),
    /// REST cannot read the database.
    #[error(transparent)]
    Rest(#[from] RestError),
    /// The keys could not be signed.
    #[error("cannot sign the keys: {0}")]
    Keys(#[from] serde_json::Error),
}

/// A running local Supabase, in front of a database that is not its own.
///
/// Dropping it ends the server without waiting; [`LocalSupabase::stop`] waits.
#[derive(Debug)]
pub struct LocalSupabase {
    address: SocketAddr,
    anon_key: String,
    service_key: String,
    jwt_secret: String,
    faults: Faults,
    pool: PgPool,
    cancel: CancellationToken,
    serving: Option<JoinHandle<()>>,
}

impl LocalSupabase {
    /// Starts the server; it answers when this returns.
    ///
    /// # Errors
    /// When the address or the database cannot be used.
    pub async fn start(config: LocalConfig) -> Result<Self, StartError> {
        let clock = jwt::system_clock();
        let now = clock();
        let key = |role: &str| sign(&config.jwt_secret, now, role, None, KEY_SECONDS);
        let (anon_key, service_key) = (key("anon")?, key("service_role")?);
        let listening = |error| StartError::Listen(config.listen, error);
        let listener = TcpListener::bind(config.listen).await.map_err(listening)?;
        let address = listener.local_addr().map_err(listening)?;
        let pool = PgPoolOptions::new()
            .max_connections(config.max_connections)
            .acquire_timeout(Duration::from_secs(10))
            .connect(&config.admin_url)
            .await?;
        let (faults, cancel) = (Faults::default(), CancellationToken::new());
        let secret = config.jwt_secret;
        let issuer = format!("http://{address}/auth/v1");
        let auth = Auth::install(
            pool.clone(),
            secret.clone(),
            clock.clone(),
            issuer,
            config.token_seconds,
        );
        let auth = auth.await?;
        let mut rest = RestConfig::new(config.authenticator_url, secret.clone());
        rest.pool_size = config.rest_connections;
        rest.max_rows = config.max_rows;
        rest.clock = clock.clone();
        let rest = Rest::start(rest).await?;
        let realtime = Realtime::start(Start {
            config: config.realtime,
            pool: pool.clone(),
            database_url: config.admin_url,
            secret: secret.clone(),
            clock,
            faults: faults.clone(),
            cancel: cancel.clone(),
        });
        // REST and Auth answer preflight requests each in their own way.
        let app = Router::new()
            .merge(auth.router().layer(from_fn(cors::allow_any_origin)))
            .nest("/rest/v1", rest.router())
            .layer(from_fn_with_state(faults.clone(), disturb))
            .merge(realtime.router());
        let serving = tokio::spawn(serve(listener, app, realtime, rest, cancel.clone()));
        Ok(Self {
            address,
            anon_key,
            service_key,
            jwt_secret: secret,
            faults,
            pool,
            cancel,
            serving: Some(serving),
        })
    }

    /// Such as `http://127.0.0.1:54321`; what a client calls the project's URL.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The key for browsers: a token of the role `anon`.
    #[must_use]
    pub fn anon_key(&self) -> &str {
        &self.anon_key
    }

    /// The key that passes row security: a token of the role `service_role`.
    #[must_use]
    pub fn service_key(&self) -> &str {
        &self.service_key
    }

    /// The secret of all tokens.
    #[must_use]
    pub fn jwt_secret(&self) -> &str {
        &self.jwt_secret
    }

    /// The handle that makes this server misbehave.
    #[must_use]
    pub fn faults(&self) -> Faults {
        self.faults.clone()
    }

    /// Superuser connections to the database, for preparing and checking.
    #[must_use]
    pub fn pool(&self) -> &PgPool {
        &self.pool
    }

    /// A token for `role`, with a `sub` where it is a user's, that expires `seconds` from now (in
    /// the past where negative).
    ///
    /// # Errors
    /// When the claims cannot be written as JSON, which these can.
    pub fn token(
        &self,
        role: &str,
        sub: Option<&str>,
        seconds: i64,
    ) -> Result<String, serde_json::Error> {
        sign(&self.jwt_secret, jwt::system_clock()(), role, sub, seconds)
    }

    /// Ends every socket (1012) and request and frees the port and the replication slot.
    pub async fn stop(mut self) {
        self.cancel.cancel();
        if let Some(mut serving) = self.serving.take()
            && timeout(STOP_TIMEOUT, &mut serving).await.is_err()
        {
            tracing::warn!("the server did not end in time and is aborted");
            serving.abort();
        }
        self.pool.close().await;
    }
}

impl Drop for LocalSupabase {
    fn drop(&mut self) {
        self.cancel.cancel();
    }
}

fn sign(
    secret: &str,
    now: i64,
    role: &str,
    sub: Option<&str>,
    seconds: i64,
) -> Result<String, serde_json::Error> {
    let expires_at = now.saturating_add(seconds);
    let mut claims = json!({
        "iss": "supabase-local", "role": role, "iat": now.min(expires_at), "exp": expires_at,
    });
    if let (Some(sub), Some(claims)) = (sub, claims.as_object_mut()) {
        claims.insert("sub".into(), Value::from(sub));
        claims.insert("aud".into(), Value::from("authenticated"));
    }
    jwt::sign_hs256(secret, &claims)
}

async fn serve(
    listener: TcpListener,
    app: Router,
    realtime: Realtime,
    rest: Rest,
    cancel: CancellationToken,
) {
    let stopping = cancel.clone();
    let serving = axum::serve(listener, app)
        .with_graceful_shutdown(async move { stopping.cancelled().await });
    tokio::select! {
        served = serving.into_future() => if let Err(error) = served {
            tracing::error!(%error, "the listener failed");
        },
        // Follows changes of the schema for as long as requests are served.
        () = rest.watch_schema() => {}
    }
    cancel.cancel();
    realtime.stopped().await;
    rest.close().await;
}

/// The one place where faults touch plain HTTP.
async fn disturb(State(faults): State<Faults>, request: Request, next: Next) -> Response {
    let knobs = faults.knobs();
    let path = request.uri().path();
    let status = if path.starts_with("/rest/") {
        if let Some(delay) = knobs.rest_delay {
            tokio::time::sleep(delay).await;
        }
        knobs.rest_status
    } else if path.starts_with("/auth/") {
        knobs.auth_status
    } else {
        None
    };
    match status.and_then(|status| StatusCode::from_u16(status).ok()) {
        Some(status) => {
            (status, axum::Json(json!({"message": "refused on request"}))).into_response()
        }
        None => next.run(request).await,
    }
}
