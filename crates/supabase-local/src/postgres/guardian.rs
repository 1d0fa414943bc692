//! The shell process between us and the server, which ends the server when we end.

use std::{path::Path, process::Stdio, time::Duration};

use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    process::{Child, ChildStdin, ChildStdout, Command},
    time::timeout,
};

use super::{Binaries, Lifetime, PostgresError, identity::Identity, layout::Layout};

/// Longer than the guardian itself waits before it turns a fast shutdown into an immediate one.
const STOP_WITHIN: Duration = Duration::from_secs(12);

const SCRIPT: &str = include_str!("guardian.sh");

/// A running server with its guardian. Dropping it closes the pipe, which stops the server.
#[derive(Debug)]
pub(super) struct Guardian {
    child: Child,
    stdin: Option<ChildStdin>,
    stdout: BufReader<ChildStdout>,
}

/// How to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stop {
    /// The owner is done with the cluster: fast shutdown, and a temporary folder is removed.
    Finish,
    /// Fast shutdown; the folder stays for a restart.
    Fast,
    /// As after a crash: nothing is written any more and the next start replays the log.
    Immediate,
}

impl Guardian {
    pub(super) fn spawn(
        binaries: &Binaries,
        identity: &Identity,
        layout: &Layout,
        lifetime: Lifetime,
        arguments: &[String],
    ) -> Result<Self, PostgresError> {
        let mut command = identity.command("/bin/sh");
        binaries.environment(&mut command);
        let keep = match lifetime {
            Lifetime::Persistent => "keep",
            Lifetime::Temporary => "remove",
        };
        command
            .args(["-c", SCRIPT, "guardian"])
            .arg(layout.area())
            .arg(keep)
            .arg(layout.log())
            .arg(binaries.program("postgres"))
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null());
        let mut command = Command::from(command);
        // A group of its own keeps Ctrl-C in our terminal from reaching the server before us.
        let mut child = command
            .process_group(0)
            .spawn()
            .map_err(PostgresError::io("start", Path::new("/bin/sh")))?;
        let (stdin, Some(stdout)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(PostgresError::Start("the guardian has no standard output".to_owned()));
        };
        Ok(Self { child, stdin, stdout: BufReader::new(stdout) })
    }

    /// Returns once the server has exited by itself; never while it runs.
    pub(super) async fn exited(&mut self) {
        let mut line = String::new();
        // An error or the end of the pipe means that the guardian itself is gone.
        let _ = self.stdout.read_line(&mut line).await;
    }

    /// Stops the server and waits until its processes are gone.
    pub(super) async fn stop(mut self, how: Stop) -> Result<(), PostgresError> {
        if let Some(mut stdin) = self.stdin.take() {
            let word: &[u8] = match how {
                Stop::Finish => b"",
                Stop::Fast => b"fast\n",
                Stop::Immediate => b"immediate\n",
            };
            // A broken pipe means that the guardian is gone already, which is what we want.
            let _ = stdin.write_all(word).await;
            let _ = stdin.shutdown().await;
        }
        match timeout(STOP_WITHIN, self.child.wait()).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => Err(PostgresError::io("wait for", Path::new("/bin/sh"))(error)),
            Err(_) => Err(PostgresError::Program {
                program: "the shutdown of PostgreSQL",
                message: format!("it still runs after {} s", STOP_WITHIN.as_secs()),
            }),
        }
    }
}
