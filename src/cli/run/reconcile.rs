//! Proves on a schedule that minutes, hours and groups count what the table holds.

use std::time::Duration;

use tokio::{sync::watch, time};
use tokio_util::sync::CancellationToken;

use crate::{
    clock::Clock,
    lease::Leadership,
    model::{Span, Timestamp},
    store::{
        Db, StoreError,
        reconcile::{Counted, Hours, compare},
        status::Problem,
    },
    system::{Condition, Finding},
    telemetry::Metrics,
};

/// How often it is done.
pub const EVERY: Duration = Duration::from_secs(600);
/// How far back: the hour before the present one is complete, and the present one is what alerts are
/// about.
const BACK: Span = Span::from_secs(3_600);
/// How long one comparison may take; an hour of a storm is a few million rows.
const TIME_LIMIT: Duration = Duration::from_secs(60);
/// Places that the status row names.
const NAMED: usize = 5;

/// What the last comparison found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reconciled {
    /// When, by the database's clock.
    at: Timestamp,
    /// By how many errors each kind of counts differs from the table.
    differences: Vec<(Counted, u64)>,
    /// Some of the places where they do.
    places: Vec<String>,
}

impl Reconciled {
    /// Whether it found a difference; none where nothing was compared yet.
    #[expect(clippy::cast_precision_loss, reason = "a difference of 2^52 errors is far away")]
    pub fn finding(&self) -> Option<Option<Finding>> {
        (self.at != Timestamp::default()).then(|| {
            let difference: u64 = self.differences.iter().map(|(_, errors)| errors).sum();
            self.problem().map(|problem| Finding {
                condition: Condition::Reconcile,
                value: difference as f64,
                threshold: 1.0,
                detail: problem.detail,
            })
        })
    }

    /// What an operator should know of; none when everything was equal.
    pub fn problem(&self) -> Option<Problem> {
        if self.differences.is_empty() {
            return None;
        }
        let kinds = self.differences.iter();
        let kinds: Vec<_> =
            kinds.map(|(kind, errors)| format!("{} by {errors}", kind.as_str())).collect();
        let detail = format!(
            "counts differ from the table of errors: {} errors, as of {}, for instance {}; see \
             meshhook-errors check --reconcile",
            kinds.join(", "),
            self.at,
            self.places.join("; ")
        );
        Some(Problem { what: "reconcile".to_owned(), detail })
    }
}

/// The task.
pub struct Reconciler {
    /// Where both sides are.
    pub db: Db,
    /// For the database's present.
    pub clock: Clock,
    /// Only the leader compares: one answer is enough.
    pub leadership: Leadership,
    /// How often.
    pub every: Duration,
    /// Takes what was found.
    pub metrics: Metrics,
    /// For the status row.
    pub found: watch::Sender<Reconciled>,
}

impl Reconciler {
    /// Compares now and then until `cancel`.
    pub async fn run(self, cancel: CancellationToken) {
        let mut every = time::interval_at(time::Instant::now() + self.every, self.every);
        every.set_missed_tick_behavior(time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = cancel.cancelled() => return,
                _ = every.tick() => {}
            }
            if !self.leadership.is_leader() {
                self.found.send_replace(Reconciled::default());
                continue;
            }
            let compared = tokio::select! {
                () = cancel.cancelled() => return,
                compared = self.compare() => compared,
            };
            match compared {
                Ok(reconciled) => self.tell(reconciled),
                Err(error) => tracing::warn!(%error, "counts were not compared with the table"),
            }
        }
    }

    async fn compare(&self) -> Result<Reconciled, StoreError> {
        let at = self.clock.database_now();
        let hours = Hours::around(at - BACK, at);
        let mut reconciled = Reconciled { at, ..Reconciled::default() };
        for counted in Counted::ALL {
            let compared = compare(&self.db, counted, hours, true, None, TIME_LIMIT).await?;
            if compared.difference > 0 {
                reconciled.differences.push((counted, compared.difference));
            }
            let room = NAMED.saturating_sub(reconciled.places.len());
            reconciled.places.extend(compared.places.iter().take(room).map(|place| {
                let (expected, found) = (place.expected, place.found);
                format!("{} {}: {found} instead of {expected}", counted.as_str(), place.place)
            }));
        }
        Ok(reconciled)
    }

    #[expect(clippy::cast_precision_loss, reason = "gauges are floating-point numbers")]
    fn tell(&self, reconciled: Reconciled) {
        let difference: u64 = reconciled.differences.iter().map(|(_, errors)| errors).sum();
        self.metrics.record(|| {
            metrics::gauge!("meshhook_errors_reconcile_difference").set(difference as f64);
            metrics::counter!("meshhook_errors_reconciliations_total").increment(1);
        });
        let differed = self.found.send_replace(reconciled.clone()).differences;
        if difference > 0 && differed != reconciled.differences {
            tracing::error!(difference, places = ?reconciled.places, "counts differ from the table");
        }
    }
}
