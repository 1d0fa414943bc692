//! Who would have been told how often.

use std::collections::HashSet;

use uuid::Uuid;

use super::report::{ChannelRef, MessageCount};
use crate::model::{Level, Timestamp, Transition, TransitionKind};

/// Counts the messages of `transitions` from `from` on, channel by channel.
pub(super) fn count(
    transitions: &[Transition],
    channels: &[ChannelRef],
    from: Timestamp,
) -> Vec<MessageCount> {
    channels.iter().filter(|channel| channel.enabled).map(|c| tally(transitions, c, from)).collect()
}

fn tally(transitions: &[Transition], channel: &ChannelRef, from: Timestamp) -> MessageCount {
    let mut tally = MessageCount {
        channel_id: channel.channel_id,
        name: channel.name.clone(),
        kind: channel.kind.clone(),
        count: 0,
        firing: 0,
        escalated: 0,
        reminders: 0,
        resolved: 0,
        held_back: 0,
    };
    let mut told: HashSet<Uuid> = HashSet::new();
    for transition in transitions {
        let loud = channel.min_level == Level::Warning || transition.level == Level::Critical;
        let place = match transition.kind {
            TransitionKind::Firing if loud => &mut tally.firing,
            TransitionKind::Escalated if loud => &mut tally.escalated,
            TransitionKind::Reminder if loud => &mut tally.reminders,
            TransitionKind::Resolved if told.remove(&transition.incident_id) => &mut tally.resolved,
            _ => continue,
        };
        if transition.kind != TransitionKind::Resolved {
            told.insert(transition.incident_id);
        }
        if transition.at >= from {
            *place += 1;
            tally.count += 1;
        }
    }
    tally
}
