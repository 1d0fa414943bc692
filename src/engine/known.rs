//! Which error groups are known, so that a new one can be told from an old one: 8 bytes of hash and 4
//! of time for each, about 27 MB for a million.
//!
//! Kept only while some rule asks for new groups. A collision of two 64-bit hashes would hide one new
//! group; with a million groups the chance is one in 30 million.

use rustc_hash::FxHashMap;
use uuid::Uuid;

use crate::model::{ErrorEvent, Span, Timestamp};

/// More groups are not kept; those that were seen longest ago are forgotten first.
pub const MAX_KNOWN: usize = 4_000_000;

/// An error group that history knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KnownGroup {
    /// Its project.
    pub project_id: Option<Uuid>,
    /// Its fingerprint.
    pub fingerprint: Uuid,
    /// When it was last seen.
    pub last_seen: Timestamp,
    /// What people have made of it.
    pub status: GroupStatus,
}

impl KnownGroup {
    /// The group without a resolution after which it was seen again: that was a time ago.
    #[must_use]
    pub fn settled(mut self) -> Self {
        if matches!(self.status, GroupStatus::Resolved(at) if self.last_seen > at) {
            self.status = GroupStatus::Open;
        }
        self
    }
}

/// What people have made of an error group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GroupStatus {
    /// Nothing.
    Open,
    /// It was declared resolved then: an error that happens later is new again.
    Resolved(Timestamp),
    /// Nobody wants to hear of it.
    Ignored,
}

/// A hash of project and fingerprint, in halves so that an entry takes 12 bytes and not 16.
type Key = [u32; 2];

/// What was known of a group before an event came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Meeting {
    /// When it was seen before, in seconds.
    before: Option<u32>,
    status: GroupStatus,
}

/// All known groups.
#[derive(Debug, Default)]
pub(super) struct Known {
    seen: FxHashMap<Key, u32>,
    status: FxHashMap<Key, GroupStatus>,
    /// What was known of the groups that were met at this instant before they were: rows of one
    /// instant have no order.
    present: FxHashMap<Key, Meeting>,
    at: Timestamp,
}

impl Meeting {
    /// A meeting that says nothing new.
    pub const NOTHING: Self = Self { before: Some(u32::MAX), status: GroupStatus::Ignored };

    /// Whether the group is new: never seen, resolved before the error happened, or not seen for
    /// `quiet` (zero: that does not count).
    pub fn is_new(&self, event: &ErrorEvent, now: Timestamp, quiet: Span) -> bool {
        match (self.status, self.before) {
            (GroupStatus::Ignored, _) => false,
            (GroupStatus::Resolved(at), _) if event.timestamp > at => true,
            (_, None) => true,
            (_, Some(before)) => {
                let gap = i64::from(seconds(now)) - i64::from(before);
                quiet > Span::ZERO && gap >= quiet.micros() / 1_000_000
            }
        }
    }
}

impl Known {
    /// Takes note of an event at `now` and returns what was known before.
    pub fn meet(&mut self, event: &ErrorEvent, now: Timestamp) -> Meeting {
        if self.at != now {
            self.at = now;
            self.present.clear();
        }
        let key = key(event.project_id, event.fingerprint);
        // What is replayed may be older than what was learnt.
        let before = self.seen.get(&key).copied();
        self.seen.insert(key, before.unwrap_or_default().max(seconds(now)));
        let status = self.status.get(&key).copied().unwrap_or(GroupStatus::Open);
        if matches!(status, GroupStatus::Resolved(at) if event.timestamp > at) {
            self.status.remove(&key);
        }
        self.trim();
        *self.present.entry(key).or_insert(Meeting { before, status })
    }

    /// Takes note of what history, or a person, says of some groups.
    pub fn learn(&mut self, groups: &[KnownGroup]) {
        for group in groups {
            let key = key(group.project_id, group.fingerprint);
            let last = self.seen.entry(key).or_default();
            *last = (*last).max(seconds(group.last_seen));
            match group.status {
                GroupStatus::Open => drop(self.status.remove(&key)),
                status => drop(self.status.insert(key, status)),
            }
        }
        self.trim();
    }

    /// When a group was last seen, to the second; none where it is not known.
    pub fn last_seen(&self, project_id: Option<Uuid>, fingerprint: Uuid) -> Option<Timestamp> {
        let seen = self.seen.get(&key(project_id, fingerprint))?;
        Some(Timestamp::from_secs(i64::from(*seen)))
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        *self = Self::default();
    }

    /// How many groups are known.
    pub fn len(&self) -> usize {
        self.seen.len()
    }

    fn trim(&mut self) {
        if self.seen.len() <= MAX_KNOWN {
            return;
        }
        let mut times: Vec<u32> = self.seen.values().copied().collect();
        let middle = times.len() / 4;
        let (_, limit, _) = times.select_nth_unstable(middle);
        let limit = *limit;
        self.seen.retain(|_, seen| *seen > limit);
        let seen = &self.seen;
        self.status.retain(|key, _| seen.contains_key(key));
    }
}

fn seconds(at: Timestamp) -> u32 {
    u32::try_from(at.micros().div_euclid(1_000_000).max(0)).unwrap_or(u32::MAX)
}

/// Fingerprints are hashes already; their halves only need to be mixed with the project's.
#[expect(clippy::cast_possible_truncation, reason = "halves are what is wanted")]
fn key(project: Option<Uuid>, fingerprint: Uuid) -> Key {
    let fold =
        |hash: u64, half: u64| (hash.rotate_left(29) ^ half).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let project = project.map_or((0, 0), |id| id.as_u64_pair());
    let print = fingerprint.as_u64_pair();
    let hash = [project.0, project.1, print.0, print.1].into_iter().fold(0x51, fold);
    let hash = hash ^ (hash >> 32);
    [(hash >> 32) as u32, hash as u32]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::tests::support::{at, event};

    fn known(last: f64, status: GroupStatus) -> KnownGroup {
        let event = event(at(0.0), 1);
        let (project_id, fingerprint) = (event.project_id, event.fingerprint);
        KnownGroup { project_id, fingerprint, last_seen: at(last), status }
    }

    #[test]
    fn a_group_is_new_once_and_again_after_it_was_resolved_or_quiet() {
        let mut table = Known::default();
        let meet = |table: &mut Known, second: f64, quiet: i64| {
            let event = event(at(second), 1);
            table.meet(&event, at(second)).is_new(&event, at(second), Span::from_secs(quiet))
        };
        assert!(meet(&mut table, 1.0, 0) && meet(&mut table, 1.0, 0), "one instant has no order");
        assert!(!meet(&mut table, 2.0, 0) && !meet(&mut table, 9_999.0, 0));
        assert!(meet(&mut table, 19_999.0, 10_000) && !meet(&mut table, 20_000.0, 10_000));
        table.learn(&[known(0.0, GroupStatus::Resolved(at(20_005.0)))]);
        assert!(!meet(&mut table, 20_004.0, 0), "it happened before");
        assert!(meet(&mut table, 20_006.0, 0) && !meet(&mut table, 20_007.0, 0));
        let again = known(20_006.0, GroupStatus::Resolved(at(20_005.0)));
        table.learn(&[again.settled()]);
        assert!(!meet(&mut table, 20_008.0, 0), "it had come back already");
        table.learn(&[again]);
        assert!(meet(&mut table, 20_009.0, 0), "it was resolved while it went on");
        table.learn(&[known(0.0, GroupStatus::Ignored)]);
        assert!(!meet(&mut table, 90_000.0, 10));
        table.learn(&[known(0.0, GroupStatus::Open)]);
        assert!(meet(&mut table, 190_000.0, 10));
        assert_eq!(table.len(), 1);
    }

    #[test]
    fn projects_do_not_share_their_groups() {
        let mut table = Known::default();
        let mut event = event(at(1.0), 1);
        assert!(table.meet(&event, at(1.0)).is_new(&event, at(1.0), Span::ZERO));
        event.project_id = Some(Uuid::from_u128(7));
        assert!(table.meet(&event, at(2.0)).is_new(&event, at(2.0), Span::ZERO));
    }
}
