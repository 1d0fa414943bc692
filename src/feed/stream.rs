//! What goes into the feed and what comes out of it.

use uuid::Uuid;

use crate::{
    model::{ErrorEvent, Span, Timestamp},
    store::status::Problem,
};

/// What the socket's wiring and the rest of the daemon tell the feed.
///
/// The queue is bounded, and whatever does not fit may be dropped: a row that the socket brought in
/// vain is read by its number, so `try_send` is enough for events.
#[derive(Clone, Debug, PartialEq)]
pub enum FeedInput {
    /// The socket brought a row.
    Event(ErrorEvent),
    /// The socket brought something for our table that could not be understood.
    Wake,
    /// The socket is connected and joining.
    SocketUp,
    /// The server said that changes flow from now on; repeated after each re-join.
    Subscribed,
    /// The socket is closed, or no channel is joined.
    SocketDown,
    /// The status row was written at this time by the database's clock; see `store::status::write`.
    CanarySent {
        /// The `heartbeat_at` that was written.
        at: Timestamp,
    },
    /// The socket brought our own status row back.
    Canary {
        /// The `heartbeat_at` in it.
        at: Timestamp,
    },
    /// History is wanted, for a rule that is new or whose window grew.
    Hydrate(Hydrate),
}

/// A wish for history: counted rows whose `timestamp` lies within a window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hydrate {
    /// Comes back with everything that answers it; not 0, which is the history at the start.
    pub id: u64,
    /// How far to look back from now.
    pub window: Span,
    /// Only errors of this project.
    pub project: Option<Uuid>,
}

/// What the feed tells the engine, in an order that matters.
///
/// Everything counted *before* [`FeedOutput::ReplayBegin`] comes once more between it and
/// [`FeedOutput::ReplayEnd`] if it lies in the window; everything counted *after* it comes only as
/// [`FeedOutput::New`], possibly in between. No other replay begins before the history at the start
/// has ended. So a rule that counts new events from `ReplayBegin` on,
/// and replayed ones of its id, has counted each row once.
#[derive(Clone, Debug, PartialEq)]
pub enum FeedOutput {
    /// Rows that were never given out before: count and decide.
    New(Vec<ErrorEvent>),
    /// Everything that was committed before then (database clock) has been given out, but for rows
    /// of transactions that are still open. Comes after every read that left nothing unread, quiet
    /// ones too, and is the only time to judge falling edges by: while the feed is behind or the
    /// database is away, time stands still, and windows do not empty for lack of rows.
    CompleteThrough(Timestamp),
    /// The replay with this id begins.
    ReplayBegin {
        /// 0 for the history at the start, else of [`Hydrate`].
        id: u64,
    },
    /// Rows that were counted earlier: fill windows, decide nothing yet.
    Replay {
        /// Which replay.
        id: u64,
        /// Rows in ascending order of `seq`.
        events: Vec<ErrorEvent>,
    },
    /// The windows of this replay are complete: decide on them now, because the process may have
    /// stopped between counting a row and deciding on it.
    ReplayEnd {
        /// Which replay.
        id: u64,
    },
    /// Forget every window: the database was set back. A replay with id 0 follows, and replays that
    /// were under way end unfinished.
    Reset {
        /// The epoch from now on.
        epoch: i32,
    },
}

/// What the feed asks of the socket's wiring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FeedCommand {
    /// Leave the channels and join them again: the server stopped sending.
    Rejoin,
    /// Make a new connection: joining again did not help.
    Reconnect,
}

/// How the database answers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum DatabaseHealth {
    /// Not asked yet.
    #[default]
    Unknown,
    /// The last read succeeded.
    Up,
    /// Reads have been failing since then (local clock), for this reason.
    Down {
        /// Since when.
        since: Timestamp,
        /// The first failure, without secrets.
        reason: String,
    },
}

/// The feed's state, for `/metrics`, `/readyz` and the status row.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FeedStatus {
    /// The history at the start is read, and everything committed since was counted once.
    pub caught_up: bool,
    /// The checkpoint's epoch.
    pub epoch: i32,
    /// The database was found set back, as after the restore of a backup, since the start.
    pub set_back: bool,
    /// Every number up to this is accounted for.
    pub low_water: i64,
    /// The highest number known to be drawn.
    pub last_number: i64,
    /// Ranges of open numbers.
    pub open_holes: u64,
    /// Open numbers.
    pub missing: u64,
    /// How long the oldest hole has been open.
    pub oldest_hole: Option<Span>,
    /// Everything committed before then has been counted, but for the holes (database clock).
    pub complete_through: Option<Timestamp>,
    /// Rows counted since the start, without replays.
    pub rows_counted: u64,
    /// Of these, rows that the socket brought first.
    pub rows_by_socket: u64,
    /// Of these, rows that the subscribed socket did not bring within 5 s.
    pub rows_repaired: u64,
    /// Numbers proven empty since the start.
    pub proven_empty: u64,
    /// Rows that could not be understood; counted in rollups, unseen by rules.
    pub rows_unreadable: u64,
    /// Numbers accounted for and not yet in the checkpoint.
    pub unsaved: u64,
    /// Since when the oldest rows wait whose decisions are not written (database clock). They are not
    /// in the checkpoint before.
    pub undecided_since: Option<Timestamp>,
    /// Rows counted in rollups by this instance.
    pub rows_saved: u64,
    /// Rows by which rollups differ from what was counted, as when a project was deleted.
    pub rows_differing: u64,
    /// `timestamp` of the latest event.
    pub last_event_at: Option<Timestamp>,
    /// How long the last status row took to come back through the socket.
    pub canary: Option<Span>,
    /// The socket says that changes flow.
    pub subscribed: bool,
    /// It does, but they do not.
    pub deaf: bool,
    /// Numbered reads that succeeded.
    pub reads: u64,
    /// Queries that failed.
    pub failures: u64,
    /// Transaction ids drawn as stamps.
    pub stamps: u64,
    /// How the database answers.
    pub database: DatabaseHealth,
    /// What an operator should know of.
    pub problems: Vec<Problem>,
}
