//! The daemon's own client of Supabase Realtime: frame codec, channel state machine, thin socket.
//! No SQL, no counting and no knowledge of rules may appear here; a lost frame is the feed's concern.
//! Frames come in from one websocket; decoded changes, wake-ups and troubles go out by one bounded
//! channel ([`RealtimeEvent`]), and the current state by a watch ([`RealtimeState`]).

mod change;
mod client;
mod config;
mod connection;
mod delivery;
mod errors;
mod frame;
mod line;
mod quick;
mod reply;
mod row;
mod session;
mod successor;

pub use change::{Change, decode_change};
pub use client::{RealtimeClient, RealtimeHandle};
pub use config::{ChannelKind, ConfigError, RealtimeConfig, Timing};
pub use delivery::{GapReason, RealtimeEvent, RealtimeState};
pub use errors::{Disposition, Failure, classify};
pub use frame::{Event, Frame, FrameError, MAX_FRAME_BYTES, Vsn, decode, encode};
pub use session::{Action, Input, Moment, Session, SessionEvent};
