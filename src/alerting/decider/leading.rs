//! How a decider comes from history to the present, and begins and ceases to decide.

use std::time::Duration;

use tokio::{sync::mpsc, time};

use super::{Connections, Decider};
use crate::{
    alerting::writer::Batch,
    engine::Input,
    lease::Tenure,
    model::{Span, Timestamp},
};

/// How far back what fell due without any error (ends, reminders) is made up for at a start; what is
/// older is decided once, so that nobody gets the reminders of a whole week-end.
const MADE_UP_FOR: Span = Span::from_secs(900);

impl Decider {
    pub(super) fn leadership_changed(&mut self, connections: &Connections) {
        self.fence = None;
        self.tenure = connections.leadership.tenure();
        self.candidate = self.tenure;
    }

    /// Before a row that is not history: is there anything to decide yet?
    ///
    /// Rows are saved after they are decided about, so the first of them may be older than decisions
    /// that were written. An incident that ended since must not begin again with the rows from before
    /// its end. Decisions are written in the order of their instants, and those of one instant
    /// together: up to the last end, all are.
    pub(super) async fn approach(
        &mut self,
        received_at: Timestamp,
        decisions: &mpsc::Sender<Batch>,
    ) {
        let tenure = self.candidate.filter(|_| self.hydrated);
        let ended = self.last_end(tenure).await;
        if ended.flatten().is_none_or(|ended| received_at > ended) {
            self.arrive(received_at, tenure.zip(ended), decisions).await;
        }
    }

    /// Comes from history to the present. Who leads from its beginning goes only to where its
    /// predecessor ended and decides from there on: what came or fell due while nobody ran is decided
    /// as if somebody had.
    pub(super) async fn arrive(
        &mut self,
        now: Timestamp,
        leading: Option<(Tenure, Option<Timestamp>)>,
        decisions: &mpsc::Sender<Batch>,
    ) {
        self.present = true;
        let from = leading.map_or(now, |(tenure, ended)| {
            let from = tenure.former_until.max(now - MADE_UP_FOR);
            ended.map_or(from, |ended| from.max(ended)).min(now)
        });
        self.engine.step(from, Input::ReplayRuns(&[]), &mut self.decided);
        if let Some((tenure, _)) = leading {
            self.lead(tenure, decisions).await;
        }
    }

    /// Decides from now on, where the windows hold all that the former leader knew.
    pub(super) async fn lead_if_possible(&mut self, decisions: &mpsc::Sender<Batch>) {
        let complete = |tenure: &Tenure| self.complete_through.is_some_and(|at| at >= tenure.since);
        if let Some(tenure) = self.candidate.filter(|tenure| self.hydrated && complete(tenure)) {
            self.lead(tenure, decisions).await;
        }
    }

    /// Learns which incidents are open; only then may this instance decide. What the former leader
    /// may have known and the windows do not hold yet is waited for.
    async fn lead(&mut self, tenure: Tenure, decisions: &mpsc::Sender<Batch>) {
        let (open, past) = match self.load_incidents(&tenure.fence).await {
            Ok(loaded) => loaded,
            Err(error) => {
                tracing::warn!(%error, "not deciding before the open incidents are known");
                time::sleep(Duration::from_millis(200)).await;
                return;
            }
        };
        let incidents = open.iter().map(|open| open.incident.clone()).collect();
        let _ = decisions.send(Batch::Open { fence: tenure.fence, incidents: open }).await;
        self.candidate = None;
        self.fence = Some(tenure.fence);
        let hold = Input::Hold { until: tenure.former_until };
        self.engine.step(self.engine.now(), hold, &mut self.decided);
        self.engine.step(self.engine.now(), Input::PastChanges(past), &mut self.decided);
        self.engine.step(self.engine.now(), Input::Restore(incidents), &mut self.decided);
        self.flush(decisions).await;
    }
}
