//! How often one caller may call: a token bucket each, in a table of bounded size.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use aws_lc_rs::digest;
use tokio::time::Instant;

/// Callers that are remembered at most. Forgetting one only gives it a full bucket again.
const CALLERS: usize = 10_000;

/// How much of a minute's allowance may be used at once.
const BURST_PART: f64 = 0.2;

/// Who is counted: a token by its digest, so that no token is kept, or an address without one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Key {
    /// The first 16 bytes of a token's SHA-256.
    Token([u8; 16]),
    /// The peer's address.
    Address(Option<IpAddr>),
}

impl Key {
    /// The key of a token.
    #[must_use]
    pub fn token(token: &str) -> Self {
        let mut short = [0; 16];
        let whole = digest::digest(&digest::SHA256, token.as_bytes());
        for (to, from) in short.iter_mut().zip(whole.as_ref()) {
            *to = *from;
        }
        Self::Token(short)
    }
}

#[derive(Clone, Copy)]
struct Bucket {
    level: f64,
    at: Instant,
}

/// The buckets of all callers.
pub struct Limits {
    per_second: f64,
    burst: f64,
    callers: usize,
    buckets: Mutex<HashMap<Key, Bucket>>,
}

impl Limits {
    /// Buckets that take `per_minute` requests a minute, a fifth of them (at least ten) at once.
    #[must_use]
    pub fn new(per_minute: u32) -> Self {
        let per_minute = f64::from(per_minute);
        Self {
            per_second: per_minute / 60.0,
            burst: (per_minute * BURST_PART).max(10.0_f64.min(per_minute)),
            callers: CALLERS,
            buckets: Mutex::default(),
        }
    }

    /// Counts one request.
    ///
    /// # Errors
    /// How long to wait, when the caller's bucket is empty.
    pub fn take(&self, key: Key, now: Instant) -> Result<(), Duration> {
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        if buckets.len() >= self.callers && !buckets.contains_key(&key) {
            self.make_room(&mut buckets, now);
        }
        let bucket = buckets.entry(key).or_insert(Bucket { level: self.burst, at: now });
        bucket.level = self.level(*bucket, now);
        bucket.at = now;
        if bucket.level >= 1.0 {
            bucket.level -= 1.0;
            return Ok(());
        }
        Err(Duration::from_secs_f64((1.0 - bucket.level) / self.per_second))
    }

    fn level(&self, bucket: Bucket, now: Instant) -> f64 {
        let gained = now.saturating_duration_since(bucket.at).as_secs_f64() * self.per_second;
        (bucket.level + gained).min(self.burst)
    }

    /// Forgets callers whose buckets are full again; where there are none, the fuller half.
    fn make_room(&self, buckets: &mut HashMap<Key, Bucket>, now: Instant) {
        buckets.retain(|_, bucket| self.level(*bucket, now) < self.burst);
        if buckets.len() < self.callers {
            return;
        }
        let mut levels: Vec<f64> = buckets.values().map(|b| self.level(*b, now)).collect();
        let middle = levels.len() / 2;
        let (_, median, _) = levels.select_nth_unstable_by(middle, f64::total_cmp);
        let median = *median;
        buckets.retain(|_, bucket| self.level(*bucket, now) < median);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_caller_has_a_burst_and_then_its_rate_and_does_not_touch_others() {
        let limits = Limits::new(60);
        let (one, other) = (Key::token("one"), Key::token("other"));
        let start = Instant::now();
        assert_eq!((0..100).filter(|_| limits.take(one, start).is_ok()).count(), 12);
        assert_eq!(limits.take(one, start), Err(Duration::from_secs(1)));
        assert_eq!(limits.take(other, start), Ok(()));
        let later = start + Duration::from_millis(2_500);
        assert_eq!((0..100).filter(|_| limits.take(one, later).is_ok()).count(), 2);
        let wait = limits.take(one, later).unwrap_err();
        assert!(limits.take(one, later + wait).is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn memory_is_bounded_whatever_tokens_come() {
        let limits = Limits { callers: 100, ..Limits::new(600) };
        let now = Instant::now();
        let busy = Key::token("busy");
        while limits.take(busy, now).is_ok() {}
        for number in 0..10_000 {
            limits.take(Key::token(&number.to_string()), now).unwrap();
            assert!(limits.buckets.lock().unwrap().len() <= 100);
        }
        assert!(limits.take(busy, now).is_err(), "an empty bucket is the last to be forgotten");
    }
}
