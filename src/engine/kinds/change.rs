//! `change`: the window against the same window a day or a week earlier, in percent.
//!
//! The earlier window cannot be kept here: it would take a count per minute of a week for each group.
//! So whoever feeds the engine gives, for each minute, what the earlier window held when counted in
//! whole minutes ([`Input::Baseline`](super::super::Input)); the exact rollups say it. Three minutes
//! of these are kept, one number for each group that had errors then.

use std::collections::VecDeque;

use rustc_hash::FxHashMap;

use super::{Reading, Scene, float};
use crate::model::{Detail, GroupKey, Span, Timestamp};

/// Minutes kept: the present one, and what comes ahead of its time.
const KEPT: usize = 3;
const MINUTE: i64 = 60_000_000;

/// What the earlier windows of one rule held.
#[derive(Clone, Debug, Default)]
pub(in crate::engine) struct Baselines {
    /// Minute, and errors by the hash of the group's key.
    minutes: VecDeque<(i64, FxHashMap<u64, u64>)>,
}

impl Baselines {
    /// Takes what the earlier window held in `minute`; groups that are not in `counts` had no errors.
    pub fn put(&mut self, minute: Timestamp, counts: &[(GroupKey, u64)], most: usize) {
        let minute = minute.micros().div_euclid(MINUTE);
        let counts = counts.iter().take(most).map(|(key, count)| (hash(key), *count)).collect();
        self.minutes.retain(|(known, _)| *known != minute);
        self.minutes.push_back((minute, counts));
        if self.minutes.len() > KEPT {
            self.minutes.pop_front();
        }
    }

    /// What it held for one group at `at`; none when nobody has said.
    fn get(&self, hash: u64, at: Timestamp) -> Option<u64> {
        let minute = at.micros().div_euclid(MINUTE);
        let (_, counts) = self.minutes.iter().find(|(known, _)| *known == minute)?;
        Some(counts.get(&hash).copied().unwrap_or(0))
    }
}

/// The number by which a group is found in [`Baselines`]; FNV-1a over its canonical text.
pub(in crate::engine) fn hash(key: &GroupKey) -> u64 {
    let fold = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    key.to_string().bytes().fold(0xcbf2_9ce4_8422_2325, fold)
}

pub(super) fn read(scene: Scene<'_>, compare: Span, min_count: u32) -> Reading {
    let errors = scene.errors();
    let few = errors < u64::from(min_count.max(1));
    let unknown = Reading { errors, below: few.then_some(true), ..Reading::default() };
    let hash = scene.group.special.as_ref().map_or(0, |special| special.hash);
    let Some(earlier) = scene.rule.baselines.get(hash, scene.at) else { return unknown };
    // Nothing at all earlier counts as one error, so that there is a percentage.
    let (now, then) = (float(errors), float(earlier.max(1)));
    let value = (now - then) / then * 100.0;
    let seconds = compare.micros() / 1_000_000;
    let reading = Reading::of(scene.rule, errors, value);
    Reading {
        level: reading.level.filter(|_| !few),
        below: if few { Some(true) } else { reading.below },
        detail: Some(Detail::Earlier { errors: earlier, seconds }),
        ..reading
    }
}
