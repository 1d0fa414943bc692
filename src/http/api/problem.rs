//! How failures are told: RFC 9457, `application/problem+json`, with the fields that are wrong.

use std::time::Duration;

use axum::{
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    rest::{RestError, ServerError},
    store::{ErrorKind, StoreError},
};

/// The media type of every failure.
pub const MEDIA_TYPE: &str = "application/problem+json";

/// When to try again after something that should pass.
const SOON: Duration = Duration::from_secs(5);

/// What is wrong with one field.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FieldProblem {
    /// Which of several, from 0; absent where there is only one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub index: Option<usize>,
    /// The field, as in `severity` or `rule.window_seconds`; empty for the whole.
    pub field: String,
    /// What is wrong, and what would be right.
    pub message: String,
}

impl FieldProblem {
    /// A problem with `field`.
    pub fn new(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self { index: None, field: field.into(), message: message.into() }
    }

    /// The same, of the element with this index.
    #[must_use]
    pub const fn at(mut self, index: usize) -> Self {
        self.index = Some(index);
        self
    }
}

/// The body of a failure.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = Problem)]
pub struct ProblemBody {
    /// What the status means, in a few words.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// What happened, and what to do.
    pub detail: String,
    /// What is wrong with which field; absent where no field is to blame.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<FieldProblem>,
}

/// A failure, as an answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{status}: {detail}")]
pub struct Problem {
    /// The HTTP status.
    pub status: StatusCode,
    /// What happened, and what to do; must hold no secret.
    pub detail: String,
    /// What is wrong with which field.
    pub errors: Vec<FieldProblem>,
    /// When to try again.
    pub retry_after: Option<Duration>,
}

impl Problem {
    /// A failure with this status.
    pub fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        Self { status, detail: detail.into(), errors: Vec::new(), retry_after: None }
    }

    /// 400: one field is wrong.
    pub fn field(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self::fields(vec![FieldProblem::new(field, message)])
    }

    /// 400: these fields are wrong.
    #[must_use]
    pub fn fields(errors: Vec<FieldProblem>) -> Self {
        let detail = match errors.as_slice() {
            [one] if one.field.is_empty() => one.message.clone(),
            [one] => format!("{}: {}", one.field, one.message),
            several => format!("{} things are wrong; errors names them", several.len()),
        };
        Self { errors, ..Self::new(StatusCode::BAD_REQUEST, detail) }
    }

    /// 401: no usable token.
    pub fn unauthorized(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, detail)
    }

    /// 403: the token does not allow it.
    pub fn forbidden(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, detail)
    }

    /// 404: there is none, or none that the caller may know of.
    pub fn not_found(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, detail)
    }

    /// 405.
    #[must_use]
    pub fn method_not_allowed() -> Self {
        let detail =
            "this path is there, but not for this method; the Allow header has those it is for";
        Self::new(StatusCode::METHOD_NOT_ALLOWED, detail)
    }

    /// 409: it contradicts what is there.
    pub fn conflict(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, detail)
    }

    /// 429: too often.
    #[must_use]
    pub fn too_many(retry_after: Duration) -> Self {
        let detail = "this token made too many requests; Retry-After says when to go on";
        let problem = Self::new(StatusCode::TOO_MANY_REQUESTS, detail);
        Self { retry_after: Some(retry_after), ..problem }
    }

    /// 500: a defect of ours; what it is belongs into the log.
    #[must_use]
    pub fn internal() -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "something went wrong here; the log says what")
    }

    /// 503: not now.
    pub fn unavailable(detail: impl Into<String>) -> Self {
        let problem = Self::new(StatusCode::SERVICE_UNAVAILABLE, detail);
        Self { retry_after: Some(SOON), ..problem }
    }

    /// What is told in the body.
    #[must_use]
    pub fn body(&self) -> ProblemBody {
        ProblemBody {
            title: self.status.canonical_reason().unwrap_or("Failure").to_owned(),
            status: self.status.as_u16(),
            detail: self.detail.clone(),
            errors: self.errors.clone(),
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let text = serde_json::to_string(&self.body()).unwrap_or_default();
        let mut response =
            (self.status, [(header::CONTENT_TYPE, MEDIA_TYPE)], text).into_response();
        if let Some(after) = self.retry_after {
            // Whole seconds, rounded up: a client that comes back too early is refused again.
            let seconds = after.as_secs() + u64::from(after.subsec_nanos() > 0);
            response.headers_mut().insert(header::RETRY_AFTER, seconds.max(1).into());
        }
        if self.status == StatusCode::UNAUTHORIZED {
            let how = HeaderValue::from_static("Bearer");
            response.headers_mut().insert(header::WWW_AUTHENTICATE, how);
        }
        response
    }
}

/// What PostgREST, or the way to it, said.
impl From<RestError> for Problem {
    fn from(error: RestError) -> Self {
        if error.is_transient() {
            tracing::warn!(%error, "a request of the API could not be passed on");
            return Self::unavailable("the project's REST API does not answer at the moment");
        }
        match error {
            RestError::Refused(error) => refused(&error),
            error => {
                tracing::error!(%error, "a request of the API could not be passed on");
                Self::internal()
            }
        }
    }
}

/// Status and sentence for an answer of PostgREST that trying again would not change.
fn refused(error: &ServerError) -> Problem {
    match (error.status, error.code.as_str()) {
        (401, "PGRST303") => Problem::unauthorized("the token has expired, or is not valid yet"),
        (401, _) => Problem::unauthorized("the token is not one of this project"),
        (403, _) | (_, "42501") => Problem::forbidden("the token does not allow this"),
        (404, _) => {
            // Tables and functions are ours: a missing one is a missing migration.
            tracing::error!(%error, "the REST API lacks something; apply the migrations");
            Problem::unavailable("the project lacks a migration of error tracking")
        }
        (409, _) => Problem::conflict(sentence(error)),
        (400 | 406 | 413 | 415 | 416 | 422, _) => {
            let (field, message) = field_and_rest(&error.message);
            Problem::field(field, message)
        }
        _ => {
            tracing::error!(%error, "the REST API gave an answer that nothing here expects");
            Problem::new(
                StatusCode::BAD_GATEWAY,
                "the project's REST API gave an unexpected answer",
            )
        }
    }
}

fn sentence(error: &ServerError) -> String {
    if error.message.is_empty() { "it was refused".to_owned() } else { error.message.clone() }
}

/// Splits `field: what is wrong`, as the database's own checks word it.
fn field_and_rest(message: &str) -> (String, String) {
    let plain = |name: &str| {
        !name.is_empty() && name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_' || b == b'.')
    };
    match message.split_once(": ") {
        Some((field, rest)) if plain(field) => (field.to_owned(), rest.to_owned()),
        _ => (String::new(), message.to_owned()),
    }
}

/// What the database said to the daemon itself.
impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        match error.kind() {
            ErrorKind::Operator => {
                tracing::error!(%error, "a query of the API fails");
                Self::internal()
            }
            ErrorKind::Transient | ErrorKind::FenceLost => {
                tracing::warn!(%error, "a query of the API failed");
                Self::unavailable("the database does not answer at the moment")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_postgrest_says_becomes_a_problem() {
        let said = |status, code: &str, message: &str| {
            let (code, message) = (code.to_owned(), message.to_owned());
            RestError::Refused(ServerError { status, code, message, ..ServerError::default() })
        };
        for (error, status, field) in [
            (RestError::TimedOut, 503, None),
            (RestError::Transport("refused".to_owned()), 503, None),
            (RestError::Answer("odd"), 500, None),
            (RestError::TooLong, 500, None),
            (said(401, "PGRST303", "JWT expired"), 401, None),
            (said(401, "PGRST301", "No suitable key"), 401, None),
            (said(403, "42501", "permission denied for table x"), 403, None),
            (said(404, "PGRST205", "Could not find the table"), 503, None),
            (said(409, "23505", "duplicate key"), 409, None),
            (said(400, "23514", "workflow_id: not of this project"), 400, Some("workflow_id")),
            (said(400, "22P02", "invalid input syntax"), 400, Some("")),
            (said(503, "PGRST001", ""), 503, None),
            (said(500, "XX000", "odd"), 502, None),
            (said(302, "", ""), 502, None),
        ] {
            let text = error.to_string();
            let problem = Problem::from(error);
            assert_eq!(problem.status.as_u16(), status, "{text}");
            assert_eq!(problem.errors.first().map(|e| e.field.as_str()), field, "{text}");
        }
    }

    #[test]
    fn waits_are_rounded_up_and_never_zero() {
        for (wait, expected) in [(0, "1"), (1, "1"), (1_000, "1"), (1_001, "2"), (61_000, "61")] {
            let response = Problem::too_many(Duration::from_millis(wait)).into_response();
            assert_eq!(response.headers()[header::RETRY_AFTER], expected, "{wait} ms");
        }
    }
}
