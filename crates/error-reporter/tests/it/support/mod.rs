//! A server that answers as PostgREST and misbehaves on request, and what tests share.
//! No assertion about the reporter.
//! Tests hand in faults and rules, and read the rows that arrived.

pub mod database;
pub mod front;
pub mod postgrest;

use std::{path::PathBuf, time::Duration};

use error_reporter::{Options, Reporter, Source};
use tokio::time::{Instant, sleep};
use uuid::Uuid;

use postgrest::Postgrest;

/// How long a condition may take.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// Waits until a condition holds.
pub async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < deadline, "timed out waiting for: {what}");
        sleep(Duration::from_millis(5)).await;
    }
}

/// Options of a reporter in a hurry.
pub fn options(server: &Postgrest) -> Options {
    let mut options = Options::new(server.url().parse().unwrap(), "a-token");
    options.apikey = Some("an-apikey".into());
    options.defaults.source = Source::Worker;
    options.batch_delay = Duration::from_millis(10);
    options.min_backoff = Duration::from_millis(10);
    options.max_backoff = Duration::from_millis(50);
    options.timeout = Duration::from_secs(2);
    options
}

pub fn reporter(server: &Postgrest) -> Reporter {
    Reporter::start(options(server)).unwrap()
}

/// A folder that goes when this is dropped.
pub struct Folder(pub PathBuf);

impl Folder {
    pub fn new() -> Self {
        let path = std::env::temp_dir().join(format!("error-reporter-{}", Uuid::new_v4().simple()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    /// The lines of all segments below it.
    pub fn lines(&self) -> usize {
        files(&self.0)
            .iter()
            .map(|path| std::fs::read_to_string(path).unwrap_or_default().matches('\n').count())
            .sum()
    }

    pub fn files(&self) -> Vec<PathBuf> {
        files(&self.0)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).ok();
    }
}

fn files(folder: &std::path::Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let paths = entries.filter_map(|entry| Some(entry.ok()?.path()));
    paths.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

/// An error with a message and, where given, a cause.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Boom(pub String);

pub fn boom(message: impl Into<String>) -> Boom {
    Boom(message.into())
}
