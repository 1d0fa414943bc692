//! The only module that reads time.
//!
//! Everything else receives a [`Timestamp`] (a wall-clock instant) or waits through tokio's timers,
//! so that a test decides what time it is.

use std::sync::{
    Arc,
    atomic::{AtomicI64, Ordering},
};

use crate::model::Timestamp;

/// A source of wall-clock time that can be replaced in tests and shifted to the database's clock.
#[derive(Clone, Debug)]
pub struct Clock {
    source: Source,
    /// Microseconds to add to the local clock to get the database's.
    offset: Arc<AtomicI64>,
}

#[derive(Clone, Debug)]
enum Source {
    System,
    Manual(Arc<AtomicI64>),
}

impl Clock {
    /// The machine's own clock.
    #[must_use]
    pub fn system() -> Self {
        Self { source: Source::System, offset: Arc::default() }
    }

    /// A clock that stands still until [`Clock::set`] moves it; for tests.
    #[must_use]
    pub fn manual(start: Timestamp) -> Self {
        let source = Source::Manual(Arc::new(AtomicI64::new(start.micros())));
        Self { source, offset: Arc::default() }
    }

    /// The current local time.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        match &self.source {
            #[expect(clippy::disallowed_methods, reason = "the one place that reads the clock")]
            Source::System => Timestamp::from_micros(chrono::Utc::now().timestamp_micros()),
            Source::Manual(micros) => Timestamp::from_micros(micros.load(Ordering::Acquire)),
        }
    }

    /// The current time as the database would tell it, from the last [`Clock::observe_database`].
    ///
    /// Rows are stamped by the database, so windows must end at its clock and not at ours: a few
    /// seconds of difference would otherwise shift every one-minute rate.
    #[must_use]
    pub fn database_now(&self) -> Timestamp {
        Timestamp::from_micros(
            self.now().micros().saturating_add(self.offset.load(Ordering::Acquire)),
        )
    }

    /// Records that the database's clock showed `database` when the local one showed `local`.
    pub fn observe_database(&self, local: Timestamp, database: Timestamp) {
        self.offset.store(database.micros().saturating_sub(local.micros()), Ordering::Release);
    }

    /// Moves a manual clock to `now`; does nothing to the system clock.
    pub fn set(&self, now: Timestamp) {
        if let Source::Manual(micros) = &self.source {
            micros.store(now.micros(), Ordering::Release);
        }
    }
}
