//! `ratio`: errors divided by the workflow runs that were started in the window.

use super::{Reading, Scene, float};
use crate::model::{Detail, NoData};

pub(super) fn read(scene: Scene<'_>, min_runs: u32) -> Reading {
    let (errors, runs) = (scene.errors(), scene.run_count());
    if runs < u64::from(min_runs.max(1)) {
        return no_data(scene, errors, runs, min_runs);
    }
    let value = float(errors) / float(runs);
    Reading { runs: Some(runs), ..Reading::of(scene.rule, errors, value) }
}

/// Too few runs to tell: neither zero nor anything else. The rule says what that means.
pub(super) fn no_data(scene: Scene<'_>, errors: u64, runs: u64, min_runs: u32) -> Reading {
    let (level, below) = match scene.rule.rule.no_data {
        NoData::Keep => (None, None),
        NoData::Resolve => (None, Some(true)),
        NoData::Alert if scene.silence_is_certain() => {
            (Some(scene.rule.lowest_level()), Some(false))
        }
        NoData::Alert => (None, None),
    };
    let detail = Some(Detail::NoData { min_runs });
    Reading { errors, runs: Some(runs), value: None, level, below, threshold: None, detail }
}
