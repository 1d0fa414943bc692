//! The one replication stream of a server: slot, decoding, batching, and recovery.

use std::{collections::HashMap, sync::Arc, time::Duration};

use chrono::{DateTime, SecondsFormat};
use pgwire_replication::{
    Lsn, PgWireError, ReplicationClient, ReplicationConfig, ReplicationEvent,
};
use tokio::time::{Instant, sleep, sleep_until, timeout};
use url::Url;

use super::{
    Shared, catalog,
    deliver::{self, Change},
    outflow::Outflow,
    params::Action,
    pgoutput::{self, Message, Row},
};
use crate::faults::Event;

/// Microseconds from the Unix epoch to 2000-01-01, from which Postgres counts.
const POSTGRES_EPOCH_MICROS: i64 = 946_684_800_000_000;
/// Making a slot waits for every running transaction of the whole cluster.
const START_TIMEOUT: Duration = Duration::from_secs(20);
const END_TIMEOUT: Duration = Duration::from_secs(1);
const RETRY_MIN: Duration = Duration::from_millis(100);
const RETRY_MAX: Duration = Duration::from_secs(5);
/// A batch that keeps filling is delivered this long after it was due.
const OVERDUE: Duration = Duration::from_millis(20);

/// Why a stream ended.
#[derive(Debug, thiserror::Error)]
enum StreamError {
    #[error("the database address is not usable: {0}")]
    Address(&'static str),
    #[error(transparent)]
    Replication(#[from] PgWireError),
    #[error("catalog query failed: {0}")]
    Database(#[from] sqlx::Error),
    #[error("the slot was not ready within {} s", START_TIMEOUT.as_secs())]
    StartTimeout,
    #[error("the server ended the stream")]
    Ended,
    #[error("a message could not be read")]
    Unreadable,
}

/// Runs streams until the server stops. The first starts with the first subscription, as on the
/// real server; after any failure a new slot is made at the then current position, and what was
/// committed in between is lost without a word to the clients.
pub async fn run(shared: Arc<Shared>) {
    let mut retry = RETRY_MIN;
    let mut lost = shared.faults.slot_lost();
    let mut wanted = shared.wanted.subscribe();
    loop {
        let ready_to_start = async {
            let _ = wanted.wait_for(|wanted| *wanted).await;
            let _ = lost.wait_for(|lost| !*lost).await;
        };
        tokio::select! {
            () = shared.cancel.cancelled() => return,
            () = ready_to_start => {}
        }
        let ended = session(&shared, &mut retry).await;
        shared.ready.send_replace(false);
        if let Err(error) = ended {
            tracing::warn!(%error, retry_ms = retry.as_millis(), "replication stream ended");
            tokio::select! {
                () = shared.cancel.cancelled() => return,
                () = sleep(retry) => {}
            }
            retry = (retry * 2).min(RETRY_MAX);
        }
    }
}

async fn connect(shared: &Shared) -> Result<ReplicationClient, StreamError> {
    let slot = format!("supabase_realtime_{}", uuid::Uuid::new_v4().simple());
    let config = replication_config(&shared.database_url, &slot, &shared.config.publication)?;
    let starting = async {
        let mut client = ReplicationClient::connect_gated(config).await?;
        client
            .simple_query(&format!(
                "CREATE_REPLICATION_SLOT {slot} TEMPORARY LOGICAL pgoutput NOEXPORT_SNAPSHOT"
            ))
            .await?;
        client.start().await?;
        client.wait_started().await?;
        Ok(client)
    };
    timeout(START_TIMEOUT, starting).await.map_err(|_| StreamError::StartTimeout)?
}

fn replication_config(
    url: &str,
    slot: &str,
    publication: &str,
) -> Result<ReplicationConfig, StreamError> {
    let url = Url::parse(url).map_err(|_| StreamError::Address("not a URL"))?;
    let decode = |text: &str| {
        url::form_urlencoded::parse(format!("v={}", text.replace('+', "%2B")).as_bytes())
            .next()
            .map_or_else(String::new, |(_, value)| value.into_owned())
    };
    let database = decode(url.path().trim_start_matches('/'));
    if database.is_empty() {
        return Err(StreamError::Address("no database in it"));
    }
    let socket =
        url.query_pairs().find(|(key, _)| key == "host").map(|(_, value)| value.into_owned());
    let host = socket.or_else(|| url.host_str().map(decode)).unwrap_or_else(|| "127.0.0.1".into());
    let user = decode(url.username());
    let password = decode(url.password().unwrap_or_default());
    Ok(ReplicationConfig::new(host, user, password, database, slot, publication)
        .with_port(url.port().unwrap_or(5432))
        .with_application_name("realtime_rls")
        .with_status_interval(Duration::from_secs(1))
        .with_wakeup_interval(Duration::from_secs(1))
        // The text forms that the encoding of records expects.
        .with_options(
            "-c timezone=UTC -c datestyle=ISO -c intervalstyle=postgres -c extra_float_digits=1",
        ))
}

/// The transaction whose changes are arriving.
#[derive(Clone)]
struct Transaction {
    id: u32,
    committed_at: Arc<str>,
}

struct Session<'a> {
    shared: &'a Shared,
    tables: HashMap<u32, Arc<catalog::Table>>,
    transaction: Option<Transaction>,
    batch: Vec<Change>,
    due: Option<Instant>,
    applied: Option<Lsn>,
    outflow: Outflow,
}

/// One slot from its making to its end: an error, the server's stop, or the loss of the slot on
/// request.
async fn session(shared: &Shared, retry: &mut Duration) -> Result<(), StreamError> {
    let mut lost = shared.faults.slot_lost();
    let ends = async {
        tokio::select! {
            () = shared.cancel.cancelled() => {}
            _ = lost.wait_for(|lost| *lost) => {}
        }
    };
    tokio::pin!(ends);
    let mut client = tokio::select! {
        () = &mut ends => return Ok(()),
        client = connect(shared) => client?,
    };
    shared.faults.count(Event::Slot);
    shared.ready.send_replace(true);
    *retry = RETRY_MIN;
    let outflow = Outflow::new(shared.faults.clone(), shared.config.slow_client_patience);
    let mut session = Session {
        shared,
        tables: HashMap::new(),
        transaction: None,
        batch: Vec::new(),
        due: None,
        applied: None,
        outflow,
    };
    loop {
        let far = Instant::now() + Duration::from_secs(3600);
        let (due, flush) = (session.due.unwrap_or(far), session.outflow.due().unwrap_or(far));
        tokio::select! {
            biased;
            () = &mut ends => {
                // The server frees the slot when the connection ends, asked politely or not.
                let _ = timeout(END_TIMEOUT, client.shutdown()).await;
                return Ok(());
            }
            event = client.recv() => {
                session.take(event?.ok_or(StreamError::Ended)?).await?;
                let full = session.batch.len() >= shared.config.batch_rows;
                let overdue = session.due.is_some_and(|due| Instant::now() > due + OVERDUE);
                if full || overdue {
                    session.deliver(&client).await?;
                }
            }
            () = sleep_until(due) => session.deliver(&client).await?,
            () = sleep_until(flush) => session.outflow.flush(Instant::now()).await,
        }
    }
}

impl Session<'_> {
    async fn take(&mut self, event: ReplicationEvent) -> Result<(), StreamError> {
        match event {
            ReplicationEvent::Begin { xid, commit_time_micros, .. } => {
                let committed_at = commit_timestamp(commit_time_micros).into();
                self.transaction = Some(Transaction { id: xid, committed_at });
            }
            ReplicationEvent::XLogData { data, .. } => {
                match pgoutput::decode(&data).ok_or(StreamError::Unreadable)? {
                    Message::Relation(relation) => {
                        let oid = relation.oid;
                        let table = catalog::describe(&self.shared.pool, relation).await?;
                        self.tables.insert(oid, Arc::new(table));
                    }
                    Message::Insert { oid, new } => self.add(oid, Action::Insert, None, Some(new)),
                    Message::Update { oid, old, new } => {
                        self.add(oid, Action::Update, old, Some(new));
                    }
                    Message::Delete { oid, old } => self.add(oid, Action::Delete, Some(old), None),
                    Message::Other => {}
                }
            }
            ReplicationEvent::Commit { end_lsn, .. } => {
                self.transaction = None;
                self.applied = Some(end_lsn);
                self.due.get_or_insert(Instant::now() + self.shared.config.poll_interval);
            }
            _ => {}
        }
        Ok(())
    }

    fn add(&mut self, oid: u32, action: Action, old: Option<Row>, new: Option<Row>) {
        let (Some(table), Some(transaction)) = (self.tables.get(&oid), &self.transaction) else {
            return;
        };
        self.batch.push(Change {
            table: Arc::clone(table),
            action,
            old,
            new,
            committed_at: Arc::clone(&transaction.committed_at),
            transaction: transaction.id,
            truncate: self.shared.faults.truncates_change(),
        });
    }

    async fn deliver(&mut self, client: &ReplicationClient) -> Result<(), StreamError> {
        self.due = None;
        let batch = std::mem::take(&mut self.batch);
        if !batch.is_empty() {
            let now = Instant::now();
            for delivery in deliver::frames(self.shared, &batch).await? {
                self.outflow.push(delivery, now).await;
            }
        }
        if let Some(lsn) = self.applied.take() {
            client.update_applied_lsn(lsn);
        }
        Ok(())
    }
}

/// Milliseconds and a `Z`, as the real server writes a commit's time.
fn commit_timestamp(micros_since_2000: i64) -> String {
    DateTime::from_timestamp_micros(micros_since_2000.saturating_add(POSTGRES_EPOCH_MICROS))
        .unwrap_or_default()
        .to_rfc3339_opts(SecondsFormat::Millis, true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_database_addresses() {
        let read = |url: &str| {
            replication_config(url, "s", "p").ok().map(|c| {
                (c.host.clone(), c.port, c.user.clone(), c.password.clone(), c.database.clone())
            })
        };
        let full = read("postgres://a%40b:p%2Bw+d@127.0.0.1:5433/db?sslmode=disable");
        let want = ("127.0.0.1".into(), 5433, "a@b".into(), "p+w+d".into(), "db".into());
        assert_eq!(full, Some(want));
        let socket = read("postgres://u@localhost/db?host=/tmp/x").map(|c| c.0);
        assert_eq!(socket.as_deref(), Some("/tmp/x"));
        assert_eq!(read("postgres://u@localhost"), None);
    }

    #[test]
    fn writes_commit_times() {
        assert_eq!(commit_timestamp(0), "2000-01-01T00:00:00.000Z");
        assert_eq!(commit_timestamp(848_662_898_797_123), "2026-11-22T11:41:38.797Z");
    }
}
