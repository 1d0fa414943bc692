//! `run`: the daemon, and how its parts are wired.
//! Nothing is decided or counted here, and nothing is written in SQL: that is the parts' own work.
//! The environment comes in once, at the start; what goes out is the parts' doing, and the answers of `/readyz` and
//! the status row are put together here.

mod boot;
mod daemon;
mod pulse;
mod reconcile;
mod reporting;
mod settings;
mod socket;
mod system;

pub use daemon::Daemon;
pub use settings::Settings;

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::{config::Environment, error::Error};

/// Runs until the process is told to stop.
///
/// # Errors
/// The configuration's problems, or what kept the daemon from starting.
pub async fn execute(environment: &Environment) -> Result<(), Error> {
    #[cfg(feature = "dev")]
    crate::crash::arm(environment)?;
    let settings = Settings::read(environment)?;
    let cancel = CancellationToken::new();
    stop_on_signal(&cancel)?;
    match Daemon::start(settings, cancel.clone()).await {
        Ok(daemon) => daemon.stopped().await,
        // Whoever told it to stop before it had started got what was asked for.
        Err(_) if cancel.is_cancelled() => Ok(()),
        Err(error) => Err(error),
    }
}

/// Cancels `cancel` at SIGTERM or Ctrl-C; a second signal ends the process at once.
///
/// # Errors
/// When the signals cannot be listened to.
pub fn stop_on_signal(cancel: &CancellationToken) -> Result<(), Error> {
    let listen = |kind| {
        signal(kind).map_err(|error| {
            Error::unavailable("signals", error, "look at the limits of this user")
        })
    };
    let mut terminate = listen(SignalKind::terminate())?;
    let mut interrupt = listen(SignalKind::interrupt())?;
    let cancel = cancel.clone();
    // This task owns nothing and ends with the runtime.
    tokio::spawn(async move {
        for first in [true, false] {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            if first {
                tracing::info!("stopping");
                cancel.cancel();
            } else {
                tracing::warn!("told to stop twice; ending at once");
                std::process::exit(1);
            }
        }
    });
    Ok(())
}
