//! `/api/alert-channels/{id}/secret` and `…/test`: what an admin of a channel's project does with it.

use std::{collections::BTreeMap, time::Duration};

use axum::{Json, extract::State, http::StatusCode};
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use tokio::time::timeout;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};
use uuid::Uuid;

use super::{ApiState, Caller, JsonBody, PathOf, Problem, ProblemBody, Role};
use crate::{
    notify::{Outcome, send_test, webhook},
    rest::Forwarded,
    store::secrets::{SecretError, Secrets},
};

/// How long a receiver may take to answer a test.
const TEST_LIMIT: Duration = Duration::from_secs(25);

/// A secret is at most this long, in bytes.
const SECRET_MAX: usize = 8 * 1024;

pub(super) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new()
        .routes(routes!(set_channel_secret, delete_channel_secret))
        .routes(routes!(test_channel))
}

/// What came of a test message.
#[derive(Debug, Serialize, ToSchema)]
pub struct TestAnswer {
    /// sent, failed, or waiting: the receiver had not answered after 25 s.
    state: &'static str,
    /// What the receiver said.
    detail: String,
}

/// A channel as its own people see it.
#[derive(Debug, Deserialize)]
struct Row {
    project_id: Option<Uuid>,
    kind: String,
}

/// The channel, if the caller may see it and is an admin of its project.
async fn of_admin(caller: &Caller, channel_id: Uuid) -> Result<Row, Problem> {
    let query =
        [("select", "project_id,kind".to_owned()), ("channel_id", format!("eq.{channel_id}"))];
    let what = Forwarded { path: "alert_channels", query: &query, ..Forwarded::default() };
    let rows: Vec<Row> = caller.get(what).await?.json()?;
    let row = rows.into_iter().next();
    let row =
        row.ok_or_else(|| Problem::not_found("there is no such channel, or you may not see it"))?;
    caller.require(Role::Admin, row.project_id).await?;
    Ok(row)
}

/// The fields that a channel of this kind may keep secret.
fn secret_fields(kind: &str) -> &'static [&'static str] {
    match kind {
        "slack" => &["webhook_url", "bot_token"],
        "webhook" => &["signing_secret", "routing_key"],
        _ => &[],
    }
}

/// What is stored for a body, or what is wrong with it.
fn checked(kind: &str, body: &BTreeMap<String, String>) -> Result<SecretString, Problem> {
    let fields = secret_fields(kind);
    if fields.is_empty() {
        return Err(Problem::field("", format!("a channel of kind {kind} has no secret")));
    }
    let mut entries = body.iter();
    let (Some((field, value)), None) = (entries.next(), entries.next()) else {
        return Err(Problem::field("", format!("give one of {}", fields.join(", "))));
    };
    if !fields.contains(&field.as_str()) {
        let message = format!("a channel of kind {kind} has {}", fields.join(" or "));
        return Err(Problem::field(field.clone(), message));
    }
    let value = value.trim();
    let wrong = match field.as_str() {
        _ if value.is_empty() || value.len() > SECRET_MAX => Some("must have 1 to 8192 characters"),
        "webhook_url" => {
            let url = url::Url::parse(value).ok();
            let usable = url.is_some_and(|url| matches!(url.scheme(), "http" | "https"));
            (!usable).then_some("must be the address of an incoming webhook, with https://")
        }
        "signing_secret" => webhook::check_secret(&value.into())
            .is_err()
            .then_some("must be 24 to 64 bytes in base64, with or without whsec_"),
        _ => None,
    };
    if let Some(message) = wrong {
        return Err(Problem::field(field.clone(), message));
    }
    let stored = BTreeMap::from([(field.as_str(), value)]);
    serde_json::to_string(&stored).map(Into::into).map_err(|_| Problem::internal())
}

fn secrets(state: &ApiState) -> Result<Secrets, Problem> {
    let key = state.channel_key.clone().ok_or_else(|| {
        Problem::conflict("the daemon runs without CHANNEL_SECRETS_KEY, so it can keep no secrets")
    })?;
    Ok(Secrets::new(state.db.clone(), key))
}

fn failed(error: &SecretError) -> Problem {
    tracing::error!(%error, "a channel's secret could not be changed");
    match error {
        SecretError::NoChannel(_) => Problem::not_found("there is no such channel any more"),
        _ => Problem::unavailable("the secret could not be changed at the moment"),
    }
}

/// Stores a channel's secret, which nobody can read back.
///
/// The body names what it is: `{"webhook_url": "https://hooks.slack.com/…"}`, `{"bot_token": "xoxb-…"}`,
/// `{"signing_secret": "whsec_…"}` or `{"routing_key": "…"}`. For admins of the channel's project.
#[utoipa::path(
    put, path = "/api/alert-channels/{channel_id}/secret", tag = "channels",
    params(("channel_id" = Uuid, Path, description = "The channel.")),
    request_body(content = BTreeMap<String, String>, example = json!({"webhook_url": "https://hooks.slack.com/services/T/B/x"})),
    responses(
        (status = 204, description = "It is stored, and the channel counts as mended."),
        (status = 409, description = "The daemon has no CHANNEL_SECRETS_KEY.", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
async fn set_channel_secret(
    State(state): State<ApiState>,
    caller: Caller,
    PathOf(channel_id): PathOf<Uuid>,
    JsonBody(body): JsonBody<BTreeMap<String, String>>,
) -> Result<StatusCode, Problem> {
    let row = of_admin(&caller, channel_id).await?;
    let secret = checked(&row.kind, &body)?;
    secrets(&state)?.set(channel_id, &secret).await.map_err(|error| failed(&error))?;
    Ok(StatusCode::NO_CONTENT)
}

/// Forgets a channel's secret; for admins of its project.
#[utoipa::path(
    delete, path = "/api/alert-channels/{channel_id}/secret", tag = "channels",
    params(("channel_id" = Uuid, Path, description = "The channel.")),
    responses(
        (status = 204, description = "It is gone, or there was none."),
        (status = 409, description = "The daemon has no CHANNEL_SECRETS_KEY.", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
async fn delete_channel_secret(
    State(state): State<ApiState>,
    caller: Caller,
    PathOf(channel_id): PathOf<Uuid>,
) -> Result<StatusCode, Problem> {
    of_admin(&caller, channel_id).await?;
    secrets(&state)?.remove(channel_id).await.map_err(|error| failed(&error))?;
    Ok(StatusCode::NO_CONTENT)
}

/// Sends a marked test message to a channel, at once, and tells what its receiver said; for admins of
/// its project. A channel that is not enabled is tried too.
#[utoipa::path(
    post, path = "/api/alert-channels/{channel_id}/test", tag = "channels",
    params(("channel_id" = Uuid, Path, description = "The channel.")),
    responses((status = 200, description = "What came of it.", body = TestAnswer))
)]
async fn test_channel(
    State(state): State<ApiState>,
    caller: Caller,
    PathOf(channel_id): PathOf<Uuid>,
) -> Result<Json<TestAnswer>, Problem> {
    of_admin(&caller, channel_id).await?;
    let dashboard = state.notify.dashboard_url.as_ref().map(url::Url::as_str);
    let id = channel_id.to_string();
    let sending = send_test(&state.channels, &state.senders, &id, dashboard);
    let Ok(report) = timeout(TEST_LIMIT, Box::pin(sending)).await else {
        let detail = format!("no answer within {} s; it may still arrive", TEST_LIMIT.as_secs());
        return Ok(Json(TestAnswer { state: "waiting", detail }));
    };
    let report = report.map_err(|error| {
        tracing::warn!(%error, channel = %channel_id, "a channel could not be tested");
        Problem::unavailable("the channel could not be read at the moment")
    })?;
    let (state, detail) = match report.outcome {
        Outcome::Sent { .. } => {
            let note = report.note.map_or_else(String::new, |note| format!("; {note}"));
            ("sent", format!("{} accepted the test message{note}", report.channel))
        }
        Outcome::Retry { reason, .. } => ("failed", format!("not reached this time: {reason}")),
        Outcome::Permanent { reason } => ("failed", reason),
    };
    Ok(Json(TestAnswer { state, detail }))
}
