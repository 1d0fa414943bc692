//! The Realtime client against a server that misbehaves on command.

mod replacing;

use std::time::Duration;

use meshhook_errors::{
    clock::Clock,
    model::{Span, Timestamp},
    realtime::{
        ChannelKind, Disposition, GapReason, MAX_FRAME_BYTES, RealtimeEvent, RealtimeState, Vsn,
    },
};
use serde_json::{Value, json};

use crate::support::{
    realtime_client::{ANON_KEY, Options, Running, start},
    realtime_server::{Server, within},
};

const ERRORS: RealtimeEvent = RealtimeEvent::Subscribed { channel: ChannelKind::Errors };
const CANARY: RealtimeEvent = RealtimeEvent::Subscribed { channel: ChannelKind::Canary };

fn row(seq: i64) -> Value {
    json!({"seq": seq, "error_id": "e73f3543-ac21-4326-a144-c5273ad17c04", "source": "worker",
        "timestamp": "2026-11-22T12:07:47.720301+00:00", "error_type": "execution.timeout",
        "received_at": "2026-11-22T12:07:47.9+00:00", "severity": "high", "project_id": null,
        "workflow_id": null, "fingerprint": "00000000-0000-4000-8000-000000000001",
        "message": "it failed"})
}

/// Joins, delivers and stops, as every healthy server makes it do.
async fn check_delivery(server: Server, options: Options) {
    let (vsn, host) = (options.vsn, options.host);
    let mut client = start(&server, options);
    let mut peer = server.accept().await;
    let expected = format!("/socket/websocket?apikey={ANON_KEY}&vsn={vsn}");
    assert_eq!(peer.handshake.uri, expected);
    assert_eq!(peer.handshake.header("apikey"), Some(ANON_KEY));
    assert_eq!(peer.handshake.header("x-api-key"), None);
    let address = server.url();
    let own_host = address.split('/').nth(2);
    assert_eq!(peer.handshake.header("host"), host.or(own_host));

    let joins = peer.welcome().await;
    assert_eq!(joins[0].is_object, vsn == Vsn::V1);
    assert_eq!(joins[0].topic, ChannelKind::Errors.topic());
    let token = joins[0].payload["access_token"].as_str().expect("a token");
    assert_eq!(token.split('.').count(), 3);
    client.expect(&[RealtimeEvent::Connected, ERRORS, CANARY]).await;
    client.state(RealtimeState::Subscribed).await;

    for event in ["presence_state", "broadcast", "from_the_future"] {
        peer.event(&joins[0], event, &json!({"a": [1]})).await;
    }
    peer.change(&joins[0], &row(41)).await;
    let RealtimeEvent::Changes(rows) = client.next().await else { panic!("no rows") };
    assert_eq!(rows.iter().map(|row| row.seq).collect::<Vec<_>>(), [41]);
    assert_eq!(&*rows[0].message, "it failed");
    let status = json!({"instance_id": "e73f3543-ac21-4326-a144-c5273ad17c04",
        "heartbeat_at": "2026-11-22T12:07:47.720301+00:00", "leader": true});
    peer.change(&joins[1], &status).await;
    let RealtimeEvent::Canary { heartbeat_at, .. } = client.next().await else { panic!("canary") };
    assert_eq!(heartbeat_at, Timestamp::from_micros(1_795_349_267_720_301));
    peer.change(&joins[0], &json!({"error_id": "x"})).await;
    client.expect(&[RealtimeEvent::Gap { reason: GapReason::Undecodable }]).await;

    client.stop().await;
    assert_eq!(peer.gone().await, Some(1000));
}

#[tokio::test]
async fn delivers_from_current_servers() {
    check_delivery(Server::plain().await, Options::default()).await;
}

#[tokio::test]
async fn delivers_from_old_servers_and_selects_the_tenant_by_host() {
    let host = Some("realtime-dev.localhost");
    check_delivery(Server::plain().await, Options { vsn: Vsn::V1, host, ..Options::default() })
        .await;
}

#[tokio::test]
async fn delivers_through_tls_that_is_trusted() {
    check_delivery(Server::with_tls().await, Options::default()).await;

    let mut server = Server::with_tls().await;
    server.certificate = None;
    let mut client = start(&server, Options::default());
    server.fail_tls().await;
    assert_eq!(client.trouble().await, Disposition::Retry);
    client.stop().await;
}

#[tokio::test]
async fn a_join_that_is_never_subscribed_is_left_and_repeated() {
    let server = Server::plain().await;
    let mut options = Options::default();
    options.timing.subscribe = Duration::from_millis(50);
    let mut client = start(&server, options);
    let mut peer = server.accept().await;
    let joins = [peer.expect("phx_join").await, peer.expect("phx_join").await];
    peer.accept_join(&joins[1]).await;
    peer.subscribed(&joins[1]).await;
    peer.accept_join(&joins[0]).await;
    let leave = peer.expect("phx_leave").await;
    assert_eq!((&leave.topic, &leave.join_ref), (&joins[0].topic, &joins[0].join_ref));
    peer.event(&joins[0], "phx_close", &json!({})).await;
    let again = peer.expect("phx_join").await;
    assert_eq!(again.topic, joins[0].topic);
    assert_ne!(again.reference, joins[0].reference);
    peer.subscribed(&again).await;
    peer.accept_join(&again).await;
    client.expect(&[RealtimeEvent::Connected, CANARY]).await;
    assert_eq!(client.trouble().await, Disposition::Retry);
    client.expect(&[ERRORS]).await;
    client.state(RealtimeState::Subscribed).await;
    client.stop().await;
}

#[tokio::test]
async fn a_second_subscription_is_a_gap_and_deafness_can_be_treated() {
    let server = Server::plain().await;
    let mut client = start(&server, Options::default());
    let mut peer = server.accept().await;
    let joins = peer.welcome().await;
    client.expect(&[RealtimeEvent::Connected, ERRORS, CANARY]).await;
    peer.subscribed(&joins[0]).await;
    client.expect(&[RealtimeEvent::Gap { reason: GapReason::Resubscribed }]).await;

    client.handle.rejoin(ChannelKind::Errors);
    assert_eq!(peer.expect("phx_leave").await.topic, joins[0].topic);
    let join = peer.expect("phx_join").await;
    peer.accept_join(&join).await;
    peer.subscribed(&join).await;
    client.expect(&[ERRORS]).await;

    client.handle.reconnect();
    assert_eq!(peer.gone().await, Some(1000));
    let RealtimeEvent::Disconnected { .. } = client.next().await else { panic!("no end") };
    server.accept().await.welcome().await;
    client.expect(&[RealtimeEvent::Connected, ERRORS, CANARY]).await;
    client.stop().await;
}

#[tokio::test]
async fn swallowed_heartbeats_replace_the_socket() {
    let server = Server::plain().await;
    let mut options = Options::default();
    options.timing.heartbeat = Duration::from_millis(200);
    let mut client = start(&server, options);
    let mut peer = server.accept().await;
    peer.welcome().await;
    peer.answers_heartbeats = false;
    assert_eq!(peer.expect("heartbeat").await.topic, "phoenix");
    peer.gone().await;
    client.expect(&[RealtimeEvent::Connected, ERRORS, CANARY]).await;
    let RealtimeEvent::Disconnected { reason } = client.next().await else { panic!("no end") };
    assert_eq!(reason, "a heartbeat was not answered");
    server.accept().await.welcome().await;
    client.expect(&[RealtimeEvent::Connected, ERRORS, CANARY]).await;
    client.stop().await;
}

#[tokio::test]
async fn every_kind_of_end_is_followed_by_a_new_socket() {
    let server = Server::plain().await;
    let mut client = start(&server, Options::default());
    for code in [1000, 1001, 1006, 1012] {
        let mut peer = server.accept().await;
        peer.welcome().await;
        client.expect(&[RealtimeEvent::Connected, ERRORS, CANARY]).await;
        peer.close(code).await;
        let RealtimeEvent::Disconnected { reason } = client.next().await else { panic!("{code}") };
        assert!(code == 1006 || reason.contains(&code.to_string()), "{code}: {reason}");
    }
    let mut peer = server.accept().await;
    peer.welcome().await;
    client.expect(&[RealtimeEvent::Connected, ERRORS, CANARY]).await;
    // The client hangs up on a frame beyond its limit as soon as it sees the length.
    peer.oversized(MAX_FRAME_BYTES + 1).await;
    let RealtimeEvent::Disconnected { reason } = client.next().await else { panic!("no end") };
    assert!(reason.contains("limit"), "{reason}");
    for event in ["phx_error", "phx_close"] {
        let mut peer = server.accept().await;
        let joins = peer.welcome().await;
        client.expect(&[RealtimeEvent::Connected, ERRORS, CANARY]).await;
        peer.event(&joins[0], event, &json!({})).await;
        assert_eq!(client.trouble().await, Disposition::Retry, "{event}");
        let join = peer.expect("phx_join").await;
        peer.accept_join(&join).await;
        peer.subscribed(&join).await;
        client.expect(&[ERRORS]).await;
        peer.close(1000).await;
        let RealtimeEvent::Disconnected { .. } = client.next().await else { panic!("{event}") };
    }
    client.stop().await;
}

#[tokio::test]
async fn refused_handshakes_are_classified_and_probed() {
    let server = Server::plain().await;
    let mut client = start(&server, Options::default());
    for status in [401, 403, 404] {
        server.refuse(status).await;
        assert_eq!(client.trouble().await, Disposition::Stop, "{status}");
    }
    server.accept().await.welcome().await;
    client.expect(&[RealtimeEvent::Connected, ERRORS, CANARY]).await;
    client.stop().await;

    for (status, seconds) in [(429, 10), (500, 5)] {
        let mut client = start(&server, Options::default());
        server.refuse(status).await;
        let expected = Disposition::BackOff { at_least: Duration::from_secs(seconds) };
        assert_eq!(client.trouble().await, expected, "{status}");
        client.state(RealtimeState::Backoff).await;
        client.stop().await;
    }

    let mut options = Options::default();
    options.timing.probe = Duration::from_secs(3600);
    let client = start(&server, options);
    server.refuse(401).await;
    client.state(RealtimeState::Stopped).await;
    client.stop().await;
}

#[tokio::test]
async fn an_expired_token_is_replaced_and_the_channel_joined_again() {
    let server = Server::plain().await;
    let clock = Clock::manual(Timestamp::from_secs(1_795_000_000));
    let mut client = start(&server, Options { clock: clock.clone(), ..Options::default() });
    let mut peer = server.accept().await;
    let joins = peer.welcome().await;
    client.expect(&[RealtimeEvent::Connected, ERRORS, CANARY]).await;
    clock.set(Timestamp::from_secs(1_795_003_601));
    peer.system(&joins[0], "error", "system", "Token has expired 1 seconds ago").await;
    peer.event(&joins[0], "phx_close", &json!({})).await;
    assert_eq!(client.trouble().await, Disposition::RefreshToken);
    // The other channel gets the fresh token in band, and this one with its new join.
    let mut pushes = [peer.next().await, peer.next().await];
    pushes.sort_by(|a, b| a.event.cmp(&b.event));
    assert_eq!(pushes.each_ref().map(|push| push.event.as_str()), ["access_token", "phx_join"]);
    let old = &joins[0].payload["access_token"];
    assert!(pushes.iter().all(|push| push.payload["access_token"] != *old));
    assert_eq!(pushes[1].topic, joins[0].topic);
    peer.accept_join(&pushes[1]).await;
    peer.subscribed(&pushes[1]).await;
    peer.subscribed(&joins[1]).await;
    client.expect(&[ERRORS, RealtimeEvent::Gap { reason: GapReason::Resubscribed }]).await;
    client.stop().await;
}

#[tokio::test]
async fn tokens_are_renewed_before_they_expire_or_not_at_all() {
    let server = Server::plain().await;
    let client = start(&server, Options { life: Span::from_secs(2), ..Options::default() });
    let mut peer = server.accept().await;
    let joins = peer.welcome().await;
    for join in &joins {
        let push = peer.expect("access_token").await;
        assert_eq!((&push.topic, &push.join_ref), (&join.topic, &join.join_ref));
        assert_ne!(push.payload["access_token"], join.payload["access_token"]);
    }
    client.stop().await;

    let mut options = Options { fixed: true, ..Options::default() };
    options.timing.probe = Duration::from_secs(3600);
    let mut client = start(&server, options);
    let mut peer = server.accept().await;
    let join = peer.expect("phx_join").await;
    assert_eq!(join.payload["access_token"], "service-key");
    peer.refuse(&join, "InvalidJWTToken: Token has expired 60 seconds ago").await;
    client.expect(&[RealtimeEvent::Connected]).await;
    assert_eq!(client.trouble().await, Disposition::RefreshToken);
    assert_eq!(client.trouble().await, Disposition::Stop);
    client.state(RealtimeState::Stopped).await;
    client.stop().await;
}

#[tokio::test]
async fn a_slow_listener_gets_a_wake_up_instead_of_every_row() {
    let server = Server::plain().await;
    let mut client = start(&server, Options { capacity: 4, ..Options::default() });
    let mut peer = server.accept().await;
    let joins = peer.welcome().await;
    client.state(RealtimeState::Subscribed).await;
    for seq in 1..=500 {
        // Each frame on its own, so that the rows cannot all fit into a few batches.
        peer.change(&joins[0], &row(seq)).await;
        tokio::task::yield_now().await;
    }
    peer.subscribed(&joins[0]).await;
    // The marker is answered after everything before it was taken in.
    peer.system(&joins[1], "error", "system", "marker").await;
    peer.event(&joins[1], "phx_close", &json!({})).await;
    peer.expect("phx_join").await;
    let (mut rows, mut overflow, mut resubscribed) = (0, false, false);
    while !(overflow && resubscribed) {
        match client.next().await {
            RealtimeEvent::Changes(batch) => rows += batch.len(),
            RealtimeEvent::Gap { reason: GapReason::Overflow } => overflow = true,
            RealtimeEvent::Gap { reason: GapReason::Resubscribed } => resubscribed = true,
            _ => {}
        }
    }
    assert!(rows < 500, "rows were dropped, or nothing was tested");
    client.stop().await;
}

#[tokio::test]
async fn a_listener_that_left_ends_the_client() {
    let server = Server::plain().await;
    let Running { events, task, .. } = start(&server, Options::default());
    drop(events);
    let mut peer = server.accept().await;
    within("the client's end", task).await.expect("no panic");
    peer.gone().await;
}
