//! Names of the metrics of notifying, and the only places that write them.

use std::time::Duration;

use metrics::{counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram};

/// Counter: finished attempts by `kind` (slack, email, webhook) and `outcome` (sent, retry,
/// permanent, dropped, dead).
pub const NOTIFICATIONS_TOTAL: &str = "meshhook_errors_notifications_total";

/// Counter: messages that told several pieces of news at once, by `kind`.
pub const DIGESTS_TOTAL: &str = "meshhook_errors_notification_digests_total";

/// Histogram: seconds that one attempt took, by `kind`.
pub const DELIVERY_SECONDS: &str = "meshhook_errors_notification_delivery_seconds";

/// Gauge: messages that wait or are being sent, as the leader last saw it.
pub const OUTBOX_DEPTH: &str = "meshhook_errors_outbox_depth";

/// Gauge: messages of the last two days that were given up, as each instance last saw it.
pub const GIVEN_UP: &str = "meshhook_errors_notifications_given_up";

/// Tells the recorder what the metrics mean; call once after it is installed.
pub fn describe() {
    describe_counter!(
        NOTIFICATIONS_TOTAL,
        "Attempts to deliver a notification, by what came of them."
    );
    describe_counter!(DIGESTS_TOTAL, "Messages that told what had to wait as one.");
    describe_histogram!(DELIVERY_SECONDS, metrics::Unit::Seconds, "How long an attempt took.");
    describe_gauge!(GIVEN_UP, "Notifications of the last two days that were given up.");
    describe_gauge!(OUTBOX_DEPTH, "Notifications that wait or are being sent.");
}

/// One attempt ended; `took` is none where nothing was sent.
pub(super) fn attempt(kind: &str, outcome: &'static str, took: Option<Duration>) {
    counter!(NOTIFICATIONS_TOTAL, "kind" => kind.to_owned(), "outcome" => outcome).increment(1);
    if let Some(took) = took {
        histogram!(DELIVERY_SECONDS, "kind" => kind.to_owned()).record(took);
    }
}

/// Several pieces of news go out as one message.
pub(super) fn digest(kind: &str, news: usize) {
    counter!(DIGESTS_TOTAL, "kind" => kind.to_owned()).increment(1);
    tracing::debug!(kind, news, "what had to wait goes out as one message");
}

/// The outbox was searched for messages that were given up.
#[expect(clippy::cast_precision_loss, reason = "messages of two days are not that many")]
pub fn given_up(messages: u64) {
    gauge!(GIVEN_UP).set(messages as f64);
}

/// So many messages wait or are being sent.
#[expect(clippy::cast_precision_loss, reason = "a queue of 2^52 messages is not to be expected")]
pub fn depth(messages: u64) {
    gauge!(OUTBOX_DEPTH).set(messages as f64);
}
