//! Connections that also work through a transaction-mode pooler.
//!
//! Such a pooler may give every statement outside a transaction another server connection, also
//! between preparing a statement and running it. Through a pooler, therefore, every statement runs
//! in a transaction and none stays prepared. Nothing is set for a session, and no start-up option
//! is sent that poolers refuse; waiting is bounded here and not by `statement_timeout`.
//!
//! A transaction that its owner leaves alone is ended by the server ([`IDLE_LIMIT`]). Otherwise a
//! leader that was stopped, or whose machine vanished, between the check of the fence and the commit
//! would keep the lease's row locked, and nobody could take over before it came back.

use std::{future::Future, time::Duration};

use sqlx::{
    ConnectOptions, PgConnection, PgPool, Postgres,
    pool::PoolConnection,
    postgres::{PgArguments, PgConnectOptions, PgPoolOptions},
    query::Query,
};

use super::{Fence, StoreError, lease};
use crate::crash::{self, Point};

/// The port of Supabase's transaction-mode pooler, and by convention of others.
const POOLER_PORT: u16 = 6543;

/// A transaction in which its owner says nothing for this long is ended by the server: well before
/// a lease of 6 s ends, and long beyond any pause of a healthy process.
pub const IDLE_LIMIT: Duration = Duration::from_secs(3);

/// Begins a transaction, in one round trip and with settings of its own, as a pooler demands: with
/// [`IDLE_LIMIT`], and without compiling. The planner cannot know how few numbers a range holds, so
/// it takes our short statements for expensive ones, and compiling them takes a second where running
/// them takes milliseconds.
const BEGIN: &str =
    "begin; set local jit = off; set local idle_in_transaction_session_timeout = '3s'";

/// How to use the database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PoolOptions {
    /// At most this many connections.
    pub max_connections: u32,
    /// What the server shows as our name.
    pub application_name: String,
    /// Whether the address leads to a transaction-mode pooler; none decides by port 6543.
    pub transaction_pooler: Option<bool>,
    /// How long to wait for a free connection, and for a new one to be made.
    pub acquire_timeout: Duration,
}

impl Default for PoolOptions {
    fn default() -> Self {
        Self {
            max_connections: 5,
            application_name: "meshhook-errors".to_owned(),
            transaction_pooler: None,
            acquire_timeout: Duration::from_secs(5),
        }
    }
}

/// A small pool of connections; cheap to clone.
#[derive(Clone, Debug)]
pub struct Db {
    pool: PgPool,
    pooler: bool,
}

/// Prepares a pool; the first connection is made when it is first needed.
///
/// The TLS mode is the address's `sslmode` (default: TLS where the server offers it).
///
/// # Errors
/// [`StoreError::Address`] when the address cannot be parsed.
pub fn connect(url: &str, options: &PoolOptions) -> Result<Db, StoreError> {
    let parsed: PgConnectOptions =
        url.parse().map_err(|error: sqlx::Error| StoreError::Address(error.to_string()))?;
    let pooler = options.transaction_pooler.unwrap_or(parsed.get_port() == POOLER_PORT);
    let parsed = parsed
        .application_name(&options.application_name)
        // A start-up parameter that PgBouncer refuses, and numbers come in binary anyway.
        .extra_float_digits(None)
        .statement_cache_capacity(if pooler { 0 } else { 100 })
        .disable_statement_logging();
    let pool = PgPoolOptions::new()
        .max_connections(options.max_connections)
        .acquire_timeout(options.acquire_timeout)
        // A ping would double the round trips of a tick; a dead connection fails the first query,
        // is thrown away, and every query here is tried again anyway.
        .test_before_acquire(false)
        .connect_lazy_with(parsed);
    Ok(Db { pool, pooler })
}

impl Db {
    /// The pool, for queries that need neither a fence nor a pooler's care.
    #[must_use]
    pub fn pool(&self) -> &PgPool {
        &self.pool
    }

    /// Whether the address leads to a transaction-mode pooler.
    #[must_use]
    pub const fn through_pooler(&self) -> bool {
        self.pooler
    }

    /// A connection for one statement.
    ///
    /// # Errors
    /// When no connection can be had.
    pub async fn link(&self) -> Result<Link, sqlx::Error> {
        self.open(self.pooler).await
    }

    /// A connection with a transaction begun.
    ///
    /// # Errors
    /// When no connection can be had.
    pub async fn transaction(&self) -> Result<Link, sqlx::Error> {
        self.open(true).await
    }

    async fn open(&self, transaction: bool) -> Result<Link, sqlx::Error> {
        let connection = self.pool.acquire().await?;
        let mut link = Link { connection, transaction, persistent: !self.pooler, done: false };
        if transaction {
            sqlx::raw_sql(BEGIN).execute(&mut *link.connection).await?;
        }
        Ok(link)
    }

    /// Throws away every connection that nobody uses: where one of them turned out to be dead, the
    /// others are likely to be, and each would cost a query.
    pub fn discard_idle(&self) {
        for _ in 0..self.pool.num_idle() {
            let Some(mut connection) = self.pool.try_acquire() else { break };
            connection.close_on_drop();
        }
    }

    /// Waits for the connections to close.
    pub async fn close(&self) {
        self.pool.close().await;
    }
}

/// A pool that somebody else made; for a direct connection.
impl From<PgPool> for Db {
    fn from(pool: PgPool) -> Self {
        Self { pool, pooler: false }
    }
}

/// One connection in use. Unless it is [committed](Link::commit) or [rolled back](Link::rollback),
/// dropping it closes the connection: it may be in the middle of an answer that never comes.
#[derive(Debug)]
pub struct Link {
    connection: PoolConnection<Postgres>,
    transaction: bool,
    persistent: bool,
    done: bool,
}

impl Link {
    /// The connection, to run queries on.
    pub fn connection(&mut self) -> &mut PgConnection {
        &mut self.connection
    }

    /// A query that is kept prepared where that is possible.
    pub fn query(&self, sql: &'static str) -> Query<'static, Postgres, PgArguments> {
        sqlx::query(sql).persistent(self.persistent)
    }

    /// Ends the transaction, if there is one, and gives the connection back.
    ///
    /// # Errors
    /// When the commit failed; whether it took place is then unknown.
    pub async fn commit(self) -> Result<(), sqlx::Error> {
        self.end("commit").await
    }

    /// Commits if `fence` still leads, and rolls back otherwise.
    ///
    /// # Errors
    /// [`Failure::FenceLost`] when another instance leads; the commit's own failure.
    pub async fn commit_as(self, fence: &Fence) -> Result<(), Failure> {
        self.commit_past(fence, None).await
    }

    /// As [`Link::commit_as`], with a crash point between the check and the commit.
    ///
    /// # Errors
    /// As [`Link::commit_as`].
    pub async fn commit_past(mut self, fence: &Fence, at: Option<Point>) -> Result<(), Failure> {
        if lease::check_fence(&mut self, fence).await? {
            if let Some(at) = at {
                crash::point(at);
            }
            Ok(self.commit().await?)
        } else {
            self.rollback().await?;
            Err(Failure::FenceLost)
        }
    }

    /// Takes the transaction back and gives the connection back.
    ///
    /// # Errors
    /// When the connection broke, which has the same effect.
    pub async fn rollback(self) -> Result<(), sqlx::Error> {
        self.end("rollback").await
    }

    async fn end(mut self, how: &'static str) -> Result<(), sqlx::Error> {
        if self.transaction {
            sqlx::raw_sql(how).execute(&mut *self.connection).await?;
        }
        self.done = true;
        Ok(())
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        if !self.done {
            self.connection.close_on_drop();
        }
    }
}

/// Runs a query with a limit on its time.
///
/// # Errors
/// The query's own, or [`StoreError::TimedOut`].
pub async fn within<T>(
    what: &'static str,
    limit: Duration,
    query: impl Future<Output = Result<T, Failure>>,
) -> Result<T, StoreError> {
    match tokio::time::timeout(limit, query).await {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(Failure::Query(source))) => Err(StoreError::Database { what, source }),
        Ok(Err(Failure::FenceLost)) => Err(StoreError::FenceLost),
        Err(_) => Err(StoreError::TimedOut { what, limit }),
    }
}

/// How a query's future may fail; [`within`] makes a [`StoreError`] of it.
#[derive(Debug)]
pub enum Failure {
    /// Straight from the driver.
    Query(sqlx::Error),
    /// The fence did not lead.
    FenceLost,
}

impl From<sqlx::Error> for Failure {
    fn from(error: sqlx::Error) -> Self {
        Self::Query(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_pooler_is_recognised() {
        for (url, given, expected) in [
            ("postgres://u:p@h:5432/d", None, Some(false)),
            ("postgres://u:p@h:6543/d?sslmode=require", None, Some(true)),
            ("postgres://u:p@h:6543/d", Some(false), Some(false)),
            ("postgres://u:p@h/d", Some(true), Some(true)),
            ("not an address", None, None),
        ] {
            let options = PoolOptions { transaction_pooler: given, ..PoolOptions::default() };
            let got = connect(url, &options).ok().map(|db| db.through_pooler());
            assert_eq!(got, expected, "{url}");
        }
        let error = connect("postgres://u:secret@h:port/d", &PoolOptions::default());
        assert!(!error.map_or_else(|e| e.to_string(), |_| String::new()).contains("secret"));
    }
}
