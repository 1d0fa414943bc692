//! A message on its way to one channel: its facts, and what is known of earlier attempts.

use uuid::Uuid;

use super::{attempt::Progress, message::NotificationFacts};

/// What is to be sent.
#[derive(Clone, Copy, Debug)]
pub(super) struct Parcel<'a> {
    /// Primary key of the notification.
    pub notification_id: Uuid,
    /// Its place in the order of decisions.
    pub number: i64,
    /// When it was decided, in seconds since 1970.
    pub created_seconds: f64,
    /// Whether an earlier attempt may have reached the receiver without our knowing.
    pub unclear: bool,
    /// What it tells.
    pub facts: &'a NotificationFacts,
    /// What earlier attempts settled.
    pub progress: &'a Progress,
}
