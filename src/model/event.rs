//! One error event: the columns of `error_metrics` that the daemon may read.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::Timestamp;

/// One row of `error_metrics`, without `metadata`, which the daemon's role may not read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ErrorEvent {
    /// The server-drawn number that the ledger counts by; unique, at least 1.
    pub seq: i64,
    /// Primary key, made by the reporter.
    pub error_id: Uuid,
    /// When the error happened, as its reporter says; never later than `received_at`.
    pub timestamp: Timestamp,
    /// When the database received the row.
    pub received_at: Timestamp,
    /// Which kind of component failed.
    pub source: Source,
    /// `class` or `class.detail`, where class is system, execution or input.
    pub error_type: Box<str>,
    /// How bad this one error is.
    pub severity: Severity,
    /// The project it belongs to; none for errors of the platform itself.
    pub project_id: Option<Uuid>,
    /// The workflow version it happened in.
    pub workflow_id: Option<Uuid>,
    /// Errors with the same fingerprint form one group.
    pub fingerprint: Uuid,
    /// Masked, one-line description.
    pub message: Box<str>,
}

/// A text that is none of an enum's values.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{value:?} is not a {what}; expected one of {expected}")]
pub struct ParseEnumError {
    what: &'static str,
    value: String,
    expected: &'static str,
}

/// Declares an enum whose values are lower-case words in SQL, JSON and configuration alike.
macro_rules! word_enum {
    ($(#[$doc:meta])* $name:ident, $what:literal, $expected:literal,
     { $($(#[$variant_doc:meta])* $variant:ident = $word:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        pub enum $name { $($(#[$variant_doc])* $variant),+ }

        impl $name {
            /// Every value, in ascending order.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The word used in SQL and JSON.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word),+ }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl FromStr for $name {
            type Err = ParseEnumError;

            fn from_str(value: &str) -> Result<Self, Self::Err> {
                match value {
                    $($word => Ok(Self::$variant),)+
                    _ => Err(ParseEnumError::new($what, value, $expected)),
                }
            }
        }
    };
}
pub(crate) use word_enum;

word_enum!(
    /// The kind of component that reported an error.
    Source, "source", "worker, webhook, system",
    {
        /// A workflow step failed in a worker.
        Worker = "worker",
        /// An inbound webhook was refused or failed.
        Webhook = "webhook",
        /// The platform itself failed.
        System = "system",
    }
);

word_enum!(
    /// How bad one error is (not to be confused with the [`Level`](super::Level) of an alert).
    Severity, "severity", "low, medium, high",
    {
        /// Expected now and then, for example a first failed attempt.
        Low = "low",
        /// Needs a look.
        Medium = "medium",
        /// Work was lost.
        High = "high",
    }
);

impl ParseEnumError {
    /// A parse error that quotes no more than the first 64 characters of `value`.
    pub(crate) fn new(what: &'static str, value: &str, expected: &'static str) -> Self {
        Self { what, value: value.chars().take(64).collect(), expected }
    }
}
