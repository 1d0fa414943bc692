use serde_json::{Value, json};

use super::*;
use crate::realtime::reply::SUBSCRIBED;

/// A session, its time, and what it did with the last input.
struct Sim {
    session: Session,
    now: Duration,
    actions: Vec<Action>,
}

const ERRORS: ChannelKind = ChannelKind::Errors;
const CANARY: ChannelKind = ChannelKind::Canary;

fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

impl Sim {
    fn new(vsn: Vsn) -> Self {
        let session = Session::new(vsn, Timing::default(), "token-1".into());
        Self { session, now: secs(100), actions: Vec::new() }
    }

    /// An opened session with both joins sent, as references 1 and 2.
    fn opened() -> Self {
        let mut sim = Self::new(Vsn::V2);
        sim.input(Input::Opened);
        sim
    }

    /// An opened session with both channels subscribed.
    fn subscribed() -> Self {
        let mut sim = Self::opened();
        for (kind, reference) in [(ERRORS, "1"), (CANARY, "2")] {
            sim.accept(kind, reference);
            sim.system(kind, "ok", "postgres_changes", SUBSCRIBED);
        }
        assert_eq!(sim.session.state(), RealtimeState::Subscribed);
        sim
    }

    fn input(&mut self, input: Input<'_>) -> &[Action] {
        self.actions.clear();
        let at = Moment { now: self.now, random: 0.5 };
        self.session.handle(at, input, &mut self.actions);
        &self.actions
    }

    fn wait(&mut self, seconds: u64) -> &[Action] {
        self.now += secs(seconds);
        self.input(Input::Tick)
    }

    fn frame(&mut self, frame: &Value) -> &[Action] {
        self.input(Input::Text(&frame.to_string()))
    }

    fn accept(&mut self, kind: ChannelKind, reference: &str) -> &[Action] {
        let echo =
            json!([{"id": 7, "event": kind.event(), "schema": "public", "table": kind.table()}]);
        let payload = json!({"status": "ok", "response": {"postgres_changes": echo}});
        self.frame(&json!([reference, reference, kind.topic(), "phx_reply", payload]))
    }

    fn refuse(&mut self, kind: ChannelKind, reference: &str, reason: &str) -> &[Action] {
        let payload = json!({"status": "error", "response": {"reason": reason}});
        self.frame(&json!([reference, reference, kind.topic(), "phx_reply", payload]))
    }

    fn system(&mut self, kind: ChannelKind, status: &str, ext: &str, text: &str) -> &[Action] {
        let payload = json!({"message": text, "status": status, "extension": ext, "channel": "x"});
        self.frame(&json!([null, null, kind.topic(), "system", payload]))
    }

    /// What was sent, as (join_ref, ref, topic, event, payload).
    fn sent(&self) -> Vec<(Option<String>, String, String, String, Value)> {
        let text = |action: &Action| {
            if let Action::Send(text) = action { Some(text.clone()) } else { None }
        };
        let frames = self.actions.iter().filter_map(text);
        frames.map(|text| serde_json::from_str(&text).expect("2.0.0 frame")).collect()
    }

    /// What was sent, as topic and event.
    fn names(&self) -> Vec<(String, String)> {
        self.sent().into_iter().map(|(_, _, topic, event, _)| (topic, event)).collect()
    }

    fn events(&self) -> Vec<SessionEvent> {
        let event = |action: &Action| match action {
            Action::Event(event) => Some(event.clone()),
            _ => None,
        };
        self.actions.iter().filter_map(event).collect()
    }

    fn trouble(&self) -> Option<(ChannelKind, Disposition)> {
        self.events().into_iter().find_map(|event| match event {
            SessionEvent::Trouble { channel, disposition, .. } => Some((channel, disposition)),
            _ => None,
        })
    }

    /// How long until one of the channels is joined again; heartbeats are answered meanwhile.
    fn until_join(&mut self) -> Duration {
        let start = self.now;
        for _ in 0..100 {
            self.now = self.session.next_tick().expect("a tick").max(self.now);
            self.input(Input::Tick);
            let sent = self.sent();
            if sent.iter().any(|push| push.3 == "phx_join") {
                return self.now - start;
            }
            self.answer_heartbeats();
        }
        panic!("no join");
    }

    fn answer_heartbeats(&mut self) {
        for (_, reference, topic, event, _) in self.sent() {
            if event == "heartbeat" {
                self.frame(&json!([null, reference, topic, "phx_reply", {"status": "ok"}]));
            }
        }
    }
}

#[test]
fn a_subscription_is_the_system_message_and_not_the_reply() {
    let mut sim = Sim::opened();
    let sent = sim.sent();
    assert_eq!(sent.len(), 2);
    let (join_ref, reference, topic, event, payload) = &sent[0];
    assert_eq!((join_ref.as_deref(), reference.as_str()), (Some("1"), "1"));
    assert_eq!((topic.as_str(), event.as_str()), (ERRORS.topic(), "phx_join"));
    assert_eq!(
        *payload,
        json!({"config": {"broadcast": {"ack": false, "self": false},
            "presence": {"enabled": false, "key": ""}, "private": false,
            "postgres_changes": [{"event": "INSERT", "schema": "public", "table": "error_metrics"}]},
            "access_token": "token-1"})
    );
    assert_eq!(sent[1].2, CANARY.topic());
    assert!(sim.accept(ERRORS, "1").is_empty());
    assert_eq!(sim.session.state(), RealtimeState::Joining);
    sim.system(ERRORS, "ok", "postgres_changes", SUBSCRIBED);
    assert_eq!(sim.events(), [SessionEvent::Subscribed(ERRORS)]);
    sim.system(ERRORS, "ok", "postgres_changes", SUBSCRIBED);
    assert_eq!(sim.events(), [SessionEvent::Resubscribed(ERRORS)]);
    assert!(sim.session.was_subscribed());
    // The message may overtake the reply.
    assert!(sim.system(CANARY, "ok", "postgres_changes", SUBSCRIBED).is_empty());
    sim.accept(CANARY, "2");
    assert_eq!(sim.events(), [SessionEvent::Subscribed(CANARY)]);
    assert_eq!(sim.session.state(), RealtimeState::Subscribed);
}

#[test]
fn a_join_without_subscription_is_left_and_repeated() {
    let mut sim = Sim::opened();
    sim.accept(ERRORS, "1");
    sim.wait(9);
    assert!(sim.actions.is_empty());
    sim.wait(1);
    assert_eq!(sim.trouble(), Some((CANARY, Disposition::Retry)), "10 s for a reply");
    assert_eq!(sim.names(), [(CANARY.topic().to_owned(), "phx_leave".to_owned())]);
    sim.wait(5);
    assert_eq!(sim.trouble(), Some((ERRORS, Disposition::Retry)), "15 s for a subscription");
    let left = sim.sent().into_iter().find(|push| push.2 == ERRORS.topic()).expect("a leave");
    assert_eq!((left.0.as_deref(), left.3.as_str()), (Some("1"), "phx_leave"));
    sim.answer_heartbeats();
    // The late close of the join that was left is no news.
    assert!(sim.frame(&json!(["1", "1", ERRORS.topic(), "phx_close", {}])).is_empty());
    for _ in 0..100 {
        sim.answer_heartbeats();
        if sim.wait(1).iter().any(|action| matches!(action, Action::Close(_))) {
            assert_eq!(sim.actions.last(), Some(&Action::Close("joins were not answered")));
            return;
        }
    }
    panic!("a socket on which nothing is answered must be given up");
}

#[test]
fn heartbeats_find_a_dead_socket() {
    let mut sim = Sim::subscribed();
    assert!(sim.wait(14).is_empty());
    sim.wait(1);
    let (join_ref, reference, topic, event, payload) = sim.sent().swap_remove(0);
    assert_eq!((join_ref, topic.as_str(), event.as_str()), (None, "phoenix", "heartbeat"));
    assert_eq!(payload, json!({}));
    assert!(
        sim.frame(&json!([null, reference, "phoenix", "phx_reply", {"status": "ok"}])).is_empty()
    );
    sim.wait(15);
    assert_eq!(sim.names().len(), 1);
    sim.wait(15);
    assert_eq!(sim.actions, [Action::Close("a heartbeat was not answered")]);
}

#[test]
fn a_lost_channel_is_joined_again_on_schedule() {
    for event in ["phx_error", "phx_close"] {
        let mut sim = Sim::subscribed();
        let stale = json!(["0", "0", ERRORS.topic(), event, {}]);
        assert!(sim.frame(&stale).is_empty(), "of an earlier join");
        let mut reference = "1".to_owned();
        for expected in [1, 2, 5, 10, 10] {
            sim.frame(&json!([reference, reference, ERRORS.topic(), event, {}]));
            assert_eq!(sim.trouble(), Some((ERRORS, Disposition::Retry)), "{event}");
            assert_eq!(sim.session.state(), RealtimeState::Joining);
            assert_eq!(sim.until_join(), secs(expected), "{event}");
            reference = sim.sent().last().expect("join").1.clone();
        }
        sim.accept(ERRORS, &reference);
        sim.system(ERRORS, "ok", "postgres_changes", SUBSCRIBED);
        sim.frame(&json!([reference, reference, ERRORS.topic(), event, {}]));
        assert_eq!(sim.until_join(), secs(1), "a subscription starts the schedule anew");
    }
}

#[test]
fn an_expired_token_is_replaced_before_the_next_join() {
    let mut sim = Sim::subscribed();
    sim.system(ERRORS, "error", "system", "Token has expired 0 seconds ago");
    assert!(sim.actions.contains(&Action::NeedToken));
    assert_eq!(sim.trouble(), Some((ERRORS, Disposition::RefreshToken)));
    assert!(sim.frame(&json!(["1", "1", ERRORS.topic(), "phx_close", {}])).is_empty());
    sim.system(CANARY, "error", "system", "Token has expired 0 seconds ago");
    assert!(!sim.actions.contains(&Action::NeedToken), "one request is enough");
    assert!(sim.wait(10).is_empty(), "no join without a fresh token");
    sim.input(Input::TokenRefreshed("token-2".into()));
    let sent = sim.sent();
    assert_eq!(sent.len(), 2);
    assert!(sent.iter().all(|push| push.4["access_token"] == "token-2" && push.3 == "phx_join"));
    // A server that refuses even the fresh one is not asked in a loop.
    let reference = sent[0].1.clone();
    sim.refuse(ERRORS, &reference, "InvalidJWTToken: Token has expired 60 seconds ago");
    assert!(sim.actions.contains(&Action::NeedToken));
    assert!(
        sim.input(Input::TokenRefreshed("token-3".into()))
            .iter()
            .all(|action| { !matches!(action, Action::Send(text) if text.contains("phx_join")) })
    );
    assert_eq!(sim.until_join(), secs(2));
    let reference = sim.sent().last().expect("join").1.clone();
    sim.refuse(ERRORS, &reference, "InvalidJWTToken: Token has expired 60 seconds ago");
    sim.input(Input::TokenUnavailable);
    assert_eq!(sim.trouble(), Some((ERRORS, Disposition::Stop)));
    assert_eq!(sim.session.state(), RealtimeState::Stopped);
}

#[test]
fn a_due_token_is_renewed_in_band() {
    let mut sim = Sim::opened();
    sim.accept(ERRORS, "1");
    sim.input(Input::TokenRefreshed("token-2".into()));
    let (join_ref, _, topic, event, payload) = sim.sent().swap_remove(0);
    assert_eq!((join_ref.as_deref(), topic.as_str()), (Some("1"), ERRORS.topic()));
    assert_eq!((event.as_str(), payload), ("access_token", json!({"access_token": "token-2"})));
    assert_eq!(sim.sent().len(), 1, "the other channel is still being joined");
    sim.accept(CANARY, "2");
    assert_eq!(sim.names(), [(CANARY.topic().to_owned(), "access_token".to_owned())]);
    let reference = sim.sent()[0].1.clone();
    sim.refuse(CANARY, &reference, "unmatched topic");
    assert_eq!(sim.trouble(), Some((CANARY, Disposition::Retry)), "the server forgot the channel");
}

#[test]
fn refusals_are_followed_by_what_fits_them() {
    use Disposition::{BackOff, Retry, RetrySlowly, Stop};
    let limited = BackOff { at_least: secs(10) };
    let cases = [
        ("JwtSignatureError: Failed to validate JWT signature", Stop, 180..=216),
        ("ClientJoinRateLimitReached: Too many joins per second", limited, 10..=12),
        ("RealtimeDisabledForConfiguration: x", RetrySlowly, 60..=72),
        ("UnableToReplayMessages: x", Retry, 1..=1),
        ("Unknown Error on Channel", Retry, 1..=1),
    ];
    for (reason, disposition, wait) in cases {
        let mut sim = Sim::opened();
        sim.accept(CANARY, "2");
        sim.system(CANARY, "ok", "postgres_changes", SUBSCRIBED);
        sim.refuse(ERRORS, "1", reason);
        assert_eq!(sim.trouble(), Some((ERRORS, disposition)), "{reason}");
        assert_eq!(sim.session.state() == RealtimeState::Stopped, disposition == Stop);
        let waited = sim.until_join().as_secs();
        assert!(wait.contains(&waited), "{reason}: {waited} s");
    }
}

#[test]
fn a_subscription_that_failed_is_left_unless_the_server_retries() {
    let mut sim = Sim::subscribed();
    let message = "Unable to subscribe to changes with given parameters. Please check Realtime";
    sim.system(ERRORS, "error", "postgres_changes", message);
    assert_eq!(sim.trouble(), Some((ERRORS, Disposition::RetrySlowly)));
    assert_eq!(sim.names(), [(ERRORS.topic().to_owned(), "phx_leave".to_owned())]);

    let mut sim = Sim::subscribed();
    sim.system(ERRORS, "error", "postgres_changes", "something went wrong");
    assert!(sim.sent().is_empty(), "the server subscribes again by itself");
    assert_eq!(sim.session.state(), RealtimeState::Joining);
    sim.system(ERRORS, "ok", "postgres_changes", SUBSCRIBED);
    assert_eq!(sim.events(), [SessionEvent::Subscribed(ERRORS)]);

    let mut sim = Sim::opened();
    let payload = json!({"status": "ok", "response": {"postgres_changes": []}});
    sim.frame(&json!(["1", "1", ERRORS.topic(), "phx_reply", payload]));
    assert_eq!(sim.trouble(), Some((ERRORS, Disposition::RetrySlowly)), "nothing was echoed");
    assert_eq!(sim.names(), [(ERRORS.topic().to_owned(), "phx_leave".to_owned())]);
}

#[test]
fn a_deaf_channel_is_left_and_joined_at_once() {
    let mut sim = Sim::subscribed();
    sim.input(Input::Rejoin(ERRORS));
    let events: Vec<_> = sim.sent().into_iter().map(|push| (push.2, push.3)).collect();
    let topic = ERRORS.topic().to_owned();
    assert_eq!(events, [(topic.clone(), "phx_leave".to_owned()), (topic, "phx_join".to_owned())]);
}

#[test]
fn old_servers_are_understood() {
    let mut sim = Sim::new(Vsn::V1);
    sim.input(Input::Opened);
    let Some(Action::Send(text)) = sim.actions.first() else { panic!("no join") };
    let join: Value = serde_json::from_str(text).expect("1.0.0 frame");
    assert_eq!((&join["ref"], &join["join_ref"]), (&json!("1"), &json!("1")));
    let topic = ERRORS.topic();
    let echo = json!([{"id": 1, "event": "INSERT", "schema": "public", "table": "error_metrics"}]);
    sim.frame(&json!({"ref": "1", "event": "phx_reply", "topic": topic,
        "payload": {"status": "ok", "response": {"postgres_changes": echo}}}));
    sim.frame(&json!({"ref": null, "event": "system", "topic": topic, "payload":
        {"message": SUBSCRIBED, "status": "ok", "extension": "postgres_changes", "channel": "x"}}));
    assert_eq!(sim.events(), [SessionEvent::Subscribed(ERRORS)]);
    sim.frame(&json!({"ref": "1", "event": "phx_close", "topic": topic, "payload": {}}));
    assert_eq!(sim.trouble(), Some((ERRORS, Disposition::Retry)));
}

#[test]
fn strange_frames_do_no_harm() {
    let mut sim = Sim::subscribed();
    for frame in [
        json!([null, null, "realtime:other", "postgres_changes", {}]),
        json!([null, null, ERRORS.topic(), "presence_state", {}]),
        json!([null, null, ERRORS.topic(), "from_the_future", [1, 2]]),
        json!([null, "99", ERRORS.topic(), "phx_reply", {"status": "error"}]),
        json!([null, null, ERRORS.topic(), "phx_reply", 7]),
        json!(["1", null, ERRORS.topic(), "system", {"status": "ok", "message": {"a": 1}}]),
    ] {
        assert!(sim.frame(&frame).is_empty(), "{frame}");
    }
    sim.input(Input::Text("no frame"));
    assert_eq!(sim.events(), [SessionEvent::Garbled]);
    sim.frame(&json!([null, null, ERRORS.topic(), "postgres_changes", {"what": 1}]));
    let expected = SessionEvent::Change(Change::Undecodable { table: Box::default() });
    assert_eq!(sim.events(), [expected]);
    assert_eq!(sim.session.state(), RealtimeState::Subscribed);
}

#[test]
fn every_captured_frame_is_survived_and_no_token_shown() {
    for line in include_str!("../../../tests/fixtures/realtime-frames.jsonl").lines() {
        let line: Value = serde_json::from_str(line).expect("fixture line");
        let (Some(raw), "recv") = (line["raw"].as_str(), line["dir"].as_str().unwrap_or_default())
        else {
            continue;
        };
        let mut frame: Value = serde_json::from_str(raw).expect("fixture JSON");
        let topic = if frame.is_array() { &mut frame[2] } else { &mut frame["topic"] };
        *topic = ERRORS.topic().into();
        for mut sim in [Sim::opened(), Sim::subscribed()] {
            sim.frame(&frame);
            sim.input(Input::Rejoin(ERRORS));
            assert!(sim.names().contains(&(ERRORS.topic().to_owned(), "phx_join".to_owned())));
            let shown = format!("{:?} {:?}", sim.session, sim.actions);
            assert!(!shown.contains("token-1"), "{shown}");
        }
    }
}
