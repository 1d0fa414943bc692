//! Crash points: the named places between which a leader's work could be torn apart.
//!
//! Tests set `CRASH_POINT` to have a process end, or stop as if its machine had been suspended, at
//! exactly one of them; what the database and the receivers saw must then be the same as without.
//! Builds without the feature `dev` contain none of this: [`point`] is empty there.
//!
//! `CRASH_POINT=sent` ends the process the first time that point is reached, `CRASH_POINT=sent:3`
//! the third time, `CRASH_POINT=sent:stop` stops it (SIGSTOP) until somebody lets it go on.

/// Where the process may end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Point {
    /// The engine has decided; nothing is written.
    Decided,
    /// Incident, time line and messages are written and the fence is checked; not committed.
    Committing,
    /// They are committed; nobody is woken.
    Committed,
    /// Messages are taken; nothing is sent.
    Claimed,
    /// The receiver has answered; nothing is recorded.
    Sent,
    /// What came of it is recorded.
    Confirmed,
    /// Rollups and checkpoint are written and the fence is checked; not committed.
    RollingUp,
    /// They are committed; the ledger does not know.
    RolledUp,
    /// The lease was taken; nobody in the process knows.
    LeaseTaken,
    /// The lease was renewed; nobody in the process knows.
    LeaseRenewed,
    /// What was held back is to be told, and the fence is checked; not committed.
    Releasing,
    /// Incidents of the tracker itself are written and the fence is checked; not committed.
    SystemCommitting,
    /// A new epoch is written and the fence is checked; not committed.
    BeginningEpoch,
}

impl Point {
    /// Every point: first those that every leader passes, in this order.
    pub const ALL: [Self; 13] = [
        Self::LeaseTaken,
        Self::LeaseRenewed,
        Self::Decided,
        Self::Committing,
        Self::Committed,
        Self::Claimed,
        Self::Sent,
        Self::Confirmed,
        Self::RollingUp,
        Self::RolledUp,
        Self::Releasing,
        Self::SystemCommitting,
        Self::BeginningEpoch,
    ];

    /// Its name in `CRASH_POINT`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Decided => "decided",
            Self::Committing => "committing",
            Self::Committed => "committed",
            Self::Claimed => "claimed",
            Self::Sent => "sent",
            Self::Confirmed => "confirmed",
            Self::RollingUp => "rolling-up",
            Self::RolledUp => "rolled-up",
            Self::LeaseTaken => "lease-taken",
            Self::LeaseRenewed => "lease-renewed",
            Self::Releasing => "releasing",
            Self::SystemCommitting => "system-committing",
            Self::BeginningEpoch => "beginning-epoch",
        }
    }
}

/// Passes a point; in builds for tests the process may end here.
#[cfg(not(feature = "dev"))]
#[inline(always)]
pub const fn point(_point: Point) {}

#[cfg(feature = "dev")]
pub use armed::{arm, point};

#[cfg(feature = "dev")]
mod armed {
    use std::{
        process::Command,
        sync::{
            OnceLock,
            atomic::{AtomicU32, Ordering},
        },
        time::Duration,
    };

    use super::Point;
    use crate::config::{Environment, Problem};

    const VARIABLE: &str = "CRASH_POINT";

    static ARMED: OnceLock<Armed> = OnceLock::new();

    #[derive(Debug)]
    struct Armed {
        point: Point,
        stops: bool,
        /// How often the point is still passed.
        passes: AtomicU32,
    }

    /// Reads `CRASH_POINT`; without it nothing ever happens at any point.
    ///
    /// # Errors
    /// Where its value is not understood, for a test that ends nothing proves nothing.
    pub fn arm(environment: &Environment) -> Result<(), Problem> {
        let Some(text) = environment.lookup(VARIABLE) else { return Ok(()) };
        let armed = parse(text).ok_or_else(|| {
            Problem::new(VARIABLE, format!("{text:?} is not POINT, POINT:N, POINT:stop"))
        })?;
        tracing::warn!(point = armed.point.as_str(), "this process will end at a crash point");
        // Whoever armed first stays armed; there is one daemon in such a process.
        let _ = ARMED.set(armed);
        Ok(())
    }

    fn parse(text: &str) -> Option<Armed> {
        let mut parts = text.split(':');
        let name = parts.next()?;
        let point = Point::ALL.into_iter().find(|point| point.as_str() == name)?;
        let mut armed = Armed { point, stops: false, passes: AtomicU32::new(0) };
        for part in parts {
            if part == "stop" {
                armed.stops = true;
            } else {
                let times: u32 = part.parse().ok()?;
                armed.passes = AtomicU32::new(times.checked_sub(1)?);
            }
        }
        Some(armed)
    }

    /// Passes a point; ends or stops the process where `CRASH_POINT` says so.
    pub fn point(point: Point) {
        let Some(armed) = ARMED.get().filter(|armed| armed.point == point) else { return };
        let take = |passes: u32| passes.checked_sub(1);
        if armed.passes.fetch_update(Ordering::AcqRel, Ordering::Acquire, take).is_ok() {
            return;
        }
        if !armed.stops {
            eprintln!("crash point {} reached", point.as_str());
            std::process::abort();
        }
        // Only once: a process that goes on goes on for good.
        armed.passes.store(u32::MAX, Ordering::Release);
        // What others have begun comes to its end: what a stop finds on its way to the network is
        // sent when the process goes on, and nobody can call it back.
        std::thread::sleep(Duration::from_millis(300));
        eprintln!("stop point {} reached", point.as_str());
        let stop = format!("kill -STOP {}", std::process::id());
        if let Err(error) = Command::new("sh").arg("-c").arg(stop).status() {
            eprintln!("the process could not stop itself: {error}");
            std::process::abort();
        }
        // A stop takes a moment until it has reached every thread.
        std::thread::sleep(Duration::from_millis(200));
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn what_is_armed() {
            for (text, expected) in [
                ("sent", Some((Point::Sent, false, 0))),
                ("sent:3", Some((Point::Sent, false, 2))),
                ("rolling-up:stop", Some((Point::RollingUp, true, 0))),
                ("rolling-up:stop:2", Some((Point::RollingUp, true, 1))),
                ("sent:0", None),
                ("sent:now", None),
                ("", None),
                ("nowhere", None),
            ] {
                let armed = parse(text);
                let armed = armed.map(|a| (a.point, a.stops, a.passes.load(Ordering::Acquire)));
                assert_eq!(armed, expected, "{text:?}");
            }
        }
    }
}
