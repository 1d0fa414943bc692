//! Notifying end to end: rows of a real outbox become requests and mails at real sockets.

mod dispatch;
mod egress;
mod failures;
mod mail;
pub mod rig;
mod secrets;
