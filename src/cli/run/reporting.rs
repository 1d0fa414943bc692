//! What the instance tells of itself: its status row (which is the canary), live rates, metrics.

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::{mpsc, watch},
    time,
};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::reconcile::Reconciled;
use crate::{
    alerting::{LiveBoard, Seen, Written},
    feed::{DatabaseHealth, FeedInput, FeedStatus},
    http::{Probe, Readiness},
    lease::Leadership,
    model::Timestamp,
    notify,
    realtime::RealtimeState,
    store::{
        Db,
        live::{self, LiveRates},
        outbox::Outbox,
        status::{self, Problem, StatusRow},
    },
    telemetry::Metrics,
};

/// How long one write may take.
const TIME_LIMIT: Duration = Duration::from_secs(5);

/// Everything the status row tells of.
pub struct Reporting {
    /// The instance.
    pub instance: Uuid,
    /// Its name.
    pub name: String,
    /// When it started.
    pub started_at: Timestamp,
    /// Where the row is written.
    pub db: Db,
    /// Takes what is measured.
    pub metrics: Metrics,
    /// Whether it leads.
    pub leadership: Leadership,
    /// The feed's state.
    pub feed: watch::Receiver<FeedStatus>,
    /// The socket's state.
    pub socket: watch::Receiver<RealtimeState>,
    /// Rules that cannot be used, and why others are not taken.
    pub configuration: watch::Receiver<Seen>,
    /// What became of decisions.
    pub written: watch::Receiver<Written>,
    /// What the last comparison of counts with the table found.
    pub reconciled: watch::Receiver<Reconciled>,
    /// For its depth.
    pub outbox: Outbox,
    /// Told of each canary.
    pub feed_inputs: mpsc::Sender<FeedInput>,
}

impl Reporting {
    /// Writes the status row every 5 s, and soon after the instance begins or ceases to lead.
    pub async fn run(mut self, cancel: CancellationToken) {
        let mut every = time::interval(status::WRITE_EVERY);
        every.set_missed_tick_behavior(time::MissedTickBehavior::Delay);
        let mut measure = time::interval(Duration::from_secs(1));
        let mut failing = false;
        loop {
            tokio::select! {
                () = cancel.cancelled() => break,
                _ = measure.tick() => {
                    let (feed, leads) = (self.feed.borrow().clone(), self.leadership.is_leader());
                    self.metrics.record(|| publish(&feed, leads));
                    continue;
                }
                true = self.leadership.changed() => {}
                _ = every.tick() => {}
            }
            let written = self.write().await;
            if let Err(error) = &written
                && !failing
            {
                tracing::warn!(%error, "the status row cannot be written");
            }
            failing = written.is_err();
        }
        // The row should not claim for long that a stopped instance leads.
        let mut row = self.row(0);
        row.leader = false;
        row.socket = RealtimeState::Stopped.as_str().to_owned();
        let _ = status::write(&self.db, &row, Duration::from_secs(1)).await;
    }

    async fn write(&self) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        let waiting = self.outbox.depth().await?;
        let given_up = self.outbox.given_up().await?;
        self.metrics.record(|| {
            notify::metrics::depth(waiting);
            notify::metrics::given_up(given_up);
        });
        let mut row = self.row(waiting);
        if given_up > 0 {
            let detail = format!(
                "{given_up} messages of the last two days were given up; alert_notifications says why"
            );
            row.problems.push(Problem { what: "notifications".to_owned(), detail });
        }
        let at = status::write(&self.db, &row, TIME_LIMIT).await?;
        let _ = self.feed_inputs.try_send(FeedInput::CanarySent { at });
        if self.leadership.is_leader() {
            status::forget_silent(&self.db, self.instance, TIME_LIMIT).await?;
        }
        Ok(())
    }

    fn row(&self, outbox_depth: u64) -> StatusRow {
        let feed = self.feed.borrow();
        StatusRow {
            instance_id: self.instance,
            name: self.name.clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            leader: self.leadership.is_leader(),
            socket: self.socket.borrow().as_str().to_owned(),
            started_at: self.started_at,
            low_water: feed.low_water,
            last_number: feed.last_number,
            open_holes: feed.open_holes,
            oldest_hole: feed.oldest_hole.unwrap_or_default(),
            complete_through: feed.complete_through,
            rows_counted: feed.rows_counted,
            rows_repaired: feed.rows_repaired,
            canary: feed.canary,
            outbox_depth,
            problems: self.sources().problems(&feed),
        }
    }

    fn sources(&self) -> Sources {
        Sources {
            configuration: self.configuration.clone(),
            written: self.written.clone(),
            reconciled: self.reconciled.clone(),
        }
    }

    /// Answers `/readyz` from what is known, without asking anybody.
    pub fn probe(&self) -> Probe {
        let (feed, leadership) = (self.feed.clone(), self.leadership.clone());
        let sources = self.sources();
        Arc::new(move || {
            let feed = feed.borrow();
            let answers = !matches!(feed.database, DatabaseHealth::Down { .. });
            let problems = sources.problems(&feed);
            Readiness {
                ready: answers && feed.caught_up,
                role: if leadership.is_leader() { "leader" } else { "standby" },
                problems: problems
                    .into_iter()
                    .map(|p| format!("{}: {}", p.what, p.detail))
                    .collect(),
            }
        })
    }
}

/// Where problems come from besides the feed.
struct Sources {
    configuration: watch::Receiver<Seen>,
    written: watch::Receiver<Written>,
    reconciled: watch::Receiver<Reconciled>,
}

impl Sources {
    fn problems(&self, feed: &FeedStatus) -> Vec<Problem> {
        let mut problems = feed.problems.clone();
        problems.extend(self.configuration.borrow().problems());
        let rejected = self.written.borrow().rejected;
        if rejected > 0 {
            let detail = format!("{rejected} decisions could not be stored; see the log");
            problems.push(Problem { what: "decisions".to_owned(), detail });
        }
        problems.extend(self.reconciled.borrow().problem());
        problems
    }
}

/// Writes changed rates once a second while this instance leads.
pub async fn live(db: Db, leadership: Leadership, board: LiveBoard, cancel: CancellationToken) {
    let mut every = time::interval(Duration::from_secs(1));
    every.set_missed_tick_behavior(time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = cancel.cancelled() => return,
            _ = every.tick() => {}
        }
        let rates = board.take();
        let Some(fence) = leadership.fence() else { continue };
        if rates.is_empty() {
            continue;
        }
        let rows: Vec<LiveRates> = rates
            .iter()
            .filter_map(|rates| {
                let snapshot = serde_json::to_value(rates).ok()?;
                Some(LiveRates { project_id: rates.project_id, snapshot })
            })
            .collect();
        if let Err(error) = live::write(&db, &fence, &rows, TIME_LIMIT).await {
            tracing::debug!(%error, "live rates were not written; the next second's will be");
            board.put_back(rates);
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "gauges are floating-point numbers")]
fn publish(feed: &FeedStatus, leads: bool) {
    metrics::gauge!("meshhook_errors_leader").set(f64::from(u8::from(leads)));
    metrics::gauge!("meshhook_errors_socket_subscribed").set(f64::from(u8::from(feed.subscribed)));
    metrics::gauge!("meshhook_errors_socket_deaf").set(f64::from(u8::from(feed.deaf)));
    metrics::gauge!("meshhook_errors_epoch").set(f64::from(feed.epoch));
    metrics::gauge!("meshhook_errors_set_back").set(f64::from(u8::from(feed.set_back)));
    metrics::gauge!("meshhook_errors_rows_unreadable").set(feed.rows_unreadable as f64);
    metrics::gauge!("meshhook_errors_rows_differing").set(feed.rows_differing as f64);
    metrics::gauge!("meshhook_errors_low_water").set(feed.low_water as f64);
    metrics::gauge!("meshhook_errors_last_number").set(feed.last_number as f64);
    metrics::gauge!("meshhook_errors_holes_open").set(feed.open_holes as f64);
    metrics::gauge!("meshhook_errors_hole_oldest_seconds")
        .set(feed.oldest_hole.unwrap_or_default().as_secs_f64());
    metrics::counter!("meshhook_errors_rows_counted_total").absolute(feed.rows_counted);
    metrics::counter!("meshhook_errors_rows_by_socket_total").absolute(feed.rows_by_socket);
    metrics::counter!("meshhook_errors_rows_repaired_total").absolute(feed.rows_repaired);
    metrics::counter!("meshhook_errors_numbers_proven_empty_total").absolute(feed.proven_empty);
    metrics::counter!("meshhook_errors_rows_rolled_up_total").absolute(feed.rows_saved);
    metrics::counter!("meshhook_errors_reads_total").absolute(feed.reads);
    metrics::counter!("meshhook_errors_database_failures_total").absolute(feed.failures);
    if let Some(canary) = feed.canary {
        metrics::gauge!("meshhook_errors_canary_seconds").set(canary.as_secs_f64());
    }
}
