//! When a message that could not be delivered is tried again.

use crate::model::Span;

/// Waits after the first, second, … failed attempt; the last one repeats.
const WAITS: [Span; 6] = [
    Span::from_secs(1),
    Span::from_secs(5),
    Span::from_secs(30),
    Span::from_secs(120),
    Span::from_secs(600),
    LONGEST,
];

/// No wait is longer, whatever a receiver asks for.
pub const LONGEST: Span = Span::from_secs(3600);

/// A message older than this is given up.
pub const GIVE_UP_AFTER: Span = Span::from_secs(24 * 3600);

/// From this failed attempt on (about two and a half minutes after the first) the channel counts as
/// broken and the rule's other channels are told, although the message is still retried.
pub const TELL_OTHERS_AT: u32 = 4;

/// The wait after failed attempt `attempt` (1 for the first), without jitter.
#[must_use]
pub fn base(attempt: u32) -> Span {
    let index = usize::try_from(attempt.saturating_sub(1)).unwrap_or(usize::MAX);
    WAITS.get(index).copied().unwrap_or(LONGEST)
}

/// The wait after failed attempt `attempt` of a message of age `age`; none where it is given up.
///
/// `asked` is what the receiver asked for; it is kept within [`base`] and [`LONGEST`], and never
/// shortened by jitter. `random` from 0 to 1 spreads the wait by ±20 %, so that many messages that
/// failed together do not come back together.
#[must_use]
pub fn wait(attempt: u32, age: Span, asked: Option<Span>, random: f64) -> Option<Span> {
    if age >= GIVE_UP_AFTER {
        return None;
    }
    let base = base(attempt);
    let spread = 0.8 + 0.4 * random.clamp(0.0, 1.0);
    #[expect(clippy::cast_possible_truncation, reason = "at most 1.2 hours in microseconds")]
    let jittered = Span::from_micros((base.as_secs_f64() * 1e6 * spread) as i64);
    let wait = asked.map_or(jittered, |asked| asked.clamp(base, LONGEST));
    // The last attempt is made just before the message is given up.
    let left = Span::from_micros(GIVE_UP_AFTER.micros() - age.micros());
    Some(wait.min(left))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_and_stay_within_a_fifth() {
        let seconds = [1, 5, 30, 120, 600, 3600, 3600, 3600];
        for (attempt, seconds) in (1..).zip(seconds) {
            for (random, factor) in [(0.0, 0.8), (0.5, 1.0), (1.0, 1.2), (7.0, 1.2)] {
                let wait = wait(attempt, Span::ZERO, None, random).expect("not given up");
                let expected = f64::from(seconds) * factor;
                assert!((wait.as_secs_f64() - expected).abs() < 1e-3, "{attempt} {random}");
            }
        }
        assert_eq!(base(0), base(1));
        assert_eq!(base(u32::MAX), LONGEST);
    }

    #[test]
    fn a_receivers_wish_is_kept_within_bounds() {
        let asked =
            |attempt, seconds| wait(attempt, Span::ZERO, Some(Span::from_secs(seconds)), 0.0);
        assert_eq!(asked(1, 30), Some(Span::from_secs(30)));
        assert_eq!(asked(1, 0), Some(Span::from_secs(1)));
        assert_eq!(asked(3, 2), Some(Span::from_secs(30)));
        assert_eq!(asked(1, -7), Some(Span::from_secs(1)));
        assert_eq!(asked(1, i64::MAX), Some(LONGEST));
    }

    #[test]
    fn after_a_day_it_is_given_up() {
        let day = GIVE_UP_AFTER;
        assert_eq!(wait(30, day, None, 0.5), None);
        let almost = Span::from_micros(day.micros() - 1_000_000);
        assert_eq!(wait(30, almost, None, 0.5), Some(Span::from_secs(1)));
    }
}
