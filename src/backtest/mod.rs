//! Back-tests: what a rule would have decided over stored history, and whom it would have told.
//! No decision is taken here: the engine's [`Playback`](crate::engine::batch::Playback) decides and
//! `alerting` says who is told, exactly as when running live; nothing is written.
//! A rule, its channels and a stretch of time come in, rows come from `store`; a [`Report`] goes out.

mod context;
mod evaluation;
pub mod explain;
mod incidents;
mod messages;
mod past;
mod report;
mod run;
mod series;
mod suggestion;

pub use context::{FindError, Found, find, restraints};
pub use evaluation::{Acknowledgement, Evaluation, Outcome};
pub use messages::{Mail, Restraints, Sent, count, deliver};
pub use past::Past;
pub use report::{ChannelRef, IncidentLine, MessageCount, Point, Report, Suggestion, Thresholds};
pub use run::{Request, RunError, replay, run};
