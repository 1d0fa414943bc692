//! Sessions: started by a password, kept up by rotating refresh tokens, ended by a logout.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use rand::RngCore;
use serde_json::{Value, json};
use sqlx::Row;
use uuid::Uuid;

use super::{Auth, error::AuthError};
use crate::jwt;

impl Auth {
    /// Signs in with a password.
    ///
    /// # Errors
    /// [`AuthError::InvalidCredentials`], or a failure of the database.
    pub(super) async fn by_password(
        &self,
        email: &str,
        password: &str,
    ) -> Result<Value, AuthError> {
        let user: Uuid = sqlx::query_scalar(include_str!("sql/user_by_password.sql"))
            .bind(email)
            .bind(password)
            .fetch_optional(&self.pool)
            .await?
            .ok_or(AuthError::InvalidCredentials)?;
        let (session, token) = (Uuid::new_v4(), random_token());
        sqlx::query(include_str!("sql/start_session.sql"))
            .bind(session)
            .bind(user)
            .bind(&token)
            .execute(&self.pool)
            .await?;
        self.answer(user, session, &token, "password").await
    }

    /// Trades a refresh token for the next one.
    ///
    /// A token that was used within the last 10 seconds gives the session's current one again, since
    /// two tabs may refresh at the same time; one that was used earlier has been stolen, and its
    /// session ends.
    ///
    /// # Errors
    /// When the token is unknown or was used before, or the database fails.
    pub(super) async fn by_refresh_token(&self, token: &str) -> Result<Value, AuthError> {
        let mut transaction = self.pool.begin().await?;
        let row = sqlx::query(include_str!("sql/refresh_token.sql"))
            .bind(token)
            .fetch_optional(&mut *transaction)
            .await?
            .ok_or(AuthError::RefreshTokenNotFound)?;
        let (session, user): (Uuid, Uuid) = (row.try_get("session_id")?, row.try_get("user_id")?);
        let next = if !row.try_get::<bool, _>("used")? {
            let next = random_token();
            sqlx::query(include_str!("sql/rotate_token.sql"))
                .bind(token)
                .bind(&next)
                .execute(&mut *transaction)
                .await?;
            Some(next)
        } else if row.try_get("used_just_now")? {
            sqlx::query_scalar(include_str!("sql/active_token.sql"))
                .bind(session)
                .fetch_optional(&mut *transaction)
                .await?
        } else {
            None
        };
        let Some(next) = next else {
            sqlx::query(include_str!("sql/end_sessions.sql"))
                .bind(session)
                .bind(user)
                .bind("local")
                .execute(&mut *transaction)
                .await?;
            transaction.commit().await?;
            return Err(AuthError::RefreshTokenUsed);
        };
        transaction.commit().await?;
        self.answer(user, session, &next, "token_refresh").await
    }

    async fn answer(
        &self,
        user: Uuid,
        session: Uuid,
        refresh_token: &str,
        method: &str,
    ) -> Result<Value, AuthError> {
        let now = (self.clock)();
        let user = self.user(user).await?;
        let expires_at = now.saturating_add(self.token_seconds);
        let claims = json!({
            "iss": self.issuer,
            "sub": user.get("id"),
            "aud": user.get("aud"),
            "role": user.get("role"),
            "email": user.get("email"),
            "phone": user.get("phone"),
            "iat": now,
            "exp": expires_at,
            "aal": "aal1",
            "amr": [{"method": method, "timestamp": now}],
            "session_id": session,
            "app_metadata": user.get("app_metadata"),
            "user_metadata": user.get("user_metadata"),
            "is_anonymous": user.get("is_anonymous"),
        });
        Ok(json!({
            "access_token": jwt::sign_hs256(&self.secret, &claims)?,
            "token_type": "bearer",
            "expires_in": self.token_seconds,
            "expires_at": expires_at,
            "refresh_token": refresh_token,
            "user": user,
        }))
    }

    /// What the API says about a user.
    ///
    /// # Errors
    /// [`AuthError::UserNotFound`], or a failure of the database.
    pub(super) async fn user(&self, id: Uuid) -> Result<Value, AuthError> {
        sqlx::query_scalar(include_str!("sql/user_as_json.sql"))
            .bind(id)
            .fetch_optional(&self.pool)
            .await?
            .ok_or(AuthError::UserNotFound)
    }

    /// The user and session that a bearer token speaks for.
    ///
    /// # Errors
    /// When the token or its session is not good, or the database fails.
    pub(super) async fn bearer(&self, header: Option<&str>) -> Result<(Uuid, Uuid), AuthError> {
        let token = header
            .and_then(|value| value.strip_prefix("Bearer ").or(value.strip_prefix("bearer ")))
            .ok_or(AuthError::NoAuthorization)?;
        let claims = jwt::verify(&self.secret, token, (self.clock)())
            .map_err(|error| AuthError::BadJwt(error.to_string()))?;
        let id = |name: &str| claims.get(name)?.as_str()?.parse::<Uuid>().ok();
        let user = id("sub")
            .ok_or_else(|| AuthError::BadJwt("token is missing its sub claim".to_owned()))?;
        let session = id("session_id").ok_or(AuthError::SessionNotFound)?;
        let open: bool = sqlx::query_scalar(include_str!("sql/session_exists.sql"))
            .bind(session)
            .fetch_one(&self.pool)
            .await?;
        if open { Ok((user, session)) } else { Err(AuthError::SessionNotFound) }
    }

    /// Ends sessions: `local`, `others` or `global`.
    ///
    /// # Errors
    /// A failure of the database.
    pub(super) async fn end(
        &self,
        user: Uuid,
        session: Uuid,
        scope: &str,
    ) -> Result<(), AuthError> {
        sqlx::query(include_str!("sql/end_sessions.sql"))
            .bind(session)
            .bind(user)
            .bind(scope)
            .execute(&self.pool)
            .await?;
        Ok(())
    }
}

/// 128 random bits, which nobody guesses.
fn random_token() -> String {
    let mut bytes = [0_u8; 16];
    rand::rng().fill_bytes(&mut bytes);
    URL_SAFE_NO_PAD.encode(bytes)
}
