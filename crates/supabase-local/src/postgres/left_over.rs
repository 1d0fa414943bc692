//! What a killed owner left behind in a data folder.

use std::{path::Path, process::Command, time::Duration};

use tokio::time::{Instant, sleep};

use super::{Binaries, PostgresError, identity::Identity, program::run};

/// Longer than a guardian takes to end its server.
const GONE_WITHIN: Duration = Duration::from_secs(6);

/// Waits for a server that is still on its way down, ends one that stays, and removes a stale pid
/// file. Only for who holds the folder's lock, which proves that nobody owns that server any more.
pub(super) async fn end_left_over(
    binaries: &Binaries,
    identity: &Identity,
    data: &Path,
) -> Result<(), PostgresError> {
    let pid_file = data.join("postmaster.pid");
    let deadline = Instant::now() + GONE_WITHIN;
    while runs(data, &pid_file).await? {
        if Instant::now() > deadline {
            let mut command = identity.command(binaries.program("pg_ctl"));
            binaries.environment(&mut command);
            command.arg("-D").arg(data).args(["stop", "-m", "immediate", "-w", "-t", "10"]);
            run("pg_ctl", command).await?;
        }
        sleep(Duration::from_millis(50)).await;
    }
    // PostgreSQL refuses to start when the number in a pid file belongs to any living process of
    // its user, as it may after a restart of the machine.
    match std::fs::remove_file(&pid_file) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(PostgresError::io("remove", &pid_file)(error))
        }
        _ => Ok(()),
    }
}

/// Whether the number in the pid file is a server of this very folder.
async fn runs(data: &Path, pid_file: &Path) -> Result<bool, PostgresError> {
    let Ok(text) = std::fs::read_to_string(pid_file) else { return Ok(false) };
    let Some(pid) = text.lines().next().and_then(|line| line.trim().parse::<u32>().ok()) else {
        return Ok(false);
    };
    let mut command = Command::new("ps");
    command.args(["-o", "args=", "-p", &pid.to_string()]);
    let output = tokio::process::Command::from(command)
        .output()
        .await
        .map_err(PostgresError::io("run", Path::new("ps")))?;
    Ok(String::from_utf8_lossy(&output.stdout).contains(&*data.to_string_lossy()))
}
