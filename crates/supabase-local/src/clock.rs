//! The only module of this crate that reads the wall clock.

/// Seconds since 1970-01-01 UTC, as JWT claims (`iat`, `exp`) count them.
#[must_use]
pub fn unix_seconds() -> i64 {
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the clock")]
    let now = chrono::Utc::now();
    now.timestamp()
}
