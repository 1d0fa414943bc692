//! What a session makes of each frame that it receives.

use super::{Action, Moment, Session, SessionEvent, channel::Phase};
use crate::realtime::{
    change::decode_change,
    errors::{Disposition, Failure, classify},
    frame::{Event, Frame},
    reply::{SUBSCRIBED, parse_reply, parse_system},
};

impl Session {
    /// Takes a decoded frame in.
    pub(super) fn frame(&mut self, at: Moment, frame: &Frame<'_>, out: &mut Vec<Action>) {
        if frame.event == Event::Reply
            && frame.reference.is_some()
            && frame.reference.as_deref() == self.heartbeat_pending.as_deref()
        {
            self.heartbeat_pending = None;
            return;
        }
        let Some(index) = self.channels.iter().position(|c| c.kind.topic() == frame.topic) else {
            return;
        };
        match frame.event {
            Event::PostgresChanges => {
                out.push(Action::Event(SessionEvent::Change(decode_change(frame.payload))));
            }
            Event::Reply => self.reply(at, index, frame, out),
            Event::System if self.channels[index].concerns(frame.join_ref.as_deref()) => {
                self.system(at, index, frame.payload, out);
            }
            Event::Close | Event::Error
                if self.channels[index]
                    .concerns(frame.reference.as_deref().or(frame.join_ref.as_deref())) =>
            {
                self.channels[index].join_ref = None;
                let (failure, message) = match frame.event {
                    Event::Error => (Failure::ChannelCrashed, "the channel crashed"),
                    _ => (Failure::ChannelClosed, "the server closed the channel"),
                };
                self.fail(at, index, classify(failure), message, out);
            }
            Event::System | Event::Close | Event::Error | Event::Other => {}
        }
    }

    fn reply(&mut self, at: Moment, index: usize, frame: &Frame<'_>, out: &mut Vec<Action>) {
        let channel = &self.channels[index];
        let reference = frame.reference.as_deref();
        if reference.is_none() {
            return;
        }
        let is_join = matches!(channel.phase, Phase::Joining { .. })
            && channel.join_ref.as_deref() == reference;
        let is_token = channel.token_ref.as_deref() == reference;
        if !is_join && !is_token {
            return;
        }
        let reply = parse_reply(frame.payload);
        if !reply.ok {
            self.channels[index].join_ref = None;
            let disposition = match classify(Failure::Reason(&reply.reason)) {
                // Nothing of this client may be refused without consequence.
                Disposition::Ignore => Disposition::Retry,
                disposition => disposition,
            };
            return self.fail(at, index, disposition, &reply.reason, out);
        }
        if !is_join {
            return;
        }
        if !self.channels[index].is_echoed(&reply.bindings) {
            // The server only logs a malformed configuration and joins without it.
            self.leave(index, out);
            let message = "the server did not accept the subscription that was asked for";
            return self.fail(at, index, Disposition::RetrySlowly, message, out);
        }
        let deadline = at.now + self.timing.subscribe;
        let subscribed = self.channels[index].joined(deadline);
        if subscribed {
            out.push(Action::Event(SessionEvent::Subscribed(self.channels[index].kind)));
        }
        if self.channels[index].token_number != self.token_number {
            self.push_token(index, out);
        }
    }

    fn system(&mut self, at: Moment, index: usize, payload: &str, out: &mut Vec<Action>) {
        let system = parse_system(payload);
        if system.ok {
            if system.about_changes && system.message == SUBSCRIBED {
                self.channels[index].subscribed(out);
            }
            return;
        }
        let disposition = classify(Failure::Reason(&system.message));
        let retried = matches!(disposition, Disposition::Retry | Disposition::BackOff { .. });
        if system.about_changes && retried {
            // The channel stays, and the server subscribes again after 5 to 10 s.
            let channel = &mut self.channels[index];
            channel.phase = Phase::Joined { deadline: at.now + self.timing.subscribe };
            let (channel, message) = (channel.kind, system.message.into_owned());
            let trouble = SessionEvent::Trouble { channel, disposition, message };
            return out.push(Action::Event(trouble));
        }
        if disposition == Disposition::Ignore {
            return;
        }
        if system.about_changes {
            self.leave(index, out);
        } else {
            // `phx_close` with this join's reference follows; it is news no more.
            self.channels[index].join_ref = None;
        }
        self.fail(at, index, disposition, &system.message, out);
    }
}
