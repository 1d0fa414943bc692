//! Tells people about incidents: renders each message for its medium, sends it, retries it, and records what came back.
//! No incident is decided here, and nothing here sees an error's unmasked metadata or logs a secret.
//! Facts come in as rows of the outbox (through `store`); messages go out over HTTP and SMTP, results back to the outbox.

mod address;
mod attempt;
mod controls;
mod deliver;
mod digest;
mod digest_view;
pub mod dispatcher;
pub mod egress;
pub mod email;
mod email_body;
mod email_digest;
mod links;
mod mandate;
pub mod message;
pub mod metrics;
pub mod outcome;
mod pace;
pub mod pagerduty;
mod parcel;
mod retry_after;
pub mod schedule;
pub mod sender;
mod sentence;
pub mod slack;
mod slack_api;
mod slack_bot;
pub mod slack_press;
pub mod smtp;
mod smtp_config;
pub mod template;
mod template_watch;
pub mod test_send;
mod text;
mod trend;
mod view;
pub mod webhook;

pub use address::is_public;
pub use controls::Controls;
pub use dispatcher::{Dispatcher, DispatcherSettings};
pub use egress::{Egress, EgressConfig};
pub use links::{LinkAction, LinkClaims, LinkError, Links, SILENCE, link_digest};
pub use mandate::{Leadership, Mandate};
pub use message::{
    Acknowledgement, BrokenChannel, GroupFact, IncidentFacts, MessageKind, MetricKind,
    NotificationFacts, ProjectFacts, RuleFacts,
};
pub use outcome::Outcome;
pub(crate) use pace::{BURST, COST_OF_MANY, MANY};
pub use sender::{Endpoints, Senders};
pub use sentence::{amount, sentence};
pub use slack_bot::EVENT_TYPE;
pub use smtp::Mailer;
pub use smtp_config::{SmtpConfig, SmtpConfigError};
pub use template_watch::examples;
pub use test_send::{TestReport, probe, send_test};

#[cfg(test)]
mod rendering_tests;
#[cfg(test)]
mod samples;
#[cfg(test)]
mod template_tests;
