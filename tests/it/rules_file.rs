//! Rules as code: a file against a project, through the binary and PostgREST.

mod applying;
mod documents;
mod problems;
