//! The API in front of a real PostgreSQL, spoken to as clients speak to it.

mod auth;
mod cli;
mod delivery;
mod faults;
mod js_client;
mod local;
mod realtime;
