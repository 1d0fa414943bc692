//! Who would have been told how often: the decisions of `telling` over a list of transitions.

use std::collections::HashMap;

use uuid::Uuid;

use super::report::{ChannelRef, MessageCount};
use crate::{
    model::{GroupField, Rule, Span, Timestamp, Transition, TransitionKind},
    store::past::SourceChange,
    telling::{Binding, Desk, Inhibition, News, Policy, QuietHours, Silence},
};

/// What may keep people from being told.
#[derive(Clone, Debug, Default)]
pub struct Restraints {
    /// Silences, those that are over included.
    pub silences: Vec<Silence>,
    /// Quiet hours and maintenance windows.
    pub quiet_hours: Vec<QuietHours>,
    /// Rules that keep the tested rule quiet.
    pub inhibitions: Vec<Inhibition>,
    /// What those rules did, in order of time.
    pub sources: Vec<SourceChange>,
}

/// A message that goes out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sent {
    /// When.
    pub at: Timestamp,
    /// Its incident.
    pub incident_id: Uuid,
    /// Its place in the list of channels.
    pub channel: usize,
    /// What it says.
    pub kind: TransitionKind,
    /// Whether it had been held back before.
    pub late: bool,
}

/// What becomes of the messages of a stretch of time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mail {
    /// Messages in order of time.
    pub sent: Vec<Sent>,
    /// How often each channel was not told at once.
    pub held_back: Vec<usize>,
}

/// Works out who is told of `transitions` of `rule`, in order of time, until `to`.
#[must_use]
pub fn deliver(
    rule: &Rule,
    transitions: &[Transition],
    channels: &[ChannelRef],
    restraints: &Restraints,
    to: Timestamp,
) -> Mail {
    // Channels of a file may not exist yet, so they go by their place here.
    let id = |place: usize| Uuid::from_u128(place as u128);
    let policy = Policy {
        bindings: (0..)
            .zip(channels)
            .filter(|(_, channel)| channel.enabled)
            .map(|(place, channel)| Binding {
                rule_id: rule.id,
                channel_id: id(place),
                min_level: channel.min_level,
            })
            .collect(),
        silences: restraints.silences.clone(),
        quiet_hours: restraints.quiet_hours.clone(),
        inhibitions: restraints.inhibitions.clone(),
        filters: HashMap::from([(rule.id, rule.filter.clone())]),
    };
    let mut mail = Mail { sent: Vec::new(), held_back: vec![0; channels.len()] };
    let mut desk = Desk::default();
    let own = transitions
        .iter()
        .map(|transition| News { transition, project_id: project_of(rule, transition) });
    let others = restraints
        .sources
        .iter()
        .map(|source| News { transition: &source.transition, project_id: source.project_id });
    let mut all: Vec<News<'_>> = own.chain(others).collect();
    all.sort_by_key(|news| news.transition.at);
    for together in all.chunk_by(|a, b| a.transition.at == b.transition.at) {
        let Some(at) = together.first().map(|first| first.transition.at) else { continue };
        settle(&mut desk, &policy, at, &mut mail);
        for (news, telling) in together.iter().zip(desk.take(&policy, together, at)) {
            let told = news.transition;
            for channel in telling.told.iter().map(|id| place(*id)) {
                let (incident_id, kind) = (told.incident_id, told.kind);
                mail.sent.push(Sent { at, incident_id, channel, kind, late: false });
            }
            for channel in telling.held.iter().map(|held| place(held.channel_id)) {
                if let Some(held_back) = mail.held_back.get_mut(channel) {
                    *held_back += 1;
                }
            }
        }
        // What an incident that ended kept quiet may be told now.
        if together.iter().any(|news| news.transition.rule_id != rule.id) {
            late(&mut desk, &policy, at, &mut mail);
        }
    }
    settle(&mut desk, &policy, to + Span::from_micros(1), &mut mail);
    mail
}

/// Counts what each enabled channel gets from `from` on.
#[must_use]
pub fn count(mail: &Mail, channels: &[ChannelRef], from: Timestamp) -> Vec<MessageCount> {
    let tally = |(place, channel): (usize, &ChannelRef)| {
        let sent = mail.sent.iter().filter(|sent| sent.channel == place && sent.at >= from);
        let kinds: Vec<TransitionKind> = sent.map(|sent| sent.kind).collect();
        let of = |wanted| kinds.iter().filter(|kind| **kind == wanted).count();
        MessageCount {
            channel_id: channel.channel_id,
            name: channel.name.clone(),
            kind: channel.kind.clone(),
            count: kinds.len(),
            firing: of(TransitionKind::Firing),
            escalated: of(TransitionKind::Escalated),
            reminders: of(TransitionKind::Reminder),
            resolved: of(TransitionKind::Resolved),
            held_back: mail.held_back.get(place).copied().unwrap_or(0),
        }
    };
    (0..).zip(channels).filter(|(_, channel)| channel.enabled).map(tally).collect()
}

/// Tells what was owed and may be told before `until`.
fn settle(desk: &mut Desk, policy: &Policy, until: Timestamp, mail: &mut Mail) {
    let mut last = None;
    while let Some(look) = desk.next_look().filter(|look| *look < until && last < Some(*look)) {
        last = Some(look);
        late(desk, policy, look, mail);
    }
}

fn late(desk: &mut Desk, policy: &Policy, at: Timestamp, mail: &mut Mail) {
    for late in desk.settle(policy, at) {
        let (incident_id, channel) = (late.incident_id, place(late.channel_id));
        mail.sent.push(Sent { at, incident_id, channel, kind: late.kind, late: true });
    }
}

fn place(channel_id: Uuid) -> usize {
    usize::try_from(channel_id.as_u128()).unwrap_or(usize::MAX)
}

fn project_of(rule: &Rule, transition: &Transition) -> Option<Uuid> {
    let of_group = || transition.group_key.get(GroupField::Project)?.parse().ok();
    rule.project_id.or_else(of_group)
}
