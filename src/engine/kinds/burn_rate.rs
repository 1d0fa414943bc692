//! `burn_rate`: how many times faster than allowed an error budget is used up, over pairs of windows.
//!
//! The burn rate of a window is `(errors / runs) / (1 - objective)`, where a run can fail only once; a
//! pair's is the lower one of its two windows, so that it reaches the factor only where both do (The
//! Site Reliability Workbook, "Alerting on SLOs": 14.4 over 1 h and 5 min, 6 over 6 h and 30 min, 1
//! over 3 d and 6 h). One failure in ten runs is a burn rate of 20 at 99.5 %, so a long window with
//! fewer than `min_runs` runs, or a short one with none, says nothing.

use super::{Reading, Scene, float, ratio::no_data};
use crate::{
    engine::window::width_of,
    model::{Burn, BurnWindow, Detail, NoData, Span},
};

/// One pair, and where its windows stand: 0 is the group's main ring, 1 the first further one.
#[derive(Clone, Copy, Debug)]
pub(in crate::engine) struct Plan {
    pair: BurnWindow,
    long: usize,
    short: usize,
}

impl Plan {
    /// The pairs of `burn`, and the widths of the rings that they need besides the one for `longest`.
    pub fn of(burn: &Burn, longest: Span) -> (Vec<Self>, Vec<i64>) {
        let mut widths = vec![width_of(longest)];
        let mut place = |span: Span| {
            let width = width_of(span);
            widths.iter().position(|known| *known == width).unwrap_or_else(|| {
                widths.push(width);
                widths.len() - 1
            })
        };
        let plans = burn
            .pairs()
            .map(|pair| Self { pair, long: place(pair.long), short: place(pair.short) })
            .collect();
        widths.remove(0);
        (plans, widths)
    }
}

pub(super) fn read(scene: Scene<'_>, burn: &Burn) -> Reading {
    let (errors, runs) = (scene.errors(), scene.run_count());
    // The pair that decides: the loudest that fires, else the one that is closest to firing.
    let mut decides: Option<(&Plan, f64)> = None;
    let mut untold = false;
    for plan in &scene.rule.plans {
        let Some(rate) = rate(scene, burn, plan) else {
            untold = true;
            continue;
        };
        let rank = |plan: &Plan, rate: f64| {
            let level = (rate >= plan.pair.factor).then_some(plan.pair.level);
            (level, rate / plan.pair.factor)
        };
        if decides.is_none_or(|(known, best)| rank(plan, rate) > rank(known, best)) {
            decides = Some((plan, rate));
        }
    }
    let Some((plan, rate)) = decides else {
        return no_data(scene, errors, runs, burn.min_runs);
    };
    let fires = rate >= plan.pair.factor;
    let seconds = |span: Span| span.micros() / 1_000_000;
    Reading {
        errors,
        runs: Some(runs),
        value: Some(rate),
        level: fires.then_some(plan.pair.level),
        below: match (fires, untold) {
            (true, _) => Some(false),
            (false, true) if scene.rule.rule.no_data != NoData::Resolve => None,
            (false, _) => Some(true),
        },
        threshold: Some(plan.pair.factor),
        detail: Some(Detail::Burn {
            long_seconds: seconds(plan.pair.long),
            short_seconds: seconds(plan.pair.short),
        }),
    }
}

/// Whether no pair has runs enough to tell.
pub(super) fn has_no_data(scene: Scene<'_>, burn: &Burn) -> bool {
    scene.rule.plans.iter().all(|plan| rate(scene, burn, plan).is_none())
}

/// The burn rate of a pair; none where it has too few runs.
fn rate(scene: Scene<'_>, burn: &Burn, plan: &Plan) -> Option<f64> {
    let of = |place: usize, least: u32| {
        let runs = scene.runs.total_of(scene.group.scope(), place, scene.at);
        let errors = scene.group.total_of(place, scene.at);
        let enough = runs >= u64::from(least.max(1));
        enough.then(|| (float(errors) / float(runs)).min(1.0) / burn.budget())
    };
    Some(of(plan.long, burn.min_runs)?.min(of(plan.short, 1)?))
}
