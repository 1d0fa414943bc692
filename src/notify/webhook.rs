//! Signed webhooks after Standard Webhooks (standardwebhooks.com): id, time stamp and HMAC-SHA-256
//! over `id.timestamp.body`, with a secret that the receiver also has.

use aws_lc_rs::hmac;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Serialize;
use uuid::Uuid;

use super::{
    message::NotificationFacts,
    sentence::{headline, sentence},
};
use crate::model::Timestamp;

/// Why a secret cannot sign.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SecretError {
    /// It is not base64.
    #[error("the signing secret must be base64, with or without the prefix whsec_")]
    NotBase64,
    /// It is shorter or longer than the standard allows.
    #[error("the signing secret must have 24 to 64 bytes, it has {0}")]
    Length(usize),
}

/// What is posted, besides the headers.
#[derive(Serialize)]
struct Payload<'a> {
    /// Dotted name of the event, as Standard Webhooks recommends.
    r#type: String,
    version: u32,
    id: Uuid,
    timestamp: Timestamp,
    /// One line that names the rule, or what its own template made of it.
    title: String,
    summary: String,
    /// What the rule's own template made of it, where it has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    body: Option<&'a str>,
    data: &'a NotificationFacts,
}

/// The JSON text that tells `facts`; signed exactly as it is sent.
#[must_use]
pub fn body(id: Uuid, facts: &NotificationFacts) -> String {
    use super::MessageKind as Kind;
    let name = match facts.transition {
        Kind::Firing
        | Kind::Escalated
        | Kind::Reminder
        | Kind::Flapping
        | Kind::Resolved
        | Kind::Acknowledged
        | Kind::Unacknowledged => "incident",
        Kind::ChannelBroken | Kind::Test => "notification",
    };
    let payload = Payload {
        r#type: format!("{name}.{}", facts.transition.as_str()),
        version: facts.version,
        id,
        timestamp: facts.at,
        title: facts.texts.title.clone().unwrap_or_else(|| headline(facts)),
        summary: sentence(facts),
        body: facts.texts.body.as_deref(),
        data: facts,
    };
    // Facts hold nothing that JSON cannot say; floats that it cannot say become null.
    serde_json::to_string(&payload).unwrap_or_default()
}

/// The three headers of a delivery attempt at `now`.
///
/// # Errors
/// Where the secret cannot sign.
pub fn headers(
    id: Uuid,
    now: Timestamp,
    body: &str,
    secret: &SecretString,
) -> Result<[(&'static str, String); 3], SecretError> {
    let seconds = now.micros().div_euclid(1_000_000);
    let signature = sign(&id.to_string(), seconds, body, secret)?;
    Ok([
        ("webhook-id", id.to_string()),
        ("webhook-timestamp", seconds.to_string()),
        ("webhook-signature", signature),
    ])
}

/// `v1,` and the signature of a message, as base64.
///
/// # Errors
/// Where the secret cannot sign.
pub fn sign(
    id: &str,
    seconds: i64,
    body: &str,
    secret: &SecretString,
) -> Result<String, SecretError> {
    let key = hmac::Key::new(hmac::HMAC_SHA256, &secret_bytes(secret)?);
    let tag = hmac::sign(&key, format!("{id}.{seconds}.{body}").as_bytes());
    Ok(format!("v1,{}", STANDARD.encode(tag.as_ref())))
}

/// Whether a secret can sign.
///
/// # Errors
/// Where it cannot.
pub fn check_secret(secret: &SecretString) -> Result<(), SecretError> {
    secret_bytes(secret).map(|_| ())
}

fn secret_bytes(secret: &SecretString) -> Result<Vec<u8>, SecretError> {
    let text = secret.expose_secret().trim();
    let text = text.strip_prefix("whsec_").unwrap_or(text);
    let bytes = STANDARD.decode(text).map_err(|_| SecretError::NotBase64)?;
    if (24..=64).contains(&bytes.len()) { Ok(bytes) } else { Err(SecretError::Length(bytes.len())) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example in the standard's specification (and in each of its libraries' tests).
    #[test]
    fn the_standards_own_example_verifies() {
        let secret = SecretString::from("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw");
        let signature =
            sign("msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, r#"{"test": 2432232314}"#, &secret);
        assert_eq!(signature.as_deref(), Ok("v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="));
    }

    #[test]
    fn a_secret_that_cannot_sign_is_named() {
        let check = |text: &str| check_secret(&SecretString::from(text));
        assert_eq!(check("whsec_%%%"), Err(SecretError::NotBase64));
        assert_eq!(check("whsec_YWJj"), Err(SecretError::Length(3)));
    }
}
