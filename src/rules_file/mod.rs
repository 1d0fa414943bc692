//! Rules as code: a YAML file of alert rules, read with the place of everything, compared with what the
//! database holds, and written.
//! No I/O may appear here, and no rule about thresholds: what a rule may be is for `model::Rule`.
//! Text and rows of `alert_rules` come in; rules with line numbers, problems and a [`Plan`] go out.

mod fields;
mod nearest;
mod plan;
mod read;
mod schema;
mod span;
mod words;
mod write;
pub mod yaml;

pub use fields::{FIELDS, Field, Kind};
pub use plan::{Bound, Change, Plan, Refusal, Stored, plan};
pub use read::{Binding, FileRule, Problem, parse, rule_of};
pub use schema::schema;
pub use span::{ParseSpanError, parse_span, render_span};
pub use write::render;
