//! The dead man's ping: an outside service hears from the leader while all is well, and alerts when it
//! does not. It is the one alarm that does not need this process to live.

use std::time::Duration;

use secrecy::{ExposeSecret as _, SecretString};
use tokio::time;
use tokio_util::sync::CancellationToken;

use crate::{http::Probe, lease::Leadership, telemetry::Metrics};

/// How often the service hears from the leader; its period should be a minute, its grace another.
pub const EVERY: Duration = Duration::from_secs(30);
/// How long one request may take.
const TIME_LIMIT: Duration = Duration::from_secs(10);

/// Asks the address now and then, while this instance leads and is ready.
pub struct Pulse {
    /// Whom to ask; whoever knows it can pretend that all is well, so it is never logged.
    pub address: SecretString,
    /// How often.
    pub every: Duration,
    /// One instance's word is enough, and it must be the one that tells people.
    pub leadership: Leadership,
    /// Whether all is well.
    pub probe: Probe,
    /// Counts the pings.
    pub metrics: Metrics,
}

impl Pulse {
    /// Pings until `cancel`.
    pub async fn run(self, client: reqwest::Client, cancel: CancellationToken) {
        let mut every = time::interval(self.every);
        every.set_missed_tick_behavior(time::MissedTickBehavior::Delay);
        let mut failing = false;
        loop {
            tokio::select! {
                () = cancel.cancelled() => return,
                _ = every.tick() => {}
            }
            if !self.leadership.is_leader() || !(self.probe)().ready {
                continue;
            }
            let asked = tokio::select! {
                () = cancel.cancelled() => return,
                asked = client.get(self.address.expose_secret()).timeout(TIME_LIMIT).send() => asked,
            };
            let refused = match asked {
                Ok(answer) if answer.status().is_success() => None,
                Ok(answer) => Some(answer.status().to_string()),
                Err(error) => Some(error.without_url().to_string()),
            };
            let outcome = if refused.is_none() { "heard" } else { "failed" };
            self.metrics.record(|| {
                metrics::counter!("meshhook_errors_dead_mans_pings_total", "outcome" => outcome)
                    .increment(1);
            });
            if let Some(reason) = refused.as_deref().filter(|_| !failing) {
                tracing::warn!(
                    reason,
                    "DEAD_MANS_PING_URL does not answer; its service will alert, because it does not hear that all is well"
                );
            }
            failing = refused.is_some();
        }
    }
}
