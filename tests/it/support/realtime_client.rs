//! A running Realtime client, with the short waits that tests need.

use std::{sync::Arc, time::Duration};

use meshhook_errors::{
    backoff::Backoff,
    clock::Clock,
    model::Span,
    realtime::{
        Disposition, RealtimeClient, RealtimeConfig, RealtimeEvent, RealtimeHandle, RealtimeState,
        Timing, Vsn,
    },
    token::{Claims, Minter, TokenSource},
};
use tokio::{sync::mpsc, task::JoinHandle};
use tokio_util::sync::CancellationToken;

use super::realtime_server::{Server, within};

/// The API key of every client here.
pub const ANON_KEY: &str = "anon-key-that-must-not-be-shown";
const SECRET: &str = "super-secret-jwt-token-with-at-least-32-characters";

/// A running client.
pub struct Running {
    pub events: mpsc::Receiver<RealtimeEvent>,
    pub handle: RealtimeHandle,
    pub cancel: CancellationToken,
    pub task: JoinHandle<()>,
}

/// What differs from test to test.
pub struct Options {
    pub vsn: Vsn,
    pub host: Option<&'static str>,
    pub timing: Timing,
    pub capacity: usize,
    pub life: Span,
    pub clock: Clock,
    pub fixed: bool,
}

impl Default for Options {
    fn default() -> Self {
        let millis = Duration::from_millis;
        Self {
            vsn: Vsn::V2,
            host: None,
            timing: Timing {
                heartbeat: Duration::from_secs(30),
                join: Duration::from_secs(5),
                subscribe: Duration::from_secs(5),
                retry: Backoff::new(&[millis(20)], 0.2).expect("schedule"),
                slow_retry: millis(20),
                probe: millis(20),
                ..Timing::default()
            },
            capacity: 64,
            life: Span::from_secs(3600),
            clock: Clock::system(),
            fixed: false,
        }
    }
}

/// Starts a client of `server`.
pub fn start(server: &Server, options: Options) -> Running {
    let source = if options.fixed {
        TokenSource::fixed("service-key".into())
    } else {
        TokenSource::hs256(&SECRET.into()).expect("secret")
    };
    let claims = Claims { role: "error_daemon".to_owned(), ..Claims::default() };
    let minter = Minter::new(source, claims, options.life, options.clock);
    let config = RealtimeConfig {
        url: server.url().parse().expect("url"),
        host_header: options.host.map(str::to_owned),
        apikey: Some(ANON_KEY.into()),
        vsn: options.vsn,
        timing: options.timing,
        extra_root_ca: server.certificate.clone(),
    };
    let (client, handle) = RealtimeClient::new(config, Arc::new(minter)).expect("configuration");
    let (sender, events) = mpsc::channel(options.capacity);
    let cancel = CancellationToken::new();
    let task = tokio::spawn(client.run(sender, cancel.clone()));
    Running { events, handle, cancel, task }
}

impl Running {
    pub async fn next(&mut self) -> RealtimeEvent {
        let event = within("an event", self.events.recv()).await.expect("the client runs");
        let shown = format!("{event:?}");
        assert!(!shown.contains(ANON_KEY) && !shown.contains("eyJ"), "{shown}");
        event
    }

    pub async fn expect(&mut self, expected: &[RealtimeEvent]) {
        for event in expected {
            assert_eq!(self.next().await, *event);
        }
    }

    pub async fn state(&self, wanted: RealtimeState) {
        let mut state = self.handle.state();
        let reached = within(wanted.as_str(), state.wait_for(|state| *state == wanted)).await;
        drop(reached.expect("the client runs"));
    }

    /// The disposition of the next event, which must be trouble.
    pub async fn trouble(&mut self) -> Disposition {
        match self.next().await {
            RealtimeEvent::Trouble { disposition, .. } => disposition,
            other => panic!("{other:?}"),
        }
    }

    pub async fn stop(self) {
        self.cancel.cancel();
        within("the client's end", self.task).await.expect("no panic");
    }
}
