//! The data that travels between all other modules: error events, rules, incidents, notifications.
//! No I/O, no clock and no other module of this crate may appear here.
//! Values come in from `store` and `realtime`, and go out to `engine`, `notify` and `http`.

mod event;
mod incident;
mod ranges;
mod rule;
mod time;

pub use event::{ErrorEvent, ParseEnumError, Severity, Source};
pub use incident::{
    Detail, Evidence, GroupKey, IncidentState, Level, OpenIncident, TopGroup, Transition,
    TransitionKind,
};
pub(crate) use ranges::width;
pub use ranges::{ParseRangesError, RangeSet};
pub use rule::{
    AbsenceOf, Burn, BurnWindow, Filter, Flap, GroupField, MAX_BURN_WINDOWS, Metric, NoData, Rule,
    RuleError, TypePattern,
};
pub use time::{Span, Timestamp};
