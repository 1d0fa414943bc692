//! The course of a window as a row of bars, for media that show no pictures.

use super::{message::IncidentFacts, sentence::duration, text::thousands};
use crate::model::Span;

/// Bars from nearly nothing to the highest.
const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
/// What stands for a step without any error: it must be as wide as a bar.
const NOTHING: char = '·';
/// More steps than this are not drawn; the engine gives thirty.
const STEPS_MAX: usize = 60;

/// The bars of an incident and what they show; none where the course is not known or empty.
#[must_use]
pub fn of(incident: &IncidentFacts) -> Option<(String, String)> {
    let trend = &incident.evidence.trend;
    let steps = i64::try_from(trend.len()).ok().filter(|steps| *steps >= 2)?;
    let highest = trend.iter().copied().max().filter(|highest| *highest > 0)?;
    let window = incident.rule.counted_over().max(Span::from_secs(1));
    let step = Span::from_micros(window.micros() / steps);
    let caption = format!(
        "last {}, at most {} in {}",
        duration(window),
        thousands(highest.into()),
        duration(step)
    );
    Some((bars(trend), caption))
}

/// One character for each value, relative to the highest.
#[must_use]
pub fn bars(values: &[u32]) -> String {
    let highest = u64::from(values.iter().copied().max().unwrap_or(0)).max(1);
    let bar = |value: &u32| {
        let value = u64::from(*value);
        // From 1 to 8: whatever is more than nothing is seen, and only the highest is full.
        let height = (value * 8).div_ceil(highest);
        usize::try_from(height)
            .ok()
            .and_then(|height| height.checked_sub(1))
            .and_then(|height| BARS.get(height))
            .copied()
            .unwrap_or(NOTHING)
    };
    let skipped = values.len().saturating_sub(STEPS_MAX);
    values.iter().skip(skipped).map(bar).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::notify::{
        message::{MessageKind, MetricKind},
        samples::incident,
    };

    #[test]
    fn bars_rise_with_their_values_and_nothing_is_no_bar() {
        let cases: &[(&[u32], &str)] = &[
            (&[], ""),
            (&[0, 0], "··"),
            (&[0, 1, 2, 4, 8], "·▁▂▄█"),
            (&[1, 1_000], "▁█"),
            (&[u32::MAX, 0, u32::MAX / 2], "█·▄"),
        ];
        for (values, text) in cases {
            assert_eq!(bars(values), *text, "{values:?}");
        }
        assert_eq!(bars(&vec![1; 500]).chars().count(), STEPS_MAX);
    }

    #[test]
    fn the_caption_says_what_a_bar_is() {
        let mut incident = incident(MessageKind::Firing, MetricKind::Count);
        let (bars, caption) = of(&incident).expect("a trend");
        assert_eq!(bars.chars().count(), 30);
        assert_eq!(caption, "last 5 min, at most 8 in 10 s");
        // The bars of a burn rate are those of its longest window.
        incident.rule.window_seconds = 30 * 86_400;
        incident.rule.longest_window_seconds = Some(3 * 86_400);
        let (_, caption) = of(&incident).expect("a trend");
        assert_eq!(caption, "last 3 d, at most 8 in 2 h 24 min");
        for empty in [vec![], vec![7], vec![0; 30]] {
            incident.evidence.trend = empty;
            assert_eq!(of(&incident), None);
        }
    }
}
