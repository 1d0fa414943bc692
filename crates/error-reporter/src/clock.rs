//! The only module that reads time.

use chrono::{DateTime, Utc};

/// A wall-clock instant, now.
#[expect(clippy::disallowed_methods, reason = "the one place of this crate that reads the clock")]
pub(crate) fn now() -> DateTime<Utc> {
    Utc::now()
}
