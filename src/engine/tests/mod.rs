//! Tests of the engine as a whole: scripts with expected transitions, and properties.
//! Tests of one file of the engine alone stand in that file.
//! Everything goes in through `Engine::step` or `batch::evaluate`, and is judged by what comes out.

mod books;
mod levels;
mod lively;
mod properties;
mod rule_changes;
mod script;
pub(super) mod support;
mod takeover;
