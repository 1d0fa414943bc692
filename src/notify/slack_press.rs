//! What Slack sends when somebody presses a button of a message: whether Slack signed it, what it says,
//! and what the message looks like afterwards.
//!
//! Slack signs each request with the app's signing secret
//! (docs.slack.dev/authentication/verifying-requests-from-slack).

use aws_lc_rs::hmac;
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use serde_json::{Value, json};
use uuid::Uuid;

use super::LinkAction;
use crate::model::Timestamp;

/// How far Slack's clock and ours may be apart; older requests may be repeated by somebody else.
const WINDOW_SECONDS: i64 = 300;
/// Names in Slack are not ours to bound.
const NAME_MAX: usize = 80;
/// Nor are ids.
const ID_MAX: usize = 30;

/// The press of a button that acts on an incident.
#[derive(Clone, Debug)]
pub struct Press {
    /// What the button does.
    pub action: LinkAction,
    /// To which incident.
    pub incident: Uuid,
    /// Who pressed, as the time line shows it.
    pub actor: String,
    /// Who pressed, as Slack knows them.
    pub user: String,
    /// Where the message can be changed.
    pub response_url: Option<String>,
    message: Option<Value>,
}

/// A body that is not what Slack sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be what Slack sends")]
pub struct NotFromSlack;

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

#[derive(Debug, Deserialize)]
struct Action {
    action_id: String,
    #[serde(default)]
    value: Option<String>,
}

impl User {
    /// What people call them.
    fn called(&self) -> &str {
        self.username.as_deref().or(self.name.as_deref()).unwrap_or_default()
    }
}

impl Press {
    /// Reads the body of a request; none where some other button was pressed, such as a link, which
    /// needs no more than an answer.
    ///
    /// # Errors
    /// Where Slack sends no such bodies.
    pub fn read(body: &[u8]) -> Result<Option<Self>, NotFromSlack> {
        let payload = url::form_urlencoded::parse(body).find(|(name, _)| name == "payload");
        let payload: Option<Payload> =
            payload.and_then(|(_, text)| serde_json::from_str(&text).ok());
        let payload = payload.ok_or(NotFromSlack)?;
        if payload.kind != "block_actions" {
            return Ok(None);
        }
        let Some((action, incident)) = payload.actions.iter().find_map(pressed) else {
            return Ok(None);
        };
        let name = payload.user.called().chars().filter(|c| !c.is_control()).take(NAME_MAX);
        let name: String = name.collect();
        let user = payload.user.id.chars().filter(char::is_ascii_alphanumeric).take(ID_MAX);
        let user: String = user.collect();
        let actor = format!("{name} (Slack {user})");
        let (response_url, message) = (payload.response_url, payload.message);
        Ok(Some(Self { action, incident, actor, user, response_url, message }))
    }

    /// The message without the button that was pressed, and with a line that says what came of it.
    #[must_use]
    pub fn changed(&self, line: &str) -> Value {
        changed(self.message.as_ref(), self.action, line)
    }
}

fn pressed(action: &Action) -> Option<(LinkAction, Uuid)> {
    let pressed = LinkAction::ALL.into_iter().find(|known| known.button() == action.action_id)?;
    Some((pressed, action.value.as_deref()?.parse().ok()?))
}

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
#[must_use]
pub fn whisper(text: &str) -> Value {
    json!({"replace_original": false, "response_type": "ephemeral", "text": text})
}

/// The signature, where one of these secrets (there are two, with a comma between, while one is
/// replaced) signed this body within the last minutes; compares in constant time.
#[must_use]
pub fn genuine(
    secrets: &SecretString,
    time: &str,
    signature: &str,
    body: &[u8],
    now: Timestamp,
) -> Option<Vec<u8>> {
    let seconds = time.parse::<i64>().ok()?;
    let away = (now.micros() / 1_000_000).saturating_sub(seconds).saturating_abs();
    let tag = signature.strip_prefix("v0=").and_then(from_hex)?;
    let signed = [b"v0:", time.as_bytes(), b":", body].concat();
    let by = |secret: &str| {
        let key = hmac::Key::new(hmac::HMAC_SHA256, secret.trim().as_bytes());
        hmac::verify(&key, &signed, &tag).is_ok()
    };
    let genuine = away <= WINDOW_SECONDS && secrets.expose_secret().split(',').any(by);
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
        for far in ["-9223372036854775808", "9223372036854775807"] {
            assert!(!check(far, signature, body, sent));
        }
        let both = SecretString::from("the-new-one, 8f742231b10e8888abcd99yyyzzz85a5");
        assert!(genuine(&both, time, signature, body, sent).is_some());
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
