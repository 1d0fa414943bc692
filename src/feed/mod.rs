//! Merges the socket's rows and numbered reads of the table into one stream of error events, each
//! row once: the ledger, the task that feeds it, the watch over a deaf socket, history for windows.
//! Rules, incidents and HTTP may not appear here, and no SQL text: that is `store`'s.
//! Rows come in from the socket's wiring ([`FeedInput`]) and from `store::feed`; events go out as
//! [`FeedOutput`], state as [`FeedStatus`], and what is counted to `store::rollup`.

mod hearing;
mod history;
mod jobs;
pub mod ledger;
mod reads;
mod report;
mod saves;
mod stream;
mod task;
mod undecided;

pub use stream::{DatabaseHealth, FeedCommand, FeedInput, FeedOutput, FeedStatus, Hydrate};
pub use task::{Feed, FeedHandle, FeedOptions, feed};
