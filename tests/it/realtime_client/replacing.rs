//! Make before break: another socket takes over while the old one still delivers.

use std::time::Duration;

use meshhook_errors::{
    model::Span,
    realtime::{GapReason, RealtimeEvent, RealtimeState},
};

use super::{CANARY, ERRORS, row};
use crate::support::{
    realtime_client::{Options, Running, start},
    realtime_server::Server,
};

/// The old socket delivers until a while after the new one is subscribed, and nobody is told of a loss.
#[tokio::test]
async fn a_socket_is_replaced_before_it_is_too_old() {
    let server = Server::plain().await;
    let mut options = Options::default();
    options.timing.replace_after = Duration::from_millis(400);
    options.timing.overlap = Duration::from_millis(300);
    let mut client = start(&server, options);
    let mut old = server.accept().await;
    let joins = old.welcome().await;
    client.expect(&[RealtimeEvent::Connected, ERRORS, CANARY]).await;
    let brings = async |client: &mut Running, seq| {
        let RealtimeEvent::Changes(rows) = client.next().await else { panic!("no rows") };
        assert_eq!(rows.iter().map(|row| row.seq).collect::<Vec<_>>(), [seq]);
    };

    // A successor that is refused, one that breaks and one whose join is refused change nothing.
    server.refuse(500).await;
    drop(server.accept().await);
    let mut unfit = server.accept().await;
    let join = unfit.expect("phx_join").await;
    unfit.refuse(&join, "ChannelRateLimitReached: Too many channels").await;
    unfit.gone().await;
    old.change(&joins[0], &row(1)).await;
    brings(&mut client, 1).await;

    let mut new = server.accept().await;
    let new_joins = [new.expect("phx_join").await, new.expect("phx_join").await];
    old.change(&joins[0], &row(2)).await;
    brings(&mut client, 2).await;
    for join in &new_joins {
        new.accept_join(join).await;
        new.subscribed(join).await;
    }
    client.expect(&[ERRORS, CANARY]).await;
    // Both deliver for a while: what was sent to the old one alone may be on its way.
    new.change(&new_joins[0], &row(3)).await;
    brings(&mut client, 3).await;
    old.change(&joins[0], &row(3)).await;
    brings(&mut client, 3).await;
    client.state(RealtimeState::Subscribed).await;
    assert_eq!(old.gone().await, Some(1000));
    new.change(&new_joins[0], &row(4)).await;
    brings(&mut client, 4).await;

    // The socket is lost while its successor is on its way: that one takes over at once.
    let mut next = server.accept().await;
    let joins = next.welcome().await;
    client.expect(&[ERRORS, CANARY]).await;
    new.close(1001).await;
    let RealtimeEvent::Disconnected { .. } = client.next().await else { panic!("no end") };
    client.expect(&[RealtimeEvent::Connected, ERRORS]).await;
    next.change(&joins[0], &row(5)).await;
    brings(&mut client, 5).await;
    client.stop().await;
}

/// A server that does not exchange the token gets another socket before the old token ends.
#[tokio::test]
async fn a_token_that_is_not_exchanged_gets_another_socket() {
    let server = Server::plain().await;
    let mut options = Options { life: Span::from_secs(3), ..Options::default() };
    options.timing.overlap = Duration::from_millis(50);
    let mut client = start(&server, options);
    let mut old = server.accept().await;
    let joins = old.welcome().await;
    client.expect(&[RealtimeEvent::Connected, ERRORS, CANARY]).await;
    old.expect("access_token").await;
    old.expect("access_token").await;
    let mut new = server.accept().await;
    let new_joins = new.welcome().await;
    assert_ne!(new_joins[0].payload["access_token"], joins[0].payload["access_token"]);
    client.expect(&[ERRORS, CANARY]).await;
    assert_eq!(old.gone().await, Some(1000));

    // This one does, and is kept for as long as it does.
    for _ in 0..2 {
        let mut pushes = [new.expect("access_token").await, new.expect("access_token").await];
        pushes.sort_by(|a, b| a.topic.cmp(&b.topic));
        assert_ne!(pushes[0].topic, pushes[1].topic);
        for join in &new_joins {
            new.subscribed(join).await;
        }
    }
    while let Ok(event) = client.events.try_recv() {
        assert_eq!(event, RealtimeEvent::Gap { reason: GapReason::Resubscribed });
    }
    client.stop().await;
    assert_eq!(new.gone().await, Some(1000));
}
