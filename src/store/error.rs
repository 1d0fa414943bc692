//! What can go wrong with the database, and whether trying again can help.

use std::time::Duration;

/// A failed query.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The address cannot be used. The address itself is not shown: it holds a password.
    #[error("DATABASE_URL is not a usable address: {0}")]
    Address(String),
    /// No answer in time; the connection is thrown away.
    #[error("{what}: no answer from the database within {limit:?}")]
    TimedOut {
        /// What was asked.
        what: &'static str,
        /// How long we waited.
        limit: Duration,
    },
    /// The database or the way to it failed.
    #[error("{what}: {source}")]
    Database {
        /// What was asked.
        what: &'static str,
        /// What came back.
        source: sqlx::Error,
    },
    /// This instance does not lead any more; nothing was written.
    #[error("another instance leads; nothing was written")]
    FenceLost,
    /// A value that the schema cannot hold.
    #[error("{what}: {problem}")]
    Unreadable {
        /// What was asked.
        what: &'static str,
        /// What is wrong with the answer.
        problem: String,
    },
}

/// What to do about a [`StoreError`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorKind {
    /// The same may succeed later: no connection, a time-out, a deadlock, an overloaded server.
    Transient,
    /// It will fail until an operator changes something: rights, migrations, password.
    Operator,
    /// Somebody else leads now.
    FenceLost,
}

impl StoreError {
    /// Whether trying again can help.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::FenceLost => ErrorKind::FenceLost,
            Self::TimedOut { .. } => ErrorKind::Transient,
            Self::Address(_) | Self::Unreadable { .. } => ErrorKind::Operator,
            Self::Database { source, .. } => match source.as_database_error() {
                Some(database) => kind_of_code(database.code().as_deref()),
                None => match source {
                    sqlx::Error::Configuration(_)
                    | sqlx::Error::ColumnDecode { .. }
                    | sqlx::Error::ColumnNotFound(_)
                    | sqlx::Error::Decode(_) => ErrorKind::Operator,
                    _ => ErrorKind::Transient,
                },
            },
        }
    }
}

impl StoreError {
    /// Whether the connection broke, or the server ended it (SQLSTATE class 57P).
    #[must_use]
    pub fn is_lost_connection(&self) -> bool {
        let Self::Database { source, .. } = self else { return false };
        match source.as_database_error() {
            Some(error) => error.code().is_some_and(|code| code.starts_with("57P")),
            None => matches!(source, sqlx::Error::Io(_) | sqlx::Error::Protocol(_)),
        }
    }
}

/// Classes of SQLSTATE (Postgres, appendix A) that a change of rights, schema or password must cure.
fn kind_of_code(code: Option<&str>) -> ErrorKind {
    let operator = ["0A", "28", "2B", "3D", "3F", "42", "22", "23", "P0"];
    match code {
        Some(code) if operator.iter().any(|class| code.starts_with(class)) => {
            // A key that is missing or doubled now may be there or gone at the next attempt: rows
            // are deleted and inserted by others meanwhile.
            if matches!(code, "23503" | "23505") {
                ErrorKind::Transient
            } else {
                ErrorKind::Operator
            }
        }
        _ => ErrorKind::Transient,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds() {
        for (code, expected) in [
            (Some("42501"), ErrorKind::Operator),
            (Some("42P01"), ErrorKind::Operator),
            (Some("28P01"), ErrorKind::Operator),
            (Some("23503"), ErrorKind::Transient),
            (Some("40001"), ErrorKind::Transient),
            (Some("40P01"), ErrorKind::Transient),
            (Some("53300"), ErrorKind::Transient),
            (Some("57P01"), ErrorKind::Transient),
            (Some("08006"), ErrorKind::Transient),
            (None, ErrorKind::Transient),
        ] {
            assert_eq!(kind_of_code(code), expected, "{code:?}");
        }
        let source = sqlx::Error::PoolTimedOut;
        assert_eq!(StoreError::Database { what: "x", source }.kind(), ErrorKind::Transient);
        assert_eq!(StoreError::FenceLost.kind(), ErrorKind::FenceLost);
    }
}
