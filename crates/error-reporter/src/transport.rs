//! Sends rows to PostgREST, and judges what it answers.

use std::time::Duration;

use chrono::{DateTime, Utc};
use reqwest::{
    Client, Url,
    header::{CONTENT_TYPE, HeaderValue, RETRY_AFTER},
    redirect::Policy,
};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;

use crate::{Options, OptionsError, Token, backoff::retry_after, clock, event::Sealed};

/// How much of an answer is read, in bytes.
const MAX_ANSWER: usize = 64 << 10;
/// A token that expires sooner than this is replaced first.
const EXPIRES_SOON: chrono::TimeDelta = chrono::TimeDelta::seconds(30);

/// What an answer means for the events that were sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Verdict {
    /// All are stored.
    Delivered,
    /// At least one of them is at fault; the others may be delivered without it.
    Refused,
    /// Either one of them is at fault, or this reporter's rights or the schema are; only the success
    /// of others tells.
    Suspect,
    /// The token is at fault.
    Unauthorized,
    /// The server or the way to it is at fault.
    Later,
}

#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) verdict: Verdict,
    /// 0 where there was no answer.
    pub(crate) status: u16,
    pub(crate) code: String,
    pub(crate) retry_after: Duration,
}

/// Judges an answer by its status and the `code` of its body: an SQLSTATE, PGRST…, or nothing.
pub(crate) fn verdict_of(status: u16, code: &str) -> Verdict {
    let is_sqlstate =
        code.len() == 5 && code.bytes().all(|b| b.is_ascii_digit() || b.is_ascii_uppercase());
    let class = if is_sqlstate { code.get(..2).unwrap_or_default() } else { "" };
    match (status, class) {
        (200..=299, _) => Verdict::Delivered,
        (401, _) => Verdict::Unauthorized,
        // Connection, transaction state and rollback, resources, object not in prerequisite state,
        // operator intervention, system error: these speak of the server's state and not of the row.
        (_, "08" | "25" | "40" | "53" | "55" | "57" | "58") => Verdict::Later,
        // Too complex for Postgres is a property of the row, though PostgREST answers 500.
        (_, "54") => Verdict::Suspect,
        (413, _) => Verdict::Refused,
        // PGRST codes mean the table, a column or the request itself, which no other row would cure.
        (400 | 409 | 422, _) if code.starts_with("PGRST") && code != "PGRST102" => Verdict::Later,
        (400 | 409 | 422, _) => Verdict::Refused,
        (403, _) => Verdict::Suspect,
        // A redirect, a missing table, a wrong path: not the events' fault, and perhaps soon repaired.
        _ => Verdict::Later,
    }
}

pub(crate) struct Transport {
    client: Client,
    endpoint: Url,
    apikey: Option<HeaderValue>,
    source: Token,
    token: Option<SecretString>,
}

impl Transport {
    pub(crate) fn new(options: &Options) -> Result<Self, OptionsError> {
        if !matches!(options.url.scheme(), "http" | "https") || !options.url.has_host() {
            return Err(OptionsError::Url);
        }
        let mut endpoint = options.url.clone();
        endpoint.path_segments_mut().map_err(|()| OptionsError::Url)?.pop_if_empty().extend([
            "rest",
            "v1",
            "error_metrics",
        ]);
        endpoint.set_query(Some("on_conflict=error_id"));
        let apikey = options.apikey.as_ref().map(header).transpose()?;
        let client = Client::builder()
            .timeout(options.timeout)
            .connect_timeout(options.timeout)
            // A redirect would carry the token to wherever it points.
            .redirect(Policy::none())
            .build()
            .map_err(OptionsError::Client)?;
        Ok(Self { client, endpoint, apikey, source: options.token.clone(), token: None })
    }

    pub(crate) async fn send(&mut self, batch: &[Sealed], timeout: Duration) -> Answer {
        let answer = self.attempt(batch, false, timeout).await;
        if answer.verdict != Verdict::Unauthorized {
            return answer;
        }
        self.token = None;
        self.attempt(batch, true, timeout).await
    }

    async fn attempt(&mut self, batch: &[Sealed], refresh: bool, timeout: Duration) -> Answer {
        let failed = |code: &str| Answer {
            verdict: Verdict::Later,
            status: 0,
            code: code.to_owned(),
            retry_after: Duration::ZERO,
        };
        // Asking for a token is the application's code and may hang as any server may.
        let authorization = match tokio::time::timeout(timeout, self.authorization(refresh)).await {
            Ok(Some(value)) => value,
            Ok(None) => return failed("token"),
            Err(_) => return failed("token-timeout"),
        };
        let mut request = self
            .client
            .post(self.endpoint.clone())
            .header(CONTENT_TYPE, "application/json")
            .header("prefer", "return=minimal,resolution=ignore-duplicates")
            .header("authorization", authorization);
        if let Some(apikey) = &self.apikey {
            request = request.header("apikey", apikey.clone());
        }
        match request.body(body(batch)).send().await {
            Ok(response) => answer_of(response).await,
            Err(error) if error.is_timeout() => failed("timeout"),
            Err(error) if error.is_connect() => failed("connect"),
            Err(_) => failed("request"),
        }
    }

    async fn authorization(&mut self, refresh: bool) -> Option<HeaderValue> {
        let known = self.token.as_ref().is_some_and(|token| !expires_soon(token, clock::now()));
        if !known {
            let refresh = refresh || self.token.is_some();
            self.token = Some(match &self.source {
                Token::Fixed(token) => token.clone(),
                Token::Ask(ask) => ask(refresh).await.ok()?,
            });
        }
        let bearer = format!("Bearer {}", self.token.as_ref()?.expose_secret());
        header(&SecretString::from(bearer)).ok()
    }
}

fn header(secret: &SecretString) -> Result<HeaderValue, OptionsError> {
    let mut value =
        HeaderValue::from_str(secret.expose_secret()).map_err(|_| OptionsError::Apikey)?;
    value.set_sensitive(true);
    Ok(value)
}

fn body(batch: &[Sealed]) -> String {
    let length: usize = batch.iter().map(|event| event.line.len() + 1).sum();
    let mut body = String::with_capacity(length + 1);
    body.push('[');
    for (index, event) in batch.iter().enumerate() {
        if index > 0 {
            body.push(',');
        }
        body.push_str(&event.line);
    }
    body.push(']');
    body
}

async fn answer_of(mut response: reqwest::Response) -> Answer {
    let status = response.status().as_u16();
    let header = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok());
    let retry_after = retry_after(header, clock::now());
    let mut text = Vec::new();
    // Read also where nobody needs it: only then is the connection free again.
    while let Ok(Some(chunk)) = response.chunk().await {
        if text.len() < MAX_ANSWER {
            text.extend_from_slice(&chunk);
        }
    }
    let code = if status < 300 { String::new() } else { code_of(&text) };
    Answer { verdict: verdict_of(status, &code), status, code, retry_after }
}

fn code_of(body: &[u8]) -> String {
    #[derive(Deserialize)]
    struct Body {
        code: String,
    }
    let code = serde_json::from_slice::<Body>(body).map(|body| body.code).unwrap_or_default();
    let plain =
        code.len() <= 12 && code.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit());
    if plain { code } else { String::new() }
}

/// Whether a JWT's `exp` is near; what is no JWT does not expire.
fn expires_soon(token: &SecretString, now: DateTime<Utc>) -> bool {
    #[derive(Deserialize)]
    struct Claims {
        exp: i64,
    }
    let Some(payload) = token.expose_secret().split('.').nth(1) else { return false };
    let Some(bytes) = base64url(payload) else { return false };
    serde_json::from_slice::<Claims>(&bytes)
        .is_ok_and(|claims| claims.exp < (now + EXPIRES_SOON).timestamp())
}

/// Base64 with `-` and `_`, without padding (RFC 4648, section 5).
fn base64url(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len() * 3 / 4);
    let (mut bits, mut held) = (0u32, 0u32);
    for char in text.trim_end_matches('=').bytes() {
        let six = match char {
            b'A'..=b'Z' => char - b'A',
            b'a'..=b'z' => char - b'a' + 26,
            b'0'..=b'9' => char - b'0' + 52,
            b'-' => 62,
            b'_' => 63,
            _ => return None,
        };
        bits = (bits << 6 | u32::from(six)) & 0xffff;
        held += 6;
        if held >= 8 {
            held -= 8;
            bytes.push(u8::try_from(bits >> held & 0xff).ok()?);
        }
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_judged_as_the_shared_vectors_say() {
        #[derive(Deserialize)]
        struct Vector {
            status: u16,
            code: String,
            verdict: Verdict,
        }
        let vectors = include_str!("../../../tests/vectors/reporter-verdicts.json");
        for Vector { status, code, verdict } in serde_json::from_str::<Vec<_>>(vectors).unwrap() {
            assert_eq!(verdict_of(status, &code), verdict, "{status} {code}");
        }
    }

    #[test]
    fn tokens_are_replaced_before_they_expire() {
        let now = DateTime::from_timestamp(1_800_000_000, 0).unwrap();
        // {"exp":1800000010}, {"exp":1800009999}, and texts that are no JWT.
        for (token, soon) in [
            ("h.eyJleHAiOjE4MDAwMDAwMTB9.s", true),
            ("h.eyJleHAiOjE4MDAwMDk5OTl9.s", false),
            ("sb_secret_x", false),
            ("a.%%%.c", false),
            ("a.eyJ4IjoxfQ.c", false),
        ] {
            assert_eq!(expires_soon(&token.into(), now), soon, "{token}");
        }
    }
}
