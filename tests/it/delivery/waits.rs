//! Receivers that ask to wait, in every form, and receivers that answer by drops.

use std::{net::SocketAddr, time::Duration};

use meshhook_errors::sinks::{Answer, HttpSink};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
    time::{Instant, sleep},
};
use tokio_util::task::AbortOnDropHandle;
use uuid::Uuid;

use crate::{notify::rig::Rig, support::eventually};

/// Seconds from the first failed attempt until the next one is due.
async fn planned(rig: &Rig, message: Uuid) -> f64 {
    eventually("a first attempt", async || {
        sqlx::query_scalar(
            "select extract(epoch from next_attempt_at - (attempt_log->-1->>'at')::timestamptz)::float8 \
               from public.alert_notifications where notification_id = $1 and attempts > 0 and state = 'waiting'",
        )
        .bind(message)
        .fetch_optional(&rig.admin)
        .await
        .expect("the message")
    })
    .await
}

#[tokio::test]
async fn a_wish_to_wait_is_kept_within_bounds_in_every_form() {
    let rig = Rig::new().await;
    let in_30 = chrono_like(30);
    // The bounds are those of the schedule: 1 s after the first attempt, and an hour.
    let cases: [(&str, Option<&str>, std::ops::Range<f64>); 9] = [
        ("none", None, 0.7..1.4),
        ("zero", Some("0"), 0.9..1.4),
        ("seconds", Some("30"), 29.5..30.5),
        ("a date", Some(&in_30), 27.0..31.0),
        ("a date long ago", Some("Wed, 21 Oct 2015 07:28:00 GMT"), 0.9..1.4),
        ("a date far away", Some("Fri, 31 Dec 9999 23:59:59 GMT"), 3_599.0..3_601.0),
        ("absurd", Some("31536000"), 3_599.0..3_601.0),
        ("more than a number", Some("99999999999999999999999"), 3_599.0..3_601.0),
        ("nonsense", Some("soon"), 0.7..1.4),
    ];
    let mut running = Vec::new();
    for (name, wish, expected) in cases {
        let sink = HttpSink::start().await.expect("a sink");
        let answer = Answer::new(429, "rate_limited");
        sink.otherwise(match wish {
            Some(wish) => answer.header("retry-after", wish),
            None => answer,
        });
        let channel = rig.slack_channel(name, &sink).await;
        running.push((name, rig.fire(channel).await, sink, expected));
    }
    for (name, message, _sink, expected) in &running {
        let wait = planned(&rig, *message).await;
        assert!(expected.contains(&wait), "{name}: {wait} s");
    }
}

/// The instant in so many seconds, as HTTP writes it.
fn chrono_like(seconds: i64) -> String {
    let now = meshhook_errors::clock::Clock::system().now();
    let then = now + meshhook_errors::model::Span::from_secs(seconds);
    then.to_chrono().format("%a, %d %b %Y %H:%M:%S GMT").to_string()
}

/// A server that sends `head` at once and then a letter every 200 ms for ever.
async fn dripping(head: &'static str) -> (SocketAddr, AbortOnDropHandle<()>) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let task = tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut request = [0; 4096];
                let _ = stream.read(&mut request).await;
                let _ = stream.write_all(head.as_bytes()).await;
                while stream.write_all(b"x").await.is_ok() {
                    sleep(Duration::from_millis(200)).await;
                }
            });
        }
    });
    (address, AbortOnDropHandle::new(task))
}

#[tokio::test]
async fn an_answer_in_drops_ends_in_time() {
    let rig = Rig::new().await;
    let body = dripping("HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\no").await;
    let head = dripping("HTTP/1.1 200 OK\r\nx-slow: ").await;
    let began = Instant::now();
    let mut running = Vec::new();
    for (name, (address, _task), reason) in [
        ("body", &body, "200, but not the answer of Slack"),
        ("head", &head, "no answer within 2 s"),
    ] {
        let url = format!("http://{address}/services/T0/B0/secretsecretsecret");
        let channel = rig.channel(name, "slack", serde_json::json!({}), Some(&url)).await;
        running.push((name, rig.fire(channel).await, reason));
    }
    for (name, message, reason) in running {
        let attempt = rig.first_attempt(message).await;
        assert_eq!(attempt["outcome"], "retry", "{name}");
        let said = attempt["reason"].as_str().unwrap_or_default();
        assert!(said.contains(reason), "{name}: {said}");
    }
    assert!(began.elapsed() < Duration::from_secs(15), "{:?}", began.elapsed());

    // A webhook's receiver has said yes with its status; what it drips after that is of no interest.
    let (address, _) = &body;
    let hook = rig.hook_channel(&format!("http://{address}/alerts")).await;
    let message = rig.fire(hook).await;
    assert_eq!(rig.until(message, "sent").await.attempts, 1);
}
