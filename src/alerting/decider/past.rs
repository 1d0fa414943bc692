//! What a decider learns from the database when it begins to lead.

use super::{Decider, RESTORE_LIMIT};
use crate::{
    engine::PastChange,
    store::{
        StoreError, groups,
        incidents::{self, Opened},
    },
};

impl Decider {
    /// What is open, and what came and went lately.
    pub(super) async fn load_incidents(
        &self,
    ) -> Result<(Vec<Opened>, Vec<PastChange>), StoreError> {
        let open = incidents::load_open(&self.db, RESTORE_LIMIT).await?;
        let flaps = self.rules.iter().any(|rule| rule.flap.is_some());
        let past = match flaps {
            true => groups::past_changes(&self.db, RESTORE_LIMIT).await?,
            false => Vec::new(),
        };
        Ok((open, past))
    }
}
