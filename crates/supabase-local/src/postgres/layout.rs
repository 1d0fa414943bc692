//! The files of one cluster.

use std::{
    fs::{File, Permissions, TryLockError},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use rand::RngCore;

use super::{PostgresError, identity::Identity};

/// The folder of one cluster: `pgdata`, `log`, `password`, `ready`, `lock`, perhaps `server`.
#[derive(Clone, Debug)]
pub(super) struct Layout {
    area: PathBuf,
}

impl Layout {
    /// Creates the folder where it is missing and hands it to the server's user.
    pub(super) fn prepare(area: &Path, identity: &Identity) -> Result<Self, PostgresError> {
        std::fs::create_dir_all(area).map_err(PostgresError::io("create", area))?;
        let area = area.canonicalize().map_err(PostgresError::io("open", area))?;
        identity.own(&area)?;
        std::fs::set_permissions(&area, Permissions::from_mode(0o700))
            .map_err(PostgresError::io("protect", &area))?;
        if !identity.can_enter(&area) {
            return Err(PostgresError::Unreachable { user: identity.name().to_owned(), dir: area });
        }
        Ok(Self { area })
    }

    pub(super) fn area(&self) -> &Path {
        &self.area
    }

    pub(super) fn data(&self) -> PathBuf {
        self.area.join("pgdata")
    }

    pub(super) fn log(&self) -> PathBuf {
        self.area.join("log")
    }

    /// Written once roles and databases are complete, so that half an initialisation starts anew.
    pub(super) fn ready(&self) -> PathBuf {
        self.area.join("ready")
    }

    pub(super) fn password_file(&self) -> PathBuf {
        self.area.join("password")
    }

    /// A private copy of embedded binaries that the server's user could not reach otherwise.
    pub(super) fn server(&self) -> PathBuf {
        self.area.join("server")
    }

    /// Takes the folder for this process; the kernel gives it back however we end.
    pub(super) fn lock(&self) -> Result<File, PostgresError> {
        let path = self.area.join("lock");
        let file = File::create(&path).map_err(PostgresError::io("create", &path))?;
        match file.try_lock() {
            Ok(()) => Ok(file),
            Err(TryLockError::WouldBlock) => Err(PostgresError::InUse(self.area.clone())),
            Err(TryLockError::Error(error)) => Err(PostgresError::io("lock", &path)(error)),
        }
    }

    /// The password of the login roles, made at the first call.
    pub(super) fn password(&self, identity: &Identity) -> Result<String, PostgresError> {
        let path = self.password_file();
        if let Ok(text) = std::fs::read_to_string(&path) {
            let text = text.trim();
            if !text.is_empty() {
                return Ok(text.to_owned());
            }
        }
        let mut bytes = [0_u8; 24];
        rand::rng().fill_bytes(&mut bytes);
        let password: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        self.write_private(&path, &password, identity)?;
        Ok(password)
    }

    /// Writes a file that only the server's user (and root) can read.
    fn write_private(
        &self,
        path: &Path,
        text: &str,
        identity: &Identity,
    ) -> Result<(), PostgresError> {
        let file = File::create(path).map_err(PostgresError::io("create", path))?;
        file.set_permissions(Permissions::from_mode(0o600))
            .map_err(PostgresError::io("protect", path))?;
        std::fs::write(path, text).map_err(PostgresError::io("write", path))?;
        identity.own(path)
    }

    /// The major version that made the data folder, if it is complete.
    pub(super) fn version(&self) -> Option<String> {
        self.ready().exists().then_some(())?;
        Some(std::fs::read_to_string(self.data().join("PG_VERSION")).ok()?.trim().to_owned())
    }

    /// The last lines of the server's log, for an error message.
    pub(super) fn last_log(&self) -> String {
        super::embedded::last_words(&std::fs::read(self.log()).unwrap_or_default())
    }
}
