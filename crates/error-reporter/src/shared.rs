//! What callers, the background task and the panic hook share.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    io,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, TryLockError,
        atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::json;
use tokio::{sync::Notify, time::Instant};
use uuid::Uuid;

use crate::{
    Context, ErrorFacts, Options, Severity, Source,
    event::{Captured, Sealed, capture, seal},
    queue::{Item, Queue},
    spool::Spool,
};

/// Equal errors within this time may become one event, where that is asked for.
const REPEAT_WITHIN: TimeDelta = TimeDelta::seconds(1);
/// How often the same complaint is logged.
const WARN_EVERY: Duration = Duration::from_secs(60);
/// Set in a count once the event is on its way.
const SEALED: u32 = 1 << 31;

tokio::task_local! {
    /// Set while the reporter works, so that an error of its own is not reported to itself.
    pub(crate) static INSIDE: ();
}

pub(crate) fn is_inside() -> bool {
    INSIDE.try_with(|()| ()).is_ok()
}

impl Item for Box<Captured> {
    fn severity(&self) -> Severity {
        self.severity
    }

    fn size(&self) -> usize {
        self.size
    }
}

#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) captured: AtomicU64,
    pub(crate) delivered: AtomicU64,
    pub(crate) refused: AtomicU64,
    pub(crate) dropped: AtomicU64,
    pub(crate) lost: AtomicU64,
    /// Dropped and not yet reported, the least severe first.
    pub(crate) unreported: [AtomicU64; 3],
}

/// What has left the queue and is neither delivered nor on disk.
#[derive(Debug, Default)]
pub(crate) struct InHand {
    pub(crate) taken: VecDeque<Box<Captured>>,
    pub(crate) sealed: Vec<Sealed>,
}

impl InHand {
    /// Of what was sent only what is held stays; what came in the meantime, as by a save that failed,
    /// stays too, and what was saved in the meantime does not come back.
    pub(crate) fn keep(&mut self, sent: &HashSet<Uuid>, held: Vec<Sealed>) {
        let before = std::mem::take(&mut self.sealed);
        let still: HashSet<Uuid> = before.iter().map(|event| event.id).collect();
        self.sealed = before.into_iter().filter(|event| !sent.contains(&event.id)).collect();
        self.sealed.extend(held.into_iter().filter(|event| still.contains(&event.id)));
    }
}

pub(crate) struct Shared {
    pub(crate) options: Options,
    /// Boxed, since the queue's places are made in advance.
    pub(crate) queue: Queue<Box<Captured>>,
    pub(crate) work: Notify,
    pub(crate) counters: Counters,
    pub(crate) spool: Option<Mutex<Spool>>,
    /// Events in the spool, to be known without waiting for the disk.
    on_disk: AtomicUsize,
    pub(crate) in_hand: Mutex<InHand>,
    pub(crate) closed: AtomicBool,
    repeats: Mutex<HashMap<u64, Repeat>>,
    spool_warned_at: Mutex<Option<Instant>>,
}

struct Repeat {
    id: Uuid,
    at: DateTime<Utc>,
    count: Arc<AtomicU32>,
}

/// A poisoned lock guards lists that are whole at any time; the panic was somewhere else.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn try_lock<T>(mutex: &Mutex<T>) -> Option<MutexGuard<'_, T>> {
    match mutex.try_lock() {
        Ok(guard) => Some(guard),
        Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
        Err(TryLockError::WouldBlock) => None,
    }
}

impl Shared {
    pub(crate) fn new(options: Options) -> Self {
        let spool = options.spool_dir.clone().map(|folder| {
            let (max, segment) = (options.spool_max_bytes, options.spool_segment_bytes);
            Mutex::new(Spool::new(folder, max, segment))
        });
        Self {
            queue: Queue::new(options.max_queue_events, options.max_queue_bytes),
            work: Notify::new(),
            counters: Counters::default(),
            spool,
            on_disk: AtomicUsize::new(0),
            in_hand: Mutex::default(),
            closed: AtomicBool::new(false),
            repeats: Mutex::default(),
            spool_warned_at: Mutex::default(),
            options,
        }
    }

    /// Runs while the caller waits.
    pub(crate) fn capture(
        &self,
        facts: ErrorFacts,
        context: Context,
        location: Option<&'static std::panic::Location<'static>>,
    ) -> Option<Uuid> {
        if self.closed.load(Ordering::Acquire) || is_inside() {
            return None;
        }
        self.counters.captured.fetch_add(1, Ordering::Relaxed);
        let mut event = Box::new(capture(facts, context, &self.options.defaults, location));
        if self.options.collapse_repeats {
            if let Some(id) = self.repeated(&event) {
                return Some(id);
            }
            self.remember(&mut event);
        }
        let id = event.id;
        let waiting = self.queue.push(event, |victim| self.dropped(&victim));
        // The background only needs to hear of the first of a batch, and of a full one.
        if waiting <= 1 || waiting >= self.options.batch_size {
            self.work.notify_one();
        }
        Some(id)
    }

    fn repeated(&self, event: &Captured) -> Option<Uuid> {
        let repeats = lock(&self.repeats);
        let earlier = repeats.get(&event.key())?;
        if event.at - earlier.at >= REPEAT_WITHIN {
            return None;
        }
        let more = |count| (count & SEALED == 0).then_some(count + 1);
        earlier.count.fetch_update(Ordering::AcqRel, Ordering::Acquire, more).ok()?;
        Some(earlier.id)
    }

    fn remember(&self, event: &mut Captured) {
        let count = Arc::new(AtomicU32::new(1));
        event.count = Some(Arc::clone(&count));
        let mut repeats = lock(&self.repeats);
        if repeats.len() >= 1000 {
            repeats.clear();
        }
        repeats.insert(event.key(), Repeat { id: event.id, at: event.at, count });
    }

    fn dropped(&self, event: &Captured) {
        let count = event.count.as_ref().map_or(1, |count| count.load(Ordering::Acquire));
        let mut counts = [0; 3];
        if let Some(one) = counts.get_mut(event.severity as usize) {
            *one = u64::from(count);
        }
        self.add_drops(counts);
    }

    pub(crate) fn add_drops(&self, counts: [u64; 3]) {
        for (unreported, count) in self.counters.unreported.iter().zip(counts) {
            unreported.fetch_add(count, Ordering::AcqRel);
            self.counters.dropped.fetch_add(count, Ordering::AcqRel);
        }
    }

    pub(crate) fn unreported_drops(&self) -> u64 {
        self.counters.unreported.iter().map(|count| count.load(Ordering::Acquire)).sum()
    }

    /// What was dropped is itself an event, or a storm would look like calm.
    pub(crate) fn drop_report(&self) -> Option<Box<Captured>> {
        let counts =
            self.counters.unreported.each_ref().map(|count| count.swap(0, Ordering::AcqRel));
        let total: u64 = counts.iter().sum();
        if total == 0 {
            return None;
        }
        let [low, medium, high] = counts;
        let text = format!("error reporter dropped {total} events");
        let context = Context::new()
            .source(Source::System)
            .error_type("system.reporter")
            .severity(Severity::High)
            .with("dropped", json!({ "low": low, "medium": medium, "high": high }));
        let facts = ErrorFacts::of_message("ReporterOverflow", &text);
        Some(Box::new(capture(facts, context, &self.options.defaults, None)))
    }

    pub(crate) fn in_memory(&self) -> usize {
        let in_hand = lock(&self.in_hand);
        self.queue.len() + in_hand.taken.len() + in_hand.sealed.len()
    }

    pub(crate) fn pending(&self) -> usize {
        self.in_memory() + self.on_disk.load(Ordering::Acquire)
    }

    /// Work on the spool, which may block.
    pub(crate) fn with_spool<T>(&self, work: impl FnOnce(&mut Spool) -> T) -> Option<T> {
        let mut spool = lock(self.spool.as_ref()?);
        let result = work(&mut spool);
        self.on_disk.store(spool.events(), Ordering::Release);
        Some(result)
    }

    /// Says that the disk fails, but not again and again.
    pub(crate) fn warn_of_spool(&self, what: &str, error: &io::Error) {
        let Some(mut warned_at) = try_lock(&self.spool_warned_at) else { return };
        let now = Instant::now();
        if warned_at.is_none_or(|at| now - at > WARN_EVERY) {
            *warned_at = Some(now);
            tracing::warn!(kind = %error.kind(), "{what}");
        }
    }

    /// Writes everything that is in memory to the spool before it returns.
    ///
    /// It never waits for a lock: the panic that calls it may have happened while one was held.
    pub(crate) fn save_now(&self) {
        let Some(mut spool) = self.spool.as_ref().and_then(try_lock) else { return };
        let Some(mut in_hand) = try_lock(&self.in_hand) else { return };
        self.save(&mut spool, &mut in_hand);
    }

    /// The same, where waiting for work on the disk that has begun does no harm.
    pub(crate) fn save_after_waiting(&self) {
        if let Some(spool) = &self.spool {
            let mut spool = lock(spool);
            self.save(&mut spool, &mut lock(&self.in_hand));
            spool.remove_if_empty();
        }
    }

    fn save(&self, spool: &mut Spool, in_hand: &mut InHand) {
        let mut fresh: Vec<Box<Captured>> = in_hand.taken.drain(..).collect();
        fresh.extend(self.queue.take(usize::MAX, usize::MAX));
        fresh.extend(self.drop_report());
        in_hand.sealed.extend(fresh.into_iter().map(|event| seal(*event)));
        let appended = spool.append(&in_hand.sealed);
        self.on_disk.store(spool.events(), Ordering::Release);
        match appended {
            Ok(dropped) => {
                in_hand.sealed.clear();
                self.add_drops(dropped);
            }
            Err(error) => self.warn_of_spool("spool not written", &error),
        }
    }
}

impl Captured {
    /// Equal for equal errors.
    fn key(&self) -> u64 {
        use std::hash::{DefaultHasher, Hash, Hasher};
        let mut hasher = DefaultHasher::new();
        (self.source, &self.error_type, self.severity, self.workflow_id).hash(&mut hasher);
        (self.project_id, &self.message).hash(&mut hasher);
        hasher.finish()
    }

    /// From now on the event cannot stand for more errors than this.
    pub(crate) fn final_count(&self) -> u32 {
        self.count.as_ref().map_or(1, |count| count.fetch_or(SEALED, Ordering::AcqRel))
    }
}
