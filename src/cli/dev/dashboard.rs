//! The dashboard of `dev`: built where its sources changed, and served by Node beside everything else.

use std::{path::Path, process::Stdio, time::Duration};

use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, Command},
    time,
};

use super::{
    stack::{Stack, checkout_path},
    terminal::{PASSWORD, USERS},
};

/// Installing packages and building for the first time may take this long.
const PREPARE_LIMIT: Duration = Duration::from_mins(10);
/// The server must listen within this time.
const START_LIMIT: Duration = Duration::from_secs(30);

/// Installs the dashboard's packages and builds it, each only where something changed.
///
/// # Errors
/// In words for the terminal; everything else goes on without the dashboard.
pub async fn prepare() -> Result<(), String> {
    let folder = checkout_path("dashboard").map_err(|error| error.to_string())?;
    // What takes time is said on standard output, which is the terminal's.
    let run = node(&folder, "scripts/prepare.mjs")
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| format!("node could not be run ({error}); install Node.js 20 or later"))?;
    let output = time::timeout(PREPARE_LIMIT, run.wait_with_output())
        .await
        .map_err(|_| format!("it was not built within {} s", PREPARE_LIMIT.as_secs()))?
        .map_err(|error| error.to_string())?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let first = said.lines().next().unwrap_or("it could not be built");
    Err(format!("{first} (cd {} && npm ci && npm run build says more)", folder.display()))
}

/// The server of the dashboard; it ends when this is dropped, and with this process in any case.
pub struct Dashboard {
    child: Child,
}

impl Dashboard {
    /// Serves what [`prepare`] built at `url`.
    ///
    /// # Errors
    /// In words for the terminal.
    pub async fn start(stack: &Stack, url: &Address) -> Result<Self, String> {
        let folder = checkout_path("dashboard").map_err(|error| error.to_string())?;
        let users: Vec<String> =
            USERS.iter().map(|(email, role)| format!("{email}={role}")).collect();
        let mut child = node(&folder, "scripts/serve.mjs")
            .env("EXIT_WITH_STDIN", "1")
            .env("PORT", url.port.to_string())
            .env("ORIGIN", &url.url)
            .env("PUBLIC_SUPABASE_URL", stack.project.supabase.url())
            .env("PUBLIC_SUPABASE_ANON_KEY", stack.project.supabase.anon_key())
            .env("PUBLIC_ERROR_TRACKER_URL", format!("http://{}", stack.daemon.address()))
            .env("PUBLIC_DEMO_USERS", users.join(";"))
            .env("PUBLIC_DEMO_PASSWORD", PASSWORD)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| format!("node could not be run ({error})"))?;
        let output = child.stdout.take().ok_or("its output cannot be read")?;
        let mut lines = BufReader::new(output).lines();
        let listening = async {
            while let Ok(Some(line)) = lines.next_line().await {
                if line.starts_with("listening ") {
                    return true;
                }
            }
            false
        };
        match time::timeout(START_LIMIT, listening).await {
            Ok(true) => Ok(Self { child }),
            Ok(false) => Err("its server ended while starting".to_owned()),
            Err(_) => Err(format!("its server did not start in {} s", START_LIMIT.as_secs())),
        }
    }

    /// Ends the server.
    pub async fn stop(mut self) {
        // Its standard input ends, so it does; who does not listen is killed.
        drop(self.child.stdin.take());
        if time::timeout(Duration::from_secs(2), self.child.wait()).await.is_err() {
            let _ = self.child.kill().await;
        }
    }
}

/// Where the dashboard is to be served; known before it is, because the daemon's messages link to it.
#[derive(Clone)]
pub struct Address {
    /// As in `http://localhost:5173`.
    pub url: String,
    port: u16,
}

impl Address {
    /// The wished port, or a free one where somebody else has it.
    ///
    /// # Errors
    /// When no port is free.
    pub fn near(wished: u16) -> std::io::Result<Self> {
        let free = |port| std::net::TcpListener::bind(("127.0.0.1", port));
        let port = free(wished).or_else(|_| free(0))?.local_addr()?.port();
        Ok(Self { url: format!("http://localhost:{port}"), port })
    }

    /// Addresses from which a browser may call the daemon, as `API_ALLOWED_ORIGINS` takes them.
    #[must_use]
    pub fn origins(&self) -> String {
        format!("{},http://127.0.0.1:{}", self.url, self.port)
    }
}

fn node(folder: &Path, script: &str) -> Command {
    let mut command = Command::new("node");
    command.arg(script).current_dir(folder).stdin(Stdio::null()).kill_on_drop(true);
    command
}
