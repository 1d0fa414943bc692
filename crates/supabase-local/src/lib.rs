//! A real PostgreSQL with enough of Supabase in front of it for the official clients.
//!
//! For development and tests only; production is Supabase.

pub mod jwt;
pub mod migrate;
pub mod postgres;
pub mod rest;
