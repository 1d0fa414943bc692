//! What the running parts know of the tracker's own conditions.

use std::sync::Arc;

use tokio::sync::watch;

use super::reconcile::Reconciled;
use crate::{
    feed::{DatabaseHealth, FeedStatus},
    lease::Leadership,
    model::Timestamp,
    system::{Condition, Finding, Limits, Observe, Observed},
};

/// Looks at the feed, at the last comparison of counts with the table, and at the lease.
pub fn observe(
    feed: watch::Receiver<FeedStatus>,
    reconciled: watch::Receiver<Reconciled>,
    leadership: Leadership,
    limits: Limits,
) -> Observe {
    Arc::new(move |now| {
        let mut seen = of_feed(&feed.borrow(), now, &limits);
        match reconciled.borrow().finding() {
            Some(found) => seen.findings.extend(found),
            None => seen.unknown.push(Condition::Reconcile),
        }
        if let Some(tenure) = leadership.tenure().filter(|tenure| tenure.former_lost) {
            seen.findings.push(Finding {
                condition: Condition::Takeover,
                value: 1.0,
                threshold: 1.0,
                detail: format!(
                    "the former leader was killed, or cut off from the database, and led until {} at \
                     the latest; this instance took over at {}. Nothing is lost; look why it ended",
                    tenure.former_until, tenure.since
                ),
            });
        }
        seen
    })
}

fn of_feed(feed: &FeedStatus, now: Timestamp, limits: &Limits) -> Observed {
    let mut seen = Observed::default();
    if feed.deaf {
        seen.findings.push(Finding {
            condition: Condition::Deaf,
            value: 1.0,
            threshold: 1.0,
            detail:
                "Realtime says that it is subscribed and brings nothing, also after joining anew; \
                     rows are read by number meanwhile, so nothing is lost. Look at the project's \
                     Realtime logs, its message limit and its replication slot"
                    .to_owned(),
        });
    }
    let behind = feed.complete_through.map(|through| now.since(through));
    match behind.filter(|_| matches!(feed.database, DatabaseHealth::Up)) {
        Some(behind) if behind > limits.lag => seen.findings.push(Finding {
            condition: Condition::Lag,
            value: behind.as_secs_f64(),
            threshold: limits.lag.as_secs_f64(),
            detail: format!(
                "everything that was committed before {} s ago is counted, and newer rows may not be; \
                 alerts are late. Look at the database's load, and at rows_counted_total",
                behind.micros() / 1_000_000
            ),
        }),
        Some(_) => {}
        None => seen.unknown.push(Condition::Lag),
    }
    if let Some(lag) = undecided(feed, now, limits) {
        seen.unknown.retain(|condition| *condition != Condition::Lag);
        if seen.findings.iter().all(|finding| finding.condition != Condition::Lag) {
            seen.findings.push(lag);
        }
    }
    if feed.set_back {
        seen.findings.push(Finding {
            condition: Condition::SetBack,
            value: f64::from(feed.epoch),
            threshold: 1.0,
            detail: format!(
                "numbers that were drawn are drawn again, as after a restored backup; counting goes on \
                 in epoch {}. Errors that were committed after the backup are gone; rollups were \
                 made to agree with the table",
                feed.epoch
            ),
        });
    }
    seen
}

/// Whether decisions have not been written for too long; what they are about is not rolled up before.
fn undecided(feed: &FeedStatus, now: Timestamp, limits: &Limits) -> Option<Finding> {
    let waits = now.since(feed.undecided_since?);
    (waits > limits.lag).then(|| Finding {
        condition: Condition::Lag,
        value: waits.as_secs_f64(),
        threshold: limits.lag.as_secs_f64(),
        detail: format!(
            "decisions have not been written for {} s, so alerts are late, and minutes, hours and groups \
             wait for them. Nothing is lost; look in the log why they cannot be written",
            waits.micros() / 1_000_000
        ),
    })
}
