//! The daemon's API, through HTTP, in front of a whole deployment.

mod document;
mod foundation;
mod reading;
mod reporting;
pub mod rig;
mod rules;
mod schema;
mod searching;
mod slow;
