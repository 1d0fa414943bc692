//! The value of a rule over time, sampled so finely that no errors fall between two samples, and kept
//! as a bounded number of points.

use super::report::Point;
use crate::model::{Span, Timestamp};

/// Points kept for drawing: one for each two pixels or so of a chart.
const POINTS: i64 = 400;
/// Samples taken at most while there are few groups. Even over 30 days they are 43 s apart, which is
/// less than the shortest window, so that every error is in the window of a sample.
const SAMPLES: i64 = 60_000;
/// Groups looked at before samples are taken half as often.
const VISITS: usize = 4_000_000;

/// A value being sampled.
#[derive(Debug)]
pub(super) struct Series {
    from: Timestamp,
    to: Timestamp,
    /// The highest value of each interval.
    points: Vec<Option<f64>>,
    /// When samples were taken that had a value, in microseconds, and what it was; all as far apart.
    samples: Vec<(i64, f64)>,
    /// Distance of samples in microseconds, a multiple of a bucket's width.
    step: i64,
    next: Timestamp,
    /// The first point that no sample has spoken for yet.
    unspoken: usize,
    visits: usize,
}

impl Series {
    /// A series from `from` to `to`, which must be later, of a rule with this window.
    pub fn new(from: Timestamp, to: Timestamp, window: Span) -> Self {
        let length = to.since(from).micros().max(1);
        let width = (window.micros() / 60).max(1);
        let most = length.div_euclid(width).div_euclid(SAMPLES) + 1;
        let count = length.div_euclid(1_000_000).clamp(1, POINTS);
        let mut series = Self {
            from,
            to,
            points: vec![None; usize::try_from(count).unwrap_or(1)],
            samples: Vec::new(),
            step: width.saturating_mul(most),
            next: from,
            unspoken: 0,
            visits: 0,
        };
        series.go_on();
        series
    }

    /// When the next sample is to be taken; none after the end. Values rise within a bucket and fall
    /// at its end, so samples are taken just before the end.
    pub fn next(&self) -> Option<Timestamp> {
        (self.next < self.to).then_some(self.next)
    }

    /// Takes the sample that was due; none where there were too few runs to tell. `groups` is how many
    /// groups had to be looked at for it.
    pub fn sample(&mut self, value: Option<f64>, groups: usize) {
        self.take(self.next, value);
        self.visits += groups;
        if self.visits > VISITS {
            self.visits /= 2;
            self.step = self.step.saturating_mul(2);
            // What was sampled more closely would weigh more than what comes.
            let step = self.step;
            self.samples.retain(|(at, _)| (at.saturating_add(1)).rem_euclid(step) == 0);
        }
        self.go_on();
    }

    /// A value that was seen between samples.
    pub fn note(&mut self, at: Timestamp, value: Option<f64>) {
        let Some(value) = value.filter(|value| value.is_finite()) else { return };
        if at < self.from || at > self.to {
            return;
        }
        let place = self.place_of(at);
        if let Some(point) = self.points.get_mut(place) {
            *point = Some(point.map_or(value, |known| known.max(value)));
        }
    }

    /// Which point an instant belongs to.
    fn place_of(&self, at: Timestamp) -> usize {
        let length = i128::from(self.to.since(self.from).micros().max(1));
        let count = i128::try_from(self.points.len()).unwrap_or(1);
        let place = i128::from(at.since(self.from).micros()) * count / length;
        usize::try_from(place.clamp(0, count - 1)).unwrap_or(0)
    }

    /// A sample speaks for all points since the one before it: over a short time, or with a long window,
    /// there are more points than samples, and between two of them nothing is unknown.
    fn take(&mut self, at: Timestamp, value: Option<f64>) {
        self.samples.extend(value.map(|value| (at.micros(), value)));
        self.note(at, value);
        let place = self.place_of(at);
        if let Some(skipped) = self.points.get_mut(self.unspoken..place) {
            skipped.iter_mut().filter(|point| point.is_none()).for_each(|point| *point = value);
        }
        self.unspoken = self.unspoken.max(place + 1);
    }

    /// The value at the end, which is the last sample.
    pub fn end(&mut self, at: Timestamp, value: Option<f64>) {
        self.take(at, value);
    }

    /// The points in order of time, and all samples in ascending order.
    pub fn finish(self) -> (Vec<Point>, Vec<f64>) {
        let length = i128::from(self.to.since(self.from).micros());
        let count = i128::try_from(self.points.len()).unwrap_or(1).max(1);
        let at = |place: i128| {
            let micros = i64::try_from(length * place / count).unwrap_or(i64::MAX);
            self.from + Span::from_micros(micros)
        };
        let points =
            (0..).zip(&self.points).map(|(place, value)| Point { at: at(place), value: *value });
        let points = points.collect();
        let mut samples: Vec<f64> = self.samples.iter().map(|(_, value)| *value).collect();
        samples.sort_unstable_by(f64::total_cmp);
        (points, samples)
    }

    fn go_on(&mut self) {
        let after = self.next.micros().saturating_add(1);
        let boundary = after.div_euclid(self.step).saturating_add(1).saturating_mul(self.step);
        self.next = Timestamp::from_micros(boundary - 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_week_has_few_points_and_samples_closer_than_the_shortest_window() {
        let at = Timestamp::from_secs;
        for (length, window, points, closest) in [
            (10, 60, 10, 1),
            (3_600, 60, 400, 1),
            (7 * 86_400, 300, 400, 15),
            (30 * 86_400, 60, 400, 44),
            (30 * 86_400, 2_592_000, 400, 43_200),
        ] {
            let mut series = Series::new(at(1_000), at(1_000 + length), Span::from_secs(window));
            let (mut last, mut taken) = (at(1_000), 0);
            while let Some(due) = series.next() {
                assert!(due > last || taken == 0, "{length} {window}");
                assert!(due.since(last) <= Span::from_secs(closest), "{length} {window}");
                last = due;
                taken += 1;
                series.sample(Some(f64::from(taken)), 1);
            }
            assert!(i64::from(taken) <= SAMPLES + 1, "{length} {window}: {taken}");
            let (found, samples) = series.finish();
            assert_eq!(found.len(), points, "{length} {window}");
            assert_eq!(samples.len(), usize::try_from(taken).unwrap_or(0));
            assert!(found.is_sorted_by_key(|point| point.at), "{length} {window}");
        }
    }

    #[test]
    fn between_two_samples_nothing_is_unknown() {
        let at = Timestamp::from_secs;
        for (length, window) in [(1_320, 300), (30 * 86_400, 2_592_000), (600, 3_600)] {
            let mut series = Series::new(at(1_000), at(1_000 + length), Span::from_secs(window));
            let mut unknown = 0;
            while let Some(due) = series.next() {
                // Too few runs to tell in the second half.
                let known = due.since(at(1_000)) < Span::from_secs(length / 2);
                unknown += usize::from(!known);
                series.sample(known.then_some(0.5), 1);
            }
            series.end(at(1_000 + length), None);
            let (points, _) = series.finish();
            let half = points.len() / 2;
            let values = |part: &[Point]| part.iter().filter(|point| point.value.is_some()).count();
            let samples_apart = half / unknown.max(1) + 1;
            assert!(values(&points[..half]) >= half - samples_apart, "{length} {window}");
            assert!(values(&points[half..]) <= samples_apart, "{length} {window}");
        }
    }

    #[test]
    fn many_groups_are_looked_at_less_often() {
        let at = Timestamp::from_secs;
        let mut series = Series::new(at(0), at(7 * 86_400), Span::from_secs(60));
        let mut visits = 0;
        while series.next().is_some() {
            visits += 10_000;
            series.sample(None, 10_000);
        }
        assert!(visits < 60_000_000, "{visits}");
        assert!(series.finish().0.iter().all(|point| point.value.is_none()));
    }

    #[test]
    fn no_part_of_the_time_weighs_more_than_another() {
        let (at, week) = (Timestamp::from_secs, 7 * 86_400);
        let mut series = Series::new(at(0), at(week), Span::from_secs(60));
        while let Some(due) = series.next() {
            // The more groups there are, the fewer samples are taken.
            let groups = usize::try_from(due.micros() / 100_000_000).unwrap_or(0);
            series.sample(Some(due.since(at(0)).as_secs_f64() / 604_800.0), groups);
        }
        let (_, samples) = series.finish();
        let middle = samples[samples.len() / 2];
        assert!(samples.len() > 100 && (middle - 0.5).abs() < 0.01, "{middle}");
    }

    #[test]
    fn a_point_is_the_highest_value_of_its_interval() {
        let at = Timestamp::from_secs;
        let mut series = Series::new(at(0), at(4), Span::from_secs(60));
        for (second, value) in [(0, 3.0), (0, 1.0), (2, 5.0), (4, 7.0), (9, 99.0), (-1, 99.0)] {
            series.note(at(second), Some(value));
        }
        let values: Vec<_> = series.finish().0.iter().map(|point| point.value).collect();
        assert_eq!(values, [Some(3.0), None, Some(5.0), Some(7.0)]);
    }
}
