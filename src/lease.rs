//! Who leads: keeps the lease's row, and tells the rest of the process until when it may act.
//!
//! Two guards, for two kinds of action. What is written to the database is checked against the
//! [`Fence`] in the same transaction, so a leader that was replaced writes nothing. What leaves the
//! process by other ways (a message to Slack) cannot be fenced; before that, the sender asks
//! [`Leadership::deadline`], which lies on our own monotonic clock and ends before the lease does.

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::{Notify, watch},
    time::{Instant, sleep_until},
};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::{
    crash::{self, Point},
    model::Timestamp,
    store::{
        Db, Fence,
        lease::{self, Taken},
    },
};

/// Times of the lease; the defaults allow a takeover within 8 s of a kill.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LeaseOptions {
    /// How long the lease lasts without renewal, by the database's clock.
    pub ttl: Duration,
    /// How often the leader renews.
    pub renew_every: Duration,
    /// How often the others try to take over.
    pub retry_every: Duration,
    /// How long before the lease's end the leader stops to act.
    pub margin: Duration,
}

impl Default for LeaseOptions {
    fn default() -> Self {
        Self {
            ttl: Duration::from_secs(6),
            renew_every: Duration::from_secs(2),
            retry_every: Duration::from_millis(250),
            margin: Duration::from_millis(500),
        }
    }
}

/// One stretch of leading.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tenure {
    /// What to write with.
    pub fence: Fence,
    /// When it began, by the database's clock: whoever has counted everything that was committed
    /// before then knows what the former leader knew.
    pub since: Timestamp,
    /// Until when the former leader may have led, by the database's clock.
    pub former_until: Timestamp,
    /// Whether the former leader let its lease end instead of giving it back.
    pub former_lost: bool,
    /// We may act until then.
    until: Instant,
}

/// Whether this instance leads; cheap to clone and to ask.
#[derive(Clone, Debug)]
pub struct Leadership {
    tenure: watch::Receiver<Option<Tenure>>,
    changes: watch::Receiver<Option<Fence>>,
}

/// Keeps the lease as long as it [runs](LeaseKeeper::run).
#[derive(Debug)]
pub struct LeaseKeeper {
    db: Db,
    instance: Uuid,
    options: LeaseOptions,
    tenure: watch::Sender<Option<Tenure>>,
    changes: watch::Sender<Option<Fence>>,
    wake: Option<Arc<Notify>>,
}

/// Prepares to lead; nothing happens before the keeper runs.
#[must_use]
pub fn lease(db: Db, instance: Uuid, options: LeaseOptions) -> (LeaseKeeper, Leadership) {
    let (tenure, tenure_seen) = watch::channel(None);
    let (changes, changes_seen) = watch::channel(None);
    let leadership = Leadership { tenure: tenure_seen, changes: changes_seen };
    (LeaseKeeper { db, instance, options, tenure, changes, wake: None }, leadership)
}

impl Leadership {
    /// Whether this instance may act as leader at this moment.
    #[must_use]
    pub fn is_leader(&self) -> bool {
        self.fence().is_some()
    }

    /// The fence to write with, while this instance may act as leader.
    #[must_use]
    pub fn fence(&self) -> Option<Fence> {
        self.current().map(|tenure| tenure.fence)
    }

    /// The stretch of leading in which this instance is, while it may act as leader.
    #[must_use]
    pub fn tenure(&self) -> Option<Tenure> {
        self.current()
    }

    /// Until when this instance may act without asking again.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        self.current().map(|tenure| tenure.until)
    }

    fn current(&self) -> Option<Tenure> {
        self.tenure.borrow().filter(|tenure| Instant::now() < tenure.until)
    }

    /// Waits until the instance begins or ceases to lead, or leads by another fence; false when the
    /// keeper has ended, after which nothing changes any more.
    pub async fn changed(&mut self) -> bool {
        self.changes.changed().await.is_ok()
    }
}

impl LeaseKeeper {
    /// Notifies `wake` each time this instance begins to lead: what its predecessor left to be sent
    /// must not wait for the dispatcher's next look.
    #[must_use]
    pub fn waking(self, wake: Arc<Notify>) -> Self {
        Self { wake: Some(wake), ..self }
    }

    /// Takes the lease whenever it is free, and renews it, until `cancel`; then gives it back.
    ///
    /// Cancel it after everything that writes as leader has ended.
    pub async fn run(self, cancel: CancellationToken) {
        let mut next = Instant::now();
        let mut failing = false;
        loop {
            // Without an answer, leading ends by itself at its deadline.
            let until = self.tenure.borrow().map(|tenure| tenure.until);
            let wake = until.map_or(next, |until| until.min(next));
            tokio::select! {
                biased;
                () = cancel.cancelled() => break,
                () = sleep_until(wake) => {}
            }
            if until.is_some_and(|until| until <= Instant::now()) {
                tracing::warn!("leading ended: the lease could not be renewed in time");
                self.publish(None);
            }
            if next > Instant::now() {
                continue;
            }
            let attempt = tokio::select! {
                biased;
                () = cancel.cancelled() => break,
                attempt = self.attempt() => attempt,
            };
            match attempt {
                Ok(()) => failing = false,
                Err(error) if !failing => {
                    failing = true;
                    tracing::warn!(%error, "the lease cannot be read; trying on");
                }
                Err(_) => {}
            }
            let leads = self.tenure.borrow().is_some();
            let pause =
                if leads && !failing { self.options.renew_every } else { self.options.retry_every };
            next = Instant::now() + pause;
        }
        self.give_back().await;
    }

    async fn attempt(&self) -> Result<(), crate::store::StoreError> {
        // The database reckons from when it gets the request, which is not before now.
        let asked = Instant::now();
        // No longer than it takes to try once more before the deadline.
        let limit = self.options.renew_every;
        let taken = lease::acquire(&self.db, self.instance, self.options.ttl, limit).await?;
        let before = *self.tenure.borrow();
        if taken.is_some() {
            let renewed = before.is_some();
            crash::point(if renewed { Point::LeaseRenewed } else { Point::LeaseTaken });
        }
        let until = asked + self.options.ttl.saturating_sub(self.options.margin);
        self.publish(taken.map(|Taken { fence, now, former_until, lost }| {
            let first = Tenure { fence, since: now, former_until, former_lost: lost, until };
            let same = before.filter(|before| before.fence == fence);
            same.map_or(first, |before| Tenure { until, ..before })
        }));
        Ok(())
    }

    fn publish(&self, tenure: Option<Tenure>) {
        let before = self.tenure.send_replace(tenure).map(|tenure| tenure.fence);
        let fence = tenure.map(|tenure| tenure.fence);
        if before == fence {
            return;
        }
        match fence {
            Some(fence) => tracing::info!(fence = fence.number, "this instance leads"),
            None => tracing::info!("this instance does not lead any more"),
        }
        self.changes.send_replace(fence);
        if let (Some(_), Some(wake)) = (fence, &self.wake) {
            wake.notify_one();
        }
    }

    async fn give_back(&self) {
        let Some(tenure) = *self.tenure.borrow() else { return };
        self.publish(None);
        let limit = Duration::from_millis(500);
        if let Err(error) = lease::release(&self.db, &tenure.fence, limit).await {
            tracing::warn!(%error, "the lease was not given back; it ends by itself");
        }
    }
}
