//! Supabase Realtime as far as this project uses it: Phoenix channels over a websocket, changes
//! of published tables by logical replication, row security decided by Postgres, broadcast, presence.
//! The wire protocol, the replication stream and the delivery live here; HTTP for tables or sign-in
//! may not.
//! Committed rows come in through one temporary replication slot, client frames through
//! [`Realtime::router`]; frames go out through the bounded queue of each socket.

mod binary;
mod catalog;
mod channel;
mod deliver;
mod encode;
mod filter;
mod frame;
mod handshake;
mod hub;
mod outflow;
mod params;
mod payload;
mod pgoutput;
mod session;
mod socket;
mod stream;
mod subscribe;
mod token;
mod watch;

use std::{
    sync::{Arc, atomic::AtomicU64},
    time::Duration,
};

use axum::{Router, routing::any};
use sqlx::PgPool;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{faults::Faults, jwt::Clock};

/// How the server paces itself. The defaults are quick; the real server's values stand beside them.
#[derive(Clone, Debug)]
pub struct RealtimeConfig {
    /// How long a refused handshake is held back (real: 2 s).
    pub handshake_delay: Duration,
    /// How long a refused join is held back (real: 5 s).
    pub join_delay: Duration,
    /// How long changes are collected before they are delivered (real: polls every 100 to 500 ms);
    /// zero delivers at once.
    pub poll_interval: Duration,
    /// How long after a new token the channel is subscribed again (real: 1 to 3 s).
    pub resubscribe_delay: Duration,
    /// How long after a database failure a subscription is tried again (real: 5 to 10 s).
    pub retry_delay: Duration,
    /// How long a socket may be silent (real: 60 s).
    pub idle_timeout: Duration,
    /// How often the publication is checked for new tables (real: 60 s).
    pub publication_check: Duration,
    /// The publication to follow.
    pub publication: String,
    /// At most this many rows are decided on at once.
    pub batch_rows: usize,
    /// At most this many frames wait for a socket.
    pub queue_frames: usize,
    /// At most this many bytes wait for a socket.
    pub queue_bytes: u32,
    /// How long a full queue may stay full before its socket is cut.
    pub slow_client_patience: Duration,
}

impl Default for RealtimeConfig {
    fn default() -> Self {
        Self {
            handshake_delay: Duration::from_millis(50),
            join_delay: Duration::from_millis(50),
            poll_interval: Duration::from_millis(50),
            resubscribe_delay: Duration::from_millis(100),
            retry_delay: Duration::from_secs(1),
            idle_timeout: Duration::from_secs(60),
            publication_check: Duration::from_secs(2),
            publication: "supabase_realtime".into(),
            batch_rows: 500,
            queue_frames: 16_384,
            queue_bytes: 32 * 1024 * 1024,
            slow_client_patience: Duration::from_secs(2),
        }
    }
}

/// What every part of the server shares.
struct Shared {
    config: RealtimeConfig,
    pool: PgPool,
    database_url: String,
    secret: String,
    clock: Clock,
    faults: Faults,
    hub: hub::Hub,
    /// Set by the first subscription, which starts the stream.
    wanted: tokio::sync::watch::Sender<bool>,
    /// Whether the slot exists and is being read.
    ready: tokio::sync::watch::Sender<bool>,
    /// Counts the changes of the publication; each makes every channel subscribe again.
    republished: tokio::sync::watch::Sender<u64>,
    sockets: AtomicU64,
    tasks: TaskTracker,
    cancel: CancellationToken,
}

/// A running Realtime server, without its listener.
pub struct Realtime(Arc<Shared>);

/// What [`Realtime::start`] needs.
pub struct Start {
    /// Pacing and limits.
    pub config: RealtimeConfig,
    /// Connections of a superuser, who may become any role.
    pub pool: PgPool,
    /// The address of the same database for a user with the replication privilege.
    pub database_url: String,
    /// The HS256 secret of the project's tokens.
    pub secret: String,
    /// Tells the time to token checks.
    pub clock: Clock,
    /// Misbehaviour on request.
    pub faults: Faults,
    /// Ends everything when cancelled.
    pub cancel: CancellationToken,
}

impl Realtime {
    /// Starts the tasks that follow the database; they wait for a first subscription.
    #[must_use]
    pub fn start(start: Start) -> Self {
        let Start { config, pool, database_url, secret, clock, faults, cancel } = start;
        let shared = Arc::new(Shared {
            config,
            pool,
            database_url,
            secret,
            clock,
            faults,
            hub: hub::Hub::default(),
            wanted: tokio::sync::watch::Sender::new(false),
            ready: tokio::sync::watch::Sender::new(false),
            republished: tokio::sync::watch::Sender::new(0),
            sockets: AtomicU64::new(1),
            tasks: TaskTracker::new(),
            cancel,
        });
        shared.tasks.spawn(stream::run(Arc::clone(&shared)));
        shared.tasks.spawn(watch::run(Arc::clone(&shared)));
        Self(shared)
    }

    /// The websocket endpoints: behind the gateway's path and at the bare server's own.
    pub fn router(&self) -> Router {
        Router::new()
            .route("/realtime/v1/websocket", any(handshake::upgrade))
            .route("/socket/websocket", any(handshake::upgrade))
            .with_state(Arc::clone(&self.0))
    }

    /// Waits until every socket and task has ended; cancel first.
    pub async fn stopped(&self) {
        self.0.tasks.close();
        self.0.tasks.wait().await;
    }
}
