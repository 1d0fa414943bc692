//! Reads what the sinks got, without the product's code.

use std::time::Duration;

use aws_lc_rs::hmac;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use meshhook_errors::sinks::{HttpRequest, HttpSink, Mail, SmtpSink};
use tokio::time::Instant;

use super::scene::SIGNING_SECRET;

/// The mail as a person reads it: quoted-printable undone, lines joined.
pub fn readable(mail: &Mail) -> String {
    let joined = mail.data.replace("=\r\n", "").replace("\r\n", "\n");
    let bytes = joined.as_bytes();
    let mut plain = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        let hex = joined.get(at + 1..at + 3).filter(|_| *byte == b'=');
        if let Some(decoded) = hex.and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            plain.push(decoded);
            at += 3;
        } else {
            plain.push(*byte);
            at += 1;
        }
    }
    String::from_utf8_lossy(&plain).into_owned()
}

/// Whether a webhook's request is signed with [`SIGNING_SECRET`] as Standard Webhooks defines it.
pub fn is_signed(request: &HttpRequest) -> bool {
    let header = |name| request.header(name).unwrap_or_default();
    let text = request.text();
    let content = format!("{}.{}.{text}", header("webhook-id"), header("webhook-timestamp"));
    let secret = STANDARD.decode(&SIGNING_SECRET["whsec_".len()..]).expect("base64");
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &secret), content.as_bytes());
    header("webhook-signature") == format!("v1,{}", STANDARD.encode(tag.as_ref()))
}

/// The first line of a Slack message: what kind of news, and of which rule.
pub fn headline(request: &HttpRequest) -> String {
    request.json()["text"].as_str().unwrap_or_default().to_owned()
}

/// All requests of a sink for the channel with this name, in order.
pub fn of_channel(sink: &HttpSink, name: &str) -> Vec<HttpRequest> {
    let end = format!("/{name}");
    sink.requests().into_iter().filter(|request| request.path.ends_with(&end)).collect()
}

/// Waits for a request that `wanted` accepts; others are passed over.
///
/// # Panics
/// When none came in time.
pub async fn request(
    sink: &HttpSink,
    limit: Duration,
    wanted: impl Fn(&HttpRequest) -> bool,
) -> HttpRequest {
    let deadline = Instant::now() + limit;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let Some(request) = sink.next(left).await else {
            let got: Vec<_> = sink.requests().iter().map(HttpRequest::text).collect();
            panic!("not within {limit:?}; the sink got {got:#?}");
        };
        if wanted(&request) {
            return request;
        }
    }
}

/// Waits for a mail whose id contains `kind`; others are passed over.
///
/// # Panics
/// When none came in time.
pub async fn mail(sink: &SmtpSink, limit: Duration, kind: &str) -> Mail {
    let deadline = Instant::now() + limit;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let mail = sink.next(left).await.expect("a mail in time");
        if mail.header("Message-ID").unwrap_or_default().contains(kind) {
            return mail;
        }
    }
}
