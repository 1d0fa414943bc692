//! Receivers that stand in for Slack, PagerDuty, webhooks and a mail server, for tests and for `dev`.
//! Nothing here sends, and production builds (without the feature `dev`) leave this folder out.
//! Requests and mails come in over real sockets on free ports; they go out through waiting calls.

pub mod http;
mod inbox;
pub mod pagerduty;
pub mod slack;
mod slack_blocks;
pub mod smtp;

pub use http::{Answer, HttpRequest, HttpSink};
pub use pagerduty::{PagerDutyAlert, PagerDutySink, PagerDutyState};
pub use slack::{SlackMessage, SlackWorkspace};
pub use smtp::{Mail, MailFault, SmtpSink};
