//! `dev --smoke`: the main job once, measured, without a person.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::{self, Instant};
use tokio_util::sync::CancellationToken;

use super::{
    stack::{Options, Stack},
    workload,
};
use crate::{
    config::Environment,
    error::Error,
    model::{Span, Timestamp},
    sinks::{HttpRequest, Mail},
};

/// The seed's rule that the burst concerns; it warns at 20 errors in a minute.
const RULE: &str = "Error burst";
const BURST: u16 = 25;
/// The burst says that it happened this long ago, so that it leaves the one-minute window soon and
/// nobody waits a minute for the resolved messages.
const AGE: Span = Span::from_secs(52);
/// Length of the rule's window; the burst leaves it then, or at the end of that bucket.
const WINDOW: Span = Span::from_secs(60);
const BUCKET: Duration = Duration::from_secs(1);
/// An alert, or a resolved message after its due time, must not take longer.
const LIMIT: Duration = Duration::from_secs(5);
/// The daemon and the socket must be ready within this time.
const READY_LIMIT: Duration = Duration::from_secs(30);

pub async fn run(environment: &Environment, cancel: CancellationToken) -> Result<(), Error> {
    let options = Options { data_dir: None, port: 0, http_port: 0, dashboard: None };
    let stack = Box::pin(Stack::start(options, environment, &cancel)).await?;
    let measured = tokio::select! {
        measured = measure(&stack) => measured,
        () = cancel.cancelled() => Err(Error::failed("interrupted")),
    };
    let stopped = stack.stop().await;
    let report = measured?;
    println!("{report}");
    stopped
}

async fn measure(stack: &Stack) -> Result<Value, Error> {
    ready(stack).await?;
    let burst = workload::burst(&stack.clock, BURST, AGE);
    let happened = stack.clock.now() - AGE;
    let began = Instant::now();
    stack.reporter.insert_errors(&burst).await.map_err(Error::failed)?;

    let slack = slack_about(stack, "firing", began + LIMIT).await?;
    let email = email_about(stack, "firing", began + LIMIT).await?;
    let committed = last_received(stack).await?;
    let due = Instant::now() + (happened + WINDOW).since(stack.clock.now()).to_std();
    let slack_resolved = slack_about(stack, "resolved", due + BUCKET + LIMIT).await?;
    let email_resolved = email_about(stack, "resolved", due + BUCKET + LIMIT).await?;

    let since = |instant: Instant, from: Timestamp| {
        let now = stack.clock.now();
        let then =
            now - Span::from_micros(i64::try_from(instant.elapsed().as_micros()).unwrap_or(0));
        (then.since(from).as_secs_f64() * 1e4).round() / 10.0
    };
    Ok(json!({
        "insert_to_slack_ms": since(slack.received_at, committed),
        "insert_to_email_ms": since(email.received_at, committed),
        "end_to_resolved_slack_ms": since(slack_resolved.received_at, happened + WINDOW),
        "end_to_resolved_email_ms": since(email_resolved.received_at, happened + WINDOW),
        "rows": BURST,
        "postgres": stack.project.cluster.major_version(),
    }))
}

/// Waits until the daemon leads, has counted everything, and its socket is subscribed.
async fn ready(stack: &Stack) -> Result<(), Error> {
    let mut feed = stack.daemon.feed();
    let leadership = stack.daemon.leadership();
    let ready = async {
        loop {
            {
                let status = feed.borrow_and_update();
                if status.caught_up && status.subscribed && leadership.is_leader() {
                    return;
                }
            }
            let _ = time::timeout(Duration::from_millis(100), feed.changed()).await;
        }
    };
    time::timeout(READY_LIMIT, ready)
        .await
        .map_err(|_| Error::failed("the daemon was not ready in time"))
}

/// When the database took in the last row of the burst, which is just before its commit.
async fn last_received(stack: &Stack) -> Result<Timestamp, Error> {
    let at: chrono::DateTime<chrono::Utc> =
        sqlx::query_scalar("select max(received_at) from public.error_metrics")
            .fetch_one(&stack.admin)
            .await
            .map_err(Error::failed)?;
    Ok(at.into())
}

async fn slack_about(stack: &Stack, what: &str, by: Instant) -> Result<HttpRequest, Error> {
    loop {
        let left = by.saturating_duration_since(Instant::now());
        let request = stack.slack.next(left).await.ok_or_else(|| late("Slack", what))?;
        let text = request.text();
        if text.contains(RULE) && is_about(&text, what) {
            return Ok(request);
        }
    }
}

async fn email_about(stack: &Stack, what: &str, by: Instant) -> Result<Mail, Error> {
    loop {
        let left = by.saturating_duration_since(Instant::now());
        let mail = stack.mail.next(left).await.ok_or_else(|| late("mail", what))?;
        let id = mail.header("Message-ID").unwrap_or_default();
        if mail.data.contains(RULE) && id.contains(what) {
            return Ok(mail);
        }
    }
}

fn is_about(text: &str, what: &str) -> bool {
    text.to_lowercase().contains("resolved") == (what == "resolved")
}

fn late(sink: &str, what: &str) -> Error {
    Error::failed(format!(
        "no message \"{what}\" came to the {sink} sink within {} s",
        LIMIT.as_secs()
    ))
}
