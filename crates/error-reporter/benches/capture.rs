//! What capture costs its caller, and masking and classification in the background.
fn main() {}
