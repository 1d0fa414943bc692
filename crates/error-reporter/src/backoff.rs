//! How long to wait before the next attempt.

use std::time::Duration;

use chrono::{DateTime, Utc};

/// Waiting doubles from one failure to the next, and a random part keeps a thousand workers that lost
/// the same server from coming back in the same instant.
#[derive(Debug)]
pub(crate) struct Backoff {
    min: Duration,
    max: Duration,
    failures: u32,
}

impl Backoff {
    pub(crate) fn new(min: Duration, max: Duration) -> Self {
        Self { min, max, failures: 0 }
    }

    pub(crate) fn reset(&mut self) {
        self.failures = 0;
    }

    pub(crate) fn failures(&self) -> u32 {
        self.failures
    }

    /// `random` in [0, 1); `retry_after` is what the server asked for.
    pub(crate) fn next(&mut self, retry_after: Duration, random: f64) -> Duration {
        let factor = 2u32.saturating_pow(self.failures.min(30));
        let whole = self.min.saturating_mul(factor).min(self.max);
        self.failures = self.failures.saturating_add(1);
        let jittered = whole.mul_f64(0.5 + 0.5 * random.clamp(0.0, 1.0));
        // A server that asks for a day does not get it: what waits is bounded and grows old.
        jittered.max(retry_after.min(self.max.saturating_mul(5)))
    }
}

/// `Retry-After` as seconds or an HTTP date; zero where there is nothing to read.
pub(crate) fn retry_after(header: Option<&str>, now: DateTime<Utc>) -> Duration {
    let Some(text) = header.map(str::trim) else { return Duration::ZERO };
    if let Ok(seconds) = text.parse::<f64>() {
        return Duration::try_from_secs_f64(seconds).unwrap_or_default();
    }
    DateTime::parse_from_rfc2822(text)
        .ok()
        .and_then(|date| (date.with_timezone(&Utc) - now).to_std().ok())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waiting_doubles_is_spread_and_ends_at_its_maximum() {
        let millis = |list: [u64; 6]| list.map(Duration::from_millis);
        for (random, expected) in [
            (0.0, millis([50, 100, 200, 400, 500, 500])),
            (1.0, millis([100, 200, 400, 800, 1000, 1000])),
        ] {
            let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(1));
            let waits = expected.map(|_| backoff.next(Duration::ZERO, random));
            assert_eq!(waits, expected);
        }
        let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(1));
        assert_eq!(backoff.next(Duration::from_secs(3), 0.0), Duration::from_secs(3));
        assert_eq!(backoff.next(Duration::MAX, 0.0), Duration::from_secs(5));
        backoff.reset();
        assert_eq!(backoff.next(Duration::ZERO, 0.0), Duration::from_millis(50));
    }

    #[test]
    fn retry_after_as_the_shared_vectors_say() {
        #[derive(serde::Deserialize)]
        struct Vector {
            header: Option<String>,
            now: DateTime<Utc>,
            wait_ms: u64,
        }
        let vectors = include_str!("../../../tests/vectors/reporter-retry-after.json");
        for vector in serde_json::from_str::<Vec<Vector>>(vectors).unwrap() {
            let wait = retry_after(vector.header.as_deref(), vector.now);
            assert_eq!(wait, Duration::from_millis(vector.wait_ms), "{:?}", vector.header);
        }
    }
}
