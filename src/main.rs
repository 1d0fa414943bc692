//! The binary; it is filled in by `cli`.

fn main() {}
