//! Errors as PostgREST words them, and their HTTP form.
//!
//! Codes and statuses are those of PostgREST's error reference; what only this server cannot do
//! answers 501 with `LOCAL501`, so that nobody takes it for an answer of the real one.

use axum::{
    body::Body,
    http::{HeaderName, HeaderValue, StatusCode, header},
    response::Response,
};
use serde::Serialize;
use serde_json::Value;

use crate::jwt::JwtError;

/// One error answer.
#[derive(Clone, Debug, PartialEq)]
pub struct ApiError {
    /// The HTTP status.
    pub status: u16,
    /// Boxed, because errors travel through every function's result.
    pub(super) body: Box<ErrorBody>,
    /// Headers besides `Proxy-Status` and `Content-Type`.
    pub(super) headers: Vec<(String, String)>,
    /// Whether a look-up in the schema cache failed, so that a fresh cache may know better.
    pub(super) cache_miss: bool,
}

/// The JSON body; its keys come out in the order of the fields, as the real server sorts them.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct ErrorBody {
    pub code: String,
    pub details: Option<Value>,
    pub hint: Option<Value>,
    pub message: String,
}

impl ApiError {
    pub(super) fn new(status: u16, code: &str, message: impl Into<String>) -> Self {
        let body =
            ErrorBody { code: code.to_owned(), details: None, hint: None, message: message.into() };
        Self { status, body: Box::new(body), headers: Vec::new(), cache_miss: false }
    }

    pub(super) fn details(mut self, details: impl Into<Value>) -> Self {
        self.body.details = Some(details.into());
        self
    }

    pub(super) fn hint(mut self, hint: Option<impl Into<Value>>) -> Self {
        self.body.hint = hint.map(Into::into);
        self
    }

    pub(super) fn header(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.to_owned(), value.into()));
        self
    }

    fn miss(mut self) -> Self {
        self.cache_miss = true;
        self
    }

    /// What the real server can do and this one cannot.
    pub(super) fn unsupported(feature: &str) -> Self {
        Self::new(501, "LOCAL501", format!("{feature} is not supported by the local server"))
            .details("The hosted server may support it; the local one answers nothing rather than something wrong.")
    }

    pub(super) fn invalid_body(message: impl Into<String>) -> Self {
        Self::new(400, "PGRST102", message)
    }

    pub(super) fn table_not_found(schema: &str, name: &str, hint: Option<String>) -> Self {
        let message = format!("Could not find the table '{schema}.{name}' in the schema cache");
        let hint = hint.map(|near| format!("Perhaps you meant the table '{schema}.{near}'"));
        Self::new(404, "PGRST205", message).hint(hint).miss()
    }

    pub(super) fn column_not_found(table: &str, column: &str) -> Self {
        let message =
            format!("Could not find the '{column}' column of '{table}' in the schema cache");
        Self::new(400, "PGRST204", message).miss()
    }

    pub(super) fn no_relation(schema: &str, parent: &str, child: &str, hint: Option<&str>) -> Self {
        let using = hint.map(|hint| format!("' using the hint '{hint}")).unwrap_or_default();
        let message = format!(
            "Could not find a relationship between '{parent}' and '{child}' in the schema cache"
        );
        let details = format!(
            "Searched for a foreign key relationship between '{parent}' and '{child}{using}' in the schema '{schema}', but no matches were found."
        );
        Self::new(400, "PGRST200", message).details(details).miss()
    }

    pub(super) fn no_function(message: String, details: String, hint: Option<String>) -> Self {
        Self::new(404, "PGRST202", message).details(details).hint(hint).miss()
    }

    pub(super) fn not_singular(rows: i64) -> Self {
        Self::new(406, "PGRST116", "Cannot coerce the result to a single JSON object")
            .details(format!("The result contains {rows} rows"))
    }

    /// A token that was refused.
    pub(super) fn token(error: &JwtError) -> Self {
        let message = error.to_string();
        let code = if error.is_about_claims() { "PGRST303" } else { "PGRST301" };
        let challenge =
            format!("Bearer error=\"invalid_token\", error_description={}", Value::from(&*message));
        let answer = Self::new(401, code, message).header("www-authenticate", challenge);
        match error {
            JwtError::Forged => answer.details("None of the keys was able to decode the JWT"),
            JwtError::Unsigned => {
                answer.details("JWT is unsecured but expected 'alg' was not 'none'")
            }
            _ => answer,
        }
    }

    /// The JSON text of the body.
    #[must_use]
    pub fn json(&self) -> String {
        serde_json::to_string(&self.body).unwrap_or_default()
    }

    pub(super) fn into_response(self, head: bool) -> Response {
        let text = if head { String::new() } else { self.json() };
        let mut response = Response::new(Body::from(text));
        *response.status_mut() =
            StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let headers = response.headers_mut();
        headers.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/json; charset=utf-8"),
        );
        let mut all =
            vec![("proxy-status".to_owned(), format!("PostgREST; error={}", self.body.code))];
        all.extend(self.headers);
        for (name, value) in all {
            if let (Ok(name), Ok(value)) =
                (HeaderName::try_from(name), HeaderValue::try_from(value))
            {
                headers.insert(name, value);
            }
        }
        response
    }
}
