//! What may go wrong between here and a table, and whether trying again can help.

use serde::Deserialize;

use crate::token::TokenError;

/// Why a request failed; no text contains an address with credentials, a token or a body.
#[derive(Debug, thiserror::Error)]
pub enum RestError {
    /// The request could not even be made.
    #[error("the REST client is misconfigured: {0}")]
    Config(&'static str),
    /// There is no token to act by.
    #[error("no access token could be made: {0}")]
    Token(#[from] TokenError),
    /// The server was not reached, or the connection broke.
    #[error("the REST service was not reached: {0}")]
    Transport(String),
    /// No answer within the time-out; whether it was carried out is unknown.
    #[error("the REST service did not answer in time")]
    TimedOut,
    /// The server answered with an error.
    #[error("the REST service refused the request: {0}")]
    Refused(ServerError),
    /// The server's answer cannot be used.
    #[error("the REST service's answer cannot be used: {0}")]
    Answer(&'static str),
    /// The answer is longer than is read; asked for fewer rows, the server's answer may be short enough.
    #[error("the REST service's answer is too long")]
    TooLong,
}

/// An error of PostgREST, of Postgres behind it, or of a gateway before it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServerError {
    /// HTTP status.
    pub status: u16,
    /// `PGRST…` or an SQLSTATE; empty when the answer is not PostgREST's.
    pub code: String,
    /// What is wrong.
    pub message: String,
    /// More about it.
    pub details: Option<String>,
    /// What to do about it.
    pub hint: Option<String>,
}

impl std::fmt::Display for ServerError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "HTTP {}", self.status)?;
        for (before, text) in [(" ", &self.code), (": ", &self.message)] {
            if !text.is_empty() {
                write!(f, "{before}{text}")?;
            }
        }
        for text in [&self.details, &self.hint].into_iter().flatten() {
            write!(f, " ({text})")?;
        }
        Ok(())
    }
}

impl RestError {
    /// Whether the same request may succeed later without anybody changing anything.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Transport(_) | Self::TimedOut => true,
            Self::Refused(error) => error.is_transient(),
            Self::Config(_) | Self::Token(_) | Self::Answer(_) | Self::TooLong => false,
        }
    }

    /// Whether the database gave up after its `statement_timeout`, as Supabase sets one for every role.
    #[must_use]
    pub fn is_too_slow(&self) -> bool {
        matches!(self, Self::Refused(error) if error.code == "57014")
    }

    /// A failure of the HTTP client, without the address that it would show.
    pub(super) fn transport(error: reqwest::Error) -> Self {
        if error.is_timeout() {
            return Self::TimedOut;
        }
        let error = error.without_url();
        let mut text = error.to_string();
        let mut source = std::error::Error::source(&error);
        while let Some(inner) = source {
            text = format!("{text}: {inner}");
            source = inner.source();
        }
        Self::Transport(text)
    }

    /// The error that an answer with a status of failure tells.
    pub(super) fn refused(status: u16, body: &[u8]) -> Self {
        #[derive(Default, Deserialize)]
        #[serde(default)]
        struct Body {
            code: Option<String>,
            message: Option<String>,
            details: Option<serde_json::Value>,
            hint: Option<String>,
        }
        let body: Body = serde_json::from_slice(body).unwrap_or_default();
        let details = body.details.and_then(|details| match details {
            serde_json::Value::Null => None,
            serde_json::Value::String(text) => Some(text),
            other => Some(other.to_string()),
        });
        Self::Refused(ServerError {
            status,
            code: body.code.unwrap_or_default(),
            message: body.message.unwrap_or_default(),
            details,
            hint: body.hint,
        })
    }
}

impl ServerError {
    /// Whether the token's time is over; the code is PostgREST 14's, the text that of older ones.
    pub(super) fn is_expired_token(&self) -> bool {
        self.code == "PGRST303" || self.message == "JWT expired"
    }

    /// Whether the same request may succeed later without anybody changing anything.
    ///
    /// Codes: <https://docs.postgrest.org/en/stable/references/errors.html> and the appendix on
    /// error codes of the Postgres manual.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        if matches!(self.code.as_str(), "PGRST000" | "PGRST001" | "PGRST002" | "PGRST003") {
            // No connection, database starting, pool exhausted.
            return true;
        }
        if self.code.len() == 5 {
            let class = self.code.get(..2).unwrap_or_default();
            // Connection, transaction rollback, resources, operator intervention, system.
            return matches!(class, "08" | "40" | "53" | "57" | "58") || self.code == "55P03";
        }
        matches!(self.status, 408 | 425 | 429 | 500 | 502 | 503 | 504)
    }
}
