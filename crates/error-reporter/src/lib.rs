//! Reports errors of a Rust worker to the table `error_metrics` of a Supabase project.
//!
//! [`Reporter::capture`] returns at once: it never fails, panics or waits. A background task masks,
//! batches and sends; while the server cannot be reached, events wait in memory and, where a folder
//! is given, on disk, and are delivered later with their original times. The npm package
//! `@meshhook/error-reporter` does the same for JavaScript, by the same rules and test vectors.
//!
//! ```no_run
//! use std::time::Duration;
//! use error_reporter::{Context, Options, Reporter, Source};
//!
//! # async fn example(job: impl AsyncFn() -> std::io::Result<()>) -> Result<(), Box<dyn std::error::Error>> {
//! let mut options = Options::new("https://abc.supabase.co".parse()?, "a token of role error_reporter");
//! options.defaults.source = Source::Worker;
//! options.spool_dir = Some("/var/lib/worker/errors".into());
//! let reporter = Reporter::start(options)?;
//! reporter.install_panic_hook();
//!
//! for attempt in 1..=5 {
//!     let Err(error) = job().await else { break };
//!     reporter.capture(&error, Context::new().attempt(attempt, 5).with("run_id", "r-17"));
//! }
//! reporter.close(Duration::from_secs(5)).await;
//! # Ok(()) }
//! ```

mod backoff;
mod classify;
mod clock;
mod deliver;
mod event;
mod facts;
mod layer;
pub mod masking;
mod options;
mod queue;
mod reporter;
mod sender;
mod shared;
mod spool;
mod transport;

pub use classify::{Circumstances, Classified, Direction, classify, error_type_of, severity_of};
pub use event::{Severity, Source};
pub use facts::ErrorFacts;
pub use layer::ErrorLayer;
pub use options::{AskToken, Context, Defaults, Options, OptionsError, Token};
pub use reporter::{Flushed, Reporter, Stats};
