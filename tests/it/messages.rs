//! What reaches people and services: one changing message per incident, PagerDuty's alerts, a rule's own
//! words, and storms.

mod acknowledged;
mod channels;
mod mail;
mod pagerduty;
mod slack_bot;
mod storm;
mod templates;
