//! The reporter against servers that answer as PostgREST does, and against the real schema.

mod outage;
mod page;
mod poison;
mod process;
mod real;
mod reporting;
mod support;
mod vectors;
