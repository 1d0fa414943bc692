//! The pure part: a rule over rows that come one by one.

use std::{iter::Peekable, vec};

use uuid::Uuid;

use super::{
    incidents::Incidents,
    past::Past,
    report::{IncidentLine, Point},
    series::Series,
};
use crate::{
    engine::{
        Engine, Input, KnownGroup,
        batch::{Earlier, Playback},
    },
    model::{ErrorEvent, OpenIncident, Rule, Span, Timestamp, Transition},
};

/// Transitions of a back-test at most; a rule that decides more often than this is no use to anybody,
/// and its list would not fit into memory.
pub const MOST_TRANSITIONS: usize = 200_000;

/// A back-test under way.
#[derive(Debug)]
pub struct Evaluation {
    rule: Rule,
    from: Timestamp,
    playback: Playback,
    series: Series,
    incidents: Incidents,
    told: Vec<Transition>,
    cut: bool,
    acknowledgements: Peekable<vec::IntoIter<Acknowledgement>>,
    said: Peekable<vec::IntoIter<(Timestamp, KnownGroup)>>,
}

/// Somebody took an incident in hand, or gave it back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Acknowledgement {
    /// When.
    pub at: Timestamp,
    /// The incident. The same breach has the same id in a back-test as it had when running live.
    pub incident_id: Uuid,
    /// False where it was given back.
    pub acknowledged: bool,
}

/// What came of a back-test.
#[derive(Debug)]
pub struct Outcome {
    /// Everything decided, also before the stretch that was asked about; without evidence.
    pub transitions: Vec<Transition>,
    /// Whether there was more, which was left out.
    pub cut: bool,
    /// The incidents of the stretch.
    pub incidents: Vec<IncidentLine>,
    /// Pending incidents that went away before they fired.
    pub dropped: usize,
    /// The highest value among the groups over time.
    pub series: Vec<Point>,
    /// Samples of that value, in ascending order.
    pub samples: Vec<f64>,
    /// What is open at the end, with the present value.
    pub open: Vec<(OpenIncident, f64)>,
    /// Rows that had left the window before they were received.
    pub too_late: u64,
    /// The engine as it stands at the end.
    pub engine: Engine,
}

impl Evaluation {
    /// A back-test of `rule` from `from` to `to`; runs and events must begin at [`Evaluation::begins`],
    /// and what else is `past` tells of how things stood then.
    #[must_use]
    pub fn new(rule: &Rule, past: Past, from: Timestamp, to: Timestamp) -> Self {
        let begins = Self::begins(rule, from);
        let rules = vec![rule.clone()];
        let Past { runs, known, said, earlier } = past;
        let earlier = earlier.unwrap_or_else(|| Earlier::new(&rules, begins));
        Self {
            rule: rule.clone(),
            from,
            playback: Playback::new(rules, runs, &known, earlier, (begins, to)),
            series: Series::new(from, to, rule.window),
            incidents: Incidents::default(),
            told: Vec::new(),
            cut: false,
            acknowledgements: Vec::new().into_iter().peekable(),
            said: said.into_iter().peekable(),
        }
    }

    /// What people did meanwhile, in order of time; without it nobody acknowledges anything.
    #[must_use]
    pub fn with_acknowledgements(mut self, all: Vec<Acknowledgement>) -> Self {
        self.acknowledgements = all.into_iter().peekable();
        self
    }

    /// From when on rows must be given so that `rule` stands at `from` as if it had run all the time:
    /// its windows full, and what was pending or about to resolve then waiting since it began to.
    #[must_use]
    pub fn begins(rule: &Rule, from: Timestamp) -> Timestamp {
        let mut engine = Engine::new();
        engine.step(from, Input::Rules(vec![rule.clone()]), &mut Vec::new());
        let history = engine.rules_needing_history().into_iter().map(|(_, span)| span).max();
        let pending = Span::from_micros(rule.pending.micros().max(0));
        from - history.unwrap_or_default() - pending
    }

    /// Takes the next event, in order of `received_at` and `seq`.
    pub fn event(&mut self, event: &ErrorEvent) {
        self.go_to(event.received_at);
        self.playback.event(event);
        self.collect();
    }

    /// The engine as it stands.
    #[must_use]
    pub fn engine(&self) -> &Engine {
        self.playback.engine()
    }

    /// Goes on to the end.
    #[must_use]
    pub fn finish(mut self) -> Outcome {
        self.go_to(Timestamp::from_micros(i64::MAX));
        self.playback.finish();
        self.collect();
        let engine = self.playback.engine();
        let open = engine.open_incidents();
        self.series.end(engine.now(), engine.highest(self.rule.id));
        let too_late = engine.stats().too_old;
        let (series, samples) = self.series.finish();
        Outcome {
            transitions: self.told,
            cut: self.cut,
            dropped: self.incidents.dropped,
            incidents: self.incidents.finish(&open),
            series,
            samples,
            open,
            too_late,
            engine: self.playback.into_engine(),
        }
    }

    /// Takes the samples, and what people did, that come before `now`.
    fn go_to(&mut self, now: Timestamp) {
        while let Some((at, group)) = self.said.next_if(|(at, _)| *at < now) {
            self.acknowledge_until(at);
            self.sample_until(at);
            self.playback.say(at, &[group]);
            self.collect();
        }
        self.acknowledge_until(now);
        self.sample_until(now);
    }

    fn acknowledge_until(&mut self, now: Timestamp) {
        while let Some(done) = self.acknowledgements.next_if(|done| done.at < now) {
            self.sample_until(done.at);
            self.playback.acknowledge(done.at, done.incident_id, done.acknowledged);
            self.collect();
        }
    }

    fn sample_until(&mut self, now: Timestamp) {
        while let Some(due) = self.series.next().filter(|due| *due < now) {
            self.playback.advance(due);
            self.collect();
            let engine = self.playback.engine();
            self.series.sample(engine.highest(self.rule.id), engine.stats().groups);
        }
    }

    #[inline]
    fn collect(&mut self) {
        if self.playback.told().is_empty() {
            return;
        }
        for mut told in self.playback.take_told() {
            self.series.note(told.at, Some(told.value));
            self.incidents.take(&told, self.from);
            told.evidence = Default::default();
            if self.told.len() < MOST_TRANSITIONS {
                self.told.push(told);
            } else {
                self.cut = true;
            }
        }
    }
}
