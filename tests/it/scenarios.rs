//! Scenarios: what a rule does, as time lines that people who operate it can read.
//!
//! `scenarios/*.yaml` hold rules, what happens, and what is expected: transitions and messages. Each
//! scenario runs three ways, which must agree: streaming through the engine as the daemon does, as a
//! back-test over rows in memory, and as a back-test over the same rows in a database. Those
//! marked `live` also run through a real daemon.
//!
//! A time is `m:ss`, `h:mm:ss` or `2d h:mm:ss` after Monday, 3 June 2024, 00:00 UTC; with a minus sign
//! before it.

mod database;
mod inhibitions;
mod live;
mod past;
mod script;
mod stream;
mod suite;
mod volume;
