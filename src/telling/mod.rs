//! Who is told of an incident, who is not told yet, and why: one pure function and what it has to know.
//! No clock, no waiting, no I/O and no rule about thresholds (that is `engine`) may appear here.
//! Transitions come in from the writer or from a back-test, together with a [`Policy`]; what is to be
//! sent, what is held back and until when goes out as [`Telling`]s and [`Late`] messages.
//!
//! # What holds
//! - `firing` and `escalated` go to every enabled channel of the rule whose `min_level` is reached,
//!   and `reminder` too. A silence, quiet hours, a maintenance window or an inhibiting rule holds them
//!   back: the incident goes on beneath it.
//! - What was held back is owed. When nothing holds it back any more and the incident still fires at a
//!   level the channel wants, the channel is told, once. A reminder is never owed.
//! - `resolved` goes, at once and whatever is quiet, to exactly the channels that were told of
//!   anything before; what is owed then is forgotten.
//!
//! [`tell`] decides about one transition, [`settle`] about what is owed; [`Desk`] remembers between
//! the two who was told and what is owed.

mod case;
mod decide;
mod desk;
mod hold;
mod inhibition;
mod quiet;
mod silence;
#[cfg(test)]
mod tests;

pub use case::{Binding, Case, Policy};
pub use decide::{Held, Settled, Telling, holds, settle, tell};
pub use desk::{Desk, Late, News, Owed, Standing};
pub use hold::{Hold, Why, note, until};
pub use inhibition::{Firing, Inhibition};
pub use quiet::{QuietHours, QuietKind};
pub use silence::{Matchers, Silence};
