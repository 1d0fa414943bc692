//! The life of an incident: pending → firing → resolved, or pending → dropped.
//!
//! All of it is one function, [`judge`], of what the window says and what time it is. It is called on
//! the event (or the runs) for rising edges, at bucket boundaries for falling ones, and when a waiting
//! time is over.

use uuid::Uuid;

use super::{compiled::Compiled, evidence::Tracker, flaps::Flaps, kinds::Reading, window::Ring};
use crate::model::{
    Evidence, GroupKey, IncidentState, Level, OpenIncident, Span, Timestamp, Transition,
    TransitionKind,
};

/// Under which incident ids are made: UUIDv5 of this namespace and rule, group key and beginning.
pub const INCIDENT_NAMESPACE: Uuid = Uuid::from_u128(0x6f1c_9a52_77d3_4c0e_9b8e_2d41_5ae0_c3f7);

/// However long the window, people who were told this long ago are told of another escalation.
const NEWS_AGAIN_AFTER: Span = Span::from_secs(3_600);

/// An open incident of one group.
#[derive(Clone, Debug)]
pub(super) struct Incident {
    pub id: Uuid,
    pub key: GroupKey,
    pub state: IncidentState,
    pub level: Level,
    /// The highest level people were told of.
    pub peak_level: Level,
    pub started_at: Timestamp,
    pub fired_at: Option<Timestamp>,
    pub notified_at: Option<Timestamp>,
    pub reminders: u32,
    /// Whether it came and went too often and is held open until it stays away.
    pub flapping: bool,
    pub acknowledged: bool,
    pub peak: f64,
}

/// What is judged, and when.
#[derive(Clone, Copy)]
pub(super) struct Moment<'a> {
    pub rule: &'a Compiled,
    pub at: Timestamp,
    pub reading: Reading,
    /// Whether a value that has fallen counts now: true at bucket boundaries.
    pub falling: bool,
    pub evidence: &'a Tracker,
    pub ring: &'a Ring,
}

impl Moment<'_> {
    /// Whether a value that is lower than before is so for good.
    fn has_fallen(&self) -> bool {
        // An empty window can only have come about at a boundary, whenever that is noticed; a silence is
        // over as soon as something happens.
        self.falling || self.reading.errors == 0 || self.rule.is_absence()
    }

    /// The threshold below which it resolves.
    fn resolve(&self) -> f64 {
        self.reading.threshold.unwrap_or_else(|| self.rule.shown_resolve())
    }

    /// The threshold that decides about `level`.
    fn threshold(&self, level: Level) -> f64 {
        self.reading.threshold.unwrap_or_else(|| self.rule.threshold(level))
    }
}

/// Notes since when the value has been below the resolve threshold.
pub(super) fn watch(below_since: &mut Option<Timestamp>, moment: Moment<'_>) {
    match moment.reading.below {
        Some(false) => *below_since = None,
        Some(true) if moment.has_fallen() => *below_since = below_since.or(Some(moment.at)),
        _ => {}
    }
}

/// The mutable part of a group that [`judge`] decides about.
pub(super) struct Subject<'a> {
    pub incident: &'a mut Option<Box<Incident>>,
    /// Since when the value has been below the resolve threshold, as far as that is being watched.
    pub below_since: &'a mut Option<Timestamp>,
    /// How often incidents came and went.
    pub flaps: &'a mut Flaps,
}

/// The id of the incident that began at `started_at`.
#[must_use]
pub fn incident_id(rule_id: Uuid, key: &GroupKey, started_at: Timestamp) -> Uuid {
    let mut name = rule_id.as_bytes().to_vec();
    name.extend_from_slice(key.to_string().as_bytes());
    name.extend_from_slice(&started_at.micros().to_be_bytes());
    Uuid::new_v5(&INCIDENT_NAMESPACE, &name)
}

impl Incident {
    /// The incident that begins now.
    pub fn begin(rule: &Compiled, key: GroupKey, level: Level, at: Timestamp) -> Self {
        Self {
            id: incident_id(rule.rule.id, &key, at),
            key,
            state: IncidentState::Pending,
            level,
            peak_level: level,
            started_at: at,
            fired_at: None,
            notified_at: None,
            reminders: 0,
            flapping: false,
            acknowledged: false,
            peak: 0.0,
        }
    }

    /// The incident as the database knows it.
    pub fn restore(open: &OpenIncident) -> Self {
        Self {
            id: open.incident_id,
            key: open.group_key.clone(),
            state: open.state,
            level: open.level,
            peak_level: open.peak_level.max(open.level),
            started_at: open.started_at,
            fired_at: open.fired_at,
            notified_at: open.notified_at,
            reminders: open.reminders,
            flapping: open.flapping,
            acknowledged: open.acknowledged,
            peak: open.peak,
        }
    }

    /// When the next reminder is due; one that comes and goes is kept quiet until it stays away.
    pub fn reminder_at(&self, rule: &Compiled) -> Option<Timestamp> {
        let wanted = self.state == IncidentState::Firing
            && !self.acknowledged
            && !self.flapping
            && rule.rule.reminder.micros() > 0;
        let told = self.notified_at.or(self.fired_at).unwrap_or(self.started_at);
        wanted.then(|| told + rule.rule.reminder)
    }

    /// Whether people heard of it so long ago that another escalation at `at` is news to them: a value
    /// that moves about the critical threshold must not call them each time.
    fn is_news_again(&self, rule: &Compiled, at: Timestamp) -> bool {
        let told = self.notified_at.or(self.fired_at).unwrap_or(self.started_at);
        at >= told + rule.rule.window.min(NEWS_AGAIN_AFTER)
    }

    /// How long the value must stay below the resolve threshold before this incident is over.
    pub fn keep(&self, rule: &Compiled) -> Span {
        if self.flapping { rule.watch } else { rule.rule.keep_firing }
    }

    /// Takes note of a beginning or an end at `at`.
    fn note(&self, rule: &Compiled, at: Timestamp, flaps: &mut Flaps) {
        if let Some(flap) = rule.rule.flap {
            flaps.note(rule.rule.id, &self.key, at, flap.period);
        }
    }

    /// Whether with an end at `at` there would have been too many beginnings and ends.
    fn flaps(&self, rule: &Compiled, at: Timestamp, flaps: &Flaps) -> bool {
        rule.rule.flap.is_some_and(|flap| {
            let changes = flaps.count(rule.rule.id, &self.key, at, flap.period) + 1;
            !self.flapping && changes >= flap.count as usize
        })
    }

    /// When the pending period ends.
    pub fn pending_until(&self, rule: &Compiled) -> Timestamp {
        self.started_at + rule.rule.pending
    }

    /// The transition of this kind at this moment.
    pub fn tell(&self, moment: Moment<'_>, kind: TransitionKind, threshold: f64) -> Transition {
        let Reading { errors, runs, detail, .. } = moment.reading;
        Transition {
            kind,
            incident_id: self.id,
            rule_id: moment.rule.rule.id,
            group_key: self.key.clone(),
            state: match kind {
                TransitionKind::Resolved | TransitionKind::Dropped => IncidentState::Resolved,
                _ => self.state,
            },
            level: self.level,
            started_at: self.started_at,
            at: moment.at,
            value: moment.reading.shown(),
            threshold,
            peak: self.peak,
            reminder: if kind == TransitionKind::Reminder { self.reminders } else { 0 },
            evidence: Evidence {
                trend: moment.ring.trend(),
                ..moment.evidence.render(errors, runs, detail)
            },
        }
    }

    /// How this incident ends now: resolved if people were told of it, dropped if not.
    pub fn end(&self, moment: Moment<'_>) -> Transition {
        let kind = match self.state {
            IncidentState::Pending => TransitionKind::Dropped,
            _ => TransitionKind::Resolved,
        };
        self.tell(moment, kind, moment.resolve())
    }
}

/// Decides what becomes of a group's incident at this moment, and says so in `out`.
///
/// `key` is asked for when an incident begins. The level is a function of the value: critical while the
/// critical threshold is reached, else warning where the rule has one.
pub(super) fn judge(
    subject: Subject<'_>,
    moment: Moment<'_>,
    key: impl FnOnce() -> GroupKey,
    mut out: Option<&mut Vec<Transition>>,
) {
    let Moment { rule, at, reading, .. } = moment;
    let Subject { incident: place, below_since, flaps } = subject;
    let decides = out.is_some();
    let falling = moment.has_fallen();
    let fires_at = reading.level;
    let mut say = |transition: Transition| {
        if let Some(out) = out.as_deref_mut() {
            out.push(transition);
        }
    };

    let was_below = below_since.is_some();
    watch(below_since, moment);
    let incident = match place {
        Some(incident) => incident,
        None => {
            let Some(level) = fires_at else { return };
            *below_since = None;
            let mut incident = Incident::begin(rule, key(), level, at);
            if rule.rule.pending.micros() > 0 {
                incident.peak = reading.shown();
                say(incident.tell(moment, TransitionKind::Pending, moment.threshold(level)));
            }
            place.insert(Box::new(incident))
        }
    };
    // Not every event is judged; the evidence knows the most errors there were in between. For kinds
    // that take more than errors it says nothing, but there every event is judged.
    let highest = match rule.is_counted() {
        true => Some(rule.value_of(moment.evidence.most())),
        // A silence was longest in the moment in which it ends.
        false if rule.is_absence() && !was_below => Some(rule.silence(incident.started_at, at)),
        false => reading.value,
    };
    if let Some(value) = highest {
        incident.peak = incident.peak.max(value);
    }

    if incident.state == IncidentState::Pending {
        if below_since.is_some() {
            say(incident.end(moment));
            *place = None;
        } else if let Some(level) = fires_at
            && at >= incident.pending_until(rule)
        {
            incident.state = IncidentState::Firing;
            (incident.level, incident.peak_level) = (level, level);
            (incident.fired_at, incident.notified_at) = (Some(at), Some(at));
            if decides {
                incident.note(rule, at, flaps);
            }
            say(incident.tell(moment, TransitionKind::Firing, moment.threshold(level)));
        }
        return;
    }

    if below_since.is_some_and(|since| at >= since + incident.keep(rule)) {
        // An end that is not told is none: it comes once the incident has stayed away for long enough.
        if decides && incident.flaps(rule, at, flaps) {
            (incident.flapping, incident.notified_at) = (true, Some(at));
            say(incident.tell(moment, TransitionKind::Flapping, moment.resolve()));
            return;
        }
        if decides {
            incident.note(rule, at, flaps);
        }
        say(incident.end(moment));
        *place = None;
        return;
    }
    let critical = fires_at == Some(Level::Critical);
    if critical && incident.level == Level::Warning {
        incident.level = Level::Critical;
        let first = incident.peak_level < Level::Critical;
        if first {
            // Whoever took it in hand did not know how bad it would be.
            incident.acknowledged = false;
        }
        let tells = first || incident.is_news_again(rule, at);
        if tells {
            (incident.peak_level, incident.notified_at) = (Level::Critical, Some(at));
        }
        let kind = if tells { TransitionKind::Escalated } else { TransitionKind::Deescalated };
        say(incident.tell(moment, kind, moment.threshold(Level::Critical)));
    } else if !critical
        && falling
        && (reading.value.is_some() || (reading.errors == 0 && rule.empty_is_below()))
        && incident.level == Level::Critical
        && rule.has_warnings()
    {
        incident.level = Level::Warning;
        say(incident.tell(moment, TransitionKind::Deescalated, moment.threshold(Level::Warning)));
    }
    if incident.reminder_at(rule).is_some_and(|due| at >= due) {
        incident.reminders += 1;
        incident.notified_at = Some(at);
        say(incident.tell(moment, TransitionKind::Reminder, moment.threshold(incident.level)));
    }
}
