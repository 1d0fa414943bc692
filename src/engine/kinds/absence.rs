//! `absence`: nothing has happened for a whole window.
//!
//! The value is the length of the silence in windows. It can only be told once everything that was
//! written by then is known to be counted: while the feed is behind, silence means nothing.

use super::{Reading, Scene};
use crate::model::{AbsenceOf, Detail};

pub(super) fn read(scene: Scene<'_>, of: AbsenceOf) -> Reading {
    let (rule, errors) = (scene.rule, scene.errors());
    let runs = (of == AbsenceOf::Runs).then(|| scene.run_count());
    let detail = Some(Detail::Silence { of });
    let silent = scene.is_silent();
    if silent && !scene.silence_is_certain() {
        return Reading { errors, runs, below: None, detail, ..Reading::default() };
    }
    let value = match &scene.group.incident {
        _ if !silent => 0.0,
        None => rule.fire,
        Some(incident) => rule.silence(incident.started_at, scene.at),
    };
    let level = rule.level_of(value);
    let below = Some(!silent);
    Reading { errors, runs, value: Some(value), level, below, threshold: None, detail }
}
