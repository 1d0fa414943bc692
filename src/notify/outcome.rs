//! What came of an attempt to deliver: done, try again, or never.
//!
//! Every rule here is a pure function of what the receiver answered.

use serde_json::Value;

use super::{retry_after, text::one_line};
use crate::model::{Span, Timestamp};

/// The longest reason that is kept, in characters.
pub const REASON_MAX: usize = 500;

/// What came of one attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The receiver has it.
    Sent {
        /// What the receiver gave to find the message again.
        receipt: Option<String>,
    },
    /// It may work later.
    Retry {
        /// What the receiver asked to wait, unchecked.
        after: Option<Span>,
        /// What went wrong, for the operator.
        reason: String,
    },
    /// It cannot work until a person changes something.
    Permanent {
        /// What went wrong, for the operator.
        reason: String,
    },
}

/// A receiver's answer over HTTP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// The header `Retry-After` as it came.
    pub retry_after: Option<String>,
    /// The beginning of the body.
    pub body: String,
}

impl Outcome {
    /// The word in metrics and in the attempt log.
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Sent { .. } => "sent",
            Self::Retry { .. } => "retry",
            Self::Permanent { .. } => "permanent",
        }
    }

    /// What went wrong, where something did.
    #[must_use]
    pub fn reason(&self) -> Option<&str> {
        match self {
            Self::Sent { .. } => None,
            Self::Retry { reason, .. } | Self::Permanent { reason } => Some(reason),
        }
    }

    /// A failure that may pass, without a receiver's wish.
    #[must_use]
    pub fn retry(reason: impl Into<String>) -> Self {
        Self::Retry { after: None, reason: reason.into() }
    }

    /// A failure that needs a person.
    #[must_use]
    pub fn permanent(reason: impl Into<String>) -> Self {
        Self::Permanent { reason: reason.into() }
    }
}

/// What a Slack incoming webhook's answer means.
///
/// Success is status 200 with the body `ok` (or `{"ok":true}` from compatible receivers): a proxy's
/// log-in page is no success. Errors are plain text such as `invalid_payload` or `no_service`.
#[must_use]
pub fn of_slack(answer: &Answer, now: Timestamp) -> Outcome {
    let body = answer.body.trim();
    let json: Option<Value> = serde_json::from_str(body).ok();
    let flag = json.as_ref().and_then(|json| json.get("ok")).and_then(Value::as_bool);
    match answer.status {
        200 if body == "ok" || flag == Some(true) => Outcome::Sent { receipt: None },
        200 if flag == Some(false) => {
            let error = json.as_ref().and_then(|json| json.get("error")).and_then(Value::as_str);
            slack_error(error.unwrap_or("no error given"), answer, now)
        }
        200 if is_error_name(body) => slack_error(body, answer, now),
        200 => Outcome::retry(format!("200, but not the answer of Slack: {}", shown(answer))),
        status => by_status(status, answer, now),
    }
}

/// What a webhook's answer means: any 2xx is success, 410 asks never to come again, and so does a
/// redirect, which is not followed because its target was not checked; the rest may pass.
#[must_use]
pub fn of_webhook(answer: &Answer, now: Timestamp) -> Outcome {
    match answer.status {
        200..=299 => Outcome::Sent { receipt: None },
        300..=399 | 410 => by_status(answer.status, answer, now),
        status => Outcome::Retry { after: wish(answer, now), reason: described(status, answer) },
    }
}

/// What an SMTP reply means (RFC 5321, section 4.2.1).
#[must_use]
pub fn of_smtp(code: u16, text: &str) -> Outcome {
    let reason = one_line(&format!("{code} {text}"), REASON_MAX);
    match code {
        200..=299 => Outcome::Sent { receipt: Some(reason) },
        500..=599 => Outcome::Permanent { reason },
        _ => Outcome::Retry { after: None, reason },
    }
}

/// Whether Slack refused the message's form, so that a plainer one may pass.
#[must_use]
pub fn slack_refused_form(answer: &Answer) -> bool {
    let body = answer.body.trim();
    answer.status == 400
        && (body.starts_with("invalid_blocks")
            || body.starts_with("invalid_payload")
            || body.contains("too_long"))
}

fn slack_error(error: &str, answer: &Answer, now: Timestamp) -> Outcome {
    let reason = one_line(&format!("{} {error}", answer.status), REASON_MAX);
    match error {
        "ratelimited"
        | "rate_limited"
        | "rollup_error"
        | "internal_error"
        | "fatal_error"
        | "service_unavailable"
        | "request_timeout" => Outcome::Retry { after: wish(answer, now), reason },
        _ => Outcome::Permanent { reason },
    }
}

/// Slack's error names: lower-case words joined by underscores.
fn is_error_name(body: &str) -> bool {
    (3..=60).contains(&body.len())
        && body.contains('_')
        && body.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_')
}

fn by_status(status: u16, answer: &Answer, now: Timestamp) -> Outcome {
    let reason = described(status, answer);
    match status {
        300..=399 => Outcome::Permanent {
            reason: format!("{status}: redirects are not followed; give the final address"),
        },
        408 | 425 | 429 | 500..=599 => Outcome::Retry { after: wish(answer, now), reason },
        400..=499 => Outcome::Permanent { reason },
        _ => Outcome::Retry { after: None, reason },
    }
}

fn wish(answer: &Answer, now: Timestamp) -> Option<Span> {
    answer.retry_after.as_deref().and_then(|value| retry_after::parse(value, now))
}

fn described(status: u16, answer: &Answer) -> String {
    one_line(&format!("{status} {}", shown(answer)), REASON_MAX)
}

fn shown(answer: &Answer) -> String {
    one_line(&answer.body, 200)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, body: &str) -> Answer {
        Answer { status, retry_after: None, body: body.to_owned() }
    }

    #[test]
    fn slack_answers() {
        let cases = [
            (200, "ok", "sent"),
            (200, "ok\n", "sent"),
            (200, r#"{"ok":true}"#, "sent"),
            (200, "", "retry"),
            (200, "<html>please log in</html>", "retry"),
            (200, "invalid_token", "permanent"),
            (200, r#"{"ok":false,"error":"channel_not_found"}"#, "permanent"),
            (200, r#"{"ok":false,"error":"ratelimited"}"#, "retry"),
            (204, "", "retry"),
            (302, "", "permanent"),
            (400, "invalid_payload", "permanent"),
            (403, "action_prohibited", "permanent"),
            (404, "no_service", "permanent"),
            (408, "", "retry"),
            (410, "channel_is_archived", "permanent"),
            (429, "rate_limited", "retry"),
            (500, "rollup_error", "retry"),
            (503, "", "retry"),
        ];
        for (status, body, outcome) in cases {
            let got = of_slack(&answer(status, body), Timestamp::default());
            assert_eq!(got.as_str(), outcome, "{status} {body:?}: {got:?}");
        }
    }

    #[test]
    fn webhook_answers() {
        let cases = [
            (200, "sent"),
            (204, "sent"),
            (301, "permanent"),
            (308, "permanent"),
            (400, "retry"),
            (404, "retry"),
            (410, "permanent"),
            (429, "retry"),
            (502, "retry"),
        ];
        for (status, outcome) in cases {
            let got = of_webhook(&answer(status, ""), Timestamp::default());
            assert_eq!(got.as_str(), outcome, "{status}: {got:?}");
        }
    }

    #[test]
    fn a_wish_to_wait_is_passed_on() {
        let limited = Answer { retry_after: Some("7".into()), ..answer(429, "") };
        for outcome in
            [of_slack(&limited, Timestamp::default()), of_webhook(&limited, Timestamp::default())]
        {
            assert!(
                matches!(outcome, Outcome::Retry { after: Some(after), .. } if after == Span::from_secs(7))
            );
        }
    }

    #[test]
    fn smtp_replies() {
        let cases =
            [(250, "sent"), (421, "retry"), (451, "retry"), (550, "permanent"), (0, "retry")];
        for (code, outcome) in cases {
            assert_eq!(of_smtp(code, "text").as_str(), outcome, "{code}");
        }
    }

    #[test]
    fn reasons_are_short_and_on_one_line() {
        let long = of_slack(&answer(500, &"x\r\n\u{1b}[31m".repeat(10_000)), Timestamp::default());
        let reason = long.reason().unwrap_or_default();
        assert!(reason.chars().count() <= REASON_MAX && !reason.contains(char::is_control));
    }
}
