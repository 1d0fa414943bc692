//! Who would have been told how often: the decisions of `telling` over a list of transitions.

use std::collections::HashMap;

use uuid::Uuid;

use super::report::{ChannelRef, MessageCount};
use crate::{
    model::{GroupField, Rule, Span, Timestamp, Transition, TransitionKind},
    notify::{BURST, COST_OF_MANY, MANY},
    store::{outbox::MERGED_MAX, past::SourceChange},
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
    /// When a channel was not told at once, and its place in the list of channels.
    pub held_back: Vec<(Timestamp, usize)>,
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
    let mut mail = Mail::default();
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
            let held = telling.held.iter().map(|held| (at, place(held.channel_id)));
            mail.held_back.extend(held);
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
        let (times, kinds): (Vec<Timestamp>, Vec<TransitionKind>) =
            sent.map(|sent| (sent.at, sent.kind)).unzip();
        let of = |wanted| kinds.iter().filter(|kind| **kind == wanted).count();
        let held = mail.held_back.iter().filter(|(at, held)| *held == place && *at >= from);
        MessageCount {
            channel_id: channel.channel_id,
            name: channel.name.clone(),
            kind: channel.kind.clone(),
            count: kinds.len(),
            posts: if merges(&channel.kind) { posts(&times) } else { kinds.len() },
            firing: of(TransitionKind::Firing),
            escalated: of(TransitionKind::Escalated),
            reminders: of(TransitionKind::Reminder),
            flapping: of(TransitionKind::Flapping),
            resolved: of(TransitionKind::Resolved),
            held_back: held.count(),
        }
    };
    (0..).zip(channels).filter(|(_, channel)| channel.enabled).map(tally).collect()
}

/// Whether what comes at once is told as one message: people read it.
fn merges(kind: &str) -> bool {
    matches!(kind, "slack" | "email")
}

/// In how many messages news of these times, in order, are told: a channel gets four at once and then one
/// a second, and the last of these tells all that waits.
fn posts(times: &[Timestamp]) -> usize {
    let (mut place, mut posts) = (0, 0);
    let (mut tokens, mut now) = (BURST, Timestamp::default());
    while let Some(next) = times.get(place) {
        let since = now;
        now = now.max(*next);
        tokens = (tokens + now.since(since).as_secs_f64()).min(BURST);
        if tokens < 1.0 {
            // Until there is a whole one.
            #[expect(clippy::cast_possible_truncation, reason = "a second at most")]
            let wait = Span::from_micros(((1.0 - tokens) * 1e6).ceil() as i64);
            (now, tokens) = (now + wait, 1.0);
        }
        let waiting = times.iter().skip(place).take(MERGED_MAX).take_while(|at| **at <= now);
        let told = if tokens < 2.0 { waiting.count().max(1) } else { 1 };
        tokens -= if told >= MANY { COST_OF_MANY } else { 1.0 };
        place += told;
        posts += 1;
    }
    posts
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_at_once_comes_in_few_messages() {
        let at = |millis| Timestamp::from_secs(1_717_372_800) + Span::from_millis(millis);
        let posts = |times: &[i64]| posts(&times.iter().map(|ms| at(*ms)).collect::<Vec<_>>());
        assert_eq!(posts(&[]), 0);
        assert_eq!(posts(&[0, 60_000, 120_000]), 3);
        // Three of their own, and the fourth tells the rest.
        assert_eq!(posts(&[0; 4]), 4);
        assert_eq!(posts(&[0; 100]), 4);
        let storm: Vec<i64> = (0..1_000).map(|n| n * 10).collect();
        assert!((4..=15).contains(&posts(&storm)), "{}", posts(&storm));
        let hours: Vec<i64> = (0..48).map(|n| n * 3_600_000).collect();
        assert_eq!(posts(&hours), 48);
    }
}
