//! One instance of the daemon: its parts, started in order and stopped in order.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use tokio::{
    net::TcpListener,
    sync::{Notify, mpsc, watch},
    time,
};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{
    boot::{self, LateProbe},
    pulse::Pulse,
    reconcile::{Reconciled, Reconciler},
    reporting::{self, Reporting},
    settings::Settings,
    socket, system,
};
use crate::{
    alerting::{Configuration, Connections, Decider, DeciderHandle, LiveBoard, Narrator, Writer},
    cli::wiring,
    clock::Clock,
    error::Error,
    feed::{self, FeedHandle, FeedOptions, FeedStatus},
    http,
    lease::{self, Leadership, LeaseKeeper, LeaseOptions},
    notify::{Dispatcher, DispatcherSettings, Mandate},
    realtime::{RealtimeClient, RealtimeHandle},
    retention,
    store::{Db, outbox::Outbox},
    supervisor::{Supervisor, TaskError},
    system::SystemWatch,
    telemetry::Metrics,
};

/// An instance that was told to stop has stopped by then, also when nothing answers it any more. The
/// process promises 5 s, of which the runtime takes a little at its end.
const STOP_WITHIN: Duration = Duration::from_millis(4_400);
/// How much of that the tasks may take: giving the lease back and closing connections come after them.
const GRACE: Duration = Duration::from_millis(3_700);
/// How long a starting instance waits to learn whether it leads.
const FIRST_LEASE: Duration = Duration::from_secs(1);
/// Decisions that may wait for the writer, in batches; more, and the engine waits too.
const DECISION_BATCHES: usize = 64;
/// Messages that may wait for the decider.
const MESSAGES: usize = 16;
/// Events of the socket that may wait for the feed, in batches.
const SOCKET_EVENTS: usize = 256;

/// A running instance.
pub struct Daemon {
    address: SocketAddr,
    instance: Uuid,
    decider: DeciderHandle,
    feed_status: watch::Receiver<FeedStatus>,
    leadership: Leadership,
    tasks: Supervisor,
    lease: (Supervisor, CancellationToken),
    db: Db,
}

impl Daemon {
    /// Starts an instance, which runs until `cancel` is cancelled.
    ///
    /// # Errors
    /// When the configuration does not work, or the database says that only an operator can help.
    pub async fn start(settings: Settings, cancel: CancellationToken) -> Result<Self, Error> {
        let metrics = Metrics::default();
        let clock = Clock::system();
        let started_at = clock.now();
        let instance = Uuid::new_v4();
        let minter =
            wiring::daemon_minter(&settings.credentials, settings.token_life, clock.clone())?;
        let mut realtime = wiring::realtime_config(&settings.supabase, &settings.credentials)?;
        realtime.timing = settings.socket.clone();
        let (client, socket_handle) =
            RealtimeClient::new(realtime, minter).map_err(Error::failed)?;
        let parts = wiring::notify_parts(&settings.notify, clock.clone())?;
        let name = format!("meshhook-errors {}", settings.instance.name);
        let api_name = format!("{name} api");
        let db = wiring::database_as(&settings.database, name, wiring::DAEMON_CONNECTIONS)?;
        let api_db = wiring::database_as(&settings.database, api_name, wiring::API_CONNECTIONS)?;
        let listener = TcpListener::bind(settings.http.listen).await.map_err(|error| {
            Error::failed(format!(
                "HTTP_LISTEN: cannot listen on {}: {error}; name a free port of this machine",
                settings.http.listen
            ))
        })?;
        let address = listener.local_addr().map_err(Error::failed)?;
        let mut tasks = Supervisor::new(cancel.clone());
        let probe = LateProbe::default();
        let wake = Arc::new(Notify::new());
        let api = wiring::api(&settings, &parts, &api_db, &clock, &wake)?;
        let server = http::serve(
            listener,
            probe.probe(),
            metrics.clone(),
            api,
            settings.patience,
            cancel.clone(),
        );
        tasks.spawn_once("http", async { server.await.map_err(|e| Box::new(e) as TaskError) });
        tracing::info!(%address, "listening");
        let start = boot::read(&db, &clock, &cancel).await?;

        // The lease outlives everything that writes as leader.
        let lease_cancel = CancellationToken::new();
        let mut lease_tasks = Supervisor::new(lease_cancel.clone());
        let (keeper, leadership) = lease::lease(db.clone(), instance, LeaseOptions::default());
        let keeper = keeper.waking(Arc::clone(&wake));
        lease_tasks.spawn_once("lease", keep_lease(keeper, lease_cancel.clone()));
        let mut first = leadership.clone();
        let _ = time::timeout(FIRST_LEASE, first.changed()).await;

        let board = LiveBoard::default();
        let mut decider =
            Decider::new(db.clone(), clock.clone(), board.clone(), start.book.rules.clone());
        decider.replay_runs(&start.runs);
        decider.remember(&start.known, &start.open);
        let options = FeedOptions {
            initial_window: decider.history_needed(),
            tick_quiet: settings.feed.quiet_tick.to_std(),
            tick_busy: settings.feed.busy_tick.to_std(),
            ..FeedOptions::default()
        };
        let (feed, FeedHandle { inputs, outputs, commands, status }) =
            feed::feed(db.clone(), clock.clone(), leadership.clone(), options);
        let (settled, settled_there) = watch::channel(0);
        let feed = feed.deciding(settled_there);

        let mut narrator = Narrator::new(settings.notify.dashboard_url.clone());
        narrator.learn_rules(&start.book.rules, &start.book.descriptions);
        let (writer, written) = Writer::new(db.clone(), narrator, Arc::clone(&wake));
        let (decisions, decisions_there) = mpsc::channel(DECISION_BATCHES);
        let (messages, messages_there) = mpsc::channel(MESSAGES);
        let handle = DeciderHandle::new(messages);
        let (configuration, seen) = Configuration::new(
            db.clone(),
            clock.clone(),
            (handle.clone(), inputs.clone()),
            (start.version, &start.book),
            start.tally,
        );
        let connections = Connections {
            feed: outputs,
            messages: messages_there,
            leadership: leadership.clone(),
            written: written.clone(),
            decisions,
            settled,
        };

        once(&mut tasks, "writer", writer.run(decisions_there, cancel.clone()));
        once(&mut tasks, "decider", decider.run(connections, cancel.clone()));
        once(&mut tasks, "configuration", configuration.run(cancel.clone()));
        once(&mut tasks, "feed", feed.run(cancel.clone()));
        let look = read_at_once(leadership.clone(), inputs.clone(), cancel.clone());
        once(&mut tasks, "takeover", look);
        let outbox = Outbox::new(db.clone());
        let dispatcher = Dispatcher::new(
            outbox.clone(),
            parts.channels(&db),
            parts.senders,
            DispatcherSettings::default(),
        );
        let mandate = mandate(leadership.clone());
        once(&mut tasks, "dispatcher", dispatcher.run(Arc::clone(&wake), mandate, cancel.clone()));
        start_socket(
            &mut tasks,
            instance,
            (client, leadership.clone()),
            (inputs.clone(), commands),
            &socket_handle,
            metrics.clone(),
            &cancel,
        );

        let (found, reconciled) = watch::channel(Reconciled::default());
        let reconciler = Reconciler {
            db: db.clone(),
            clock: clock.clone(),
            leadership: leadership.clone(),
            every: settings.reconcile_every,
            metrics: metrics.clone(),
            found,
        };
        once(&mut tasks, "reconcile", reconciler.run(cancel.clone()));
        if settings.upkeep.prunes {
            let (db, leadership) = (db.clone(), leadership.clone());
            let (metrics, every) = (metrics.clone(), settings.prune_every);
            let pruning = retention::run(db, leadership, metrics, every, cancel.clone());
            once(&mut tasks, "retention", pruning);
        }
        if let Some(address) = settings.upkeep.dead_mans_ping {
            let (leadership, metrics) = (leadership.clone(), metrics.clone());
            let (every, probe) = (settings.ping_every, probe.probe());
            let pulse = Pulse { address, every, leadership, probe, metrics };
            let client = reqwest::Client::builder().build().map_err(Error::failed)?;
            once(&mut tasks, "dead man's ping", pulse.run(client, cancel.clone()));
        }
        let observe = system::observe(
            status.clone(),
            reconciled.clone(),
            leadership.clone(),
            settings.system,
        );
        let dashboard = settings.notify.dashboard_url.as_ref();
        let system_watch = SystemWatch {
            db: db.clone(),
            clock,
            leadership: leadership.clone(),
            outbox: outbox.clone(),
            metrics: metrics.clone(),
            wake,
            limits: settings.system,
            channels: settings.upkeep.system_channels,
            dashboard: dashboard.map(|url| url.as_str().trim_end_matches('/').to_owned()),
            observe,
        };
        once(&mut tasks, "system watch", system_watch.run(cancel.clone()));
        let reporting = Reporting {
            instance,
            name: settings.instance.name,
            started_at,
            db: db.clone(),
            metrics: metrics.clone(),
            leadership: leadership.clone(),
            feed: status.clone(),
            socket: socket_handle.state(),
            configuration: seen,
            written,
            reconciled,
            outbox,
            feed_inputs: inputs,
        };
        probe.set(reporting.probe());
        once(
            &mut tasks,
            "live rates",
            reporting::live(db.clone(), leadership.clone(), board, cancel.clone()),
        );
        once(&mut tasks, "status", reporting.run(cancel));
        tracing::info!(%instance, %address, rules = start.book.rules.len(), "started");
        Ok(Self {
            address,
            instance,
            decider: handle,
            feed_status: status,
            leadership,
            tasks,
            lease: (lease_tasks, lease_cancel),
            db,
        })
    }

    /// Where `/healthz`, `/readyz` and `/metrics` are served.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// The instance's id in `error_tracker_status`.
    #[must_use]
    pub const fn instance(&self) -> Uuid {
        self.instance
    }

    /// For questions about the engine.
    #[must_use]
    pub fn decider(&self) -> DeciderHandle {
        self.decider.clone()
    }

    /// The feed's state.
    #[must_use]
    pub fn feed(&self) -> watch::Receiver<FeedStatus> {
        self.feed_status.clone()
    }

    /// Whether it leads.
    #[must_use]
    pub fn leadership(&self) -> Leadership {
        self.leadership.clone()
    }

    /// Waits until the instance was told to stop and has stopped: what was counted is saved, what was
    /// sent is recorded, and only then the lease is given back.
    ///
    /// # Errors
    /// When it stopped because one of its tasks failed.
    pub async fn stopped(self) -> Result<(), Error> {
        self.tasks.stopping().await;
        let deadline = time::Instant::now() + STOP_WITHIN;
        let ended = self.tasks.run(GRACE).await;
        if !ended.in_time {
            tracing::warn!("some tasks did not end in time and were aborted");
        }
        let (lease, cancel) = self.lease;
        cancel.cancel();
        lease.run(deadline.saturating_duration_since(time::Instant::now())).await;
        let _ = time::timeout_at(deadline, self.db.close()).await;
        if ended.failed {
            return Err(Error::failed("a task failed; the log says which and why"));
        }
        tracing::info!("stopped");
        Ok(())
    }
}

/// Runs a task whose end, unless it was cancelled, is the end of the daemon.
fn once(
    tasks: &mut Supervisor,
    name: &'static str,
    task: impl Future<Output = ()> + Send + 'static,
) {
    tasks.spawn_once(name, async move {
        task.await;
        Ok(())
    });
}

async fn keep_lease(keeper: LeaseKeeper, cancel: CancellationToken) -> Result<(), TaskError> {
    keeper.run(cancel).await;
    Ok(())
}

/// Whoever begins to lead may decide after one more read of the table, which should not wait.
async fn read_at_once(
    mut leadership: Leadership,
    feed: mpsc::Sender<feed::FeedInput>,
    cancel: CancellationToken,
) {
    loop {
        let changed = tokio::select! {
            () = cancel.cancelled() => return,
            changed = leadership.changed() => changed,
        };
        if !changed {
            // Nobody leads any more; this task has nothing to do until the end.
            return cancel.cancelled().await;
        }
        // A full queue wakes the feed as well.
        let _ = feed.try_send(feed::FeedInput::Wake);
    }
}

/// The right to send, as the dispatcher asks for it.
fn mandate(leadership: Leadership) -> Arc<dyn crate::notify::Leadership> {
    Arc::new(move || {
        let fence = leadership.fence()?;
        let valid_until = leadership.deadline()?;
        Some(Mandate { holder: fence.holder, fence: fence.number, valid_until })
    })
}

fn start_socket(
    tasks: &mut Supervisor,
    instance: Uuid,
    (client, leadership): (RealtimeClient, Leadership),
    (inputs, commands): (mpsc::Sender<feed::FeedInput>, mpsc::Receiver<feed::FeedCommand>),
    handle: &RealtimeHandle,
    metrics: Metrics,
    cancel: &CancellationToken,
) {
    let (events, events_there) = mpsc::channel(SOCKET_EVENTS);
    once(tasks, "socket", socket::keep(client, leadership, events, cancel.clone()));
    let forward = socket::forward(instance, events_there, inputs, metrics, cancel.clone());
    once(tasks, "socket events", forward);
    once(tasks, "socket commands", socket::command(commands, handle.clone(), cancel.clone()));
}
