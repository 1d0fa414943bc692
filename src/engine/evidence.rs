//! What stands behind a group's value, in bounded memory: its commonest fingerprints, its latest
//! errors, and when it began.
//!
//! The commonest are found by space-saving (Metwally, Agrawal, El Abbadi 2005): seven counters, of
//! which the smallest is taken over by a newcomer; the count it takes over is remembered, so that what
//! is reported is a lower bound and exact while there are at most seven fingerprints.

use uuid::Uuid;

use crate::model::{Detail, ErrorEvent, Evidence, Timestamp, TopGroup};

/// Counters kept; more than are reported, so that the reported ones are right under some churn.
const COUNTERS: usize = 7;
/// Fingerprints and errors reported.
const REPORTED: usize = 5;

/// The evidence of one group, about 400 bytes. Counting an event of a known fingerprint reads only what
/// stands before `recent`, and that fits one pair of lines of memory together with the window's head.
#[derive(Clone, Debug)]
#[repr(C)]
pub(super) struct Tracker {
    first_seen: Timestamp,
    last_seen: Timestamp,
    /// The most errors in the window so far.
    most: u64,
    /// The low quarters of the fingerprints: enough to tell seven apart.
    tags: [u32; COUNTERS],
    counts: [u32; COUNTERS],
    /// Errors recorded, kept small: see [`Tracker::record`].
    recorded: u32,
    recent: [Uuid; REPORTED],
    /// How much of each count was taken over from a predecessor.
    inherited: [u32; COUNTERS],
    /// The other three quarters of the fingerprints.
    heads: [[u32; 3]; COUNTERS],
    samples: [Uuid; COUNTERS],
    /// When counts were last halved.
    aged_at: Timestamp,
}

impl Tracker {
    /// Nothing seen yet, at `at`.
    pub fn new(at: Timestamp) -> Self {
        Self {
            tags: [0; COUNTERS],
            counts: [0; COUNTERS],
            inherited: [0; COUNTERS],
            first_seen: Timestamp::from_micros(i64::MAX),
            last_seen: Timestamp::from_micros(i64::MIN),
            most: 0,
            aged_at: at,
            recorded: 0,
            recent: [Uuid::nil(); REPORTED],
            heads: [[0; 3]; COUNTERS],
            samples: [Uuid::nil(); COUNTERS],
        }
    }

    /// Takes note of one error that was counted, whereupon the window holds `errors`.
    #[inline]
    pub fn record(&mut self, event: &ErrorEvent, errors: u64) {
        self.most = self.most.max(errors);
        self.first_seen = self.first_seen.min(event.timestamp);
        self.last_seen = self.last_seen.max(event.timestamp);
        if let Some(place) = self.recent.get_mut(self.recorded as usize % REPORTED) {
            *place = event.error_id;
        }
        // Past the first round only the place in the ring matters; 5 more keeps "full" visible.
        self.recorded = if self.recorded as usize == 2 * REPORTED - 1 {
            u32::try_from(REPORTED).unwrap_or(u32::MAX)
        } else {
            self.recorded + 1
        };
        let (head, tag) = split(event.fingerprint);
        for (known, count) in self.tags.iter().zip(&mut self.counts) {
            if *known == tag && *count > 0 {
                *count = count.saturating_add(1);
                return;
            }
        }
        self.take_counter(head, tag, event.error_id, 1);
    }

    /// Gives the smallest counter, or a free one, to a fingerprint that has none.
    #[cold]
    fn take_counter(&mut self, head: [u32; 3], tag: u32, sample: Uuid, count: u32) {
        let smallest = (0..COUNTERS).min_by_key(|i| self.counts.get(*i).copied()).unwrap_or(0);
        let (Some(counter), Some(inherited), Some(tags), Some(heads), Some(samples)) = (
            self.counts.get_mut(smallest),
            self.inherited.get_mut(smallest),
            self.tags.get_mut(smallest),
            self.heads.get_mut(smallest),
            self.samples.get_mut(smallest),
        ) else {
            return;
        };
        *inherited = *counter;
        *counter = counter.saturating_add(count);
        (*tags, *heads, *samples) = (tag, head, sample);
    }

    /// An incident begins: what is told of it should concern the `errors` in its window and not what
    /// came long before, the oldest of which began in the bucket at `oldest`.
    pub fn begin(&mut self, errors: u64, oldest: Option<Timestamp>) {
        self.most = errors;
        let most = u32::try_from(errors).unwrap_or(u32::MAX);
        for (count, inherited) in self.counts.iter_mut().zip(&self.inherited) {
            *count = (*count).min(most.saturating_add(*inherited));
        }
        if let Some(oldest) = oldest {
            self.first_seen = self.first_seen.max(oldest);
        }
    }

    /// The most errors that the window has held since the last [`Tracker::begin`].
    pub fn most(&self) -> u64 {
        self.most
    }

    /// How many errors were recorded, up to a small number.
    pub fn recorded(&self) -> u32 {
        self.recorded
    }

    /// What was seen of the past does not belong to the present incident.
    pub fn set_most(&mut self, errors: u64) {
        self.most = errors;
    }

    /// Halves all counts if `window` microseconds have passed since that was last done, so that a group
    /// which never falls silent does not for ever name the fingerprints of last week.
    pub fn age(&mut self, at: Timestamp, window: i64, oldest: Option<Timestamp>) {
        if at.since(self.aged_at).micros() < window {
            return;
        }
        self.aged_at = at;
        for count in self.counts.iter_mut().chain(&mut self.inherited) {
            *count /= 2;
        }
        if let Some(oldest) = oldest {
            self.first_seen = self.first_seen.max(oldest);
        }
    }

    /// Adds what was known of an incident before a restart, where hydration did not bring the same.
    pub fn restore(&mut self, known: &Evidence) {
        for group in &known.top_groups {
            let (head, tag) = split(group.fingerprint);
            let seen = self.tags.iter().zip(&self.counts).any(|(t, n)| *t == tag && *n > 0);
            if !seen && self.counts.contains(&0) {
                let count = u32::try_from(group.count).unwrap_or(u32::MAX);
                self.take_counter(head, tag, group.sample, count);
            }
        }
        let mut recent = self.recent();
        let older = known.samples.iter().filter(|id| !recent.contains(id)).copied();
        let older: Vec<Uuid> = older.take(REPORTED.saturating_sub(recent.len())).collect();
        recent.extend(older);
        for (place, id) in self.recent.iter_mut().zip(recent.iter().rev()) {
            *place = *id;
        }
        self.recorded = u32::try_from(recent.len()).unwrap_or(0);
        self.first_seen = known.first_seen.map_or(self.first_seen, |t| t.min(self.first_seen));
        self.last_seen = known.last_seen.map_or(self.last_seen, |t| t.max(self.last_seen));
    }

    /// The evidence as it is written and told, for a window of `errors` errors and `runs` runs.
    pub fn render(&self, errors: u64, runs: Option<u64>, detail: Option<Detail>) -> Evidence {
        let mut top_groups: Vec<TopGroup> = (self.tags.iter().zip(&self.heads))
            .zip(self.counts.iter().zip(&self.inherited))
            .zip(&self.samples)
            .filter(|((_, (count, _)), _)| **count > 0)
            .map(|(((tag, head), (count, inherited)), sample)| TopGroup {
                fingerprint: join(*head, *tag),
                count: u64::from(count.saturating_sub(*inherited)),
                sample: *sample,
                title: None,
            })
            .collect();
        top_groups.sort_by(|a, b| b.count.cmp(&a.count).then(a.fingerprint.cmp(&b.fingerprint)));
        top_groups.truncate(REPORTED);
        let seen = self.first_seen <= self.last_seen;
        Evidence {
            errors,
            runs,
            top_groups,
            samples: self.recent(),
            first_seen: seen.then_some(self.first_seen),
            last_seen: seen.then_some(self.last_seen),
            // The window knows it, not the tracker.
            trend: Vec::new(),
            detail,
        }
    }

    /// The latest errors, newest first.
    fn recent(&self) -> Vec<Uuid> {
        let recorded = self.recorded as usize;
        let count = recorded.min(REPORTED);
        (1..=count)
            .filter_map(|back| self.recent.get((recorded - back) % REPORTED).copied())
            .collect()
    }
}

/// A fingerprint as its first three quarters and its last one.
#[inline]
#[expect(clippy::cast_possible_truncation, reason = "quarters are what is wanted")]
fn split(fingerprint: Uuid) -> ([u32; 3], u32) {
    let all = fingerprint.as_u128();
    ([(all >> 96) as u32, (all >> 64) as u32, (all >> 32) as u32], all as u32)
}

fn join(head: [u32; 3], tag: u32) -> Uuid {
    let all = head.iter().chain([&tag]).fold(0, |all, quarter| all << 32 | u128::from(*quarter));
    Uuid::from_u128(all)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::tests::support::{event, id};

    fn with(fingerprints: &[u128]) -> Evidence {
        let mut tracker = Tracker::new(Timestamp::default());
        for (n, fingerprint) in fingerprints.iter().enumerate() {
            let second = i64::try_from(n).unwrap_or_default();
            let mut event = event(Timestamp::from_secs(second), second + 1);
            event.fingerprint = id(*fingerprint);
            tracker.record(&event, 1);
        }
        tracker.render(fingerprints.len() as u64, None, None)
    }

    #[test]
    fn names_the_commonest_fingerprints_and_the_latest_errors() {
        let seen = with(&[1, 2, 2, 3, 3, 3, 4, 5, 6]);
        let top: Vec<_> = seen.top_groups.iter().map(|g| (g.fingerprint, g.count)).collect();
        assert_eq!(top, [(id(3), 3), (id(2), 2), (id(1), 1), (id(4), 1), (id(5), 1)]);
        assert_eq!(seen.top_groups[0].sample, id(4), "the first error with that fingerprint");
        assert_eq!(seen.samples, [9, 8, 7, 6, 5].map(id), "newest first");
        assert_eq!(seen.first_seen, Some(Timestamp::from_secs(0)));
        assert_eq!(seen.last_seen, Some(Timestamp::from_secs(8)));
        assert_eq!(with(&[]), Evidence::default());
        assert_eq!(with(&[7, 7]).samples, [2, 1].map(id));
        for n in 1..=23_u128 {
            let expected: Vec<_> = (1..=n).rev().take(5).map(id).collect();
            assert_eq!(with(&vec![7; usize::try_from(n).unwrap_or_default()]).samples, expected);
        }
    }

    #[test]
    fn fingerprints_come_out_as_they_went_in() {
        let whole = 0x0123_4567_89ab_cdef_0011_2233_4455_6677;
        assert_eq!(with(&[whole]).top_groups[0].fingerprint, id(whole));
    }

    #[test]
    fn a_flood_of_fingerprints_hides_no_heavy_one_and_overstates_none() {
        let flood: Vec<u128> = (0..4_000).map(|n| if n % 4 == 0 { 1 } else { 1_000 + n }).collect();
        let seen = with(&flood);
        assert_eq!(seen.top_groups[0].fingerprint, id(1));
        assert!((900..=1_000).contains(&seen.top_groups[0].count), "{:?}", seen.top_groups);
        assert!(seen.top_groups[1..].iter().all(|group| group.count <= 1));
    }

    #[test]
    fn restored_evidence_completes_what_hydration_found() {
        let known = with(&[1, 1, 1, 2, 3]);
        let mut tracker = Tracker::new(Timestamp::default());
        tracker.restore(&known);
        assert_eq!(tracker.render(5, None, None), known, "nothing found: as it was");

        let mut event = event(Timestamp::from_secs(60), 77);
        event.fingerprint = id(1);
        let mut tracker = Tracker::new(Timestamp::default());
        tracker.record(&event, 1);
        tracker.restore(&known);
        let seen = tracker.render(6, None, None);
        assert_eq!(seen.samples, [77, 5, 4, 3, 2].map(id));
        assert_eq!(seen.top_groups.len(), 3);
        assert_eq!(seen.top_groups[0].count, 1, "not counted twice");
        assert_eq!((seen.first_seen, seen.last_seen), (known.first_seen, Some(event.timestamp)));
    }

    #[test]
    fn old_counts_fade_and_an_incident_speaks_of_its_window() {
        let mut tracker = Tracker::new(Timestamp::default());
        for n in 0..8 {
            tracker.record(&event(Timestamp::from_secs(n), n + 1), 1);
        }
        tracker.age(Timestamp::from_secs(59), 60_000_000, None);
        assert_eq!(tracker.render(8, None, None).top_groups[0].count, 8);
        let oldest = Some(Timestamp::from_secs(4));
        tracker.age(Timestamp::from_secs(60), 60_000_000, oldest);
        let seen = tracker.render(8, None, None);
        assert_eq!((seen.top_groups[0].count, seen.first_seen), (4, oldest));
        tracker.begin(3, Some(Timestamp::from_secs(6)));
        let seen = tracker.render(3, None, None);
        assert_eq!((seen.top_groups[0].count, seen.first_seen), (3, Some(Timestamp::from_secs(6))));
    }
}
