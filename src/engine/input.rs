//! Everything that can happen to the engine.

use uuid::Uuid;

use super::{KnownGroup, PastChange, RunCount};
use crate::model::{ErrorEvent, GroupKey, OpenIncident, Rule, Timestamp};

/// Everything that can happen to the engine.
#[derive(Debug)]
pub enum Input<'a> {
    /// One error event, counted once by whoever feeds (duplicates are that one's business).
    Event(&'a ErrorEvent),
    /// An event that somebody else decides or decided about: counts, never tells.
    Replay(&'a ErrorEvent),
    /// An event of the past for one rule only, whose windows are being refilled.
    ReplayFor {
        /// The rule; others do not see the event.
        rule_id: Uuid,
        /// The event; it must not come again as another input.
        event: &'a ErrorEvent,
    },
    /// Further workflow runs were started.
    Runs(&'a [RunCount]),
    /// Runs that somebody else decides or decided about.
    ReplayRuns(&'a [RunCount]),
    /// Runs of the past for one rule only.
    ReplayRunsFor {
        /// The rule; others do not see the runs.
        rule_id: Uuid,
        /// The runs.
        runs: &'a [RunCount],
    },
    /// All that is to be replayed for this rule, or for all, has been: its incidents may be judged.
    HistoryComplete {
        /// None for all rules.
        rule_id: Option<Uuid>,
    },
    /// Time has moved on and nothing else happened: every event up to now has been given.
    Tick,
    /// All runs that were started before then have been given.
    RunsComplete {
        /// When.
        through: Timestamp,
    },
    /// What the earlier window of a change rule holds during one whole minute; best given before that
    /// minute begins. Without it the rule has no value.
    Baseline {
        /// The rule.
        rule_id: Uuid,
        /// The beginning of the minute.
        minute: Timestamp,
        /// Errors from `minute - compare - window` to before `minute - compare`, by group; a group that
        /// is missing had none.
        counts: &'a [(GroupKey, u64)],
    },
    /// Error groups that history knows, or of which people have said something. Without new-group
    /// rules nothing is remembered.
    Groups(&'a [KnownGroup]),
    /// Before a replay: incidents that are open in the database, so that the groups of new-group rules
    /// are replayed from where they were new. They are restored by `Restore` all the same.
    Expect(&'a [OpenIncident]),
    /// Before a `Restore`: beginnings and ends of incidents of the last flap period.
    PastChanges(Vec<PastChange>),
    /// All enabled rules, in place of the former ones.
    Rules(Vec<Rule>),
    /// All incidents that are open in the database, in place of those known here. Those whose rule or
    /// group no longer exists are ended. Before any `Rules`, they wait for them.
    Restore(Vec<OpenIncident>),
    /// Before a `Restore`: until then the windows may lack events that whoever decided before knew,
    /// so open incidents are left alone.
    Hold {
        /// When whoever decided before has ended, at the latest.
        until: Timestamp,
    },
    /// Somebody acknowledged an incident or took that back.
    Acknowledged {
        /// Which one; unknown ones are ignored.
        incident_id: Uuid,
        /// Whether it is acknowledged now.
        acknowledged: bool,
    },
}
