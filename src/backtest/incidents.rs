//! Incidents put together from the engine's transitions.

use std::collections::HashMap;

use uuid::Uuid;

use super::report::IncidentLine;
use crate::model::{OpenIncident, Timestamp, Transition, TransitionKind};

/// The incidents of a stretch of time.
#[derive(Debug, Default)]
pub(super) struct Incidents {
    lines: Vec<(Uuid, IncidentLine)>,
    place: HashMap<Uuid, usize>,
    /// Pending incidents that went away, in the stretch that is asked about.
    pub dropped: usize,
}

impl Incidents {
    /// Takes what happened next; `from` is where the stretch that is asked about begins.
    pub fn take(&mut self, told: &Transition, from: Timestamp) {
        let place = *self.place.entry(told.incident_id).or_insert_with(|| {
            let line = IncidentLine {
                group: told.group_key.clone(),
                started_at: told.started_at,
                fired_at: None,
                resolved_at: None,
                level: told.level,
                peak: told.peak,
                value: told.value,
            };
            self.lines.push((told.incident_id, line));
            self.lines.len() - 1
        });
        let Some((_, line)) = self.lines.get_mut(place) else { return };
        line.peak = line.peak.max(told.peak);
        line.value = told.value;
        match told.kind {
            TransitionKind::Firing => {
                line.fired_at = Some(told.at);
                line.level = told.level;
            }
            TransitionKind::Escalated => line.level = line.level.max(told.level),
            TransitionKind::Resolved => line.resolved_at = Some(told.at),
            TransitionKind::Dropped => line.resolved_at = Some(told.at),
            _ => {}
        }
        let over = line.resolved_at.is_some();
        let fired = line.fired_at.is_some();
        if over && !fired && told.at >= from {
            self.dropped += 1;
        }
        // What never fired, or was over before the stretch began, is not told of.
        if over && (!fired || told.at < from) {
            self.forget(told.incident_id, place);
        }
    }

    /// All incidents in order of their beginning; `open` is how those that are not over stand.
    pub fn finish(mut self, open: &[(OpenIncident, f64)]) -> Vec<IncidentLine> {
        for (incident, value) in open {
            if let Some((_, line)) =
                self.place.get(&incident.incident_id).and_then(|place| self.lines.get_mut(*place))
            {
                line.value = *value;
                line.peak = line.peak.max(incident.peak);
            }
        }
        self.lines
            .sort_by(|(_, a), (_, b)| (a.started_at, &a.group).cmp(&(b.started_at, &b.group)));
        self.lines.into_iter().map(|(_, line)| line).collect()
    }

    fn forget(&mut self, id: Uuid, place: usize) {
        self.place.remove(&id);
        self.lines.swap_remove(place);
        if let Some((moved, _)) = self.lines.get(place) {
            self.place.insert(*moved, place);
        }
    }
}
