//! Several instances: who leads, how fast another takes over, and that nobody notices.

mod beginning;
mod long_stop;
mod rolling;
mod takeover;
mod three_as_one;
mod zombie;
