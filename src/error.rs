//! What a subcommand can fail with, and the exit status that tells it.

use crate::config::{Problem, Problems};

/// Why the program ends without having done what was asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The configuration is wrong; nothing was tried.
    #[error("the configuration has problems:\n{0}")]
    Configuration(#[from] Problems),
    /// Something the program needs did not answer.
    #[error("{what} cannot be reached: {source}; {todo}")]
    Unavailable {
        /// What did not answer.
        what: &'static str,
        /// How it failed.
        source: Box<dyn std::error::Error + Send + Sync>,
        /// What to do about it.
        todo: &'static str,
    },
    /// What was asked for failed; the text says what happened, to what, and what to do.
    #[error("{0}")]
    Failed(String),
}

impl Error {
    /// The exit status, after `sysexits.h`: 64 usage, 69 unavailable, 1 anything else.
    #[must_use]
    pub const fn exit_code(&self) -> u8 {
        match self {
            Self::Configuration(_) => 64,
            Self::Unavailable { .. } => 69,
            Self::Failed(_) => 1,
        }
    }

    /// A failure described by `text`.
    pub fn failed(text: impl ToString) -> Self {
        Self::Failed(text.to_string())
    }

    /// `what` did not answer; `todo` says what to do.
    pub fn unavailable(
        what: &'static str,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
        todo: &'static str,
    ) -> Self {
        Self::Unavailable { what, source: source.into(), todo }
    }
}

impl From<Problem> for Error {
    fn from(problem: Problem) -> Self {
        Self::Configuration(Problems(vec![problem]))
    }
}
