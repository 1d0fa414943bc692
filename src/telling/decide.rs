//! The decision itself: who is told of a transition, who is held back, and why.

use std::collections::BTreeSet;

use uuid::Uuid;

use super::{
    Case, Policy,
    hold::{Hold, Why},
    inhibition::Firing,
};
use crate::model::{Level, Timestamp, TransitionKind};

/// What follows from one transition.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Telling {
    /// Channels that are told now.
    pub told: Vec<Uuid>,
    /// Channels that would be told, were it not for `holds`.
    pub held: Vec<Held>,
    /// Why nobody is told now; empty unless somebody is held back.
    pub holds: Vec<Hold>,
}

/// A channel that is not told now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Held {
    /// The channel.
    pub channel_id: Uuid,
    /// What it is told later, if it still holds true: firing, or escalated where the channel knows
    /// of the incident. A reminder and the news of flapping are never owed.
    pub owed: Option<TransitionKind>,
}

/// What becomes of a message that a channel is owed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Settled {
    /// The channel is told now.
    Told,
    /// It still waits: for these to end, or, where there are none, for a level that it wants.
    Waits(Vec<Hold>),
    /// The rule no longer tells this channel.
    Forgotten,
}

/// Every reason not to tell anybody of `case` at `now`; `firing` is what else fires.
#[must_use]
pub fn holds<'a>(
    policy: &Policy,
    case: &Case<'_>,
    firing: impl IntoIterator<Item = Firing<'a>>,
    now: Timestamp,
) -> Vec<Hold> {
    let filter = policy.filters.get(&case.rule_id);
    let silences =
        policy.silences.iter().filter(|silence| silence.covers(case, filter, now)).map(|silence| {
            Hold {
                why: Why::Silenced {
                    silence_id: silence.silence_id,
                    reason: silence.reason.clone(),
                },
                until: Some(silence.ends_at),
            }
        });
    let quiet =
        policy.quiet_hours.iter().filter(|quiet| quiet.concerns(case)).filter_map(|quiet| {
            let why = Why::Quiet {
                quiet_hours_id: quiet.quiet_hours_id,
                name: quiet.name.clone(),
                kind: quiet.kind,
            };
            Some(Hold { why, until: Some(quiet.active_until(now)?) })
        });
    let mut holds: Vec<Hold> = silences.chain(quiet).collect();
    let targets = |inhibition: &&super::Inhibition| inhibition.target_rule_id == case.rule_id;
    if policy.inhibitions.iter().any(|inhibition| targets(&inhibition)) {
        let sources: Vec<Firing<'_>> = firing.into_iter().collect();
        for inhibition in policy.inhibitions.iter().filter(targets) {
            let source = sources.iter().filter(|source| inhibition.applies(source, case));
            holds.extend(source.min_by_key(|source| source.incident_id).map(|source| Hold {
                why: Why::Inhibited {
                    inhibition_id: inhibition.inhibition_id,
                    rule_id: source.rule_id,
                    incident_id: source.incident_id,
                },
                until: None,
            }));
        }
    }
    holds
}

/// Who is told of a transition of `case` at `now`.
///
/// `knows` are the channels that were told something of this incident before, `firing` are the other
/// incidents that fire.
#[must_use]
pub fn tell<'a>(
    policy: &Policy,
    case: &Case<'_>,
    kind: TransitionKind,
    knows: &BTreeSet<Uuid>,
    firing: impl IntoIterator<Item = Firing<'a>>,
    now: Timestamp,
) -> Telling {
    match kind {
        TransitionKind::Resolved => {
            Telling { told: knows.iter().copied().collect(), ..Telling::default() }
        }
        TransitionKind::Firing
        | TransitionKind::Escalated
        | TransitionKind::Reminder
        | TransitionKind::Flapping => {
            let wants = policy.channels(case.rule_id).filter(|b| b.min_level <= case.level);
            let channels: Vec<Uuid> = wants.map(|binding| binding.channel_id).collect();
            if channels.is_empty() {
                return Telling::default();
            }
            let holds = holds(policy, case, firing, now);
            if holds.is_empty() {
                return Telling { told: channels, ..Telling::default() };
            }
            let held = channels.into_iter().map(|channel_id| {
                let first = !knows.contains(&channel_id);
                let owed = match kind {
                    TransitionKind::Reminder => None,
                    _ if first => Some(TransitionKind::Firing),
                    TransitionKind::Escalated => Some(kind),
                    _ => None,
                };
                Held { channel_id, owed }
            });
            Telling { told: Vec::new(), held: held.collect(), holds }
        }
        TransitionKind::Pending | TransitionKind::Deescalated | TransitionKind::Dropped => {
            Telling::default()
        }
    }
}

/// What becomes of a message of this kind that is owed to a channel, while the incident fires.
#[must_use]
pub fn settle<'a>(
    policy: &Policy,
    case: &Case<'_>,
    (channel_id, kind): (Uuid, TransitionKind),
    firing: impl IntoIterator<Item = Firing<'a>>,
    now: Timestamp,
) -> Settled {
    let binding = policy.channels(case.rule_id).find(|b| b.channel_id == channel_id);
    let Some(binding) = binding else { return Settled::Forgotten };
    let wanted =
        if kind == TransitionKind::Escalated { Level::Critical } else { binding.min_level };
    if case.level < wanted {
        return Settled::Waits(Vec::new());
    }
    let holds = holds(policy, case, firing, now);
    if holds.is_empty() { Settled::Told } else { Settled::Waits(holds) }
}
