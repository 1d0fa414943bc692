//! How fast a channel may be written to: a token bucket for each. Pure.
//!
//! Slack takes one message a second for each webhook, and short bursts (docs.slack.dev, "Rate
//! limits"). What waits while there is no token goes out as one message with the next token, so a
//! storm of alerts is told late by a second, and never dropped.

use std::{collections::HashMap, time::Duration};

use tokio::time::Instant;
use uuid::Uuid;

/// Messages that may go out at once.
pub const BURST: f64 = 4.0;
/// Tokens a second.
const RATE: f64 = 1.0;
/// From so many pieces of news on a message counts as a digest of a storm …
pub const MANY: usize = 10;
/// … which costs so many tokens.
pub const COST_OF_MANY: f64 = 2.0;

/// The buckets of all channels that were written to lately; all others are full.
#[derive(Debug, Default)]
pub(super) struct Paces(HashMap<Uuid, Bucket>);

#[derive(Clone, Copy, Debug)]
struct Bucket {
    /// Tokens at `at`; negative where a receiver asked for a pause.
    tokens: f64,
    at: Instant,
}

impl Bucket {
    fn tokens(&self, now: Instant) -> f64 {
        let gained = now.saturating_duration_since(self.at).as_secs_f64() * RATE;
        (self.tokens + gained).min(BURST)
    }

    /// How long until there is a whole token.
    fn wait(&self, now: Instant) -> Option<Duration> {
        let missing = 1.0 - self.tokens(now);
        (missing > 1e-9).then(|| Duration::from_secs_f64(missing / RATE))
    }
}

impl Paces {
    /// A message goes out that tells so many pieces of news.
    ///
    /// A long digest costs more than a short message: in a storm people read one every few seconds
    /// at most, and what comes meanwhile is in the next.
    pub fn take(&mut self, channel: Uuid, news: usize, now: Instant) {
        let cost = if news >= MANY { COST_OF_MANY } else { 1.0 };
        let tokens = self.0.get(&channel).map_or(BURST, |bucket| bucket.tokens(now));
        self.0.insert(channel, Bucket { tokens: tokens - cost, at: now });
    }

    /// The receiver wants a pause; after it there is one token, so that what waited goes out as one.
    pub fn pause(&mut self, channel: Uuid, pause: Duration, now: Instant) {
        let tokens = 1.0 - pause.as_secs_f64() * RATE;
        self.0.insert(channel, Bucket { tokens, at: now });
    }

    /// Channels that have no token now; forgets those that are full.
    pub fn empty(&mut self, now: Instant) -> Vec<Uuid> {
        self.0.retain(|_, bucket| bucket.tokens(now) < BURST);
        self.channels(|bucket| bucket.wait(now).is_some())
    }

    /// Channels whose next message is the last for now, so that it should tell all that waits.
    pub fn last(&self, now: Instant) -> Vec<Uuid> {
        self.channels(|bucket| bucket.tokens(now) < 2.0)
    }

    /// How long until the first of the empty ones has a token.
    pub fn next(&self, now: Instant) -> Option<Duration> {
        self.0.values().filter_map(|bucket| bucket.wait(now)).min()
    }

    fn channels(&self, which: impl Fn(&Bucket) -> bool) -> Vec<Uuid> {
        self.0.iter().filter(|(_, bucket)| which(bucket)).map(|(id, _)| *id).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: Uuid = Uuid::from_u128(1);

    #[test]
    fn a_burst_then_one_a_second() {
        let start = Instant::now();
        let at = |millis| start + Duration::from_millis(millis);
        let mut paces = Paces::default();
        let mut sent = Vec::new();
        for millis in (0..5_000).step_by(10) {
            if paces.empty(at(millis)).is_empty() {
                paces.take(A, 1, at(millis));
                sent.push(millis);
            }
        }
        assert_eq!(sent[..4], [0, 10, 20, 30]);
        assert!(sent.len() <= 9, "{sent:?}");
        assert!(sent[4..].windows(2).all(|pair| pair[1] - pair[0] >= 990), "{sent:?}");
    }

    #[test]
    fn a_storm_is_told_every_other_second() {
        let start = Instant::now();
        let mut paces = Paces::default();
        let mut sent = 0;
        for millis in (0..10_000).step_by(10) {
            let now = start + Duration::from_millis(millis);
            if paces.empty(now).is_empty() {
                paces.take(A, 50, now);
                sent += 1;
            }
        }
        assert!((5..=8).contains(&sent), "{sent}");
    }

    #[test]
    fn the_last_token_tells_all_and_a_pause_leaves_one() {
        let start = Instant::now();
        let mut paces = Paces::default();
        assert_eq!((paces.empty(start), paces.last(start)), (vec![], vec![]));
        paces.take(A, 1, start);
        paces.take(A, 1, start);
        assert!(paces.last(start).is_empty());
        paces.take(A, 1, start);
        assert_eq!((paces.empty(start), paces.last(start)), (vec![], vec![A]));

        paces.pause(A, Duration::from_secs(7), start);
        assert_eq!(paces.next(start), Some(Duration::from_secs(7)));
        let over = start + Duration::from_secs(7);
        assert_eq!(paces.empty(over - Duration::from_millis(1)), [A]);
        assert_eq!(
            (paces.empty(over), paces.last(over), paces.next(over)),
            (vec![], vec![A], None)
        );
        assert!(paces.empty(over + Duration::from_secs(9)).is_empty());
        assert!(paces.0.is_empty(), "a full bucket is forgotten");
    }
}
