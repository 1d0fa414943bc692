//! The background task: from the queue to the server, or to the spool while it cannot be reached.

use std::{
    collections::HashSet, future::pending, io, panic::AssertUnwindSafe, sync::Arc, time::Duration,
};

use futures_util::FutureExt;
use tokio::{
    sync::{mpsc, oneshot},
    task::yield_now,
    time::{Instant, sleep_until, timeout_at},
};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::{
    backoff::Backoff,
    deliver::{Deliverer, Delivery},
    event::{Sealed, seal},
    shared::{Shared, lock},
    spool::{self, Spool},
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
    /// The same for a disk that cannot be read.
    spool_backoff: Backoff,
    spool_at: Instant,
    /// Whether what is held in memory is itself suspected, so that others may be stored.
    suspected: bool,
    /// Whether the last batch was passed over, as the one before it was not.
    passed_over: bool,
    adopt_at: Instant,
    report_drops_at: Instant,
    /// What waits on disk and what is new take turns, so that neither holds the other up.
    spool_turn: bool,
}

impl Sender {
    pub(crate) fn new(shared: Arc<Shared>, deliverer: Deliverer) -> Self {
        let now = Instant::now();
        let backoff = || Backoff::new(shared.options.min_backoff, shared.options.max_backoff);
        Self {
            deliverer,
            backoff: backoff(),
            retry_at: now,
            spool_backoff: backoff(),
            spool_at: now,
            suspected: false,
            passed_over: false,
            adopt_at: now,
            report_drops_at: now,
            spool_turn: false,
            shared,
        }
    }

    pub(crate) async fn run(mut self, mut flushes: mpsc::Receiver<Flush>, stop: CancellationToken) {
        let shared = Arc::clone(&self.shared);
        let serve = async {
            tokio::select! {
                () = self.serve_on(&mut flushes) => {}
                () = keep_folder(&shared) => {}
            }
        };
        // Whatever is in hand when this ends is in `Shared` and not in the future that is dropped.
        let ended = stop.run_until_cancelled(serve).await;
        if ended.is_some() {
            // Nobody holds the reporter any more, and nobody has closed it.
            tokio::task::spawn_blocking(move || shared.save_after_waiting()).await.ok();
        }
    }

    /// What panics here, such as a `Token::Ask`, ends one round and not the reporting.
    async fn serve_on(&mut self, flushes: &mut mpsc::Receiver<Flush>) {
        while AssertUnwindSafe(self.serve(flushes)).catch_unwind().await.is_err() {
            self.retry_at = Instant::now() + self.backoff.next(Duration::ZERO, rand::random());
            tracing::warn!("background task panicked, and goes on");
            sleep_until(self.retry_at).await;
        }
    }

    async fn serve(&mut self, flushes: &mut mpsc::Receiver<Flush>) {
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
    }

    /// When what waits may be tried again.
    fn due(&self) -> Instant {
        if self.shared.in_memory() == 0 { self.retry_at.max(self.spool_at) } else { self.retry_at }
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
            let due = self.due();
            let due = if shared.spool.is_some() { due.min(self.adopt_at) } else { due };
            if timeout_at(due, shared.work.notified()).await.is_err() {
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
                sleep_until(self.due()).await;
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
            let sent = batch.iter().map(|event| event.id).collect();
            let delivery = self.deliverer.deliver(batch).await;
            self.settle(sent, delivery, from_spool).await;
        }
    }

    async fn settle(&mut self, sent: HashSet<Uuid>, delivery: Delivery, from_spool: bool) {
        let Delivery { delivered, refused, held, suspected, answer } = delivery;
        let nothing_done = held.len() == sent.len();
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
        let passes_over = suspected && nothing_done && from_spool && self.pass_over().await;
        self.passed_over = passes_over;
        if held.is_empty() {
            self.backoff.reset();
            self.retry_at = Instant::now();
        } else if !passes_over {
            let wait = self.backoff.next(answer.retry_after, rand::random());
            self.retry_at = Instant::now() + wait;
            if self.backoff.failures() == 1 {
                tracing::warn!(status = answer.status, code = answer.code, "server not reached");
            }
        }
        if !from_spool {
            self.suspected = suspected;
            lock(&self.shared.in_hand).keep(&sent, held);
        } else if !nothing_done {
            let count = sent.len();
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

    /// Puts what was read from the spool behind everything else there; returns whether something else
    /// is tried at once, which tells whether this was at fault.
    async fn pass_over(&self) -> bool {
        let others = self.on_spool(|_, spool| spool.park()).await.unwrap_or_default();
        !self.passed_over && (others || self.shared.queue.len() > 0)
    }

    async fn adopt(&mut self) {
        self.adopt_at = Instant::now() + ADOPT_EVERY;
        self.with_spool(|_, spool| spool.adopt().map(|()| [0; 3])).await;
    }

    async fn next_from_spool(&mut self) -> Option<Vec<Sealed>> {
        if !lock(&self.shared.in_hand).sealed.is_empty() || Instant::now() < self.spool_at {
            return None;
        }
        self.spool_turn = !self.spool_turn;
        if !self.spool_turn && self.shared.queue.len() > 0 {
            return None;
        }
        let peek = |shared: &Shared, spool: &mut Spool| {
            spool.peek(shared.options.batch_size, shared.options.batch_bytes)
        };
        match self.on_spool(peek).await? {
            Ok(batch) => {
                self.spool_backoff.reset();
                (!batch.is_empty()).then_some(batch)
            }
            Err(error) => {
                self.shared.warn_of_spool("spool not read", &error);
                let wait = self.spool_backoff.next(Duration::ZERO, rand::random());
                self.spool_at = Instant::now() + wait;
                None
            }
        }
    }

    async fn next_from_queue(&mut self) -> Vec<Sealed> {
        let (items, bytes) = self.room();
        if items > 0 {
            let report = if Instant::now() >= self.report_drops_at {
                self.shared.drop_report()
            } else {
                None
            };
            if report.is_some() {
                self.report_drops_at = Instant::now() + REPORT_DROPS_EVERY;
            }
            lock(&self.shared.in_hand).taken.extend(report);
            let held = lock(&self.shared.in_hand).sealed.len();
            self.take_and_seal(items, bytes).await;
            let mut in_hand = lock(&self.shared.in_hand);
            // What is new goes first, since it tells whether what is held is at fault.
            let held = held.min(in_hand.sealed.len());
            in_hand.sealed.rotate_left(held);
        }
        let (items, max) = (self.shared.options.batch_size, self.shared.options.batch_bytes);
        let mut bytes = 0;
        let in_hand = lock(&self.shared.in_hand);
        let fits = |event: &&Sealed| {
            let first = bytes == 0;
            bytes += event.line.len();
            first || bytes <= max
        };
        in_hand.sealed.iter().take(items).take_while(fits).cloned().collect()
    }

    /// How many events, and bytes of them, may join what is held.
    ///
    /// A batch of which each event is suspected would otherwise be all that is ever sent, so at least
    /// one joins it; but where nothing can be stored at all, events are to wait in the queue.
    fn room(&self) -> (usize, usize) {
        let (items, bytes) = (self.shared.options.batch_size, self.shared.options.batch_bytes);
        let in_hand = lock(&self.shared.in_hand);
        let held = in_hand.sealed.len();
        let held_bytes: usize = in_hand.sealed.iter().map(|event| event.line.len()).sum();
        if held == 0 {
            (items, bytes)
        } else if !self.suspected || held >= 2 * items || held_bytes >= 2 * bytes {
            (0, 0)
        } else {
            (items.saturating_sub(held).max(1), bytes.saturating_sub(held_bytes).max(1))
        }
    }

    /// From the queue into `sealed`, step by step: at each step all of it is somewhere in `Shared`.
    async fn take_and_seal(&self, items: usize, bytes: usize) {
        let shared = &self.shared;
        {
            let mut in_hand = lock(&shared.in_hand);
            let taken = shared.queue.take(items, bytes);
            in_hand.taken.extend(taken);
        }
        loop {
            {
                let mut in_hand = lock(&shared.in_hand);
                for _ in 0..SEAL_AT_ONCE {
                    let Some(event) = in_hand.taken.pop_front() else { return };
                    in_hand.sealed.push(seal(*event));
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
                let options = &self.shared.options;
                self.take_and_seal(options.batch_size, options.batch_bytes).await;
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
        match self.on_spool(work).await {
            Some(Ok(dropped)) => {
                self.shared.add_drops(dropped);
                true
            }
            Some(Err(error)) => {
                self.shared.warn_of_spool("spool not written", &error);
                false
            }
            None => self.shared.spool.is_none(),
        }
    }

    async fn on_spool<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Shared, &mut Spool) -> T + Send + 'static,
    ) -> Option<T> {
        let shared = Arc::clone(&self.shared);
        shared.spool.as_ref()?;
        let done =
            tokio::task::spawn_blocking(move || shared.with_spool(|spool| work(&shared, spool)));
        done.await.ok().flatten()
    }
}

/// Never ends.
async fn keep_folder(shared: &Shared) {
    let Some(spool) = &shared.spool else { return pending().await };
    let folder = lock(spool).folder().to_owned();
    spool::keep_touched(&folder, ADOPT_EVERY).await
}
