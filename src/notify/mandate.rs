//! The right to send, and the guard that ends a message on its way when that right ends.
//!
//! A message cannot be fenced as a write can. What is left is to look as late as possible: before
//! each step of sending (look-up, connection, TLS, request, each command of a mail), so that a
//! process that was stopped for a while goes no step further.

use std::{
    future::{Future, poll_fn},
    pin::pin,
    task::Poll,
};

use tokio::time::{Instant, sleep_until};
use uuid::Uuid;

/// The right to send: the leader's lease as this process last saw it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mandate {
    /// This instance.
    pub holder: Uuid,
    /// The lease's fence.
    pub fence: i64,
    /// Until when the lease certainly holds, by this machine's monotonic clock.
    pub valid_until: Instant,
}

impl Mandate {
    /// Whether this mandate continues `earlier` and still holds.
    #[must_use]
    pub fn covers(&self, earlier: &Self) -> bool {
        self.holder == earlier.holder
            && self.fence == earlier.fence
            && Instant::now() < self.valid_until
    }
}

/// Knows whether this instance leads.
pub trait Leadership: Send + Sync + 'static {
    /// The present mandate; none while another instance leads. Must not wait.
    fn mandate(&self) -> Option<Mandate>;
}

impl<F: Fn() -> Option<Mandate> + Send + Sync + 'static> Leadership for F {
    fn mandate(&self) -> Option<Mandate> {
        self()
    }
}

/// Why nothing came of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NoMandate {
    /// The mandate had ended before anything was sent.
    Never,
    /// It ended on the way; the receiver may have got the message or not.
    Ended,
}

/// Runs `send` step by step for as long as `mandate` holds.
pub(super) async fn while_leading<T>(
    leadership: &dyn Leadership,
    mandate: &Mandate,
    send: impl Future<Output = T>,
) -> Result<T, NoMandate> {
    let mut send = pin!(send);
    let mut lapse = pin!(sleep_until(mandate.valid_until));
    let mut begun = false;
    poll_fn(|context| {
        loop {
            let Some(now) = leadership.mandate().filter(|now| now.covers(mandate)) else {
                return Poll::Ready(Err(if begun { NoMandate::Ended } else { NoMandate::Never }));
            };
            if lapse.as_mut().poll(context).is_pending() {
                break;
            }
            lapse.as_mut().reset(now.valid_until);
        }
        begun = true;
        send.as_mut().poll(context).map(Ok)
    })
    .await
}

#[cfg(test)]
mod tests {
    use std::{
        sync::{
            Arc,
            atomic::{AtomicU32, Ordering},
        },
        time::Duration,
    };

    use tokio::time::{advance, sleep};

    use super::*;

    fn mandate(seconds: u64) -> Mandate {
        let valid_until = Instant::now() + Duration::from_secs(seconds);
        Mandate { holder: Uuid::nil(), fence: 1, valid_until }
    }

    #[tokio::test(start_paused = true)]
    async fn a_message_ends_with_the_mandate_and_goes_on_with_its_renewal() {
        let held = mandate(5);
        let long = async || sleep(Duration::from_secs(8)).await;
        let ended = while_leading(&move || Some(held), &held, long()).await;
        assert_eq!((ended, Instant::now()), (Err(NoMandate::Ended), held.valid_until));
        let never = while_leading(&move || Some(held), &held, long()).await;
        assert_eq!(never, Err(NoMandate::Never));

        let held = mandate(5);
        let renewed =
            move || Some(Mandate { valid_until: Instant::now() + Duration::from_secs(2), ..held });
        assert_eq!(while_leading(&renewed, &held, long()).await, Ok(()));
        let other = move || Some(Mandate { fence: 2, ..mandate(60) });
        assert_eq!(while_leading(&other, &held, long()).await, Err(NoMandate::Never));
    }

    #[tokio::test(start_paused = true)]
    async fn after_a_stop_no_further_step_is_taken() {
        let held = mandate(5);
        let steps = Arc::new(AtomicU32::new(0));
        let counter = Arc::clone(&steps);
        let send = async move {
            for _ in 0..10 {
                counter.fetch_add(1, Ordering::SeqCst);
                sleep(Duration::from_secs(1)).await;
            }
        };
        let sending =
            tokio::spawn(async move { while_leading(&move || Some(held), &held, send).await });
        sleep(Duration::from_millis(1_500)).await;
        advance(Duration::from_secs(30)).await;
        assert_eq!(sending.await.expect("no panic"), Err(NoMandate::Ended));
        assert_eq!(steps.load(Ordering::SeqCst), 2);
    }
}
