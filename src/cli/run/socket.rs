//! Between the Realtime client and the feed: translates events one way and commands the other.

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::{
    feed::{FeedCommand, FeedInput},
    realtime::{ChannelKind, GapReason, RealtimeEvent, RealtimeHandle},
};

/// Passes on what the socket brings until `cancel`; a full feed loses rows here, which its next read
/// finds.
pub async fn forward(
    instance: Uuid,
    mut events: mpsc::Receiver<RealtimeEvent>,
    feed: mpsc::Sender<FeedInput>,
    cancel: CancellationToken,
) {
    loop {
        let event = tokio::select! {
            () = cancel.cancelled() => return,
            event = events.recv() => match event {
                Some(event) => event,
                None => return,
            },
        };
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
                let _ = feed.send(FeedInput::SocketUp).await;
            }
            RealtimeEvent::Subscribed { channel: ChannelKind::Errors } => {
                let _ = feed.send(FeedInput::Subscribed).await;
            }
            RealtimeEvent::Subscribed { .. } => {}
            // The server may have dropped what was committed meanwhile, as before a first subscription.
            RealtimeEvent::Gap { reason: GapReason::Resubscribed } => {
                let _ = feed.send(FeedInput::Subscribed).await;
            }
            RealtimeEvent::Gap { .. } => {
                let _ = feed.try_send(FeedInput::Wake);
            }
            RealtimeEvent::Disconnected { .. } | RealtimeEvent::Trouble { .. } => {
                let _ = feed.send(FeedInput::SocketDown).await;
            }
        }
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
