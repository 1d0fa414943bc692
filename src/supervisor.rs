//! Owns every long-running task: names it, restarts it when it fails, and ends it in time.

use std::{
    collections::HashMap,
    fmt,
    future::Future,
    pin::Pin,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::{task::JoinSet, time};
use tokio_util::sync::CancellationToken;

/// Why a task ended before it was told to.
pub type TaskError = Box<dyn fmt::Display + Send + Sync>;

/// Shortest and longest wait before a failed task starts again.
const RESTART_DELAY: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(10));

/// A run as long as this forgets the failures before it.
const STABLE_AFTER: Duration = Duration::from_secs(60);

type Attempt = Pin<Box<dyn Future<Output = Result<(), TaskError>> + Send>>;

/// The set of tasks of one daemon.
pub struct Supervisor {
    tasks: JoinSet<()>,
    cancel: CancellationToken,
    restarts: Restarts,
    failed: Arc<AtomicBool>,
}

/// How the tasks of a [`Supervisor`] ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ended {
    /// All of them ended within the grace period; otherwise some were aborted.
    pub in_time: bool,
    /// A task that cannot be restarted failed, and that is why the others were stopped.
    pub failed: bool,
}

/// How often each task was started again, by name; shared with `/metrics` and `/readyz`.
#[derive(Clone, Default)]
pub struct Restarts(Arc<Mutex<HashMap<&'static str, u64>>>);

impl Restarts {
    /// Restarts of each task that had any.
    #[must_use]
    pub fn snapshot(&self) -> Vec<(&'static str, u64)> {
        let map = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        map.iter().map(|(name, count)| (*name, *count)).collect()
    }

    fn count(&self, name: &'static str) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner).entry(name).or_default() += 1;
        metrics::counter!("meshhook_errors_task_restarts_total", "task" => name).increment(1);
    }
}

impl Supervisor {
    /// A supervisor whose tasks end when `cancel` is cancelled.
    #[must_use]
    pub fn new(cancel: CancellationToken) -> Self {
        Self {
            tasks: JoinSet::new(),
            cancel,
            restarts: Restarts::default(),
            failed: Arc::default(),
        }
    }

    /// How often tasks were started again.
    #[must_use]
    pub fn restarts(&self) -> Restarts {
        self.restarts.clone()
    }

    /// Runs `task` until the daemon stops; when it fails or panics it is started again by another
    /// call of `task`, after a delay that doubles from 200 ms to 10 s.
    ///
    /// A task that returns `Ok` before it was cancelled is over and stays so.
    pub fn spawn<F, Fut>(&mut self, name: &'static str, task: F)
    where
        F: Fn(CancellationToken) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<(), TaskError>> + Send + 'static,
    {
        let cancel = self.cancel.clone();
        let restarts = self.restarts.clone();
        self.tasks.spawn(async move {
            let start = || -> Attempt { Box::pin(task(cancel.clone())) };
            keep_running(name, &start, &cancel, &restarts).await;
        });
    }

    /// Runs `task` once; it must end by itself soon after `cancel` is cancelled.
    pub fn spawn_once<Fut>(&mut self, name: &'static str, task: Fut)
    where
        Fut: Future<Output = Result<(), TaskError>> + Send + 'static,
    {
        let cancel = self.cancel.clone();
        let failed = Arc::clone(&self.failed);
        self.tasks.spawn(async move {
            // A task of its own turns a panic into a value.
            let mut attempt = JoinSet::new();
            attempt.spawn(task);
            let error: TaskError = match attempt.join_next().await {
                Some(Ok(Ok(()))) | None => return,
                Some(Ok(Err(error))) => error,
                Some(Err(error)) => Box::new(error.to_string()),
            };
            tracing::error!(task = name, %error, "a task that cannot be restarted failed; stopping");
            failed.store(true, Ordering::Release);
            cancel.cancel();
        });
    }

    /// Waits until the tasks are told to end.
    pub async fn stopping(&self) {
        self.cancel.cancelled().await;
    }

    /// Waits until `cancel` is cancelled and every task has ended, at most `grace` after that.
    pub async fn run(mut self, grace: Duration) -> Ended {
        self.cancel.cancelled().await;
        let drained = async { while self.tasks.join_next().await.is_some() {} };
        let in_time = time::timeout(grace, drained).await.is_ok();
        self.tasks.shutdown().await;
        Ended { in_time, failed: self.failed.load(Ordering::Acquire) }
    }
}

async fn keep_running(
    name: &'static str,
    start: &(dyn Fn() -> Attempt + Send + Sync),
    cancel: &CancellationToken,
    restarts: &Restarts,
) {
    let mut delay = RESTART_DELAY.0;
    loop {
        let began = time::Instant::now();
        // A task of its own turns a panic into a value.
        let mut attempt = JoinSet::new();
        attempt.spawn(start());
        let error: TaskError = match attempt.join_next().await {
            Some(Ok(Ok(()))) | None => return,
            Some(Ok(Err(error))) => error,
            Some(Err(error)) => Box::new(error.to_string()),
        };
        if cancel.is_cancelled() {
            return;
        }
        if began.elapsed() >= STABLE_AFTER {
            delay = RESTART_DELAY.0;
        }
        restarts.count(name);
        let delay_ms = u64::try_from(delay.as_millis()).unwrap_or(u64::MAX);
        tracing::warn!(task = name, %error, delay_ms, "task failed and will be restarted");
        tokio::select! {
            () = cancel.cancelled() => return,
            () = time::sleep(delay) => {}
        }
        delay = (delay * 2).min(RESTART_DELAY.1);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicU32;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_failing_or_panicking_task_is_started_again() {
        let cancel = CancellationToken::new();
        let mut supervisor = Supervisor::new(cancel.clone());
        let restarts = supervisor.restarts();
        let runs = Arc::new(AtomicU32::new(0));
        let counter = Arc::clone(&runs);
        supervisor.spawn("flaky", move |cancel| {
            let run = counter.fetch_add(1, Ordering::SeqCst);
            async move {
                match run {
                    0 => Err(Box::new("no luck") as TaskError),
                    1 => panic!("worse luck"),
                    _ => {
                        cancel.cancelled().await;
                        Ok(())
                    }
                }
            }
        });
        let watched = Arc::clone(&runs);
        let stop = cancel.clone();
        tokio::spawn(async move {
            while watched.load(Ordering::SeqCst) < 3 {
                time::sleep(Duration::from_millis(10)).await;
            }
            stop.cancel();
        });
        let ended = supervisor.run(Duration::from_secs(1)).await;
        assert_eq!(ended, Ended { in_time: true, failed: false });
        assert_eq!(restarts.snapshot(), [("flaky", 2)]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_task_that_does_not_end_is_aborted_after_the_grace_period() {
        let cancel = CancellationToken::new();
        let mut supervisor = Supervisor::new(cancel.clone());
        supervisor.spawn("stubborn", |_| std::future::pending());
        cancel.cancel();
        assert!(!supervisor.run(Duration::from_secs(4)).await.in_time);
    }

    #[tokio::test(start_paused = true)]
    async fn the_failure_of_a_task_that_runs_once_stops_the_rest() {
        let mut supervisor = Supervisor::new(CancellationToken::new());
        supervisor.spawn("steady", |cancel| async move {
            cancel.cancelled().await;
            Ok(())
        });
        supervisor.spawn_once("once", async { panic!("gone") });
        let ended = supervisor.run(Duration::from_secs(1)).await;
        assert_eq!(ended, Ended { in_time: true, failed: true });
    }
}
