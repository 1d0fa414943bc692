//! Tests of the engine as a whole: scripts with expected transitions, and properties.

mod properties;
mod rule_changes;
mod script;
pub(super) mod support;
mod takeover;
