//! What becomes of a message whatever its receiver does: digests, waits that receivers ask for, slow
//! answers, ends that follow beginnings, and messages that are given up.

mod digests;
mod endings;
mod given_up;
mod many;
mod refused;
mod restarts;
mod waits;
