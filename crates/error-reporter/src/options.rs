//! How a reporter is set up, and what a caller may say of an error.

use std::{fmt, path::PathBuf, sync::Arc, time::Duration};

use chrono::{DateTime, Utc};
use futures_util::future::BoxFuture;
use secrecy::SecretString;
use serde_json::{Map, Value};
use url::Url;
use uuid::Uuid;

use crate::{Direction, Severity, Source};

/// Asked for a token, with `true` after the server has refused the last one.
pub type AskToken = dyn Fn(bool) -> BoxFuture<'static, Result<SecretString, Box<dyn std::error::Error + Send + Sync>>>
    + Send
    + Sync;

/// Where the bearer token comes from.
#[derive(Clone)]
pub enum Token {
    /// One that does not change.
    Fixed(SecretString),
    /// Asked for before the first batch, shortly before it expires, and after it was refused.
    Ask(Arc<AskToken>),
}

impl fmt::Debug for Token {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Fixed(_) => "Token::Fixed(…)",
            Self::Ask(_) => "Token::Ask(…)",
        })
    }
}

impl From<&str> for Token {
    fn from(token: &str) -> Self {
        Self::Fixed(token.into())
    }
}

impl From<SecretString> for Token {
    fn from(token: SecretString) -> Self {
        Self::Fixed(token)
    }
}

/// What holds for events that do not say.
#[derive(Clone, Debug, Default)]
pub struct Defaults {
    /// The kind of component.
    pub source: Source,
    /// The project.
    pub project_id: Option<Uuid>,
    /// The workflow version.
    pub workflow_id: Option<Uuid>,
    /// Metadata of every event, such as the release.
    pub context: Map<String, Value>,
}

/// How a reporter is set up.
#[derive(Clone, Debug)]
pub struct Options {
    /// The Supabase project, such as `https://abc.supabase.co`.
    pub url: Url,
    /// A JWT with role `error_reporter`, or a key.
    pub token: Token,
    /// The project's publishable key, which Supabase's gateway wants.
    pub apikey: Option<SecretString>,
    /// What holds for events that do not say.
    pub defaults: Defaults,
    /// A folder to keep events in while the server cannot be reached.
    pub spool_dir: Option<PathBuf>,
    /// How many events wait in memory: 10,000.
    pub max_queue_events: usize,
    /// How many bytes they take: 16 MiB.
    pub max_queue_bytes: usize,
    /// Rows of one request: 200.
    pub batch_size: usize,
    /// Bytes of one request, about: 512 KiB.
    pub batch_bytes: usize,
    /// How long an event waits for others: 500 ms.
    pub batch_delay: Duration,
    /// Of one request: 10 s.
    pub timeout: Duration,
    /// After the first failure: 500 ms.
    pub min_backoff: Duration,
    /// After many: 60 s.
    pub max_backoff: Duration,
    /// Bytes on disk: 64 MiB.
    pub spool_max_bytes: u64,
    /// Bytes of one file: 512 KiB.
    pub spool_segment_bytes: u64,
    /// Equal errors that wait for the same batch, within a second, become one event with `count` in
    /// its metadata. Off, because every error counts.
    pub collapse_repeats: bool,
}

impl Options {
    /// The settings that fit most workers.
    #[must_use]
    pub fn new(url: Url, token: impl Into<Token>) -> Self {
        Self {
            url,
            token: token.into(),
            apikey: None,
            defaults: Defaults::default(),
            spool_dir: None,
            max_queue_events: 10_000,
            max_queue_bytes: 16 << 20,
            batch_size: 200,
            batch_bytes: 512 << 10,
            batch_delay: Duration::from_millis(500),
            timeout: Duration::from_secs(10),
            min_backoff: Duration::from_millis(500),
            max_backoff: Duration::from_secs(60),
            spool_max_bytes: 64 << 20,
            spool_segment_bytes: 512 << 10,
            collapse_repeats: false,
        }
    }
}

/// Why a reporter could not be started; nothing else of it can fail.
#[derive(Debug, thiserror::Error)]
pub enum OptionsError {
    /// Rows cannot be sent to such an address.
    #[error("url: must be the http or https address of the Supabase project")]
    Url,
    /// Header values have no line breaks and only ASCII.
    #[error("apikey: cannot be sent in a header")]
    Apikey,
    /// A bound of nothing.
    #[error("{0}: must be above 0")]
    Zero(&'static str),
    /// The background task needs one.
    #[error("a reporter must be started inside a Tokio runtime")]
    NoRuntime,
    /// TLS cannot be set up.
    #[error("the HTTP client cannot be built: {0}")]
    Client(#[source] reqwest::Error),
}

/// What the caller may say of an error; whatever is missing comes from the defaults or the
/// classification.
///
/// ```
/// use error_reporter::{Context, Severity, Source};
/// let context = Context::new()
///     .source(Source::Worker)
///     .severity(Severity::High)
///     .attempt(5, 5)
///     .with("run_id", "r-17");
/// assert_eq!(context.attempt, Some(5));
/// ```
#[derive(Clone, Debug, Default)]
pub struct Context {
    /// The kind of component that failed.
    pub source: Option<Source>,
    /// The workflow version.
    pub workflow_id: Option<Uuid>,
    /// The project.
    pub project_id: Option<Uuid>,
    /// Overrides the classification.
    pub severity: Option<Severity>,
    /// Overrides the classification: `system`, `execution` or `input`, with details behind dots.
    pub error_type: Option<String>,
    /// Overrides the error's own.
    pub message: Option<String>,
    /// Whatever helps to understand the error.
    pub metadata: Map<String, Value>,
    /// When it happened; now, where it is missing.
    pub timestamp: Option<DateTime<Utc>>,
    /// Whose request failed; inbound for webhooks.
    pub direction: Option<Direction>,
    /// The attempt that failed, from 1.
    pub attempt: Option<u32>,
    /// How many there are.
    pub max_attempts: Option<u32>,
    /// Whether there will be another attempt, where that is known otherwise.
    pub is_final: Option<bool>,
}

impl Context {
    /// Says nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The kind of component that failed.
    #[must_use]
    pub fn source(mut self, source: Source) -> Self {
        self.source = Some(source);
        self
    }

    /// The workflow version.
    #[must_use]
    pub fn workflow(mut self, id: Uuid) -> Self {
        self.workflow_id = Some(id);
        self
    }

    /// The project.
    #[must_use]
    pub fn project(mut self, id: Uuid) -> Self {
        self.project_id = Some(id);
        self
    }

    /// Overrides the classification's severity.
    #[must_use]
    pub fn severity(mut self, severity: Severity) -> Self {
        self.severity = Some(severity);
        self
    }

    /// Overrides the classification's type.
    #[must_use]
    pub fn error_type(mut self, error_type: impl Into<String>) -> Self {
        self.error_type = Some(error_type.into());
        self
    }

    /// The attempt that failed, from 1, and how many there are.
    #[must_use]
    pub fn attempt(mut self, attempt: u32, of: u32) -> Self {
        (self.attempt, self.max_attempts) = (Some(attempt), Some(of));
        self
    }

    /// Whether there will be another attempt, where that is known otherwise.
    #[must_use]
    pub fn is_final(mut self, is_final: bool) -> Self {
        self.is_final = Some(is_final);
        self
    }

    /// One field of metadata.
    #[must_use]
    pub fn with(mut self, key: impl Into<String>, value: impl Into<Value>) -> Self {
        self.metadata.insert(key.into(), value.into());
        self
    }
}
