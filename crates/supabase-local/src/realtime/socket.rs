//! The loop of one websocket: reads, writes, timers, faults, and the end.

use std::{collections::HashMap, sync::Arc, time::Duration};

use axum::extract::ws::{CloseFrame, Message, WebSocket};
use tokio::{
    sync::broadcast,
    task::JoinSet,
    time::{Instant, sleep, timeout},
};
use tokio_util::sync::CancellationToken;

use super::{
    Shared,
    frame::{self, Version},
    hub::{self, Inbox, Out},
    session::Session,
    token::Token,
};
use crate::faults::{Action, Event};

/// A write that takes longer belongs to a client that has stopped reading.
const WRITE_TIMEOUT: Duration = Duration::from_secs(10);
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);
/// What a client sees when the server restarts.
const SERVICE_RESTART: u16 = 1012;

/// What the handshake found out.
pub struct Opened {
    /// The socket's number.
    pub number: u64,
    /// Its wire format.
    pub version: Version,
    /// The API key.
    pub key: String,
    /// The API key, checked.
    pub token: Token,
}

/// How a socket ends.
enum End {
    /// With a close frame.
    Close(u16),
    /// Without one.
    Abort,
    /// Not at all, until the server stops.
    Freeze,
}

/// Serves a socket until it ends.
pub async fn serve(shared: Arc<Shared>, opened: Opened, mut websocket: WebSocket) {
    shared.faults.count(Event::Socket);
    let Opened { number, version, key, token } = opened;
    let (outbox, mut inbox) = hub::queue(shared.config.queue_frames, shared.config.queue_bytes);
    let cancel = shared.cancel.clone();
    let mut session = Session {
        shared,
        number,
        version,
        key,
        key_token: token,
        outbox,
        channels: HashMap::new(),
        out: Vec::new(),
        later: JoinSet::new(),
        joins: 0,
    };
    let end = run(&mut session, &mut inbox, &mut websocket).await;
    match end {
        End::Close(code) => {
            drop(session);
            let frame = CloseFrame { code, reason: "".into() };
            // A client that is gone needs no close frame.
            let _ = timeout(CLOSE_TIMEOUT, async {
                websocket.send(Message::Close(Some(frame))).await?;
                while let Some(Ok(_)) = websocket.recv().await {}
                Ok::<(), axum::Error>(())
            })
            .await;
        }
        End::Abort => {}
        // The session stays too: a half-open connection still looks subscribed to the server.
        End::Freeze => cancel.cancelled().await,
    }
}

async fn run(session: &mut Session, inbox: &mut Inbox, websocket: &mut WebSocket) -> End {
    let shared = Arc::clone(&session.shared);
    let mut actions = shared.faults.actions();
    let mut republished = shared.republished.subscribe();
    let cut = session.outbox.cut.clone();
    let idle = sleep(shared.config.idle_timeout);
    tokio::pin!(idle);
    loop {
        for text in std::mem::take(&mut session.out) {
            if !write(&shared, &cut, websocket, Message::text(text)).await {
                return End::Abort;
            }
        }
        let expiry = sleep(session.next_expiry());
        tokio::select! {
            () = shared.cancel.cancelled() => return End::Close(SERVICE_RESTART),
            () = cut.cancelled() => return End::Abort,
            Some(later) = session.later.join_next(), if !session.later.is_empty() => match later {
                Ok(later) => session.later(later),
                Err(error) => tracing::error!(%error, "a helper task of a socket failed"),
            },
            Some(out) = inbox.recv() => {
                let message = match out {
                    Out::Text(text) => Message::text(text),
                    Out::Binary(bytes) => Message::binary(bytes),
                };
                if !write(&shared, &cut, websocket, message).await {
                    return End::Abort;
                }
            }
            received = websocket.recv() => {
                idle.as_mut().reset(Instant::now() + shared.config.idle_timeout);
                match received {
                    Some(Ok(Message::Text(text))) => {
                        if let Some(message) = frame::decode(session.version, &text) {
                            session.handle(message);
                        }
                    }
                    Some(Ok(Message::Binary(bytes))) => session.handle_binary(&bytes),
                    Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                    // The closing handshake was answered by the library.
                    Some(Ok(Message::Close(_)) | Err(_)) | None => return End::Abort,
                }
            }
            action = actions.recv() => match action {
                Ok(Action::Close(code)) => return End::Close(code),
                Ok(Action::Abort) => return End::Abort,
                Ok(Action::Freeze) => return End::Freeze,
                Ok(Action::SendRaw(text)) => session.out.push(text),
                Ok(action) => session.act(&action),
                Err(broadcast::error::RecvError::Lagged(missed)) => {
                    tracing::warn!(missed, "a socket missed requested faults");
                }
                // The sender lives as long as the server.
                Err(broadcast::error::RecvError::Closed) => return End::Abort,
            },
            Ok(()) = republished.changed() => session.act(&Action::Resubscribe),
            () = expiry => session.expire(),
            () = &mut idle => return End::Close(1000),
        }
    }
}

/// Writes a message; false when the client does not take it or the socket is to end anyway.
async fn write(
    shared: &Shared,
    cut: &CancellationToken,
    websocket: &mut WebSocket,
    message: Message,
) -> bool {
    tokio::select! {
        biased;
        written = timeout(WRITE_TIMEOUT, websocket.send(message)) => matches!(written, Ok(Ok(()))),
        () = cut.cancelled() => false,
        () = shared.cancel.cancelled() => false,
    }
}
