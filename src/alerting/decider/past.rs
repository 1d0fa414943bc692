//! What a decider learns from the database when it begins to lead.

use super::{Decider, RESTORE_LIMIT};
use crate::{
    engine::PastChange,
    lease::Tenure,
    model::Timestamp,
    store::{
        Fence, StoreError, groups,
        incidents::{self, OpenIncidents, Opened},
    },
};

impl Decider {
    /// What is open, and what came and went lately.
    pub(super) async fn load_incidents(
        &self,
        fence: &Fence,
    ) -> Result<(Vec<Opened>, Vec<PastChange>), StoreError> {
        let OpenIncidents { opened, unreadable } =
            incidents::load_open(&self.db, RESTORE_LIMIT).await?;
        if !unreadable.is_empty() {
            tracing::error!(incidents = ?unreadable, "open incidents cannot be read; they are ended, and what still fires opens anew");
            if let Err(error) =
                incidents::end_unreadable(&self.db, fence, &unreadable, RESTORE_LIMIT).await
            {
                tracing::error!(%error, "incidents that cannot be read could not be ended; resolve them by hand");
            }
        }
        let flaps = self.rules.iter().any(|rule| rule.flap.is_some());
        let past = match flaps {
            true => groups::past_changes(&self.db, RESTORE_LIMIT).await?,
            false => Vec::new(),
        };
        Ok((opened, past))
    }

    /// When the last incident ended, if any did, as the first decision of `tenure` finds it; none
    /// where that is not known, and then this instance counts along until it knows everything.
    pub(super) async fn last_end(&mut self, tenure: Option<Tenure>) -> Option<Option<Timestamp>> {
        let fence = tenure?.fence;
        if let Some((_, ended)) = self.last_end.filter(|(asked, _)| *asked == fence) {
            return Some(ended);
        }
        match incidents::last_end(&self.db, RESTORE_LIMIT).await {
            Ok(ended) => {
                self.last_end = Some((fence, ended));
                Some(ended)
            }
            Err(error) => {
                tracing::warn!(%error, "when the last incident ended is not known; counting along first");
                None
            }
        }
    }
}
