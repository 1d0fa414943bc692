//! What the machine itself took: a promise about time is checked on machines that do other things
//! meanwhile, so the machine's own stalls are taken off, and nothing else is.
//!
//! A thread sleeps for a moment and does a small piece of work, over and over. By how much that comes
//! too late is what anybody else who waits and works as little as that lost in the same time.

use std::{
    hint::black_box,
    sync::{Mutex, OnceLock, PoisonError},
    thread,
    time::Duration,
};

use tokio::time::Instant;

/// How long the thread sleeps.
const NAP: Duration = Duration::from_millis(20);
/// How long its work takes on a machine that does nothing else, at least.
const WORK: Duration = Duration::from_micros(500);

/// One nap and the work after it.
#[derive(Clone, Copy, Debug)]
struct Sample {
    began: Instant,
    woke: Instant,
    ended: Instant,
}

impl Sample {
    /// By how much it was too late, where the work takes `usual`.
    fn late(&self, usual: Duration) -> Duration {
        let overslept = self.woke.duration_since(self.began).saturating_sub(NAP);
        let overworked = self.ended.duration_since(self.woke).saturating_sub(usual);
        overslept + overworked
    }
}

/// What the thread has seen.
#[derive(Debug)]
struct Log {
    samples: Vec<Sample>,
    /// The least that the work took.
    usual: Duration,
    /// When the nap began that is under way.
    napping: Instant,
}

static LOG: OnceLock<Mutex<Log>> = OnceLock::new();

/// Watches the machine from now on; whoever measures begins with this.
pub fn watch() {
    LOG.get_or_init(|| {
        let thread = thread::Builder::new().name("stalls".to_owned());
        thread.spawn(sample).expect("a thread");
        Mutex::new(Log { samples: Vec::new(), usual: Duration::MAX, napping: Instant::now() })
    });
}

/// The time from one instant to another, less what the machine took of it.
///
/// # Panics
/// Where nobody has watched.
pub fn net(from: Instant, to: Instant) -> Duration {
    let log = LOG.get().expect("watch came first").lock().unwrap_or_else(PoisonError::into_inner);
    let first = log.samples.partition_point(|sample| sample.ended <= from);
    let stalled: Duration = log.samples[first..]
        .iter()
        .take_while(|sample| sample.began < to)
        .map(|sample| {
            let within = sample.ended.min(to).saturating_duration_since(sample.began.max(from));
            sample.late(log.usual).min(within)
        })
        .sum();
    // Whoever asks right after a stall may be quicker than the thread that was to notice it.
    let overdue = to.saturating_duration_since(from.max(log.napping + NAP + 2 * WORK));
    to.saturating_duration_since(from).saturating_sub(stalled + overdue)
}

/// [`net`], until now.
pub fn net_since(from: Instant) -> Duration {
    net(from, Instant::now())
}

/// The life of the thread.
fn sample() {
    let mut rounds = 1_000;
    // The quickest of a few, for the machine may be busy already.
    while (0..5).map(|_| work(rounds)).min() < Some(WORK) {
        rounds *= 2;
    }
    loop {
        let began = Instant::now();
        thread::sleep(NAP);
        let woke = Instant::now();
        let took = work(rounds);
        if let Some(Ok(mut log)) = LOG.get().map(Mutex::lock) {
            log.usual = log.usual.min(took);
            log.samples.push(Sample { began, woke, ended: woke + took });
            log.napping = Instant::now();
        }
    }
}

/// Calculates something of no interest; how long that took.
fn work(rounds: u64) -> Duration {
    let began = Instant::now();
    let (mut round, mut value) = (0_u64, 1_u64);
    while round < rounds {
        value = black_box(value.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(round));
        round += 1;
    }
    began.elapsed()
}
