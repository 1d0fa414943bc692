//! What came of an attempt, in the form in which the record's statement takes it.

use serde::Serialize;
use serde_json::Value;
use uuid::Uuid;

use super::{Completion, Fate};

/// One element of the record's `$2`.
#[derive(Serialize)]
pub(super) struct Given<'a> {
    notification_id: Uuid,
    attempt: i32,
    state: &'static str,
    wait_micros: i64,
    entry: &'a Value,
    last_error: Option<&'a str>,
    receipt: Option<&'a str>,
}

impl<'a> Given<'a> {
    pub(super) fn of(completion: &'a Completion) -> Self {
        let (state, wait_micros) = match completion.fate {
            Fate::Sent => ("sent", 0),
            Fate::Waiting(wait) => ("waiting", wait.micros()),
            Fate::Dead => ("dead", 0),
            Fate::Dropped => ("dropped", 0),
        };
        Self {
            notification_id: completion.claim.notification_id,
            attempt: completion.claim.attempt,
            state,
            wait_micros,
            entry: &completion.entry,
            last_error: completion.last_error.as_deref(),
            receipt: completion.receipt.as_deref(),
        }
    }
}
