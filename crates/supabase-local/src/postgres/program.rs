//! Running one of the server's programs to its end.

use std::path::Path;

use super::{PostgresError, embedded::last_words};

/// Runs a program; what it wrote last is the error when it fails.
pub(super) async fn run(
    program: &'static str,
    command: std::process::Command,
) -> Result<(), PostgresError> {
    let output = tokio::process::Command::from(command)
        .stdin(std::process::Stdio::null())
        .kill_on_drop(true)
        .output()
        .await
        .map_err(PostgresError::io("run", Path::new(program)))?;
    if output.status.success() {
        return Ok(());
    }
    let message =
        last_words(if output.stderr.is_empty() { &output.stdout } else { &output.stderr });
    Err(PostgresError::Program { program, message })
}
