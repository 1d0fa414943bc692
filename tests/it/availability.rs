//! Several instances: who leads, how fast another takes over, and that nobody notices.

mod takeover;
mod zombie;
