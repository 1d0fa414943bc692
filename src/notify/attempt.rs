//! One entry of a message's attempt log, and what earlier entries say about its recipients.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::model::Timestamp;

/// One attempt, as `alert_notifications.attempt_log` keeps it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Attempt {
    /// When it ended.
    pub at: Timestamp,
    /// How long it took, in milliseconds.
    pub ms: u64,
    /// sent, retry, permanent or dropped.
    pub outcome: String,
    /// HTTP status, where there was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// What went wrong.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Mail addresses whose server took the message in this attempt.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub accepted: Vec<String>,
    /// Mail addresses whose server refused it for good in this attempt.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub refused: Vec<String>,
}

/// What earlier attempts settled about the recipients of a mail.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Those who have it.
    pub accepted: BTreeSet<String>,
    /// Those who cannot get it.
    pub refused: BTreeSet<String>,
    /// Attempts that the receiver answered.
    pub answered: usize,
}

impl Progress {
    /// Reads an attempt log; entries that cannot be read settle nothing.
    pub fn of(log: &Value) -> Self {
        let mut progress = Self::default();
        for entry in log.as_array().into_iter().flatten() {
            if let Ok(attempt) = Attempt::deserialize(entry) {
                progress.answered += usize::from(attempt.status.is_some());
                progress.accepted.extend(attempt.accepted);
                progress.refused.extend(attempt.refused);
            }
        }
        progress
    }

    /// Whether one of the attempts before attempt `now` may have reached the receiver unseen: its
    /// answer was lost, or whoever made it did not live to say so.
    pub fn is_unclear(&self, now: i32) -> bool {
        usize::try_from(now).unwrap_or(0).saturating_sub(1) > self.answered
    }

    /// Those who need not be tried again.
    pub fn done(&self) -> BTreeSet<String> {
        self.accepted.union(&self.refused).cloned().collect()
    }
}
