//! Every query of the daemon, one file per concern; the SQL itself stands in `sql/`.
//! No decision is taken here and nothing is kept between calls: that is for `feed`, `engine`,
//! `alerting`, `notify` and `lease`.
//! Values of `model` go in and come out; connections come from [`Db`], failures are [`StoreError`].
//!
//! **Leader's writes** are one transaction whose *last* statement is [`lease::check_fence`]: it locks
//! the lease's row until the commit, so that nobody can become leader between the check and the
//! commit. [`Link::commit_as`] does both.

pub mod acts;
pub mod channels;
pub mod diagnose;
pub mod error;
pub mod explain;
pub mod feed;
pub mod groups;
pub mod held;
pub mod history;
pub mod incidents;
pub mod lease;
pub mod live;
pub mod outbox;
pub mod past;
pub mod pool;
pub mod reconcile;
pub mod retention;
pub mod rollup;
pub mod rule_rows;
pub mod rules;
pub mod runs;
pub mod secrets;
pub mod slack_threads;
pub mod status;
pub mod system;
pub mod telling;
pub mod templates;

pub use error::{ErrorKind, StoreError};
pub use lease::Fence;
pub use pool::{Db, Link, PoolOptions};
