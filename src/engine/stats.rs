//! What the engine tells about itself, for metrics and tests.

/// How much the engine may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Groups of one rule; what comes after counts into one overflow group of that rule, whose key is
    /// `{}`. The same number limits the run windows of a rule.
    pub groups_per_rule: u32,
    /// Groups of all rules together (each at most about 1 KB).
    pub groups: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { groups_per_rule: 10_000, groups: 200_000 }
    }
}

/// Counters (since the start) and gauges (now).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Events given as `Event`.
    pub events: u64,
    /// Events given as `Replay` or `ReplayFor`.
    pub replayed: u64,
    /// Events added to windows, once per rule that counts them.
    pub matched: u64,
    /// Times that an event matched a rule but was older than its window.
    pub too_old: u64,
    /// Events counted into an overflow group because a limit was reached.
    pub overflowed: u64,
    /// Runs not counted because a limit was reached.
    pub runs_dropped: u64,
    /// Transitions decided.
    pub transitions: u64,
    /// Enabled rules.
    pub rules: usize,
    /// Groups with a window or an incident.
    pub groups: usize,
    /// Windows of runs.
    pub run_windows: usize,
    /// Open incidents, pending ones included.
    pub incidents: usize,
    /// Appointments in the heap, void ones included.
    pub timers: usize,
    /// Error groups that are known, so that new ones can be told.
    pub known_groups: usize,
    /// Identifiers and texts held.
    pub interned: usize,
}
