//! A scenario through the engine, input by input, as the daemon does; and as a back-test in memory.

use std::collections::HashMap;

use meshhook_errors::{
    backtest::{Acknowledgement, Evaluation, Mail, Restraints, deliver},
    engine::{
        Engine, Input,
        batch::{open_after, past_changes},
    },
    model::{Span, Timestamp, Transition},
    telling::{Binding, Desk, News, Policy},
};

use super::{
    past::{baseline, begins, known, past, whole_minute},
    script::{BASE, Scenario, Step, clock, id, line},
};

const MINUTE: Span = Span::from_secs(60);

/// What came of a scenario, as its lines say it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    pub then: Vec<String>,
    pub told: Vec<String>,
}

/// The engine, and everything that a database would have kept for the next one.
struct Stream<'a> {
    scenario: &'a Scenario,
    engine: Engine,
    told: Vec<Transition>,
    /// What reached the engine so far.
    past: Vec<(Timestamp, Step)>,
    /// The next minute whose earlier window is to be told.
    minute: Timestamp,
    acknowledged: Vec<Acknowledgement>,
}

/// Runs a scenario as the daemon would, and returns who was acknowledged when.
pub fn stream(scenario: &Scenario) -> (Outcome, Vec<Acknowledgement>) {
    let minute = whole_minute(begins(scenario));
    let (past, told, acknowledged) = (Vec::new(), Vec::new(), Vec::new());
    let engine = beginning(scenario);
    let mut stream = Stream { scenario, engine, told, past, minute, acknowledged };
    let mut waiting: Option<Vec<(Timestamp, Step)>> = None;
    for (at, step) in &scenario.steps {
        match (step, &mut waiting) {
            (Step::FeedStops, _) => waiting = Some(Vec::new()),
            (Step::FeedIsBack, held) => {
                // What was missed comes in one go; each row knows when it was received.
                for (at, step) in held.take().unwrap_or_default() {
                    stream.take(at, &step);
                }
                stream.take(*at, &Step::End);
            }
            _ if *at < begins(scenario) => {}
            (Step::Event(_) | Step::Runs(_), Some(held)) => held.push((*at, step.clone())),
            (_, Some(_)) => panic!("{}: nothing else happens without a feed", scenario.name),
            (step, None) => stream.take(*at, step),
        }
    }
    let end = scenario.steps.last().map_or(BASE, |(at, _)| *at);
    let outcome =
        Outcome { then: sorted(&stream.told), told: messages(scenario, &stream.told, end) };
    (outcome, stream.acknowledged)
}

/// An engine that knows the rule and what history says, when the scenario begins.
fn beginning(scenario: &Scenario) -> Engine {
    let (begins, mut nothing) = (begins(scenario), Vec::new());
    let mut engine = Engine::new();
    engine.step(begins, Input::Rules(vec![scenario.rule.clone()]), &mut nothing);
    engine.step(begins, Input::Groups(&known(scenario)), &mut nothing);
    assert_eq!(nothing, [], "nothing has happened yet");
    engine
}

impl Stream<'_> {
    fn take(&mut self, at: Timestamp, step: &Step) {
        self.go_to(at);
        match step {
            Step::Event(event) => self.engine.step(at, Input::Event(event), &mut self.told),
            Step::Runs(runs) => self.engine.step(at, Input::Runs(&[*runs]), &mut self.told),
            Step::Says(group) => self.engine.step(at, Input::Groups(&[*group]), &mut self.told),
            Step::Acknowledge(acknowledged) => {
                self.engine.step(at, Input::Tick, &mut self.told);
                for (open, _) in self.engine.open_incidents() {
                    let (incident_id, acknowledged) = (open.incident_id, *acknowledged);
                    let input = Input::Acknowledged { incident_id, acknowledged };
                    self.engine.step(at, input, &mut self.told);
                    self.acknowledged.push(Acknowledgement { at, incident_id, acknowledged });
                }
            }
            Step::Restart => self.restart(at),
            Step::End => self.engine.step(at, Input::Tick, &mut self.told),
            Step::FeedStops | Step::FeedIsBack | Step::Receiver(_) => {}
        }
        if matches!(step, Step::Event(_) | Step::Runs(_) | Step::Says(_)) {
            self.past.push((at, step.clone()));
        }
    }

    /// Time passes until `at`: the clock ticks when something falls due, runs are asked for all the
    /// time, and what the earlier window of a minute held is told half a minute before it begins.
    fn go_to(&mut self, at: Timestamp) {
        loop {
            let now = self.engine.now();
            let due = self.engine.next_deadline().filter(|due| *due > now);
            let ahead = self.minute - Span::from_secs(30);
            let counts = (ahead <= at && due.is_none_or(|due| ahead <= due))
                .then(|| baseline(self.scenario, self.minute));
            if let Some(Some(counts)) = counts {
                let (rule_id, minute) = (self.scenario.rule.id, self.minute);
                let input = Input::Baseline { rule_id, minute, counts: &counts };
                self.engine.step(ahead.max(now), input, &mut self.told);
                self.minute = self.minute + MINUTE;
                continue;
            }
            match due.filter(|due| *due <= at) {
                Some(due) => self.tick(due),
                None => return self.tick(at),
            }
        }
    }

    fn tick(&mut self, at: Timestamp) {
        self.engine.step(at, Input::RunsComplete { through: at }, &mut self.told);
        self.engine.step(at, Input::Tick, &mut self.told);
    }

    /// Another process: it knows the rules, the rows of the past and what is open in the database.
    fn restart(&mut self, at: Timestamp) {
        self.engine.step(at, Input::Tick, &mut self.told);
        let mut open = open_after(&self.told);
        for incident in &mut open {
            let last = self.acknowledged.iter().rfind(|a| a.incident_id == incident.incident_id);
            incident.acknowledged = last.is_some_and(|last| last.acknowledged);
        }
        let mut engine = beginning(self.scenario);
        let mut nothing = Vec::new();
        engine.step(begins(self.scenario), Input::Expect(&open), &mut nothing);
        for (at, step) in &self.past {
            let input = match step {
                Step::Event(event) => Input::Replay(event),
                Step::Runs(runs) => Input::ReplayRuns(std::slice::from_ref(runs)),
                Step::Says(group) => Input::Groups(std::slice::from_ref(group)),
                _ => continue,
            };
            engine.step(*at, input, &mut nothing);
        }
        engine.step(at, Input::ReplayRuns(&[]), &mut nothing);
        self.minute = whole_minute(at);
        engine.step(at, Input::HistoryComplete { rule_id: None }, &mut nothing);
        engine.step(at, Input::PastChanges(past_changes(&self.told)), &mut nothing);
        engine.step(at, Input::Restore(open), &mut self.told);
        assert_eq!(nothing, [], "a replay tells nobody");
        self.engine = engine;
        // The clock ticks every second; until then nobody decides.
        self.engine.step(at, Input::Tick, &mut self.told);
    }
}

/// Runs a scenario as a back-test over rows in memory.
pub fn backtest(scenario: &Scenario, acknowledged: Vec<Acknowledgement>) -> Outcome {
    let end = scenario.steps.last().map_or(BASE, |(at, _)| *at);
    let mut evaluation = Evaluation::new(&scenario.rule, past(scenario), BASE, end)
        .with_acknowledgements(acknowledged);
    for (at, step) in &scenario.steps {
        if let Step::Event(event) = step
            && *at >= begins(scenario)
        {
            evaluation.event(event);
        }
    }
    let outcome = evaluation.finish();
    outcome_of(scenario, &outcome.transitions, end)
}

/// What transitions come to, for back-tests.
pub fn outcome_of(scenario: &Scenario, transitions: &[Transition], end: Timestamp) -> Outcome {
    let restraints = Restraints {
        silences: scenario.silences.clone(),
        quiet_hours: scenario.quiet_hours.clone(),
        inhibitions: scenario.inhibitions.clone(),
        sources: scenario.sources.clone(),
    };
    let mail = deliver(&scenario.rule, transitions, &scenario.channels, &restraints, end);
    Outcome { then: sorted(transitions), told: letters(scenario, &mail) }
}

fn letters(scenario: &Scenario, mail: &Mail) -> Vec<String> {
    let letter = |sent: &meshhook_errors::backtest::Sent| {
        let late = if sent.late { " late" } else { "" };
        format!("{} {} {}{late}", clock(sent.at), scenario.channels[sent.channel].name, sent.kind)
    };
    mail.sent.iter().map(letter).collect()
}

/// Who is told what, decided one transition after the other with the clock running in between.
fn messages(scenario: &Scenario, transitions: &[Transition], end: Timestamp) -> Vec<String> {
    let policy = Policy {
        bindings: (1..)
            .zip(&scenario.channels)
            .map(|(n, channel)| Binding {
                rule_id: scenario.rule.id,
                channel_id: id(n),
                min_level: channel.min_level,
            })
            .collect(),
        silences: scenario.silences.clone(),
        quiet_hours: scenario.quiet_hours.clone(),
        inhibitions: scenario.inhibitions.clone(),
        filters: HashMap::from([(scenario.rule.id, scenario.rule.filter.clone())]),
    };
    let name = |channel: uuid::Uuid| {
        let place = usize::try_from(channel.as_u128()).expect("a place") - 1;
        scenario.channels[place].name.clone()
    };
    let mut desk = Desk::default();
    let mut told = Vec::new();
    let mut now = BASE;
    let own = transitions.iter().map(|transition| (transition, scenario.rule.project_id));
    let others = scenario.sources.iter().map(|other| (&other.transition, other.project_id));
    let mut all: Vec<_> = own.chain(others).collect();
    all.sort_by_key(|(transition, _)| transition.at);
    let mut due = all.into_iter().peekable();
    loop {
        while let Some((transition, project_id)) = due.next_if(|(next, _)| next.at <= now) {
            let news = News { transition, project_id };
            for telling in desk.take(&policy, &[news], transition.at) {
                for channel in telling.told {
                    told.push(format!("{} {} {}", clock(now), name(channel), transition.kind));
                }
            }
        }
        for late in desk.settle(&policy, now) {
            told.push(format!("{} {} {} late", clock(now), name(late.channel_id), late.kind));
        }
        let soonest = due.peek().map(|(transition, _)| transition.at).into_iter();
        let look = desk.next_look().filter(|look| *look > now);
        match soonest.chain(look).min() {
            Some(next) if next <= end => now = next.max(now + Span::from_micros(1)),
            _ => return told,
        }
    }
}

/// Lines in order of time; within an instant incidents have no order of their own.
fn sorted(transitions: &[Transition]) -> Vec<String> {
    let mut transitions: Vec<&Transition> = transitions.iter().collect();
    transitions.sort_by_key(|told| (told.at, told.group_key.to_string()));
    transitions.into_iter().map(line).collect()
}
