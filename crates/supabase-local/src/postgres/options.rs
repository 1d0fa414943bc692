//! How to start a cluster, and the server's settings that follow.

use std::path::{Path, PathBuf};

use super::Binaries;

/// What becomes of the data folder when the cluster stops.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lifetime {
    /// It stays.
    Persistent,
    /// It is removed.
    Temporary,
}

/// How to start a [`super::Cluster`].
#[derive(Clone, Debug)]
pub struct ClusterOptions {
    /// The folder that holds everything of this cluster; created where it is missing.
    ///
    /// As root it is handed to the user as whom the server runs; see [`super::is_reachable`].
    pub data_dir: PathBuf,
    /// Which server to run.
    pub binaries: Binaries,
    /// The TCP port on 127.0.0.1; 0 takes a free one.
    pub port: u16,
    /// What becomes of the folder.
    pub lifetime: Lifetime,
    /// Whether writes are flushed to the disk, so that they survive a crash of the machine. A crash
    /// of the server alone loses no commit either way.
    pub fsync: bool,
}

impl ClusterOptions {
    /// A throw-away cluster on a free port in a new folder below the system's temporary folder.
    #[must_use]
    pub fn temporary(binaries: Binaries) -> Self {
        let name = format!("supabase-local-{}", uuid::Uuid::new_v4().simple());
        let data_dir = std::env::temp_dir().join(name);
        Self { data_dir, binaries, port: 0, lifetime: Lifetime::Temporary, fsync: false }
    }

    /// A lasting cluster in a folder of the caller's.
    #[must_use]
    pub fn persistent(binaries: Binaries, data_dir: impl Into<PathBuf>, port: u16) -> Self {
        Self {
            data_dir: data_dir.into(),
            binaries,
            port,
            lifetime: Lifetime::Persistent,
            fsync: true,
        }
    }
}

/// The server's settings; on the command line, so that an old folder gets new ones too.
pub(super) fn server_arguments(data: &Path, port: u16, fsync: bool) -> Vec<String> {
    let flush = if fsync { "on" } else { "off" };
    let port = port.to_string();
    let mut arguments = vec!["-D".to_owned(), data.display().to_string()];
    for (name, value) in [
        ("listen_addresses", "127.0.0.1"),
        ("port", port.as_str()),
        ("unix_socket_directories", ""),
        ("wal_level", "logical"),
        ("max_replication_slots", "50"),
        ("max_wal_senders", "50"),
        ("max_connections", "200"),
        ("shared_buffers", "64MB"),
        ("fsync", flush),
        ("full_page_writes", flush),
        ("timezone", "UTC"),
        ("search_path", "\"$user\", public, extensions"),
        ("log_line_prefix", "%m [%p] %u@%d "),
        // Statements and details hold tokens and bodies, which no log may have.
        ("log_min_error_statement", "panic"),
        ("log_error_verbosity", "terse"),
        ("logging_collector", "off"),
        ("shared_preload_libraries", ""),
    ] {
        arguments.extend(["-c".to_owned(), format!("{name}={value}")]);
    }
    arguments
}
