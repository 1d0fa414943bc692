//! Queries that run beside the feed's loop, at most one of each kind at a time.

use std::time::Duration;

use crate::{
    model::{ErrorEvent, RangeSet, Timestamp},
    store::{
        Fence, StoreError,
        feed::{Checkpoint, Page, Stamp},
        rollup::Saved,
    },
};

/// A query's end. `generation` tells answers about a ledger that was replaced meanwhile.
#[derive(Debug)]
pub(super) enum Done {
    /// A numbered read.
    Page { generation: u64, asked: Asked, result: Result<Page, StoreError> },
    /// A stamp was drawn.
    Stamp { generation: u64, upto: i64, result: Result<Stamp, StoreError> },
    /// The checkpoint was read, when we led by this fence.
    Checkpoint { fence: Option<Fence>, result: Result<Checkpoint, StoreError> },
    /// A portion was counted, or not.
    Saved { generation: u64, tried: Tried, result: Result<Saved, StoreError> },
    /// A new epoch was begun, or somebody else began it.
    Epoch { result: Result<Option<i32>, StoreError> },
    /// The bounds of a replay.
    Bounds { generation: u64, id: u64, result: Result<Option<(i64, i64)>, StoreError> },
    /// A page of a replay, and the number after which there is more.
    History { generation: u64, id: u64, rows: u32, result: HistoryResult },
}

/// A page of history, and the number after which there is more.
pub(super) type HistoryResult = Result<(Vec<ErrorEvent>, Option<i64>), StoreError>;

/// What a numbered read was asked.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    /// [`Ledger::observed`](super::ledger::Ledger::observed) at that time.
    pub observed: i64,
    /// [`Ledger::highest_accounted`](super::ledger::Ledger::highest_accounted) at that time, or the
    /// checkpoint's where that is higher.
    pub accounted: i64,
    /// Whether it asked for the first holes, beginning a pass over all of them.
    pub first: bool,
    /// Whether it asked for the last ones, ending the pass.
    pub last: bool,
    /// Whether it left numbers of wide holes out, which are to be asked for at once.
    pub wide: bool,
    /// How many rows at most.
    pub rows: u32,
    /// The local clock at that time.
    pub at: Timestamp,
}

/// What was to be counted.
#[derive(Clone, Debug)]
pub(super) struct Tried {
    pub ranges: RangeSet,
    pub rows: u64,
    pub accept_difference: bool,
}

/// How long to wait after `failures` failures in a row: 100 ms, doubling up to 1 s, within 20 %.
///
/// A question costs an ailing server next to nothing, and rows are to be counted within 2 s of its
/// recovery.
pub(super) fn pause(failures: u32) -> Duration {
    let step = 100_u64.saturating_mul(1 << failures.saturating_sub(1).min(10)).min(1_000);
    Duration::from_millis(step).mul_f64(rand::random_range(0.8..=1.2))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_up_to_a_limit() {
        for (failures, millis) in [(0, 100), (1, 100), (2, 200), (4, 800), (7, 1_000), (99, 1_000)]
        {
            let pause = pause(failures).as_secs_f64() * 1e3;
            let step = f64::from(millis);
            assert!(pause >= step * 0.79 && pause <= step * 1.21, "{failures}: {pause} ms");
        }
    }
}
