//! From what PostgreSQL answers to what the client is told.

use std::time::Duration;

use serde_json::Value;
use sqlx::{ConnectOptions, PgPool, postgres::PgDatabaseError};
use tokio::time::timeout;

use super::error::ApiError;

/// How long the database is tried when no connection came free in time.
const PROBE_WITHIN: Duration = Duration::from_secs(1);

/// Turns a failed statement into PostgREST's answer.
///
/// `signed_in` tells a role that came by token from the anonymous one, which is asked to sign in
/// where the other is forbidden.
pub(super) async fn database_error(error: sqlx::Error, signed_in: bool, pool: &PgPool) -> ApiError {
    // The pool gives the same error whether all connections are busy or none can be had.
    let connected = if matches!(error, sqlx::Error::PoolTimedOut) {
        let probe = pool.connect_options();
        timeout(PROBE_WITHIN, probe.connect()).await.is_ok_and(|connection| connection.is_ok())
    } else {
        true
    };
    match error {
        sqlx::Error::Database(database) => match database.try_downcast::<PgDatabaseError>() {
            Ok(postgres) => refused(&postgres, signed_in),
            Err(other) => ApiError::new(500, "PGRSTX00", other.to_string()),
        },
        sqlx::Error::PoolTimedOut if connected => {
            ApiError::new(504, "PGRST003", "Timed out acquiring connection from connection pool.")
        }
        sqlx::Error::PoolTimedOut | sqlx::Error::PoolClosed => {
            ApiError::new(503, "PGRST000", "Database connection error. Retrying the connection.")
        }
        sqlx::Error::Io(_) | sqlx::Error::Tls(_) | sqlx::Error::Protocol(_) => {
            ApiError::new(503, "PGRST001", "Database client error. Retrying the connection.")
        }
        other => ApiError::new(500, "PGRSTX00", other.to_string()),
    }
}

fn refused(error: &PgDatabaseError, signed_in: bool) -> ApiError {
    let (code, message) = (error.code(), error.message());
    if code == "PGRST" {
        return raised(message, error.detail());
    }
    let status = status(code, message, signed_in);
    let mut answer = ApiError::new(status, code, message).hint(error.hint());
    answer.body.details = error.detail().map(Value::from);
    if status == 401 {
        answer = answer.header("www-authenticate", "Bearer");
    }
    answer
}

/// The HTTP status of an SQLSTATE, as PostgREST documents it.
fn status(code: &str, message: &str, signed_in: bool) -> u16 {
    let class = code.get(..2).unwrap_or_default();
    match code {
        "23503" | "23505" => 409,
        "25006" => 405,
        "21000" if message.ends_with("requires a WHERE clause") => 400,
        "21000" => 500,
        "22023" if message.starts_with("role") && message.ends_with("does not exist") => 401,
        "57P01" => 503,
        "53400" => 500,
        "P0001" => 400,
        "42883" if message.starts_with("function xmlagg(") => 406,
        "42883" | "42P01" => 404,
        "42P17" => 500,
        "42501" if signed_in => 403,
        "42501" => 401,
        _ => match class {
            "08" | "53" => 503,
            "0L" | "0P" | "28" => 403,
            "09" | "25" | "2D" | "38" | "39" | "3B" | "40" | "54" | "55" | "57" | "58" | "F0"
            | "HV" | "P0" | "XX" => 500,
            // `raise sqlstate 'PT418'` chooses the status itself.
            "PT" => code
                .get(2..)
                .and_then(|digits| digits.parse().ok())
                .filter(|status| (100..600).contains(status))
                .unwrap_or(500),
            _ => 400,
        },
    }
}

/// `raise sqlstate 'PGRST'` writes the whole answer as JSON: the body into the message, status and
/// headers into the detail.
fn raised(message: &str, detail: Option<&str>) -> ApiError {
    let unreadable = |details: String, hint: &'static str| {
        ApiError::new(
            500,
            "PGRST121",
            "Could not parse JSON in the \"RAISE SQLSTATE 'PGRST'\" error",
        )
        .details(details)
        .hint(Some(hint))
    };
    let text = |value: &Value, key: &str| value.get(key).and_then(Value::as_str).map(str::to_owned);
    let body = serde_json::from_str::<Value>(message).ok();
    let body = body.and_then(|body| Some((text(&body, "code")?, text(&body, "message")?, body)));
    let Some((code, words, body)) = body else {
        return unreadable(
            format!("Invalid JSON value for MESSAGE: '{message}'"),
            "MESSAGE must be a JSON object with obligatory keys: 'code', 'message' and optional keys: 'details', 'hint'.",
        );
    };
    let detail_hint = "DETAIL must be a JSON object with obligatory keys: 'status', 'headers' and optional key: 'status_text'.";
    let Some(detail) = detail else {
        return unreadable("DETAIL is missing in the RAISE statement".to_owned(), detail_hint);
    };
    let parsed = serde_json::from_str::<Value>(detail).ok().and_then(|value| {
        let status = u16::try_from(value.get("status")?.as_u64()?).ok()?;
        Some((status, value.get("headers")?.as_object()?.clone()))
    });
    let Some((status, headers)) = parsed else {
        return unreadable(format!("Invalid JSON value for DETAIL: '{detail}'"), detail_hint);
    };
    let mut answer = ApiError::new(status, &code, words).hint(text(&body, "hint"));
    answer.body.details = text(&body, "details").map(Value::from);
    for (name, value) in headers {
        if let Some(value) = value.as_str() {
            answer = answer.header(&name, value);
        }
    }
    answer
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sqlstates_become_statuses() {
        for (code, message, signed_in, expected) in [
            ("23505", "", true, 409),
            ("23503", "", true, 409),
            ("42501", "", true, 403),
            ("42501", "", false, 401),
            ("42P01", "", true, 404),
            ("42883", "function nope() does not exist", true, 404),
            ("22023", "role \"x\" does not exist", true, 401),
            ("22023", "invalid parameter", true, 400),
            ("21000", "UPDATE requires a WHERE clause", true, 400),
            ("25006", "", true, 405),
            ("57014", "canceling statement due to statement timeout", true, 500),
            ("53300", "", true, 503),
            ("P0001", "", true, 400),
            ("P0002", "", true, 500),
            ("PT418", "", true, 418),
            ("PTxyz", "", true, 500),
            ("22P02", "", true, 400),
            ("", "", true, 400),
        ] {
            assert_eq!(status(code, message, signed_in), expected, "{code} {message}");
        }
    }

    #[test]
    fn a_raise_can_write_the_whole_answer() {
        let answer = raised(
            r#"{"code":"A1","message":"m","details":"d"}"#,
            Some(r#"{"status":402,"headers":{"X-Why":"money"}}"#),
        );
        assert_eq!(answer.status, 402);
        assert_eq!(answer.headers, [("X-Why".to_owned(), "money".to_owned())]);
        assert_eq!(answer.json(), r#"{"code":"A1","details":"d","hint":null,"message":"m"}"#);
        assert_eq!(raised("m", None).body.code, "PGRST121");
        assert_eq!(raised(r#"{"code":"A1","message":"m"}"#, None).status, 500);
    }
}
