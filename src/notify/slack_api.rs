//! Calls of Slack's Web API with a bot token, and what its answers mean.

use secrecy::{ExposeSecret as _, SecretString};
use serde_json::Value;

use super::{
    egress::Egress,
    outcome::{Answer, Outcome, REASON_MAX},
    retry_after,
    text::one_line,
};
use crate::model::Timestamp;

/// Where the Web API is.
pub const SLACK_API: &str = "https://slack.com/api";
/// Answers repeat the message, and look-ups bring several.
const ANSWER_MAX: usize = 1024 * 1024;

/// A workspace as a bot sees it.
#[derive(Clone, Copy)]
pub(super) struct SlackApi<'a> {
    pub egress: &'a Egress,
    /// [`SLACK_API`], or a stand-in.
    pub base: &'a str,
    pub token: &'a SecretString,
    pub now: Timestamp,
}

/// Why a call came to nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ApiFailure {
    /// What that means for the message.
    pub outcome: Outcome,
    /// HTTP status, where there was an answer.
    pub status: Option<u16>,
    /// Slack's word for it; empty where Slack gave none.
    pub error: String,
}

impl ApiFailure {
    /// A failure on our side of the wire.
    pub fn own(reason: impl Into<String>) -> Self {
        Self { outcome: Outcome::retry(reason), status: None, error: String::new() }
    }

    /// The message that was to be changed or answered is not there any more, or is not this bot's.
    pub fn is_gone(&self) -> bool {
        matches!(&*self.error, "message_not_found" | "thread_not_found" | "cant_update_message")
    }

    /// The workspace allows no change of a message that old.
    pub fn is_frozen(&self) -> bool {
        matches!(&*self.error, "edit_window_closed" | "message_not_editable")
    }

    /// Slack refused the message's form, so that a plainer one may pass.
    pub fn refuses_form(&self) -> bool {
        let error = &*self.error;
        error.starts_with("invalid_blocks")
            || error.starts_with("invalid_metadata")
            || matches!(error, "metadata_too_large" | "invalid_arguments")
            || error.ends_with("too_long")
    }
}

impl SlackApi<'_> {
    /// Calls a method and returns its answer.
    pub async fn call(&self, method: &str, arguments: &Value) -> Result<Value, ApiFailure> {
        let url = format!("{}/{method}", self.base.trim_end_matches('/'));
        let token = format!("Bearer {}", self.token.expose_secret().trim());
        let headers = [("authorization", token)];
        let answer = self.egress.post_reading(&url, &headers, arguments.to_string(), ANSWER_MAX);
        match answer.await {
            Ok(mut answer) => {
                // A proxy that repeats the request's headers must not reveal the token.
                let secret = self.token.expose_secret().trim();
                answer.body = answer.body.replace(secret, "[masked]");
                judged(method, &answer, self.now)
            }
            Err(error) => {
                let outcome = error.outcome();
                Err(ApiFailure { outcome, status: None, error: String::new() })
            }
        }
    }
}

/// What an answer means: success is status 200 with `"ok": true` and nothing else.
fn judged(method: &str, answer: &Answer, now: Timestamp) -> Result<Value, ApiFailure> {
    let json = serde_json::from_str::<Value>(&answer.body).ok();
    let flag = json.as_ref().and_then(|json| json.get("ok")).and_then(Value::as_bool);
    let word = |name| json.as_ref().and_then(|json| json.get(name)).and_then(Value::as_str);
    let error = word("error").unwrap_or_default().to_owned();
    let after = answer.retry_after.as_deref().and_then(|value| retry_after::parse(value, now));
    let status = Some(answer.status);
    let outcome = match (answer.status, flag) {
        (200, Some(true)) => return Ok(json.unwrap_or_default()),
        (200, Some(false)) => {
            let needed = word("needed").map_or_else(String::new, |needed| format!(" ({needed})"));
            let reason = format!("{method}: {error}{needed}{}", advice(&error));
            let reason = one_line(&reason, REASON_MAX);
            if passes(&error) {
                Outcome::Retry { after, reason }
            } else {
                Outcome::Permanent { reason }
            }
        }
        (200, None) => {
            Outcome::retry(format!("{method}: 200, but not the answer of Slack's Web API"))
        }
        (status, _) => {
            let said = if error.is_empty() { answer.body.as_str() } else { &error };
            let reason =
                one_line(&format!("{method}: {status} {}", one_line(said, 200)), REASON_MAX);
            match status {
                408 | 425 | 429 | 500..=599 => Outcome::Retry { after, reason },
                _ => Outcome::Permanent { reason },
            }
        }
    };
    Err(ApiFailure { outcome, status, error })
}

/// Whether an error of Slack's may pass by itself.
fn passes(error: &str) -> bool {
    matches!(
        error,
        "ratelimited"
            | "rate_limited"
            | "message_limit_exceeded"
            | "internal_error"
            | "fatal_error"
            | "service_unavailable"
            | "request_timeout"
            | "team_added_to_org"
            | "external_channel_migrating"
            | "update_failed"
            | ""
    )
}

/// What the operator can do about an error.
fn advice(error: &str) -> &'static str {
    match error {
        "channel_not_found" => ": there is no such conversation, or the bot was not invited to it",
        "not_in_channel" => ": invite the bot to the conversation, or give it chat:write.public",
        "is_archived" => ": the conversation is archived; choose another",
        "invalid_auth" | "not_authed" | "token_revoked" | "token_expired" | "account_inactive"
        | "org_login_required" | "ekm_access_denied" => {
            ": the bot token is not valid any more; set a new one"
        }
        "missing_scope" => ": the bot lacks a scope; it needs chat:write",
        "restricted_action" | "restricted_action_read_only_channel" | "no_permission" => {
            ": the workspace does not let the bot write there"
        }
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Span;

    fn answer(status: u16, body: &str) -> Answer {
        Answer { status, retry_after: Some("3".into()), body: body.to_owned() }
    }

    #[test]
    fn every_answer_has_its_meaning() {
        let error = |error: &str| format!(r#"{{"ok":false,"error":"{error}"}}"#);
        let cases = [
            (200, r#"{"ok":true,"ts":"1.2"}"#.to_owned(), "sent"),
            (200, error("ratelimited"), "retry"),
            (200, error("internal_error"), "retry"),
            (200, error("channel_not_found"), "permanent"),
            (200, error("token_revoked"), "permanent"),
            (200, error("some_new_error"), "permanent"),
            (200, r#"{"ok":false}"#.to_owned(), "retry"),
            (200, "ok".to_owned(), "retry"),
            (200, "<html>log in</html>".to_owned(), "retry"),
            (429, error("ratelimited"), "retry"),
            (503, "later".to_owned(), "retry"),
            (302, String::new(), "permanent"),
            (403, "no".to_owned(), "permanent"),
        ];
        for (status, body, expected) in cases {
            let got = judged("chat.postMessage", &answer(status, &body), Timestamp::default());
            let word = got.as_ref().map_or_else(|failure| failure.outcome.as_str(), |_| "sent");
            assert_eq!(word, expected, "{status} {body}");
        }
    }

    #[test]
    fn a_failure_says_what_to_do_and_how_long_to_wait() {
        let body = r#"{"ok":false,"error":"missing_scope","needed":"chat:write","provided":"x"}"#;
        let failure = judged("chat.update", &answer(200, body), Timestamp::default());
        let failure = failure.expect_err("refused");
        assert_eq!(
            failure.outcome.reason(),
            Some(
                "chat.update: missing_scope (chat:write): the bot lacks a scope; it needs chat:write"
            )
        );
        let limited = judged("m", &answer(429, ""), Timestamp::default()).expect_err("limited");
        assert!(
            matches!(limited.outcome, Outcome::Retry { after: Some(after), .. } if after == Span::from_secs(3))
        );
        assert_eq!(limited.status, Some(429));
    }
}
