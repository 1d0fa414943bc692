//! One line on the terminal about what takes long.

use std::{
    fmt::Display,
    io::{IsTerminal as _, Write as _},
};

/// Goes back to the beginning of the line and empties it.
const CLEAR: &str = "\r\u{1b}[K";

/// What is being done; it is gone when this is dropped, and is only ever there where somebody looks.
#[derive(Debug)]
pub(super) struct Progress {
    shown: bool,
}

impl Progress {
    /// Nothing yet.
    pub(super) fn new() -> Self {
        Self { shown: std::io::stderr().is_terminal() }
    }

    /// Something that takes a while.
    pub(super) fn of(text: impl Display) -> Self {
        let progress = Self::new();
        progress.say(text);
        progress
    }

    /// Says this instead of what was said before.
    pub(super) fn say(&self, text: impl Display) {
        if self.shown {
            // A terminal that is gone needs no progress.
            let _ = write!(std::io::stderr(), "{CLEAR}{text} …");
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if self.shown {
            let _ = write!(std::io::stderr(), "{CLEAR}");
        }
    }
}
