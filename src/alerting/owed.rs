//! Tells what was held back when nothing holds it back any more: the writer looks twice a second, as
//! long as anything is.

use std::time::Duration;

use crate::store::{Db, Fence, StoreError, held};

/// Between looks; the end of a silence must take effect within 2 s.
pub(super) const EVERY: Duration = Duration::from_millis(500);

/// How long a look may take before it is given up; the next one makes up for it.
const TIME_LIMIT: Duration = Duration::from_secs(5);

/// What the writer remembers of what is held back.
#[derive(Debug, Default)]
pub(super) struct Owed {
    /// Under which fence this instance decides; none while it does not.
    fence: Option<Fence>,
    /// Whether anything may be held back.
    any: bool,
    /// Whether an incident changed since the last look, on which others may depend.
    changed: bool,
    /// The version of the configuration at the last look.
    version: Option<i64>,
    /// Whether the last look failed, so that a failure is said once.
    failing: bool,
}

impl Owed {
    /// As one who begins to decide knows it: anything may be held back.
    pub fn under(fence: Fence) -> Self {
        Self { fence: Some(fence), any: true, changed: true, ..Self::default() }
    }

    /// Decisions were written, and whether some of them are held back.
    pub const fn written(&mut self, held: bool) {
        self.any |= held;
        self.changed = true;
    }

    /// Looks, where that is worth it, and returns how many messages were told.
    pub async fn settle(&mut self, db: &Db) -> u64 {
        let Some(fence) = self.fence.filter(|_| self.any) else { return 0 };
        match self.try_settle(db, &fence).await {
            Ok(told) => {
                self.failing = false;
                if told > 0 {
                    tracing::info!(messages = told, "telling what was held back");
                }
                told
            }
            Err(StoreError::FenceLost) => {
                // The decider learns of it by its own next decision, or by the lease.
                *self = Self::default();
                0
            }
            Err(error) => {
                if !self.failing {
                    tracing::warn!(%error, "what was held back cannot be looked at; trying again");
                }
                self.failing = true;
                0
            }
        }
    }

    async fn try_settle(&mut self, db: &Db, fence: &Fence) -> Result<u64, StoreError> {
        let look = held::look(db, TIME_LIMIT).await?;
        if look.held == 0 {
            (self.any, self.changed) = (false, false);
            return Ok(0);
        }
        if !self.changed && !look.due && self.version == Some(look.version) {
            return Ok(0);
        }
        let held::Settled { messages, more } = held::settle(db, fence, TIME_LIMIT).await?;
        (self.changed, self.version) = (more, Some(look.version));
        Ok(messages)
    }
}
