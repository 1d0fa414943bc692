//! A real PostgreSQL with enough of Supabase in front of it for the official clients.
//!
//! For development and tests only; production is Supabase.

pub mod auth;
mod cors;
pub mod faults;
pub mod jwt;
pub mod migrate;
pub mod postgres;
pub mod project;
pub mod realtime;
pub mod rest;
mod server;

pub use server::{LOCAL_JWT_SECRET, LocalConfig, LocalSupabase, StartError};
