//! As whom the server runs: ourselves, or somebody without privileges when we are root.

use std::{
    ffi::OsStr,
    os::unix::{fs::chown, process::CommandExt},
    path::Path,
    process::{Command, Stdio},
};

use super::PostgresError;

/// The user for the server's processes and files.
#[derive(Clone, Debug)]
pub(super) enum Identity {
    /// We are not root, so there is nothing to drop.
    Ourselves,
    /// We are root and PostgreSQL refuses to be.
    Dropped { user: String, uid: u32, gid: u32 },
}

impl Identity {
    /// Decides from our own user; `postgres` is preferred to `nobody` because it can read what the
    /// distribution's package installed for it.
    pub(super) fn decide() -> Result<Self, PostgresError> {
        if id(&["-u"]) != Some(0) {
            return Ok(Self::Ourselves);
        }
        ["postgres", "nobody"]
            .into_iter()
            .find_map(|user| {
                let (uid, gid) = (id(&["-u", user])?, id(&["-g", user])?);
                Some(Self::Dropped { user: user.to_owned(), uid, gid })
            })
            .ok_or(PostgresError::NoUser)
    }

    /// A command that will run as this user.
    pub(super) fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        if let Self::Dropped { uid, gid, .. } = self {
            // The standard library also clears root's supplementary groups here.
            command.uid(*uid).gid(*gid);
        }
        // The working folder may be one that the other user cannot enter.
        command.current_dir("/");
        command
    }

    /// Hands one file or folder to this user.
    pub(super) fn own(&self, path: &Path) -> Result<(), PostgresError> {
        match self {
            Self::Ourselves => Ok(()),
            Self::Dropped { uid, gid, .. } => {
                chown(path, Some(*uid), Some(*gid)).map_err(PostgresError::io("hand over", path))
            }
        }
    }

    /// Whether this user can enter a folder, found by trying.
    pub(super) fn can_enter(&self, dir: &Path) -> bool {
        let Self::Dropped { .. } = self else { return true };
        self.command("/bin/sh")
            .args(["-c", "cd \"$1\" && test -r .", "sh"])
            .arg(dir)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .is_ok_and(|status| status.success())
    }

    /// The name for messages.
    pub(super) fn name(&self) -> &str {
        match self {
            Self::Ourselves => "the current user",
            Self::Dropped { user, .. } => user,
        }
    }
}

/// Whether the server, as the user it would run as, can enter this folder.
///
/// As root that user is somebody else, for whom a folder below `/root` is closed; choose a data
/// folder for which this holds. The folder must exist.
#[must_use]
pub fn is_reachable(dir: &Path) -> bool {
    Identity::decide().is_ok_and(|identity| identity.can_enter(dir))
}

fn id(args: &[&str]) -> Option<u32> {
    let output = Command::new("id").args(args).stderr(Stdio::null()).output().ok()?;
    output.status.success().then_some(())?;
    String::from_utf8(output.stdout).ok()?.trim().parse().ok()
}
