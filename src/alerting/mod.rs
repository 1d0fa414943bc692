//! From counted events to written decisions: the task that owns the engine, and the writer behind it.
//! No counting, no rule logic (that is `engine`) and no sending (that is `notify`) may appear here.
//! Messages come in from `feed`, the configuration and the lease; incidents with their messages go out
//! through `store`, and the outbox's dispatcher is woken.

mod configuration;
mod decider;
mod facts;
mod history;
mod live_board;
mod message;
mod owed;
mod seam;
mod writer;

pub use configuration::{Configuration, RunsSince, Seen, longest_of_runs, runs_since};
pub use decider::{Connections, Decider};
pub use facts::Narrator;
pub use history::asks_for_news;
pub use live_board::LiveBoard;
pub use message::{DeciderHandle, Inspection, Message};
pub use writer::{Batch, Writer, Written};
