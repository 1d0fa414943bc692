//! `POST /api/slack/interactivity`: presses of the buttons in Slack messages.
//!
//! Slack signs each request with the app's signing secret
//! (docs.slack.dev/authentication/verifying-requests-from-slack) and wants an answer within 3 s.

use std::time::Duration;

use aws_lc_rs::{digest, hmac};
use axum::{
    body::Bytes,
    extract::State,
    http::{HeaderMap, StatusCode},
};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::time::timeout;
use utoipa_axum::{router::OpenApiRouter, routes};
use uuid::Uuid;

use super::{ApiState, Problem};
use crate::{
    model::Timestamp,
    notify::{LinkAction, SILENCE},
    store::acts::{self, Act, Acted},
};

/// How far Slack's clock and ours may be apart; older requests may be repeated by somebody else.
const WINDOW_SECONDS: i64 = 300;
/// How long the database may take: with the update below less than the 3 s that Slack waits.
const ACT_LIMIT: Duration = Duration::from_millis(1_500);
/// How long Slack may take to change the message.
const UPDATE_LIMIT: Duration = Duration::from_millis(1_000);
/// Names in Slack are not ours to bound.
const NAME_MAX: usize = 80;

pub(super) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new().routes(routes!(slack_interactivity))
}

/// The parts of Slack's `block_actions` that matter here.
#[derive(Debug, Deserialize)]
struct Payload {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    user: User,
    #[serde(default)]
    actions: Vec<Action>,
    #[serde(default)]
    response_url: Option<String>,
    #[serde(default)]
    message: Option<Value>,
}

#[derive(Debug, Default, Deserialize)]
struct User {
    #[serde(default)]
    id: String,
    /// Slack sends this and `name`, which say the same, where a person pressed.
    #[serde(default)]
    username: Option<String>,
    #[serde(default)]
    name: Option<String>,
}

impl User {
    /// What people call them.
    fn called(&self) -> &str {
        self.username.as_deref().or(self.name.as_deref()).unwrap_or_default()
    }
}

#[derive(Debug, Deserialize)]
struct Action {
    action_id: String,
    #[serde(default)]
    value: Option<String>,
}

/// Takes the press of a button in a Slack message.
#[utoipa::path(
    post, path = "/api/slack/interactivity", tag = "slack", security(()),
    request_body(content_type = "application/x-www-form-urlencoded", content = String),
    responses((status = 200, description = "It was taken; the message is changed.")),
)]
async fn slack_interactivity(
    State(state): State<ApiState>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<StatusCode, Problem> {
    let Some(secret) = &state.notify.slack_signing_secret else {
        return Err(Problem::not_found("this daemon has no SLACK_SIGNING_SECRET"));
    };
    let header = |name| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let (time, signature) = (header("x-slack-request-timestamp"), header("x-slack-signature"));
    let now = state.clock.now();
    // While the secret is replaced, there are two.
    let mut secrets = secret.expose_secret().split(',').map(|one| SecretString::from(one.trim()));
    let Some(tag) = secrets.find_map(|secret| genuine(&secret, time, signature, &body, now)) else {
        return Err(Problem::unauthorized("the request is not signed by Slack, or is too old"));
    };
    let payload = url::form_urlencoded::parse(&body).find(|(name, _)| name == "payload");
    let payload = payload.and_then(|(_, text)| serde_json::from_str::<Payload>(&text).ok());
    let Some(payload) = payload else {
        return Err(Problem::field("payload", "must be what Slack sends"));
    };
    // Other buttons, such as links, need no answer but this one.
    if payload.kind == "block_actions"
        && let Some((action, incident)) = payload.actions.iter().find_map(pressed)
    {
        // The signature covers the time, so a press that is sent again does nothing twice. What counts
        // is the signature, not how it is written: hexadecimal digits may be large or small.
        let once = digest::digest(&digest::SHA256, &tag);
        act(&state, &payload, action, incident, once.as_ref()).await;
    }
    Ok(StatusCode::OK)
}

fn pressed(action: &Action) -> Option<(LinkAction, Uuid)> {
    let pressed = LinkAction::ALL.into_iter().find(|known| known.button() == action.action_id)?;
    Some((pressed, action.value.as_deref()?.parse().ok()?))
}

async fn act(state: &ApiState, payload: &Payload, action: LinkAction, incident: Uuid, once: &[u8]) {
    let name: String = payload.user.called().chars().filter(|c| !c.is_control()).collect();
    let name: String = name.chars().take(NAME_MAX).collect();
    let id: String = payload.user.id.chars().filter(char::is_ascii_alphanumeric).take(30).collect();
    let actor = format!("{name} (Slack {id})");
    let (act, done) = match action {
        LinkAction::Acknowledge => (Act::Acknowledge, "acknowledged this"),
        LinkAction::Silence => (Act::Silence(SILENCE), "silenced this for an hour"),
    };
    let acted = acts::act(&state.db, once, incident, act, &actor, ACT_LIMIT).await;
    let update = match acted {
        Ok(Acted::Done) => {
            tracing::info!(%incident, action = action.button(), "a button in slack was pressed");
            // Slack shows the name behind an id; the bare name might ping somebody else.
            changed(payload.message.as_ref(), action, &format!("<@{id}> {done}"))
        }
        Ok(Acted::Already) => return,
        Ok(Acted::Refused(why)) => whisper(&format!("That cannot be done: {why}.")),
        Err(error) => {
            tracing::warn!(%error, %incident, "a button in slack could not be obeyed");
            whisper("That could not be recorded just now. Please press again.")
        }
    };
    let Some(url) = &payload.response_url else { return };
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

/// The message without the button that was pressed, and with a line that says what came of it.
fn changed(message: Option<&Value>, pressed: LinkAction, line: &str) -> Value {
    let note = json!({"type": "context", "elements": [{"type": "mrkdwn", "text": line}]});
    let blocks = message.and_then(|message| message.get("blocks")).and_then(Value::as_array);
    let Some(blocks) = blocks else {
        return json!({"replace_original": false, "response_type": "in_channel", "text": line});
    };
    let mut blocks = blocks.clone();
    for block in &mut blocks {
        if let Some(elements) = block.get_mut("elements").and_then(Value::as_array_mut) {
            elements.retain(|element| element["action_id"] != pressed.button());
        }
    }
    blocks.retain(|block| {
        block["type"] != "actions" || block["elements"].as_array().is_some_and(|e| !e.is_empty())
    });
    blocks.push(note);
    let text = message.and_then(|message| message.get("text")).cloned().unwrap_or_default();
    json!({"replace_original": true, "text": text, "blocks": blocks})
}

/// Something that only whoever pressed sees.
fn whisper(text: &str) -> Value {
    json!({"replace_original": false, "response_type": "ephemeral", "text": text})
}

/// The signature, where Slack signed this body within the last minutes; compares in constant time.
fn genuine(
    secret: &SecretString,
    time: &str,
    signature: &str,
    body: &[u8],
    now: Timestamp,
) -> Option<Vec<u8>> {
    let away = now.micros() / 1_000_000 - time.parse::<i64>().ok()?;
    let tag = signature.strip_prefix("v0=").and_then(from_hex)?;
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.expose_secret().as_bytes());
    let signed = [b"v0:", time.as_bytes(), b":", body].concat();
    let genuine = away.abs() <= WINDOW_SECONDS && hmac::verify(&key, &signed, &tag).is_ok();
    genuine.then_some(tag)
}

fn from_hex(text: &str) -> Option<Vec<u8>> {
    let digits: Option<Vec<u8>> =
        text.chars().map(|c| c.to_digit(16).and_then(|digit| u8::try_from(digit).ok())).collect();
    let digits = digits.filter(|digits| digits.len() == 64)?;
    Some(
        digits.chunks(2).map(|pair| pair.iter().fold(0, |byte, digit| byte << 4 | digit)).collect(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_slack_signed_lately_is_genuine() {
        // The example of Slack's documentation.
        let secret = SecretString::from("8f742231b10e8888abcd99yyyzzz85a5");
        let body = b"token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow&channel_id=G8PSS9T3V&channel_name=foobar&user_id=U2CERLKJA&user_name=roadrunner&command=%2Fwebhook-collect&text=&response_url=https%3A%2F%2Fhooks.slack.com%2Fcommands%2FT1DC2JH3J%2F397700885554%2F96rGlfmibIGlgcZRskXaIFfN&trigger_id=398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c";
        let signature = "v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503";
        let sent = Timestamp::from_secs(1_531_420_618);
        let later = |seconds: i64| Timestamp::from_secs(1_531_420_618 + seconds);
        let time = "1531420618";
        let check = |time, signature: &str, body, now| {
            genuine(&secret, time, signature, body, now).is_some()
        };
        assert!(check(time, signature, body, sent));
        assert!(check(time, signature, body, later(300)));
        assert!(!check(time, signature, body, later(301)));
        assert!(!check(time, signature, body, later(-301)));
        assert!(!check("1531420619", signature, body, sent));
        assert!(!check(time, signature, &body[1..], sent));
        assert!(!check(time, &signature[..64], body, sent));
        assert!(!check(time, "v0=", body, sent));
        assert!(!check("", "", body, sent));
    }

    #[test]
    fn both_names_of_whoever_pressed_may_be_there() {
        let read = |user: Value| -> User { serde_json::from_value(user).expect("a user") };
        // As docs.slack.dev/reference/interaction-payloads/block_actions-payload has it.
        let both = json!({
            "id": "U0CA5", "username": "ada", "name": "ada", "team_id": "T3MDE",
        });
        assert_eq!(read(both).called(), "ada");
        assert_eq!(read(json!({"id": "U0CA5", "name": "ada"})).called(), "ada");
        assert_eq!(read(json!({"id": "U0CA5"})).called(), "");
    }

    #[test]
    fn a_message_loses_the_button_that_was_pressed() {
        let button = |id| json!({"type": "button", "action_id": id});
        let (acknowledge, silence) =
            (LinkAction::Acknowledge.button(), LinkAction::Silence.button());
        let message = json!({"text": "t", "blocks": [
            {"type": "header"},
            {"type": "actions", "elements": [button(acknowledge), button(silence)]},
        ]});
        let once = changed(Some(&message), LinkAction::Acknowledge, "done");
        assert_eq!(once["blocks"][1]["elements"], json!([button(silence)]));
        assert_eq!(once["blocks"][2]["elements"][0]["text"], "done");
        assert_eq!((&once["text"], &once["replace_original"]), (&json!("t"), &json!(true)));
        let twice = changed(Some(&once), LinkAction::Silence, "more");
        let kinds: Vec<_> =
            twice["blocks"].as_array().unwrap().iter().map(|block| &block["type"]).collect();
        assert_eq!(kinds, ["header", "context", "context"]);
        assert_eq!(changed(None, LinkAction::Silence, "x")["replace_original"], false);
    }
}
