//! Sign-in for seeded users, as much of Supabase Auth as the official clients need for it.
//! The HTTP endpoints below `/auth/v1` and their sessions live here; decisions about rows may not,
//! they are the database's alone.
//! Credentials and tokens come in as HTTP requests through [`Auth::router`], signed tokens go out,
//! and users, sessions and refresh tokens are rows of the schema `auth`.

mod error;
mod sessions;

use std::sync::Arc;

use axum::{
    Json, Router,
    extract::{Query, State},
    http::{HeaderMap, StatusCode, header},
    routing::{get, post},
};
use serde::Deserialize;
use serde_json::{Value, json};
use sqlx::PgPool;
use uuid::Uuid;

use crate::jwt::Clock;
pub use error::AuthError;

/// The Auth API of one database.
pub struct Auth {
    pool: PgPool,
    secret: String,
    clock: Clock,
    issuer: String,
    token_seconds: i64,
}

/// Creates a user who can sign in at once, or gives an existing id this address and password.
///
/// # Errors
/// When another user has the address, or the database fails.
pub async fn create_user(
    pool: &PgPool,
    email: &str,
    password: &str,
    id: Uuid,
) -> Result<(), sqlx::Error> {
    let query = sqlx::query(include_str!("sql/create_user.sql"));
    query.bind(id).bind(email).bind(password).execute(pool).await.map(|_| ())
}

impl Auth {
    /// Prepares the database: the tables that sign-in adds to `auth.users`.
    ///
    /// `issuer` is the API's own address, `token_seconds` the life of an access token.
    ///
    /// # Errors
    /// When the tables cannot be made.
    pub async fn install(
        pool: PgPool,
        secret: String,
        clock: Clock,
        issuer: String,
        token_seconds: i64,
    ) -> Result<Self, sqlx::Error> {
        // Two servers on one database may start together, and `if not exists` is no lock.
        let mut transaction = pool.begin().await?;
        sqlx::query("select pg_advisory_xact_lock(hashtext('supabase-local auth'))")
            .execute(&mut *transaction)
            .await?;
        sqlx::raw_sql(include_str!("sql/install.sql")).execute(&mut *transaction).await?;
        transaction.commit().await?;
        Ok(Self { pool, secret, clock, issuer, token_seconds })
    }

    /// The endpoints below `/auth/v1`.
    pub fn router(self) -> Router {
        let health = json!({"version": "local", "name": "GoTrue", "description": "local sign-in"});
        Router::new()
            .route("/auth/v1/token", post(token))
            .route("/auth/v1/user", get(user))
            .route("/auth/v1/logout", post(logout))
            .route("/auth/v1/health", get(|| async { Json(health) }))
            .route("/auth/v1/settings", get(|| async { Json(settings()) }))
            .with_state(Arc::new(self))
    }
}

fn settings() -> Value {
    json!({
        "external": {"email": true, "phone": false},
        "disable_signup": true,
        "mailer_autoconfirm": true,
        "phone_autoconfirm": false,
        "sms_provider": "",
        "saml_enabled": false,
    })
}

#[derive(Debug, Default, Deserialize)]
struct Parameters {
    grant_type: Option<String>,
    scope: Option<String>,
}

async fn token(
    State(auth): State<Arc<Auth>>,
    Query(parameters): Query<Parameters>,
    body: Result<Json<Value>, axum::extract::rejection::JsonRejection>,
) -> Result<Json<Value>, AuthError> {
    let Json(body) =
        body.map_err(|_| AuthError::Validation("Could not parse request body as JSON"))?;
    let text = |key: &str| body.get(key).and_then(Value::as_str).filter(|text| !text.is_empty());
    let answer = match parameters.grant_type.as_deref() {
        Some("password") => {
            let email = text("email").ok_or(AuthError::Validation("missing email or phone"))?;
            auth.by_password(email, text("password").unwrap_or_default()).await?
        }
        Some("refresh_token") => {
            let token =
                text("refresh_token").ok_or(AuthError::Validation("refresh_token required"))?;
            auth.by_refresh_token(token).await?
        }
        _ => return Err(AuthError::Validation("unsupported_grant_type")),
    };
    Ok(Json(answer))
}

fn authorization(headers: &HeaderMap) -> Option<&str> {
    headers.get(header::AUTHORIZATION)?.to_str().ok()
}

async fn user(State(auth): State<Arc<Auth>>, headers: HeaderMap) -> Result<Json<Value>, AuthError> {
    let (user, _) = auth.bearer(authorization(&headers)).await?;
    auth.user(user).await.map(Json)
}

async fn logout(
    State(auth): State<Arc<Auth>>,
    Query(parameters): Query<Parameters>,
    headers: HeaderMap,
) -> Result<StatusCode, AuthError> {
    let (user, session) = auth.bearer(authorization(&headers)).await?;
    auth.end(user, session, parameters.scope.as_deref().unwrap_or("global")).await?;
    Ok(StatusCode::NO_CONTENT)
}
