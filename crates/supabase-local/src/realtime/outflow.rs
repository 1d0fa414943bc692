//! The last step of every change frame, and the one place where faults touch them.

use std::{collections::VecDeque, time::Duration};

use tokio::time::Instant;

use super::{deliver::Delivery, hub::Out};
use crate::faults::{Event, Faults};

/// Frames held back on request; beyond this many they go out at once.
const MAX_HELD: usize = 65_536;
/// How long a reordering waits to fill up.
const REORDER_WAIT: Duration = Duration::from_millis(200);
/// The window over which the rate limit counts.
const RATE_WINDOW: Duration = Duration::from_secs(1);

/// Sends change frames, through whatever misbehaviour is asked for.
#[derive(Debug)]
pub struct Outflow {
    faults: Faults,
    patience: Duration,
    delayed: VecDeque<(Instant, Delivery)>,
    shuffled: Vec<Delivery>,
    shuffle_due: Option<Instant>,
    window: Option<(Instant, u32)>,
}

impl Outflow {
    /// `patience` is how long a full queue may take before its socket is cut.
    #[must_use]
    pub fn new(faults: Faults, patience: Duration) -> Self {
        Self {
            faults,
            patience,
            delayed: VecDeque::new(),
            shuffled: Vec::new(),
            shuffle_due: None,
            window: None,
        }
    }

    /// When [`Outflow::flush`] has something to do.
    #[must_use]
    pub fn due(&self) -> Option<Instant> {
        let delayed = self.delayed.front().map(|(due, _)| *due);
        delayed.into_iter().chain(self.shuffle_due).min()
    }

    /// Takes a frame in at `now`.
    pub async fn push(&mut self, delivery: Delivery, now: Instant) {
        let knobs = self.faults.knobs();
        let over = knobs.max_events_per_second.is_some_and(|max| self.is_over(&delivery, max, now));
        if over || self.faults.loses_frame() {
            self.faults.count(Event::FrameLost);
            return;
        }
        for _ in 0..knobs.duplicate {
            self.route(delivery.clone(), knobs.delay, knobs.reorder, now).await;
        }
        self.route(delivery, knobs.delay, knobs.reorder, now).await;
    }

    async fn route(
        &mut self,
        delivery: Delivery,
        delay: Option<Duration>,
        reorder: Option<usize>,
        now: Instant,
    ) {
        if let Some(delay) = delay
            && self.delayed.len() < MAX_HELD
        {
            // A delay that was shortened meanwhile must not overtake: the queue stays in order.
            let last = self.delayed.back().map_or(now, |(due, _)| *due);
            self.delayed.push_back(((now + delay).max(last), delivery));
        } else if let Some(window) = reorder {
            self.shuffled.push(delivery);
            if self.shuffled.len() >= window.min(MAX_HELD) {
                self.send_reversed().await;
            } else {
                self.shuffle_due.get_or_insert(now + REORDER_WAIT);
            }
        } else {
            self.send(delivery).await;
        }
    }

    /// Sends what has waited long enough at `now`.
    pub async fn flush(&mut self, now: Instant) {
        while self.delayed.front().is_some_and(|(due, _)| *due <= now) {
            if let Some((_, delivery)) = self.delayed.pop_front() {
                self.send(delivery).await;
            }
        }
        if self.shuffle_due.is_some_and(|due| due <= now) {
            self.send_reversed().await;
        }
    }

    async fn send_reversed(&mut self) {
        self.shuffle_due = None;
        for delivery in std::mem::take(&mut self.shuffled).into_iter().rev() {
            self.send(delivery).await;
        }
    }

    async fn send(&self, delivery: Delivery) {
        let Delivery { subscriber, text, .. } = delivery;
        if subscriber.outbox.send(Out::Text(text), self.patience).await {
            self.faults.count(Event::FrameSent);
        } else {
            tracing::warn!(topic = subscriber.topic, "a client reads too slowly and is cut");
            self.faults.count(Event::SlowClient);
        }
    }

    fn is_over(&mut self, delivery: &Delivery, max: u32, now: Instant) -> bool {
        let (start, used) = match self.window {
            Some((start, used)) if now.duration_since(start) < RATE_WINDOW => (start, used),
            _ => (now, 0),
        };
        let used = used.saturating_add(delivery.ids);
        self.window = Some((start, used));
        used > max
    }
}
