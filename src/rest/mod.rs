//! A small PostgREST client: inserting error events, reading a few rows, and passing on what users ask
//! with their own tokens.
//! No queue, no schedule and no SQL may appear here: callers retry by [`RestError::is_transient`].
//! Events come in from `cli`; HTTP requests go out, and rows or typed errors come back.

mod error;
mod forward;
mod request;
#[cfg(test)]
mod tests;

use std::{sync::Arc, time::Duration};

use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;
use serde_json::Value;
use tokio::sync::Mutex;
use tokio::time::Instant;
use url::Url;
use uuid::Uuid;

pub use error::{RestError, ServerError};
pub use forward::{Forward, ForwardAnswer, Forwarded};
pub use request::{Condition, Select, quote};

use crate::{
    model::{Severity, Source, Timestamp},
    token::{IssuedToken, Minter},
};

/// PostgREST's usual page limit (`max_rows`), and thus the most rows that one call may select.
pub const MAX_ROWS: usize = 1_000;
/// How much of an answer is read, in bytes.
const MAX_ANSWER: usize = 16 * 1024 * 1024;

/// An error event as a reporter sends it; what is absent is derived by the database.
#[derive(Clone, Debug, Serialize)]
pub struct NewErrorEvent {
    /// Primary key, drawn by the reporter, by which a repeated insert is recognised.
    pub error_id: Uuid,
    /// When it happened; absent means when the database receives it.
    pub timestamp: Option<Timestamp>,
    /// Which kind of component failed.
    pub source: Source,
    /// `class` or `class.detail`.
    pub error_type: String,
    /// How bad it is; absent means medium.
    pub severity: Option<Severity>,
    /// The workflow it happened in.
    pub workflow_id: Option<Uuid>,
    /// The project, where there is no workflow to tell it.
    pub project_id: Option<Uuid>,
    /// One line; absent means derived from `metadata`.
    pub message: Option<String>,
    /// Anything else, masked by the database.
    pub metadata: Value,
}

/// How to reach PostgREST.
#[derive(Clone, Debug)]
pub struct RestConfig {
    /// For example `https://<ref>.supabase.co/rest/v1`.
    pub url: Url,
    /// The key that Supabase's gateway wants; a PostgREST without gateway needs none.
    pub apikey: Option<SecretString>,
    /// For a connection to be made.
    pub connect_timeout: Duration,
    /// For a whole exchange.
    pub timeout: Duration,
}

impl RestConfig {
    /// The usual time-outs: 5 s to connect, 15 s in all.
    #[must_use]
    pub const fn new(url: Url, apikey: Option<SecretString>) -> Self {
        let (connect_timeout, timeout) = (Duration::from_secs(5), Duration::from_secs(15));
        Self { url, apikey, connect_timeout, timeout }
    }
}

/// A PostgREST client; cheap to share by reference.
pub struct RestClient {
    http: reqwest::Client,
    builder: postgrest::Postgrest,
    minter: Arc<Minter>,
    token: Mutex<Option<(SecretString, Option<Instant>)>>,
}

impl RestClient {
    /// A client that acts by the tokens of `minter`.
    ///
    /// # Errors
    /// [`RestError::Config`] when the address or the key cannot be used.
    pub fn new(config: RestConfig, minter: Arc<Minter>) -> Result<Self, RestError> {
        let builder = request::builder(&config)?;
        let http = reqwest::Client::builder()
            .user_agent(crate::USER_AGENT)
            .connect_timeout(config.connect_timeout)
            .timeout(config.timeout)
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .map_err(|_| RestError::Config("the HTTP client could not be set up"))?;
        Ok(Self { http, builder, minter, token: Mutex::new(None) })
    }

    /// Inserts error events; those whose `error_id` exists already are left as they are.
    ///
    /// # Errors
    /// [`RestError`]; after one that is transient the same call may be repeated without harm.
    pub async fn insert_errors(&self, events: &[NewErrorEvent]) -> Result<(), RestError> {
        self.insert(events).await
    }

    /// As [`RestClient::insert_errors`], for rows that come as JSON objects. All of them must have
    /// the same members, which PostgREST demands.
    ///
    /// # Errors
    /// As [`RestClient::insert_errors`].
    pub async fn insert_json(&self, rows: &[Value]) -> Result<(), RestError> {
        self.insert(rows).await
    }

    async fn insert<T: Serialize>(&self, rows: &[T]) -> Result<(), RestError> {
        if rows.is_empty() {
            return Ok(());
        }
        let body = serde_json::to_string(rows).map_err(|_| RestError::Config("not JSON"))?;
        let insert = self.builder.from("error_metrics").insert(body).on_conflict("error_id");
        let prefer = Some("return=minimal,resolution=ignore-duplicates");
        self.send(insert, prefer).await.map(drop)
    }

    /// Reads up to [`MAX_ROWS`] rows.
    ///
    /// # Errors
    /// [`RestError`]; reading may always be repeated.
    pub async fn select(&self, select: &Select<'_>) -> Result<Vec<Value>, RestError> {
        let answer = self.send(select.apply(&self.builder)?, None).await?;
        serde_json::from_slice(&answer).map_err(|_| RestError::Answer("it is not a list of rows"))
    }

    /// Sends what was built, and returns the body of a successful answer.
    ///
    /// A token that has expired on the way is replaced once, where that is possible.
    async fn send(
        &self,
        built: postgrest::Builder,
        prefer: Option<&'static str>,
    ) -> Result<Vec<u8>, RestError> {
        match self.exchange(built.clone(), prefer).await {
            Err(RestError::Refused(error)) if error.status == 401 => {
                *self.token.lock().await = None;
                if error.is_expired_token() && !self.minter.is_fixed() {
                    return self.exchange(built, prefer).await;
                }
                Err(RestError::Refused(error))
            }
            result => result,
        }
    }

    async fn exchange(
        &self,
        built: postgrest::Builder,
        prefer: Option<&'static str>,
    ) -> Result<Vec<u8>, RestError> {
        let token = self.token().await?;
        let request = request::convert(built, &token, prefer)?;
        let mut response = self.http.execute(request).await.map_err(RestError::transport)?;
        let status = response.status();
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(RestError::transport)? {
            if body.len() + chunk.len() > MAX_ANSWER {
                return Err(RestError::TooLong);
            }
            body.extend_from_slice(&chunk);
        }
        if status.is_success() { Ok(body) } else { Err(RestError::refused(status.as_u16(), &body)) }
    }

    async fn token(&self) -> Result<SecretString, RestError> {
        let mut current = self.token.lock().await;
        if let Some((token, due)) = current.as_ref()
            && due.is_none_or(|due| Instant::now() < due)
        {
            return Ok(token.clone());
        }
        let IssuedToken { token, refresh_after, .. } = self.minter.issue()?;
        if token.expose_secret().is_empty() {
            return Err(RestError::Config("the token is empty"));
        }
        *current = Some((token.clone(), refresh_after.map(|after| Instant::now() + after)));
        Ok(token)
    }
}
