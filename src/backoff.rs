//! Waiting longer after each failure, up to a limit, and never in step with others.

use std::time::Duration;

/// A validated schedule of waits.
///
/// It is pure: the caller counts the attempts and passes the random number.
#[derive(Clone, Debug, PartialEq)]
pub struct Backoff {
    steps: Vec<Duration>,
    jitter: f64,
}

/// Why a schedule cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BackoffError {
    /// There is not a single step.
    #[error("a back-off schedule needs at least one step")]
    Empty,
    /// A step is zero, which would be a busy loop, or longer than a day.
    #[error("the steps of a back-off schedule must be between 1 ms and 24 h")]
    Step,
    /// A later step is shorter than an earlier one.
    #[error("the steps of a back-off schedule must not become shorter")]
    Order,
    /// The jitter is not a share.
    #[error("the jitter of a back-off schedule must be at least 0 and below 1")]
    Jitter,
}

impl Backoff {
    /// A schedule of `steps`, the last of which repeats for ever; each wait is varied by up to
    /// ± `jitter` (a share: 0.2 is 20 %).
    ///
    /// # Errors
    /// [`BackoffError`] when the schedule would spin, shrink or vary by more than itself.
    pub fn new(steps: &[Duration], jitter: f64) -> Result<Self, BackoffError> {
        let allowed = Duration::from_millis(1)..=Duration::from_secs(86_400);
        if steps.is_empty() {
            return Err(BackoffError::Empty);
        }
        if !steps.iter().all(|step| allowed.contains(step)) {
            return Err(BackoffError::Step);
        }
        if !steps.is_sorted() {
            return Err(BackoffError::Order);
        }
        if !(0.0..1.0).contains(&jitter) {
            return Err(BackoffError::Jitter);
        }
        Ok(Self { steps: steps.to_vec(), jitter })
    }

    /// A schedule that doubles from `first` up to `cap`.
    ///
    /// # Errors
    /// [`BackoffError`] as for [`Backoff::new`].
    pub fn doubling(first: Duration, cap: Duration, jitter: f64) -> Result<Self, BackoffError> {
        let mut steps = vec![first];
        while let Some(last) = steps.last().copied().filter(|last| *last < cap) {
            if last.is_zero() {
                return Err(BackoffError::Step);
            }
            steps.push(last.saturating_mul(2).min(cap));
        }
        Self::new(&steps, jitter)
    }

    /// How long to wait before attempt `attempt` (0 is the first retry), with `random` in 0..1.
    ///
    /// A `random` outside that range, or no number at all, counts as the nearest bound.
    #[must_use]
    pub fn delay(&self, attempt: u32, random: f64) -> Duration {
        let index = usize::try_from(attempt).unwrap_or(usize::MAX).min(self.steps.len() - 1);
        let step = self.steps.get(index).copied().unwrap_or_default();
        step.mul_f64(1.0 + self.jitter * (2.0 * share(random) - 1.0))
    }

    /// As [`Backoff::delay`], but never shorter than `at_least`, which is only ever lengthened.
    #[must_use]
    pub fn delay_at_least(&self, attempt: u32, at_least: Duration, random: f64) -> Duration {
        let floor = at_least.mul_f64(1.0 + self.jitter * share(random));
        self.delay(attempt, random).max(floor)
    }
}

fn share(random: f64) -> f64 {
    if random.is_nan() { 0.5 } else { random.clamp(0.0, 1.0) }
}

/// What Supabase's own clients wait between attempts to connect or join: 1, 2, 5, 10, 10 … s,
/// here with 20 % jitter so that a fleet does not come back in one wave.
impl Default for Backoff {
    fn default() -> Self {
        Self { steps: [1, 2, 5, 10].map(Duration::from_secs).to_vec(), jitter: 0.2 }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn only_sensible_schedules_are_accepted() {
        let cases = [
            (vec![], 0.2, Err(BackoffError::Empty)),
            (vec![Duration::ZERO], 0.2, Err(BackoffError::Step)),
            (vec![SECOND * 86_401], 0.2, Err(BackoffError::Step)),
            (vec![SECOND * 2, SECOND], 0.2, Err(BackoffError::Order)),
            (vec![SECOND], 1.0, Err(BackoffError::Jitter)),
            (vec![SECOND], -0.1, Err(BackoffError::Jitter)),
            (vec![SECOND], f64::NAN, Err(BackoffError::Jitter)),
            (vec![SECOND, SECOND], 0.0, Ok(())),
        ];
        for (steps, jitter, expected) in cases {
            assert_eq!(Backoff::new(&steps, jitter).map(drop), expected, "{steps:?} {jitter}");
        }
        assert_eq!(
            Backoff::doubling(Duration::ZERO, SECOND, 0.0).map(drop),
            Err(BackoffError::Step)
        );
    }

    #[test]
    fn the_default_is_that_of_the_official_clients() {
        let backoff = Backoff::default();
        let waits = [0, 1, 2, 3, 4, u32::MAX].map(|attempt| backoff.delay(attempt, 0.5));
        assert_eq!(waits.map(|wait| wait.as_secs()), [1, 2, 5, 10, 10, 10]);
        assert_eq!(backoff.delay(0, 0.0), Duration::from_millis(800));
        assert_eq!(backoff.delay(0, 1.0), Duration::from_millis(1_200));
        assert_eq!(backoff.delay_at_least(0, SECOND * 10, 0.0), SECOND * 10);
        assert_eq!(backoff.delay_at_least(3, SECOND, 1.0), SECOND * 12);
    }

    #[test]
    fn doubling_ends_at_its_cap() {
        let backoff = Backoff::doubling(SECOND, SECOND * 5, 0.0).expect("schedule");
        let waits = [0, 1, 2, 3, 9].map(|attempt| backoff.delay(attempt, 0.5).as_secs());
        assert_eq!(waits, [1, 2, 4, 5, 5]);
    }

    proptest! {
        #[test]
        fn jitter_stays_within_its_share(attempt in 0u32..50, random in proptest::num::f64::ANY) {
            let backoff = Backoff::default();
            let middle = backoff.delay(attempt, 0.5);
            let wait = backoff.delay(attempt, random);
            prop_assert!(wait >= middle.mul_f64(0.799) && wait <= middle.mul_f64(1.201));
            prop_assert!(backoff.delay_at_least(attempt, SECOND * 20, random) >= SECOND * 20);
        }
    }
}
