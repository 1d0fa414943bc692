//! Whether Realtime takes us, and brings our own changes back.

use std::time::Duration;

use tokio::{sync::mpsc, time};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{REALTIME_LOGIN, Report, TIME_LIMIT};
use crate::{
    cli::{progress::Progress, wiring},
    clock::Clock,
    config::{Credentials, Supabase},
    error::Error,
    realtime::{ChannelKind, Disposition, RealtimeClient, RealtimeEvent},
    store::{Db, diagnose},
};

/// A cold Realtime server takes up to 8 s to subscribe, and holds a refusal back for 5.
const SUBSCRIBE_LIMIT: Duration = Duration::from_secs(25);
/// The server's idle poll takes half a second.
const CANARY_LIMIT: Duration = Duration::from_secs(10);

pub(super) async fn check(
    report: &mut Report,
    supabase: &Supabase,
    credentials: &Credentials,
    db: Option<&Db>,
    clock: &Clock,
) {
    let todo = "check SUPABASE_URL (or SUPABASE_REALTIME_URL and SUPABASE_REALTIME_HOST), \
                SUPABASE_ANON_KEY, and the JWT secret or key";
    if matches!(credentials, Credentials::ServiceKey(_)) {
        report.note("credentials", wiring::SERVICE_KEY_CONSEQUENCES);
    }
    let client = wiring::daemon_minter(credentials, wiring::DAEMON_TOKEN_LIFE, clock.clone())
        .and_then(|minter| Ok((wiring::realtime_config(supabase, credentials)?, minter)))
        .and_then(|(config, minter)| RealtimeClient::new(config, minter).map_err(Error::failed));
    let client = match client {
        Ok((client, _handle)) => client,
        Err(error) => return report.refuse("Realtime", error, todo),
    };
    let cancel = CancellationToken::new();
    let (sender, mut events) = mpsc::channel(64);
    let task = tokio::spawn(client.run(sender, cancel.clone()));
    let progress = Progress::of("subscribing to Realtime");
    let result = subscribed(&mut events).await;
    drop(progress);
    match result {
        Ok(took) => {
            report.ok("Realtime", format!("subscribed after {:.1} s", took.as_secs_f64()));
            if let Some(db) = db {
                canary_returns(report, db, &mut events).await;
            }
        }
        Err(reason) => report.fail("Realtime", reason, todo),
    }
    cancel.cancel();
    let _ = time::timeout(Duration::from_secs(2), task).await;
}

/// Waits for both channels; says what went wrong otherwise.
async fn subscribed(events: &mut mpsc::Receiver<RealtimeEvent>) -> Result<Duration, String> {
    let began = time::Instant::now();
    let mut missing: Vec<_> = ChannelKind::ALL.to_vec();
    let mut last = "no answer".to_owned();
    while !missing.is_empty() {
        let left = SUBSCRIBE_LIMIT.saturating_sub(began.elapsed());
        match time::timeout(left, events.recv()).await {
            Ok(Some(RealtimeEvent::Subscribed { channel })) => {
                missing.retain(|kind| *kind != channel)
            }
            Ok(Some(RealtimeEvent::Trouble { message, disposition, .. })) => {
                // What only a person can mend, and what a fresh token did not, needs no more waiting.
                let hopeless = matches!(disposition, Disposition::Stop | Disposition::RetrySlowly);
                if hopeless || (disposition == Disposition::RefreshToken && message == last) {
                    return Err(message);
                }
                last = message;
            }
            Ok(Some(RealtimeEvent::Disconnected { reason })) => last = reason,
            Ok(Some(_)) => {}
            Ok(None) | Err(_) => return Err(last),
        }
    }
    Ok(began.elapsed())
}

async fn canary_returns(report: &mut Report, db: &Db, events: &mut mpsc::Receiver<RealtimeEvent>) {
    let id = Uuid::new_v4();
    match canary(db, id, events).await {
        Ok(took) => {
            report.ok("canary", format!("a change came back after {} ms", took.as_millis()))
        }
        Err(reason) => report.fail(
            "canary",
            reason,
            &format!(
                "the socket is subscribed but deaf: check that error_daemon may select from \
                 error_tracker_status, and the server's Realtime log for \"permission denied to set \
                 role\"; {REALTIME_LOGIN}"
            ),
        ),
    }
    if let Err(error) = diagnose::delete_canary(db, id, TIME_LIMIT).await {
        report.note("canary", format!("its status row stays until the daemon removes it: {error}"));
    }
}

async fn canary(
    db: &Db,
    id: Uuid,
    events: &mut mpsc::Receiver<RealtimeEvent>,
) -> Result<Duration, String> {
    let write = || diagnose::write_canary(db, id, TIME_LIMIT);
    write().await.map_err(|error| error.to_string())?;
    let began = time::Instant::now();
    // Only an update is published on that channel, so the row is written twice; and a server that
    // has just subscribed may miss the first one.
    for _ in 0..3 {
        write().await.map_err(|error| error.to_string())?;
        let deadline = time::Instant::now() + CANARY_LIMIT / 3;
        while let Ok(event) = time::timeout_at(deadline, events.recv()).await {
            match event {
                Some(RealtimeEvent::Canary { instance, .. }) if instance == id => {
                    return Ok(began.elapsed());
                }
                Some(_) => {}
                None => return Err("the connection ended".to_owned()),
            }
        }
    }
    Err(format!("no change came back within {} s", CANARY_LIMIT.as_secs()))
}
