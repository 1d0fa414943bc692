//! The task: looks at the conditions once a second while this instance leads, and writes what changed.

use std::{fmt, sync::Arc, time::Duration};

use tokio::{sync::Notify, time};
use tokio_util::sync::CancellationToken;

use super::{Book, Change, Condition, Finding, Limits, Observed, facts::facts_of};
use crate::{
    clock::Clock,
    lease::Leadership,
    model::{Timestamp, TransitionKind},
    store::{
        Db, Fence, StoreError,
        outbox::Outbox,
        system::{self, SystemChange},
    },
    telemetry::Metrics,
};

/// How often the conditions are looked at.
const EVERY: Duration = Duration::from_secs(1);
/// How often the outbox is asked for what was given up: every so many looks.
const OUTBOX_LOOKS: u32 = 5;
/// How long one statement may take.
const TIME_LIMIT: Duration = Duration::from_secs(5);

/// Tells what holds at an instant (by the database's clock), from what this instance knows.
pub type Observe = Arc<dyn Fn(Timestamp) -> Observed + Send + Sync>;

/// Watches over the tracker itself.
pub struct SystemWatch {
    /// Where incidents are written.
    pub db: Db,
    /// For the database's present.
    pub clock: Clock,
    /// Only the leader speaks.
    pub leadership: Leadership,
    /// Knows what was given up.
    pub outbox: Outbox,
    /// Takes which conditions are open.
    pub metrics: Metrics,
    /// Wakes the dispatcher.
    pub wake: Arc<Notify>,
    /// How long conditions must hold.
    pub limits: Limits,
    /// Names or ids of the channels to tell; none for all without a project.
    pub channels: Option<Vec<String>>,
    /// The dashboard, for links.
    pub dashboard: Option<String>,
    /// What holds.
    pub observe: Observe,
}

impl fmt::Debug for SystemWatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SystemWatch").field("limits", &self.limits).finish_non_exhaustive()
    }
}

/// What the task knows while this instance leads.
struct Tenure {
    fence: Fence,
    book: Book,
    /// Decided and not written yet; nothing else is decided meanwhile.
    unwritten: Vec<Change>,
    given_up: Option<u64>,
    looks: u32,
}

impl SystemWatch {
    /// Watches until `cancel`.
    pub async fn run(self, cancel: CancellationToken) {
        let mut every = time::interval(EVERY);
        every.set_missed_tick_behavior(time::MissedTickBehavior::Delay);
        let (mut tenure, mut failing) = (None, false);
        loop {
            tokio::select! {
                () = cancel.cancelled() => return,
                _ = every.tick() => {}
            }
            let looked = tokio::select! {
                () = cancel.cancelled() => return,
                looked = self.look(&mut tenure) => looked,
            };
            match looked {
                Ok(()) => failing = false,
                Err(StoreError::FenceLost) => tenure = None,
                Err(error) => {
                    if !failing {
                        tracing::warn!(%error, "the tracker's own state was not told; trying on");
                    }
                    failing = true;
                }
            }
            self.publish(tenure.as_ref());
        }
    }

    async fn look(&self, tenure: &mut Option<Tenure>) -> Result<(), StoreError> {
        let Some(fence) = self.leadership.fence() else {
            *tenure = None;
            return Ok(());
        };
        if tenure.as_ref().is_none_or(|known| known.fence != fence) {
            let open = system::load_open(&self.db, TIME_LIMIT).await?;
            let open = open.into_iter().filter_map(|open| {
                let condition = Condition::parse(&open.condition)?;
                Some((condition, open.incident_id, open.started_at.into(), open.peak))
            });
            let (book, unwritten) = (Book::restore(open), Vec::new());
            *tenure = Some(Tenure { fence, book, unwritten, given_up: None, looks: 0 });
        }
        let Some(tenure) = tenure else { return Ok(()) };
        if tenure.unwritten.is_empty() {
            if tenure.looks.is_multiple_of(OUTBOX_LOOKS) {
                tenure.given_up = Some(self.outbox.given_up().await?);
            }
            tenure.looks = tenure.looks.wrapping_add(1);
            let now = self.clock.database_now();
            let mut seen = (self.observe)(now);
            seen.findings.extend(tenure.given_up.and_then(given_up));
            tenure.unwritten = tenure.book.step(now, &seen, &self.limits);
        }
        if tenure.unwritten.is_empty() {
            return Ok(());
        }
        let changes: Vec<_> =
            tenure.unwritten.iter().map(|change| self.as_written(change)).collect();
        let channels = self.channels.as_deref();
        let told = system::record(&self.db, &fence, &changes, channels, TIME_LIMIT).await?;
        if told > 0 {
            self.wake.notify_one();
        }
        for change in tenure.unwritten.drain(..) {
            let (condition, detail) = (change.condition.as_str(), change.detail);
            tracing::warn!(condition, told, detail, "system incident {}", change.kind);
        }
        Ok(())
    }

    fn as_written(&self, change: &Change) -> SystemChange {
        let facts = facts_of(change, self.dashboard.as_deref());
        SystemChange {
            kind: match change.kind {
                TransitionKind::Resolved => "resolved",
                _ => "firing",
            },
            incident_id: change.incident_id,
            title: change.condition.title(),
            group_key: change.condition.group_key(),
            level: change.condition.level().as_str(),
            started_at: change.started_at,
            at: change.at,
            value: change.value,
            threshold: change.threshold,
            peak: change.peak,
            facts: facts.and_then(|facts| serde_json::to_value(facts).ok()).unwrap_or_default(),
        }
    }

    fn publish(&self, tenure: Option<&Tenure>) {
        self.metrics.record(|| {
            for condition in Condition::ALL {
                let open = tenure.is_some_and(|tenure| tenure.book.is_open(condition));
                metrics::gauge!(
                    "meshhook_errors_system_incident_open", "condition" => condition.as_str()
                )
                .set(f64::from(u8::from(open)));
            }
        });
    }
}

#[expect(clippy::cast_precision_loss, reason = "nobody gives up 2^52 messages in two days")]
fn given_up(count: u64) -> Option<Finding> {
    (count > 0).then(|| Finding {
        condition: Condition::Notifications,
        value: count as f64,
        threshold: 1.0,
        detail: format!(
            "{count} messages of the last two days were given up: nobody was told by those channels. \
             alert_notifications says why; mend the channel, then send a test"
        ),
    })
}
