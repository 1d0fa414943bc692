//! The background task: from the queue to the server, or to the spool while it cannot be reached.

use std::{io, sync::Arc, time::Duration};

use tokio::{
    sync::{mpsc, oneshot},
    task::yield_now,
    time::{Instant, sleep_until, timeout_at},
};
use tokio_util::sync::CancellationToken;

use crate::{
    backoff::Backoff,
    deliver::{Deliverer, Delivery},
    event::{Sealed, seal},
    shared::{Shared, lock},
    spool::Spool,
};

const REPORT_DROPS_EVERY: Duration = Duration::from_secs(10);
const ADOPT_EVERY: Duration = Duration::from_secs(15);
/// Masking a batch must not keep the runtime from the worker's own work.
const SEAL_AT_ONCE: usize = 16;

/// Asks for everything to be delivered until a deadline.
pub(crate) struct Flush {
    pub(crate) deadline: Instant,
    pub(crate) done: oneshot::Sender<()>,
}

pub(crate) struct Sender {
    shared: Arc<Shared>,
    deliverer: Deliverer,
    backoff: Backoff,
    retry_at: Instant,
    adopt_at: Instant,
    report_drops_at: Instant,
    /// What waits on disk and what is new take turns, so that neither holds the other up.
    spool_turn: bool,
}

impl Sender {
    pub(crate) fn new(shared: Arc<Shared>, deliverer: Deliverer) -> Self {
        let now = Instant::now();
        let backoff = Backoff::new(shared.options.min_backoff, shared.options.max_backoff);
        Self {
            shared,
            deliverer,
            backoff,
            retry_at: now,
            adopt_at: now,
            report_drops_at: now,
            spool_turn: false,
        }
    }

    pub(crate) async fn run(mut self, mut flushes: mpsc::Receiver<Flush>, stop: CancellationToken) {
        let shared = Arc::clone(&self.shared);
        let serve = async {
            self.adopt().await;
            loop {
                tokio::select! {
                    flush = flushes.recv() => match flush {
                        Some(flush) => self.flush(flush).await,
                        None => return,
                    },
                    () = self.wait_for_batch() => self.work(false).await,
                }
            }
        };
        // Whatever is in hand when this ends is in `Shared` and not in the future that is dropped.
        let ended = stop.run_until_cancelled(serve).await;
        if ended.is_some() {
            // Nobody holds the reporter any more, and nobody has closed it.
            tokio::task::spawn_blocking(move || shared.save_after_waiting()).await.ok();
        }
    }

    /// Returns when there is something to do, after giving an event the time to become a batch.
    async fn wait_for_batch(&self) {
        let shared = &self.shared;
        if shared.pending() == 0 && shared.unreported_drops() == 0 {
            // A folder that is not touched now and then would be taken for abandoned.
            if shared.spool.is_none() {
                shared.work.notified().await;
            } else if timeout_at(self.adopt_at, shared.work.notified()).await.is_err() {
                return;
            }
        }
        if shared.queue.len() == 0 {
            // Only what failed before waits; its time comes, or something new does.
            if timeout_at(self.retry_at, shared.work.notified()).await.is_err() {
                return;
            }
        }
        let full = Instant::now() + shared.options.batch_delay;
        while shared.queue.len() < shared.options.batch_size {
            if timeout_at(full, shared.work.notified()).await.is_err() {
                break;
            }
        }
        // Without a spool a batch that waits for its next attempt leaves no room for another.
        if shared.spool.is_none() && !lock(&shared.in_hand).sealed.is_empty() {
            sleep_until(self.retry_at).await;
        }
    }

    async fn flush(&mut self, flush: Flush) {
        self.report_drops_at = Instant::now();
        let mut force = true;
        while self.shared.pending() > 0 || self.shared.unreported_drops() > 0 {
            let work = async {
                self.work(force).await;
                sleep_until(self.retry_at).await;
            };
            if timeout_at(flush.deadline, work).await.is_err() {
                break;
            }
            force = false;
        }
        flush.done.send(()).ok();
    }

    /// `force`: try now, whatever the back-off says.
    async fn work(&mut self, mut force: bool) {
        if Instant::now() >= self.adopt_at {
            self.adopt().await;
        }
        loop {
            if !force && Instant::now() < self.retry_at {
                return self.to_spool().await;
            }
            force = false;
            let (batch, from_spool) = match self.next_from_spool().await {
                Some(batch) => (batch, true),
                None => (self.next_from_queue().await, false),
            };
            if batch.is_empty() {
                return;
            }
            let count = batch.len();
            let delivery = self.deliverer.deliver(batch).await;
            self.settle(count, delivery, from_spool).await;
        }
    }

    async fn settle(&mut self, count: usize, delivery: Delivery, from_spool: bool) {
        let Delivery { delivered, refused, held, answer } = delivery;
        let counters = &self.shared.counters;
        counters.delivered.fetch_add(delivered as u64, std::sync::atomic::Ordering::AcqRel);
        counters.refused.fetch_add(refused.len() as u64, std::sync::atomic::Ordering::AcqRel);
        for (event, answer) in &refused {
            tracing::warn!(
                error_id = %event.id,
                status = answer.status,
                code = answer.code,
                "event refused"
            );
        }
        if held.is_empty() {
            self.backoff.reset();
            self.retry_at = Instant::now();
        } else {
            let wait = self.backoff.next(answer.retry_after, rand::random());
            self.retry_at = Instant::now() + wait;
            if self.backoff.failures() == 1 {
                tracing::warn!(status = answer.status, code = answer.code, "server not reached");
            }
        }
        if !from_spool {
            lock(&self.shared.in_hand).sealed = held;
        } else if held.len() < count {
            self.with_spool(move |_, spool| {
                if !held.is_empty() {
                    let dropped = spool.append(&held)?;
                    spool.done(count);
                    return Ok(dropped);
                }
                spool.done(count);
                Ok([0; 3])
            })
            .await;
        }
    }

    async fn adopt(&mut self) {
        self.adopt_at = Instant::now() + ADOPT_EVERY;
        self.with_spool(|_, spool| spool.adopt().map(|()| [0; 3])).await;
    }

    async fn next_from_spool(&mut self) -> Option<Vec<Sealed>> {
        if !lock(&self.shared.in_hand).sealed.is_empty() {
            return None;
        }
        self.spool_turn = !self.spool_turn;
        if !self.spool_turn && self.shared.queue.len() > 0 {
            return None;
        }
        let shared = Arc::clone(&self.shared);
        shared.spool.as_ref()?;
        let peek = tokio::task::spawn_blocking(move || {
            let (items, bytes) = (shared.options.batch_size, shared.options.batch_bytes);
            shared.with_spool(|spool| spool.peek(items, bytes))
        });
        peek.await.ok().flatten().filter(|batch| !batch.is_empty())
    }

    async fn next_from_queue(&mut self) -> Vec<Sealed> {
        if lock(&self.shared.in_hand).sealed.is_empty() {
            let report = if Instant::now() >= self.report_drops_at {
                self.shared.drop_report()
            } else {
                None
            };
            if report.is_some() {
                self.report_drops_at = Instant::now() + REPORT_DROPS_EVERY;
            }
            lock(&self.shared.in_hand).taken.extend(report);
            self.take_and_seal().await;
        }
        lock(&self.shared.in_hand).sealed.clone()
    }

    /// From the queue into `sealed`, step by step: at each step all of it is somewhere in `Shared`.
    async fn take_and_seal(&self) {
        let shared = &self.shared;
        {
            let mut in_hand = lock(&shared.in_hand);
            let (items, bytes) = (shared.options.batch_size, shared.options.batch_bytes);
            in_hand.taken.extend(shared.queue.take(items, bytes));
        }
        loop {
            {
                let mut in_hand = lock(&shared.in_hand);
                for _ in 0..SEAL_AT_ONCE {
                    let Some(event) = in_hand.taken.pop_front() else { return };
                    in_hand.sealed.push(seal(event));
                }
            }
            yield_now().await;
        }
    }

    /// While the server is away, what is in memory goes to disk.
    async fn to_spool(&self) {
        if self.shared.spool.is_none() {
            return;
        }
        loop {
            if lock(&self.shared.in_hand).sealed.is_empty() {
                self.take_and_seal().await;
            }
            if lock(&self.shared.in_hand).sealed.is_empty() {
                return;
            }
            let kept = self
                .with_spool(|shared, spool| {
                    let sealed = lock(&shared.in_hand).sealed.clone();
                    let dropped = spool.append(&sealed)?;
                    lock(&shared.in_hand).sealed.clear();
                    Ok(dropped)
                })
                .await;
            if !kept {
                return;
            }
        }
    }

    /// Runs work on the spool where it may block; returns whether it succeeded.
    async fn with_spool(
        &self,
        work: impl FnOnce(&Shared, &mut Spool) -> io::Result<[u64; 3]> + Send + 'static,
    ) -> bool {
        let shared = Arc::clone(&self.shared);
        let done = tokio::task::spawn_blocking(move || {
            let done = shared.with_spool(|spool| work(&shared, spool));
            done.unwrap_or(Ok([0; 3])).map(|dropped| shared.add_drops(dropped))
        });
        match done.await {
            Ok(Ok(())) => true,
            Ok(Err(error)) => {
                self.shared.warn_of_spool(&error);
                false
            }
            Err(_) => false,
        }
    }
}
