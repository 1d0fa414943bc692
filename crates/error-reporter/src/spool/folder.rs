//! The folder of this process, and those of processes that are gone.
//!
//! Every process has a folder of its own below the spool's: `<host>~<pid>~<made at>~<random>`. So no
//! two ever write to one file. The folders of processes that are gone are taken over by renaming
//! them, which only one process can do. The JavaScript reporter follows the same rules.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::OnceLock,
};

use chrono::{DateTime, TimeDelta, Utc};
use uuid::Uuid;

/// A folder that its owner has not touched for so long is taken over.
const ABANDONED: TimeDelta = TimeDelta::seconds(60);
/// Clocks and start times are not more exact than this.
const SLACK: TimeDelta = TimeDelta::seconds(2);

/// When the first reporter of this process was made.
static BEGAN: OnceLock<DateTime<Utc>> = OnceLock::new();

fn host() -> String {
    let name = hostname::get().map(|name| name.to_string_lossy().into_owned());
    name.unwrap_or_else(|_| "unknown".to_owned()).replace(['~', '/'], "-")
}

/// The path of this process's folder, which need not exist yet.
pub(super) fn own(base: &Path, now: DateTime<Utc>) -> PathBuf {
    BEGAN.get_or_init(|| now);
    let random = Uuid::new_v4().simple().to_string();
    let random = random.get(..8).unwrap_or_default();
    base.join(format!("{}~{}~{}~{random}", host(), std::process::id(), now.timestamp_millis()))
}

/// Makes a folder that only its owner may read.
pub(super) fn make(folder: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder)
}

/// Says that a folder is in use.
pub(super) fn touch(folder: &Path, now: DateTime<Utc>) {
    // Where it is not there, it is made again with the next append.
    if let Ok(folder) = fs::File::open(folder) {
        folder.set_modified(now.into()).ok();
    }
}

/// What the folders begin with that were taken over, inside the one of their new owner.
const TAKEN: &str = "taken~";

/// Folders of others that are gone, now inside the own one; also those that an earlier attempt could
/// not empty.
pub(super) fn take_abandoned(
    base: &Path,
    own: &Path,
    now: DateTime<Utc>,
) -> io::Result<Vec<PathBuf>> {
    for entry in fs::read_dir(base)? {
        let Ok(entry) = entry else { continue };
        let (folder, name) = (entry.path(), entry.file_name());
        if folder == own || !is_abandoned(&name.to_string_lossy(), &folder, now) {
            continue;
        }
        let target = own.join(format!("{TAKEN}{}", Uuid::new_v4().simple()));
        // Where it fails, another process was quicker.
        fs::rename(&folder, &target).ok();
    }
    let mut taken = Vec::new();
    for entry in fs::read_dir(own)? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with(TAKEN) {
            taken.push(entry.path());
        }
    }
    Ok(taken)
}

fn is_abandoned(name: &str, folder: &Path, now: DateTime<Utc>) -> bool {
    let mut parts = name.split('~');
    let (Some(owner), Some(pid), Some(made_at)) = (parts.next(), parts.next(), parts.next()) else {
        return false;
    };
    let Ok(touched) = fs::metadata(folder).and_then(|folder| folder.modified()) else {
        return false;
    };
    if now - DateTime::<Utc>::from(touched) > ABANDONED {
        return true;
    }
    if owner != host() {
        return false;
    }
    // In a container every process has the same number, so the time it began decides.
    if pid == std::process::id().to_string() {
        let began = BEGAN.get().copied().unwrap_or(now) - SLACK;
        return made_at.parse::<i64>().is_ok_and(|millis| millis < began.timestamp_millis());
    }
    // Elsewhere than on Linux the minute without a touch has to be enough.
    Path::new("/proc/self").exists() && !Path::new("/proc").join(pid).exists()
}
