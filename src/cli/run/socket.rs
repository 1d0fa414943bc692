//! Between the Realtime client and the feed: translates events one way and commands the other.

use std::{pin::pin, time::Duration};

use tokio::{sync::mpsc, time};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::{
    feed::{FeedCommand, FeedInput},
    lease::Leadership,
    realtime::{ChannelKind, GapReason, RealtimeClient, RealtimeEvent, RealtimeHandle},
    telemetry::Metrics,
};

/// Leading may begin or end at a deadline that nobody announces.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// Keeps a socket while this instance leads, until `cancel`: standbys stay warm by numbered reads
/// alone, so that any number of them costs Realtime nothing.
pub async fn keep(
    mut client: RealtimeClient,
    mut leadership: Leadership,
    events: mpsc::Sender<RealtimeEvent>,
    cancel: CancellationToken,
) {
    loop {
        client.rest();
        tokio::select! {
            () = cancel.cancelled() => return,
            () = until(&mut leadership, true) => {}
        }
        let stint = cancel.child_token();
        {
            let mut running = pin!(client.run_once(events.clone(), stint.clone()));
            tokio::select! {
                () = &mut running => return,
                () = until(&mut leadership, false) => {}
            }
            stint.cancel();
            running.await;
        }
        let reason = "this instance does not lead any more".to_owned();
        let _ = events.send(RealtimeEvent::Disconnected { reason }).await;
    }
}

/// Waits until this instance leads, or does not lead.
async fn until(leadership: &mut Leadership, leads: bool) {
    while leadership.is_leader() != leads {
        tokio::select! {
            true = leadership.changed() => {}
            () = time::sleep(LOOK_AGAIN) => {}
        }
    }
}

/// Passes on what the socket brings until `cancel`; a full feed loses rows here, which its next read
/// finds.
pub async fn forward(
    instance: Uuid,
    mut events: mpsc::Receiver<RealtimeEvent>,
    feed: mpsc::Sender<FeedInput>,
    metrics: Metrics,
    cancel: CancellationToken,
) {
    // Rows flow on this channel, says the server.
    let mut flows = false;
    loop {
        let event = tokio::select! {
            () = cancel.cancelled() => return,
            event = events.recv() => match event {
                Some(event) => event,
                None => return,
            },
        };
        metrics.record(|| measure(&event));
        match event {
            RealtimeEvent::Changes(rows) => {
                for row in rows {
                    if feed.try_send(FeedInput::Event(row)).is_err() {
                        let _ = feed.try_send(FeedInput::Wake);
                        break;
                    }
                }
            }
            RealtimeEvent::Canary { instance: from, heartbeat_at } if from == instance => {
                let _ = feed.send(FeedInput::Canary { at: heartbeat_at }).await;
            }
            RealtimeEvent::Canary { .. } => {}
            RealtimeEvent::Connected => {
                flows = false;
                let _ = feed.send(FeedInput::SocketUp).await;
            }
            // A trouble of the canary's channel made the feed stop listening for it.
            RealtimeEvent::Subscribed { channel } => {
                flows |= channel == ChannelKind::Errors;
                if flows {
                    let _ = feed.send(FeedInput::Subscribed).await;
                }
            }
            // The server may have dropped what was committed meanwhile, as before a first subscription.
            RealtimeEvent::Gap { reason: GapReason::Resubscribed } => {
                let _ = feed.send(FeedInput::Subscribed).await;
            }
            RealtimeEvent::Gap { .. } => {
                let _ = feed.try_send(FeedInput::Wake);
            }
            RealtimeEvent::Trouble { channel: Some(ChannelKind::Canary), .. } => {
                let _ = feed.send(FeedInput::SocketDown).await;
            }
            RealtimeEvent::Disconnected { .. } | RealtimeEvent::Trouble { .. } => {
                flows = false;
                let _ = feed.send(FeedInput::SocketDown).await;
            }
        }
    }
}

/// Counts what the socket goes through.
fn measure(event: &RealtimeEvent) {
    match event {
        RealtimeEvent::Connected => {
            metrics::counter!("meshhook_errors_socket_connects_total").increment(1);
        }
        RealtimeEvent::Subscribed { .. } => {
            metrics::counter!("meshhook_errors_socket_subscriptions_total").increment(1);
        }
        RealtimeEvent::Disconnected { .. } => {
            metrics::counter!("meshhook_errors_socket_losses_total").increment(1);
        }
        RealtimeEvent::Trouble { .. } => {
            metrics::counter!("meshhook_errors_socket_troubles_total").increment(1);
        }
        RealtimeEvent::Gap { reason } => {
            metrics::counter!("meshhook_errors_socket_gaps_total", "reason" => reason.as_str())
                .increment(1);
        }
        RealtimeEvent::Changes(_) | RealtimeEvent::Canary { .. } => {}
    }
}

/// Passes on what the feed asks of the socket until `cancel`.
pub async fn command(
    mut commands: mpsc::Receiver<FeedCommand>,
    socket: RealtimeHandle,
    cancel: CancellationToken,
) {
    loop {
        let command = tokio::select! {
            () = cancel.cancelled() => return,
            command = commands.recv() => match command {
                Some(command) => command,
                None => return,
            },
        };
        match command {
            FeedCommand::Rejoin => {
                for channel in ChannelKind::ALL {
                    socket.rejoin(channel);
                }
            }
            FeedCommand::Reconnect => socket.reconnect(),
        }
    }
}
