//! The error bodies of the Auth API: `{"code", "error_code", "msg"}`.

use axum::{
    Json,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use serde_json::json;

/// An answer other than success.
#[derive(Debug, thiserror::Error)]
pub enum AuthError {
    /// Wrong address or password.
    #[error("Invalid login credentials")]
    InvalidCredentials,
    /// The body lacks what the grant needs.
    #[error("{0}")]
    Validation(&'static str),
    /// The refresh token is not known.
    #[error("Invalid Refresh Token: Refresh Token Not Found")]
    RefreshTokenNotFound,
    /// The refresh token was used before; its session has been ended.
    #[error("Invalid Refresh Token: Already Used")]
    RefreshTokenUsed,
    /// No bearer token.
    #[error("This endpoint requires a valid Bearer token")]
    NoAuthorization,
    /// The bearer token is not good.
    #[error("invalid JWT: unable to parse or verify signature, {0}")]
    BadJwt(String),
    /// The token's session has ended.
    #[error("Session from session_id claim in JWT does not exist")]
    SessionNotFound,
    /// The token's user is gone.
    #[error("User from sub claim in JWT does not exist")]
    UserNotFound,
    /// The database failed; it is logged and not told.
    #[error("Internal Server Error")]
    Database(#[from] sqlx::Error),
    /// A token could not be written; it is logged and not told.
    #[error("Internal Server Error")]
    Signing(#[from] serde_json::Error),
}

impl AuthError {
    fn code(&self) -> (StatusCode, &'static str) {
        match self {
            Self::InvalidCredentials => (StatusCode::BAD_REQUEST, "invalid_credentials"),
            Self::Validation(_) => (StatusCode::BAD_REQUEST, "validation_failed"),
            Self::RefreshTokenNotFound => (StatusCode::BAD_REQUEST, "refresh_token_not_found"),
            Self::RefreshTokenUsed => (StatusCode::BAD_REQUEST, "refresh_token_already_used"),
            Self::NoAuthorization => (StatusCode::UNAUTHORIZED, "no_authorization"),
            Self::BadJwt(_) => (StatusCode::FORBIDDEN, "bad_jwt"),
            Self::SessionNotFound => (StatusCode::FORBIDDEN, "session_not_found"),
            Self::UserNotFound => (StatusCode::FORBIDDEN, "user_not_found"),
            Self::Database(_) | Self::Signing(_) => {
                (StatusCode::INTERNAL_SERVER_ERROR, "unexpected_failure")
            }
        }
    }
}

impl IntoResponse for AuthError {
    fn into_response(self) -> Response {
        let (status, error_code) = self.code();
        match &self {
            Self::Database(error) => tracing::error!(%error, "sign-in failed at the database"),
            Self::Signing(error) => tracing::error!(%error, "a token could not be written"),
            _ => {}
        }
        let msg = self.to_string();
        let body = json!({"code": status.as_u16(), "error_code": error_code, "msg": msg});
        (status, Json(body)).into_response()
    }
}
