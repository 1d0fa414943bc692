//! `POST /api/slack/interactivity`: presses of the buttons in Slack messages.
//!
//! Slack wants an answer within 3 s; what it sends is read by `notify`.

use std::time::Duration;

use aws_lc_rs::digest;
use axum::{
    extract::State,
    http::{HeaderMap, StatusCode},
};
use tokio::time::timeout;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{ApiState, Problem, ProblemBody, RawBody};
use crate::{
    notify::{
        LinkAction, SILENCE,
        slack_press::{Press, genuine, whisper},
    },
    store::acts::{self, Act, Acted},
};

/// How long the database may take: with the update below less than the 3 s that Slack waits.
const ACT_LIMIT: Duration = Duration::from_millis(1_500);
/// How long Slack may take to change the message.
const UPDATE_LIMIT: Duration = Duration::from_millis(1_000);

pub(super) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new().routes(routes!(slack_interactivity))
}

/// Takes the press of a button in a Slack message.
#[utoipa::path(
    post, path = "/api/slack/interactivity", tag = "slack", security(()),
    request_body(content_type = "application/x-www-form-urlencoded", content = String),
    responses(
        (status = 200, description = "It was taken; the message is changed."),
        (status = 404, description = "The daemon has no SLACK_SIGNING_SECRET.", body = ProblemBody, content_type = "application/problem+json"),
    ),
)]
async fn slack_interactivity(
    State(state): State<ApiState>,
    headers: HeaderMap,
    RawBody(body): RawBody,
) -> Result<StatusCode, Problem> {
    let Some(secrets) = &state.notify.slack_signing_secret else {
        return Err(Problem::not_found("this daemon has no SLACK_SIGNING_SECRET"));
    };
    let header = |name| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let (time, signature) = (header("x-slack-request-timestamp"), header("x-slack-signature"));
    let Some(tag) = genuine(secrets, time, signature, &body, state.clock.now()) else {
        return Err(Problem::unauthorized("the request is not signed by Slack, or is too old"));
    };
    let press = Press::read(&body).map_err(|error| Problem::field("payload", error.to_string()))?;
    if let Some(press) = press {
        // The signature covers the time, so a press that is sent again does nothing twice. What counts
        // is the signature, not how it is written: hexadecimal digits may be large or small.
        let once = digest::digest(&digest::SHA256, &tag);
        act(&state, &press, once.as_ref()).await;
    }
    Ok(StatusCode::OK)
}

async fn act(state: &ApiState, press: &Press, once: &[u8]) {
    let (act, done) = match press.action {
        LinkAction::Acknowledge => (Act::Acknowledge, "acknowledged this"),
        LinkAction::Silence => (Act::Silence(SILENCE), "silenced this for an hour"),
    };
    let (incident_id, action) = (press.incident, press.action.button());
    let acted = acts::act(&state.db, once, incident_id, act, &press.actor, ACT_LIMIT).await;
    let update = match acted {
        Ok(Acted::Done) => {
            tracing::info!(%incident_id, action, "a button in slack was pressed");
            // Slack shows the name behind an id; the bare name might ping somebody else.
            press.changed(&format!("<@{}> {done}", press.user))
        }
        Ok(Acted::Already) => return,
        Ok(Acted::Refused(why)) => whisper(&format!("That cannot be done: {why}.")),
        Err(error) => {
            tracing::warn!(%error, %incident_id, "a button in slack could not be obeyed");
            whisper("That could not be recorded just now. Please press again.")
        }
    };
    let Some(url) = &press.response_url else { return };
    let sending = state.senders.egress().post(url, &[], update.to_string());
    match timeout(UPDATE_LIMIT, sending).await {
        Ok(Ok(answer)) if answer.status < 300 => {}
        Ok(Ok(answer)) => {
            tracing::warn!(status = answer.status, "slack did not take the change of a message");
        }
        Ok(Err(error)) => tracing::warn!(%error, "a message in slack could not be changed"),
        Err(_) => tracing::warn!("slack took too long to change a message"),
    }
}
