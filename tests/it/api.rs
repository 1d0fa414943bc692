//! The daemon's API, through HTTP, in front of a whole deployment.

mod foundation;
