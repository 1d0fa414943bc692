//! The reporter as its callers see it.

use std::{
    error::Error,
    fmt,
    panic::{Location, PanicHookInfo},
    sync::{Arc, Mutex, atomic::Ordering},
    time::Duration,
};

use tokio::{
    runtime::Handle,
    sync::{mpsc, oneshot},
    task::JoinHandle,
    time::{Instant, timeout},
};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::{
    Context, ErrorFacts, Options, OptionsError, Severity, classify,
    deliver::Deliverer,
    masking,
    sender::{Flush, Sender},
    shared::{INSIDE, Shared, is_inside, lock},
    transport::Transport,
};

/// How long `close` waits for the background task beyond its deadline.
const GRACE: Duration = Duration::from_millis(250);

/// What a flush has achieved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flushed {
    /// Whether everything captured before is stored.
    pub delivered: bool,
    /// How many events wait in memory or on disk.
    pub pending: usize,
}

/// What the reporter has done so far, in events.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Errors noted.
    pub captured: u64,
    /// Stored by the server, or known to be stored already.
    pub delivered: u64,
    /// Refused by the server, each logged with its id.
    pub refused: u64,
    /// Dropped to keep within the bounds of queue and spool.
    pub dropped: u64,
    /// In memory at shutdown, where there was no spool.
    pub lost: u64,
    /// In memory or on disk.
    pub pending: usize,
}

/// Reports errors in the background; clones share one queue.
#[derive(Clone)]
pub struct Reporter {
    shared: Arc<Shared>,
    flushes: mpsc::Sender<Flush>,
    stop: CancellationToken,
    task: Arc<Mutex<Option<JoinHandle<()>>>>,
}

impl fmt::Debug for Reporter {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Reporter").field("stats", &self.stats()).finish_non_exhaustive()
    }
}

impl Reporter {
    /// Starts the background task on the current Tokio runtime.
    ///
    /// # Errors
    /// When an option is wrong, which is named, or outside of a runtime.
    pub fn start(options: Options) -> Result<Self, OptionsError> {
        for (name, value) in [
            ("max_queue_events", options.max_queue_events),
            ("max_queue_bytes", options.max_queue_bytes),
            ("batch_size", options.batch_size),
            ("batch_bytes", options.batch_bytes),
        ] {
            if value == 0 {
                return Err(OptionsError::Zero(name));
            }
        }
        let runtime = Handle::try_current().map_err(|_| OptionsError::NoRuntime)?;
        let transport = Transport::new(&options)?;
        classify::prepare();
        masking::prepare();
        let deliverer = Deliverer::new(transport, options.timeout);
        let shared = Arc::new(Shared::new(options));
        let (flushes, requests) = mpsc::channel(8);
        let stop = CancellationToken::new();
        let sender = Sender::new(Arc::clone(&shared), deliverer);
        let task = runtime.spawn(INSIDE.scope((), sender.run(requests, stop.clone())));
        Ok(Self { shared, flushes, stop, task: Arc::new(Mutex::new(Some(task))) })
    }

    /// Notes an error and returns at once; it never fails, panics or waits.
    ///
    /// Returns the event's id, to show to people; nothing where nothing was captured, as after
    /// [`Reporter::close`].
    #[track_caller]
    pub fn capture<E: Error + 'static>(&self, error: &E, context: Context) -> Option<Uuid> {
        self.shared.capture(ErrorFacts::of(error), context, Some(Location::caller()))
    }

    /// The same for an error behind a reference, as in `anyhow::Error::as_ref` or a `Box<dyn Error>`.
    #[track_caller]
    pub fn capture_dyn(&self, error: &(dyn Error + 'static), context: Context) -> Option<Uuid> {
        self.shared.capture(ErrorFacts::of_dyn(error), context, Some(Location::caller()))
    }

    /// The same for what is known of an error that is not one in Rust.
    #[track_caller]
    pub fn capture_facts(&self, facts: ErrorFacts, context: Context) -> Option<Uuid> {
        self.shared.capture(facts, context, Some(Location::caller()))
    }

    /// Waits until everything captured so far is stored, or the time is up.
    pub async fn flush(&self, within: Duration) -> Flushed {
        let (done, finished) = oneshot::channel();
        let flush = Flush { deadline: Instant::now() + within, done };
        let wait = async {
            self.flushes.send(flush).await.ok();
            finished.await.ok();
        };
        // A little longer than the task itself waits, which ends in any case.
        timeout(within + GRACE, wait).await.ok();
        let pending = self.shared.pending();
        Flushed { delivered: pending == 0, pending }
    }

    /// Flushes, keeps on disk what could not be delivered, and ends the background task.
    ///
    /// Later captures do nothing.
    pub async fn close(&self, within: Duration) -> Flushed {
        self.shared.closed.store(true, Ordering::Release);
        let flushed = self.flush(within).await;
        self.stop.cancel();
        let task = lock(&self.task).take();
        if let Some(task) = task {
            timeout(GRACE, task).await.ok();
            let shared = Arc::clone(&self.shared);
            tokio::task::spawn_blocking(move || shared.save_after_waiting()).await.ok();
            let rest = self.shared.in_memory() as u64;
            if rest > 0 {
                self.shared.counters.lost.fetch_add(rest, Ordering::AcqRel);
                tracing::warn!(events = rest, "events lost at shutdown");
            }
        }
        flushed
    }

    /// Writes what is in memory to the spool before it returns, for a process that is about to end.
    pub fn save_now(&self) {
        self.shared.save_now();
    }

    /// What the reporter has done so far.
    #[must_use]
    pub fn stats(&self) -> Stats {
        let counters = &self.shared.counters;
        Stats {
            captured: counters.captured.load(Ordering::Acquire),
            delivered: counters.delivered.load(Ordering::Acquire),
            refused: counters.refused.load(Ordering::Acquire),
            dropped: counters.dropped.load(Ordering::Acquire),
            lost: counters.lost.load(Ordering::Acquire),
            pending: self.shared.pending(),
        }
    }

    /// Captures panics of all threads, before the hook that is installed now, which still runs.
    ///
    /// With a spool the panic is on disk before the process can end; without one it is delivered
    /// only where the process lives on, as it does after the panic of a task.
    pub fn install_panic_hook(&self) {
        let reporter = self.clone();
        let next = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            reporter.on_panic(info);
            next(info);
        }));
    }

    fn on_panic(&self, info: &PanicHookInfo<'_>) {
        if is_inside() {
            return;
        }
        let text = info.payload_as_str().unwrap_or("panicked without a message");
        let mut facts = ErrorFacts::of_message("panic", text);
        facts.code = Some("PANIC".to_owned());
        let mut context = Context::new().severity(Severity::High);
        if let Some(location) = info.location() {
            context = context.with("panicked_at", location.to_string());
        }
        if let Some(name) = std::thread::current().name() {
            context = context.with("thread", name);
        }
        self.shared.capture(facts, context, None);
        self.shared.save_now();
        // What is on disk now is delivered from there if the process lives on.
        self.shared.work.notify_one();
    }
}
