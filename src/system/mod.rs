//! What the daemon says of itself: system conditions, and the task that turns them into incidents.
//! No counting, no rules and no sending may appear here; the conditions are pure and read no clock.
//! What the feed, the comparison of counts and the outbox report comes in; incidents without a rule and
//! their messages go out through `store`, under the fence.

mod book;
mod condition;
mod facts;
mod watch;

pub use book::{Book, Change};
pub use condition::{Condition, Finding, Limits, Observed};
pub use watch::{Observe, SystemWatch};
